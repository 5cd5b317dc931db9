"""The VirtualMachine of a VM from an OVA file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.migration import quantities
from ansible_collections.vmshift.mtv.controlplane.migration.builders import base
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair, Nic
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ova import memory_bytes

Object = dict[str, Any]


def disk_source(disk: Object) -> str:
    """What tasks and annotations call a disk of the inventory: "/ova/app.ova::app-disk1.vmdk"."""
    return f"{disk['FilePath']}::{disk['Name']}"


def virtual_machine(
    vm: Object,
    plan: Object,
    status: Object,
    *,
    networks: Iterable[NetworkPair],
    claims: Mapping[str, str],
    labels: dict[str, str],
    instance_type: Object | None = None,
) -> Object:
    """The target VM.

    `vm`: as the inventory has it (facts 5.3); `status`: its status in the plan; `claims`: disk source -> PVC name;
    `labels`: of child objects; `instance_type`: {kind, name}. Raises ValueError for an unmapped network, a disk without PVC, or memory
    units that are not understood.
    """
    spec = plan["spec"]
    wanted_power = status.get("targetPowerState") or spec.get("targetPowerState")
    strategy = base.run_strategy(wanted_power, status.get("restorePowerState"))
    built = base.shell(status, plan, vm["name"], labels, converted=not spec.get("skipGuestConversion"), run_strategy=strategy)
    disks, volumes = _disks(vm, claims)
    interfaces, targets = base.networks([Nic(nic["Network"], nic["MAC"]) for nic in vm["nics"] or ()], networks)
    built["spec"]["template"]["spec"].update(domain=_domain(vm, spec, status, disks, interfaces), networks=targets, volumes=volumes)
    base.use_instance_type(built, instance_type)
    return built


def _domain(vm: Object, spec: Object, status: Object, disks: list[Object], interfaces: list[Object]) -> Object:
    nested = status.get("enableNestedVirtualization")
    firmware = base.firmware(vm["firmware"] or status.get("firmware", ""), secure_boot=bool(vm["secureBoot"]), serial=vm["uuid"])
    domain: Object = {
        "cpu": base.cpu(vm["cpuCount"], vm["coresPerSocket"], nested=spec.get("enableNestedVirtualization") if nested is None else nested),
        "memory": {"guest": quantities.quantity(memory_bytes(vm))},
        "firmware": firmware,
        "devices": {
            "disks": disks,
            "interfaces": interfaces,
            "inputs": [{"name": "tablet", "type": "tablet", "bus": base.VIRTIO}],
        },
        "resources": {},
    }
    if firmware["bootloader"].get("efi", {}).get("secureBoot"):
        domain["features"] = {"smm": {"enabled": True}}  # KubeVirt refuses secure boot without it
    return domain


def _disks(vm: Object, claims: Mapping[str, str]) -> tuple[list[Object], list[Object]]:
    """(disks, volumes). No boot order is set: the disk that the guest boots from is the first one of an OVF."""
    disks, volumes = [], []
    for index, disk in enumerate(vm["disks"] or ()):
        source = disk_source(disk)
        if source not in claims:
            raise ValueError(f"Disk {source} has no PersistentVolumeClaim.")
        name = f"vol-{index}"
        disks.append({"name": name, "serial": base.serial(disk["DiskId"], vm["id"], disk["ID"]), "disk": {"bus": base.VIRTIO}})
        volumes.append({"name": name, "persistentVolumeClaim": {"claimName": claims[source]}})
    return disks, volumes
