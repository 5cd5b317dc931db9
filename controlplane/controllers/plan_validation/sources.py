"""What differs between sources when a plan is checked. A new source is a class and a line in SOURCES."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import populated
from ansible_collections.vmshift.mtv.controlplane.controllers.provider_types import SERVED
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import vms

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import ProviderInventory

Object = dict[str, Any]
Ref = dict[str, str]

LIVE_GATE = "DecentralizedLiveMigration"


class Source(Protocol):
    """Answers about the VMs of one provider type. `vm`: a VM of its inventory, in full detail."""

    tools: tuple[str, ...]  # programs that a migration from here needs

    def supports_warm(self) -> bool: ...

    def supports(self, subject: Subject) -> bool:
        """The type of the plan."""

    def networks(self, subject: Subject, vm: Object) -> list[Ref]:
        """One per NIC and network that must be mapped, each as a Ref."""

    def nic_networks(self, subject: Subject, vm: Object) -> list[Ref]:
        """The network of each NIC."""

    def storages(self, subject: Subject, vm: Object) -> list[Ref | None]:
        """The storage of each disk; None for one that cannot be told."""

    def macs(self, subject: Subject, vm: Object) -> list[str]:
        """MAC addresses that would be in use twice if a destination VM has them too."""

    def disks(self, subject: Subject, vm: Object) -> list[Object]:
        """Per disk what a PVC name template may use of it."""

    def has_invalid_disk_sizes(self, subject: Subject, vm: Object) -> bool: ...

    def is_running(self, vm: Object) -> bool:
        """Asked of live migrations, as the next one; sources without them do not mind."""

    def is_live_migratable(self, vm: Object) -> bool: ...


class OvaSource:
    tools = SERVED["ova"].tools

    def supports_warm(self) -> bool:
        return False

    def supports(self, subject: Subject) -> bool:
        return subject.type in ("", "cold")

    def networks(self, subject: Subject, vm: Object) -> list[Ref]:
        return [{"id": network.get("ID", ""), "name": network.get("Name", "")} for network in vm.get("networks") or ()]

    def nic_networks(self, subject: Subject, vm: Object) -> list[Ref]:
        known = {network["name"]: network for network in self.networks(subject, vm)}
        names = [nic.get("Network", "") for nic in vm.get("nics") or ()]
        return [known.get(name, {"name": name}) for name in names]

    def storages(self, subject: Subject, vm: Object) -> list[Ref | None]:
        """Every disk is a storage of its own."""
        return [{"id": disk.get("ID", ""), "name": disk.get("Name", "")} for disk in vm.get("disks") or ()]

    def macs(self, subject: Subject, vm: Object) -> list[str]:
        return [nic["MAC"] for nic in vm.get("nics") or () if nic.get("MAC")]

    def disks(self, subject: Subject, vm: Object) -> list[Object]:
        return [{"DiskIndex": index} for index, _disk in enumerate(vm.get("disks") or ())]

    def has_invalid_disk_sizes(self, subject: Subject, vm: Object) -> bool:
        return any((disk.get("Capacity") or 0) <= 0 for disk in vm.get("disks") or ())

    def is_running(self, vm: Object) -> bool:
        return True

    def is_live_migratable(self, vm: Object) -> bool:
        return True


class OpenShiftSource:
    tools: tuple[str, ...] = ()

    def supports_warm(self) -> bool:
        return False

    def supports(self, subject: Subject) -> bool:
        if subject.type != "live":
            return subject.type in ("", "cold")
        return all(map(_has_live_gate, (subject.source_inventory, subject.destination_inventory)))

    def networks(self, subject: Subject, vm: Object) -> list[Ref]:
        return list(_networks(vm))

    nic_networks = networks

    def storages(self, subject: Subject, vm: Object) -> list[Ref | None]:
        found: list[Ref | None] = []
        for name in _claim_names(vm):
            claim = subject.source_claims.get((vm["namespace"], name))
            wanted = (claim["object"].get("spec") or {}).get("storageClassName") if claim else None
            known = subject.source_classes.get(("", wanted)) if wanted else None
            found.append({"id": known["id"], "name": known["name"]} if known else None)
        return found

    def macs(self, subject: Subject, vm: Object) -> list[str]:
        """A cold source VM is off for good before its copy starts."""
        return interface_macs(vm) if subject.type == "live" else []

    def disks(self, subject: Subject, vm: Object) -> list[Object]:
        names = list(_claim_names(vm))
        return [{"DiskIndex": i, "SourcePVCName": name, "SourcePVCNamespace": vm["namespace"]} for i, name in enumerate(names)]

    def has_invalid_disk_sizes(self, subject: Subject, vm: Object) -> bool:
        return False

    def is_running(self, vm: Object) -> bool:
        return "instance" in vm

    def is_live_migratable(self, vm: Object) -> bool:
        conditions = (vm["object"].get("status") or {}).get("conditions") or ()
        return all(c.get("status") == "True" for c in conditions if c.get("type") == "StorageLiveMigratable")


class VsphereSource:
    tools: tuple[str, ...] = ("virt-v2v", "qemu-img", "qemu-nbd", "nbdkit")

    def supports_warm(self) -> bool:
        return True

    def supports(self, subject: Subject) -> bool:
        return subject.type in ("", "cold", "warm", "conversion")

    def networks(self, subject: Subject, vm: Object) -> list[Ref]:
        return [{"id": network["id"]} for network in vm.get("networks") or ()]

    def nic_networks(self, subject: Subject, vm: Object) -> list[Ref]:
        return [{"id": nic["network"]["id"]} for nic in vm.get("nics") or ()]

    def storages(self, subject: Subject, vm: Object) -> list[Ref | None]:
        ids = [(disk.get("datastore") or {}).get("id") for disk in vm.get("disks") or ()]
        return [{"id": id} if id else None for id in ids]

    def macs(self, subject: Subject, vm: Object) -> list[str]:
        return [nic["mac"] for nic in vm.get("nics") or () if nic.get("mac")]

    def disks(self, subject: Subject, vm: Object) -> list[Object]:
        return [
            {"DiskIndex": index, "FileName": vms.file_name(disk["file"]), "WinDriveLetter": disk.get("winDriveLetter") or ""}
            for index, disk in enumerate(vms.ordered_disks(vm))
        ]

    def has_invalid_disk_sizes(self, subject: Subject, vm: Object) -> bool:
        return any((disk.get("capacity") or 0) <= 0 for disk in vm.get("disks") or ())

    def is_running(self, vm: Object) -> bool:
        return True

    def is_live_migratable(self, vm: Object) -> bool:
        return True


SOURCES: Mapping[str, Source] = {"ova": OvaSource(), "openshift": OpenShiftSource(), "vsphere": VsphereSource(), **populated.TYPES}


def interface_macs(vm: Object) -> list[str]:
    """MAC addresses that a VirtualMachine of an OpenShift inventory asks for."""
    devices = (_template(vm).get("domain") or {}).get("devices") or {}
    return [interface["macAddress"] for interface in devices.get("interfaces") or () if interface.get("macAddress")]


def _template(vm: Object) -> Object:
    return ((vm["object"].get("spec") or {}).get("template") or {}).get("spec") or {}


def _networks(vm: Object) -> Iterator[Ref]:
    for network in _template(vm).get("networks") or ():
        if "pod" in network:
            yield {"type": "pod"}
        elif network.get("multus"):
            namespace, _unused, name = network["multus"].get("networkName", "").rpartition("/")
            yield {"name": name, "namespace": namespace or vm["namespace"]}


def _claim_names(vm: Object) -> Iterator[str]:
    for volume in _template(vm).get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield volume["persistentVolumeClaim"]["claimName"]
        elif volume.get("dataVolume"):
            yield volume["dataVolume"]["name"]


def _has_live_gate(inventory: ProviderInventory) -> bool:
    for item in inventory.collection("kubevirts")[:1]:
        configuration = (item["object"].get("spec") or {}).get("configuration") or {}
        gates = (configuration.get("developerConfiguration") or {}).get("featureGates") or ()
        return any(gate.lower() == LIVE_GATE.lower() for gate in gates)
    return False
