"""oVirt and OpenStack as sources of plans: their VMs run on KVM already, and volume populators fetch their disks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL
from ansible_collections.vmshift.mtv.plugins.module_utils import mapping
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import is_host

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.planned import Selection
    from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject

Object = dict[str, Any]
Ref = dict[str, str]

LUN = "lun"
ONLY_HERE = (
    "Disks of this source are fetched by volume populators, which this control plane runs for itself only: "
    "the destination must be the provider `host`."
)


class PopulatedSource:
    """What both have in common. Of warm migrations of oVirt this control plane has none, and says so as MTV does with that switched off."""

    def __init__(self, type: str, tools: tuple[str, ...] = ()) -> None:
        self._type = type
        self.tools = tools

    def supports_warm(self) -> bool:
        return False

    def supports(self, subject: Subject) -> bool:
        return subject.type in ("", "cold")

    def networks(self, subject: Subject, vm: Object) -> list[Ref]:
        return [_ref(source) for source in dict.fromkeys(self._networks(subject, vm))]

    def nic_networks(self, subject: Subject, vm: Object) -> list[Ref]:
        return [_ref(source) for source in self._networks(subject, vm)]

    def _networks(self, subject: Subject, vm: Object) -> list[mapping.Source]:
        return mapping.NICS[self._type](vm, subject.source_items)

    def storages(self, subject: Subject, vm: Object) -> list[Ref | None]:
        return [_ref(source) for source in mapping.STORAGES[self._type](vm, subject.source_items)]

    def is_running(self, vm: Object) -> bool:
        return True

    def is_live_migratable(self, vm: Object) -> bool:
        return True


class OvirtSource(PopulatedSource):
    def macs(self, subject: Subject, vm: Object) -> list[str]:
        return [nic["mac"] for nic in vm.get("nics") or () if nic.get("mac")]

    def disks(self, subject: Subject, vm: Object) -> list[Object]:
        return [{"DiskIndex": index, "DiskId": disk.get("id", "")} for index, disk in enumerate(_images(subject, vm))]

    def has_invalid_disk_sizes(self, subject: Subject, vm: Object) -> bool:
        return any((disk.get("provisionedSize") or 0) <= 0 for disk in _images(subject, vm))


class OpenstackSource(PopulatedSource):
    """A VM booted from an image has that as a disk, too, beside its volumes."""

    def macs(self, subject: Subject, vm: Object) -> list[str]:
        found = (address.get("OS-EXT-IPS-MAC:mac_addr") for of in (vm.get("addresses") or {}).values() for address in of)
        return list(dict.fromkeys(filter(None, found)))

    def disks(self, subject: Subject, vm: Object) -> list[Object]:
        count = bool(vm.get("imageID")) + len(vm.get("attachedVolumes") or ())
        return [{"DiskIndex": index} for index in range(count)]

    def has_invalid_disk_sizes(self, subject: Subject, vm: Object) -> bool:
        volumes = (subject.source_items("volumes").get(attached.get("ID", "")) for attached in vm.get("attachedVolumes") or ())
        return any((volume.get("size") or 0) <= 0 for volume in volumes if volume)


def destination(subject: Subject) -> None:
    """Of this control plane: its populators are processes of this machine."""
    if subject.source_type in TYPES and not is_host(subject.destination):
        subject.conditions.set("MigrationTypeNotValid", CRITICAL, ONLY_HERE, reason="NotSupported")


def direct_luns(subject: Subject, selection: Selection) -> Iterator[str]:
    """VMs of oVirt with a disk that is a LUN of a storage array."""
    for planned in selection.vms:
        if any(disk.get("storageType") == LUN for disk in _attached(subject, planned.vm)):
            yield planned.text


def _ref(source: mapping.Source) -> Ref:
    return {key: value for key, value in source._asdict().items() if value}


def _attached(subject: Subject, vm: Object) -> list[Object]:
    disks = subject.source_items("disks")
    return [dict(disks[attached["disk"]]) for attached in vm.get("diskAttachments") or () if attached.get("disk") in disks]


def _images(subject: Subject, vm: Object) -> list[Object]:
    return [disk for disk in _attached(subject, vm) if disk.get("storageType") != LUN]


TYPES: dict[str, OvirtSource | OpenstackSource] = {
    "ovirt": OvirtSource("ovirt"),
    "openstack": OpenstackSource("openstack", tools=("qemu-img",)),
}
