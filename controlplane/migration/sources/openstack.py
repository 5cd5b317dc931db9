"""OpenStack as a source: disks are fetched by volume populators out of images that are made of them (facts 3.15)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.inventory.collectors import openstack_credentials
from ansible_collections.vmshift.mtv.controlplane.migration import children
from ansible_collections.vmshift.mtv.controlplane.migration.builders import openstack as builder
from ansible_collections.vmshift.mtv.controlplane.migration.builders.openstack import SourceDisk
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError
from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Disk
from ansible_collections.vmshift.mtv.controlplane.migration.sources.populated import PopulatedInventorySource, Populator
from ansible_collections.vmshift.mtv.controlplane.migration.sources.sessions import Sessions
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import exports
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.exports import Exports
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.session import Credentials, Session, open_session
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.workload import device

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

log = logging.getLogger(__name__)

Object = dict[str, Any]

GIB = 1 << 30
GLANCE = "glance"  # the name by which storage maps send images of servers somewhere
RAW = "raw"
CLEARING = 600.0  # seconds until it is given up that things at the source come to rest and go
CLEARING_EVERY = 1.0


_sessions = Sessions[Credentials, Session](open_session)


class OpenStackSource(PopulatedInventorySource):
    type = "openstack"
    storages = "volumetypes"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._images: dict[str, dict[str, Object]] = {}  # VM id -> source of a disk -> its image, once all are there

    def refusal(self, work: VmRun) -> str:
        """What would fail at the end fails before anything is done: the target is built, with names of PVCs that are not there yet."""
        if work.source_vm["status"] not in (exports.ACTIVE, exports.SHUT_OFF):
            return f"The server is {work.source_vm['status']}; it can be migrated when it is ACTIVE or SHUTOFF."
        try:
            claims = {disk.source: f"pvc-{index}" for index, disk in enumerate(self.disks(work))}
            self.virtual_machine(work, claims)
        except ValueError as error:
            return str(error)
        return ""

    # Disks

    def disks(self, work: VmRun) -> list[Disk]:
        """Volumes in the order of their devices, then the server's own disk, when it has one that is no volume."""
        vm = self.workload(work.source_vm)
        destinations = self.storage_destinations(work.run.storage_map)
        types = {type["name"]: type["id"] for type in vm.get("volumeTypes") or ()}
        found = []
        for volume in sorted(vm.get("volumes") or (), key=lambda volume: device(volume, vm["id"])):
            type = types.get(volume["volumeType"], volume["volumeType"])
            if type not in destinations:
                raise ValueError(f'The storage map has no entry for volume type "{volume["volumeType"]}" of volume {volume["id"]}.')
            name = exports.volume_image_name(vm["id"], volume["id"])
            found.append(Disk(volume["id"], volume["size"] * GIB, destinations[type], task=name))
        if vm.get("imageID"):
            if GLANCE not in destinations:
                raise ValueError(f'The storage map has no entry "{GLANCE}", which the image of server {vm["name"]} needs.')
            found.append(Disk(vm["imageID"], own_disk_size(vm), destinations[GLANCE], task=exports.image_name(vm["id"])))
        return found

    def prepare(self, work: VmRun) -> bool:
        with self._exports(work.source_vm["id"]) as made:
            images = made.advance()
        if images is None:
            return False
        self._images[work.source_vm["id"]] = images
        return True

    def populator(self, work: VmRun, disk: Disk, secret: str) -> Populator:
        image = self._images[work.source_vm["id"]][disk.source]
        return Populator(
            "OpenstackVolumePopulator",
            f"{image['name']}-",
            {"identityUrl": self._provider["spec"].get("url") or "", "secretName": secret, "imageId": image["id"]},
            labels={"imageID": image["id"]},
            # Images of volumes are unpacked on their way; that of a server is taken as it is.
            format=image["diskFormat"] if exports.OF_IMAGE in image["properties"] else RAW,
        )

    def release(self, vm: Object) -> None:
        """What cannot go yet goes later, without anybody waiting for it."""
        if not vm.get("id"):
            return
        with self._exports(vm["id"]) as made:
            if made.clear():
                return
        threading.Thread(target=self._go_on_clearing, args=(vm["id"],), daemon=True, name=f"clear {vm['id']}").start()

    def _go_on_clearing(self, server: str) -> None:
        until = time.monotonic() + CLEARING
        while time.monotonic() < until:
            time.sleep(CLEARING_EVERY)
            try:
                with self._exports(server) as made:
                    if made.clear():
                        return
            except (SourceError, PhaseError) as error:
                last = str(error)
                log.debug("server %s: %s", server, last)
        log.warning("server %s: what was made for its migration is not gone after %.0f s", server, CLEARING)

    # Power, asked of Nova itself: an inventory may be some seconds old.

    def power_state(self, vm: Object) -> str:
        with self._exports(vm["id"]) as server:
            return {exports.ACTIVE: "On", exports.SHUT_OFF: "Off"}.get(server.status(), "Unknown")

    def power_off(self, vm: Object) -> None:
        with self._exports(vm["id"]) as server:
            server.stop()

    def is_off(self, vm: Object) -> bool:
        return self.power_state(vm) == "Off"

    def power_on(self, vm: Object) -> None:
        with self._exports(vm["id"]) as server:
            server.start()

    @contextmanager
    def _exports(self, server: str) -> Iterator[Exports]:
        """Raises PhaseError for what OpenStack refuses, SourceError while it cannot be reached."""
        secret = self.provider_secret()
        if not secret:
            raise PhaseError("The Secret of the source provider is gone.")
        try:
            with _sessions.session(openstack_credentials(self._provider["spec"].get("url") or "", secret)) as session:
                yield Exports(session, server)
        except SourceError as error:
            if error.kind == CONNECTION:
                raise
            raise PhaseError(error.message) from None

    # The target

    def virtual_machine(self, work: VmRun, claims: dict[str, str]) -> Object:
        vm = self.workload(work.source_vm)
        bootable = {volume["id"] for volume in vm.get("volumes") or () if volume["bootable"] == "true"}
        first = bootable or {vm.get("imageID")}
        disks = [SourceDisk(disk.source, disk.source in first, _format(vm, disk.source)) for disk in work.disks]
        return builder.virtual_machine(
            vm,
            work.plan,
            work.vm,
            disks=disks,
            networks=self.network_pairs(work.run.network_map),
            claims=claims,
            labels=work.labels,
            instance_type=children.instance_type(work),
        )


def own_disk_size(vm: Object) -> int:
    """What the disk of a server that is no volume may have, in bytes: Nova makes it as large as the flavor says. `vm`: a workload."""
    image, flavor = vm["image"], vm["flavor"]
    return max(image.get("virtualSize") or 0, image.get("sizeBytes") or 0, GIB * max(image.get("minDisk") or 0, flavor.get("disk") or 0))


def _format(vm: Object, source: str) -> str:
    return str(vm["image"].get("diskFormat") or RAW) if source == vm.get("imageID") else RAW
