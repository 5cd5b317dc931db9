"""The VirtualMachine of a VM from vSphere. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.migration import labels as known_labels
from ansible_collections.vmshift.mtv.controlplane.migration import quantities
from ansible_collections.vmshift.mtv.controlplane.migration.builders import base
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair, Nic
from ansible_collections.vmshift.mtv.plugins.module_utils import naming
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import vms

Object = dict[str, Any]

SATA, SCSI, USB = "sata", "scsi", "usb"
E1000E = "e1000e"
PREFIX = "vsphere.forklift.konveyor.io/"
CONNECTED = "connected"
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_.-]+")
_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?")
_ROOT_DISK = re.compile(r"/dev/sd\d*([a-z])")


def virtual_machine(
    vm: Object,
    plan: Object,
    status: Object,
    *,
    disks: Iterable[Object],
    networks: Iterable[NetworkPair],
    claims: Mapping[str, str],
    labels: dict[str, str],
    timezone: str = "",
    instance_type: Object | None = None,
    awaits_reboots: bool = False,
) -> Object:
    """The target VM.

    `vm`: as the inventory has it (facts 5.3); `status`: its status in the plan; `disks`: those of its disks that it is to have, in
    their order; `claims`: base file of a disk -> PVC name; `labels`: of child objects; `timezone`: of its host; `instance_type`:
    {kind, name}; `awaits_reboots`: a Windows guest that finishes its conversion by itself must run. Raises ValueError for an unmapped
    network, a disk without PVC, and a VM that cannot be migrated as it is.
    """
    _refuse(vm, plan)
    spec = plan["spec"]
    strategy = _run_strategy(status, spec, awaits_reboots)
    built = base.shell(status, plan, vm["name"], labels, converted=not spec.get("skipGuestConversion"), run_strategy=strategy)
    _add_metadata(built["metadata"], vm, spec.get("tagMapping") or {})
    own = _Options(spec, status)
    devices, volumes = _disks(vm, disks, claims, own)
    name = own.name("networkNameTemplate", naming.NETWORK_TEMPLATE, naming.NETWORK_FIELDS)
    interfaces, targets = base.networks(_nics(vm), networks, model=E1000E if own.compatible else base.VIRTIO, name=name)
    domain = _domain(vm, own, devices, interfaces)
    if timezone:
        domain["clock"] = {"timezone": timezone}
    built["spec"]["template"]["spec"].update(domain=domain, networks=targets, volumes=volumes)
    base.use_instance_type(built, instance_type)
    return built


class _Options:
    """What the plan asks for, and its VM above it."""

    def __init__(self, spec: Object, status: Object) -> None:
        self._spec, self._status = spec, status

    def get(self, name: str) -> Any:
        own = self._status.get(name)
        return self._spec.get(name) if own is None else own

    @property
    def compatible(self) -> bool:
        """Devices that any guest has drivers for: of a guest that was not converted, unless the plan says that it knows virtio."""
        return bool(self._spec.get("skipGuestConversion")) and self._spec.get("useCompatibilityMode", True)

    @property
    def boot_disk(self) -> int:
        """Number of the disk to boot from."""
        root = self._status.get("rootDisk")
        if root:
            return disk_number(root)
        return max(self._status.get("detectedBootDisk") or 0, 0)

    def name(self, option: str, default: str, fields: Mapping[str, Any]) -> base.Name:
        """Names by the template of `option`: cut where they are too long, and each only once. Raises ValueError."""
        template = self.get(option) or default
        given: set[str] = set()

        def new(values: Object) -> str:
            name = naming.render_template(template, {**fields, **values})[: naming.LABEL_MAX].rstrip("-")
            if not naming.is_dns1123_label(name) or name in given:
                raise ValueError(f'The {option} "{template}" gives {"several times" if name in given else "the invalid name"} "{name}".')
            given.add(name)
            return name

        return new


def disk_number(root: str) -> int:
    """The number of the disk of a partition ("/dev/sdb1": 1); 0 where that cannot be told."""
    found = _ROOT_DISK.match(root)
    return ord(found[1]) - ord("a") if found else 0


def _refuse(vm: Object, plan: Object) -> None:
    spec = plan["spec"]
    if vm.get("isTemplate"):
        raise ValueError(f"VM {vm['name']} is a template.")
    if vm.get("connectionState", CONNECTED) != CONNECTED:
        raise ValueError(f"VM {vm['name']} is not connected.")
    if (spec.get("warm") or spec.get("type") == "warm") and not vm.get("changeTrackingEnabled"):
        raise ValueError(f"Changed Block Tracking (CBT) is disabled for VM {vm['name']}.")


def _run_strategy(status: Object, spec: Object, awaits_reboots: bool) -> str:
    wanted = status.get("targetPowerState") or spec.get("targetPowerState")
    if awaits_reboots and wanted != "off":
        return "Always"
    return base.run_strategy(wanted, status.get("restorePowerState"))


def _domain(vm: Object, own: _Options, disks: list[Object], interfaces: list[Object]) -> Object:
    nested = own.get("enableNestedVirtualization")
    if nested is None and vm.get("nestedHVEnabled"):
        nested = True
    domain: Object = {
        "cpu": base.cpu(vm["cpuCount"], vm["coresPerSocket"], nested=nested),
        "memory": {"guest": quantities.quantity(vm["memoryMB"] * quantities.MIB)},
        "firmware": base.firmware(vm.get("firmware") or "", secure_boot=bool(vm.get("secureBoot")), serial=vm["uuid"]),
        "devices": {
            "disks": disks,
            "interfaces": interfaces,
            "inputs": [{"name": "tablet", "type": "tablet", "bus": USB if own.compatible else base.VIRTIO}],
            # Said also where there is none: KubeVirt may give one to guests that do not boot with it.
            "tpm": {"persistent": True} if vm.get("tpmEnabled") else {"enabled": False},
        },
        "resources": {},
    }
    if domain["firmware"]["bootloader"].get("efi", {}).get("secureBoot"):
        domain["features"] = {"smm": {"enabled": True}}  # KubeVirt refuses secure boot without it
    return domain


def _disks(vm: Object, wanted: Iterable[Object], claims: Mapping[str, str], own: _Options) -> tuple[list[Object], list[Object]]:
    """(disks, volumes)"""
    name = own.name("volumeNameTemplate", naming.VOLUME_TEMPLATE, naming.VOLUME_FIELDS)
    disks: list[Object] = []
    volumes: list[Object] = []
    for index, disk in enumerate(wanted):
        claim = claims.get(vms.base_file(disk["file"]))
        if claim is None:
            raise ValueError(f"Disk {disk['file']} has no PersistentVolumeClaim.")
        volume = name({"PVCName": claim, "VolumeIndex": index})
        disks.append({"name": volume, "serial": base.serial(disk.get("serial") or "", vm["id"], str(disk["key"])), **_device(disk, own)})
        volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim}})
    if not disks:
        raise ValueError(f"VM {vm['name']} has no disk to boot from.")
    if own.boot_disk < len(disks):
        disks[own.boot_disk]["bootOrder"] = 1
    return disks, volumes


def _device(disk: Object, own: _Options) -> Object:
    shared = bool(disk.get("shared"))
    found: Object = {"shareable": True, "cache": "none"} if shared else {}
    if not (disk.get("rdm") and own.get("rdmAsLun")):
        return {**found, "disk": {"bus": SATA if own.compatible else base.VIRTIO}}
    if shared and own.get("scsiReservation"):
        return {**found, "errorPolicy": "report", "lun": {"bus": SCSI, "reservation": True}}
    return {**found, "lun": {"bus": SCSI}}


def _nics(vm: Object) -> list[Nic]:
    return [
        Nic(nic["network"]["id"], nic.get("mac") or "", nic.get("pciAddress") or "", nic.get("startConnected", True))
        for nic in vm.get("nics") or ()
    ]


# --- tags and custom attributes ---------------------------------------------------------------------------------------


def _add_metadata(meta: Object, vm: Object, mapping: Object) -> None:
    """Tags become labels, custom attributes annotations; what had to be changed for that is told in an annotation of its own."""
    changed: dict[str, str] = {}
    tags = [] if mapping.get("disabled") else _chosen_tags(vm, mapping.get("labelTags") or ())
    for tag in tags:
        name, value = _label(tag["name"]), _label(tag.get("description") or "")
        if not name:
            continue
        _tell(changed, f"tag.name.{tag['name']}", tag["name"], name)
        _tell(changed, f"tag.value.{tag['name']}", tag.get("description") or "", value)
        meta["labels"][PREFIX + name] = value
    names = {definition["key"]: definition["name"] for definition in vm.get("customDef") or ()}
    annotations: dict[str, str] = {}
    for value in vm.get("customValues") or ():
        original = names.get(value["key"], "")
        if not (name := _label(original)):
            continue
        _tell(changed, f"customAttribute.name.{original}", original, name)
        annotations[PREFIX + name] = value.get("value") or ""
    if changed:
        annotations[known_labels.SANITIZED] = json.dumps(changed, sort_keys=True, separators=(",", ":"))
    if annotations:
        meta.setdefault("annotations", {}).update(annotations)


def _chosen_tags(vm: Object, wanted: Iterable[str]) -> list[Object]:
    """All, or those whose names are wanted; upper and lower case are the same."""
    names = {name.casefold() for name in wanted}
    return [tag for tag in vm.get("tags") or () if not names or tag["name"].casefold() in names]


def _label(text: str) -> str:
    """`text` as the nearest name or value that a label may have; "" when nothing of it can stay."""
    if len(text) <= naming.LABEL_MAX and _LABEL.fullmatch(text):
        return text
    return _NOT_IN_LABELS.sub("_", text).strip("_.-")[: naming.LABEL_MAX].rstrip("_.-")


def _tell(changed: dict[str, str], what: str, before: str, after: str) -> None:
    if before and before != after:
        changed[what] = after
