# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of a server as images that can be downloaded, made as Forklift makes them (facts 3.15).

The server's own image, and of each attached volume: snapshot, volume of that, image. All are found again by their names, which hold the
id of the server, and by what they say of where they come from; so whoever goes on after a crash, or clears away, needs to know nothing
else. Nothing here waits: a look goes one step on wherever that is possible.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import items
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.inventory import plain
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.session import Session

Object = dict[str, Any]

#: Properties of images, and metadata of volumes and snapshots: what they were made of.
OF_VOLUME, OF_IMAGE = "forklift_original_volume_id", "forklift_original_image_id"
#: How a volume is put into an image: with its data alone.
FORMAT = "qcow2"
ACTIVE, SHUT_OFF = "ACTIVE", "SHUTOFF"
_BECOMES_IMAGE = ("queued", "saving", "uploading", "importing")
#: States in which Cinder deletes.
_DELETABLE = ("available", "error", "error_deleting", "error_restoring")


def image_name(server: str) -> str:
    """Of the image of the server `server` (its id)."""
    return f"forklift-migration-vm-{server}"


def volume_image_name(server: str, volume: str) -> str:
    return f"{image_name(server)}-volume-{volume}"


def snapshot_name(server: str) -> str:
    """Of the snapshots of all its volumes: as Nova names them when it makes the image of a server that boots from a volume."""
    return f"snapshot for {image_name(server)}"


def volume_name(server: str) -> str:
    """Of the volumes that are made of the snapshots."""
    return f"volume created from {image_name(server)}"


class Exports:
    """Of one server."""

    def __init__(self, session: Session, server: str) -> None:
        self._session = session
        self._server = server

    # Power

    def status(self) -> str:
        """ "ACTIVE", "SHUTOFF", … Raises SourceError."""
        return str(self._look().status)

    def stop(self) -> None:
        if self.status() != SHUT_OFF:
            with self._session.talking("stop the server") as cloud:
                cloud.compute.stop_server(self._server)

    def start(self) -> None:
        if self.status() != ACTIVE:
            with self._session.talking("start the server") as cloud:
                cloud.compute.start_server(self._server)

    def _look(self) -> Any:
        from openstack.compute.v2.server import Server

        with self._session.talking("read the server") as cloud:
            return Server.existing(id=self._server).fetch(cloud.compute, microversion="2.1")

    # Making

    def advance(self) -> dict[str, Object] | None:
        """Go on. Returns the images (facts 5.3), by the id of the volume or image that each was made of, once all are there and nothing
        else is left; None until then. Raises SourceError for what will not come right by itself.
        """
        server = self._look()
        own = self._own_image(server)
        if own is None:
            return None
        found = {OF_IMAGE: own} if server.image and server.image.id else {}
        result = {own["properties"][OF_IMAGE]: own for own in found.values()}
        volumes = [volume.id for volume in server.attached_volumes]
        ready = [self._volume_image(volume) for volume in volumes]
        if not all(ready):
            return None
        result.update({volume: image for volume, image in zip(volumes, ready) if image})
        return None if self._clear_between() else result

    def _own_image(self, server: Any) -> Object | None:
        """The image that Nova makes of the server; for one that boots from a volume it holds nothing but the names of snapshots."""
        name = image_name(self._server)
        image = self._image(name)
        of = server.image.id if server.image else None
        if image is None:
            with self._session.talking("make an image of the server") as cloud:
                cloud.compute.create_server_image(self._server, name)
            return None
        if not self._is_active(image, "image of the server"):
            return None
        if of and image["properties"].get(OF_IMAGE) != of:
            self._mark(image["id"], OF_IMAGE, of)
            return None
        return image

    def _volume_image(self, volume: str) -> Object | None:
        image = self._image(volume_image_name(self._server, volume))
        if image is None:
            self._make_volume_image(volume)
            return None
        if not self._is_active(image, f"image of volume {volume}"):
            return None
        if image["properties"].get(OF_VOLUME) != volume:
            self._mark(image["id"], OF_VOLUME, volume)
            return None
        return image

    def _is_active(self, image: Object, what: str) -> bool:
        if image["status"] == "active":
            return True
        if image["status"] in _BECOMES_IMAGE:
            return False
        raise SourceError(f"the {what} is {image['status']}", DATA)

    def _make_volume_image(self, volume: str) -> None:
        """One step on the way there: snapshot, volume of it, image of that."""
        snapshot = self._snapshot(volume)
        if snapshot is None:
            with self._session.talking(f"make a snapshot of volume {volume}") as cloud:
                cloud.block_storage.create_snapshot(
                    volume_id=volume, name=snapshot_name(self._server), is_forced=True, metadata={OF_VOLUME: volume}
                )
            return
        if not _is_available(snapshot.status, f"snapshot of volume {volume}"):
            return
        copy = next((copy for copy in self._copies() if copy.snapshot_id == snapshot.id), None)
        if copy is None:
            with self._session.talking(f"make a volume of the snapshot of volume {volume}") as cloud:
                cloud.block_storage.create_volume(
                    name=volume_name(self._server), snapshot_id=snapshot.id, size=snapshot.size, metadata={OF_VOLUME: volume}
                )
            return
        if _is_available(copy.status, f"volume made of the snapshot of volume {volume}"):
            self._upload(copy, volume)

    def _upload(self, copy: Any, volume: str) -> None:
        name = volume_image_name(self._server, volume)
        with self._session.talking(f"make an image of volume {volume}") as cloud:
            for key in list(copy.volume_image_metadata or ()):
                if key.startswith("os_glance"):  # Glance refuses images with such properties (cinder bug 1945500)
                    cloud.block_storage.delete_volume_image_metadata(copy, [key])
            made = cloud.block_storage.upload_volume_to_image(copy, name, disk_format=FORMAT, container_format="bare")
        self._mark(made["image_id"], OF_VOLUME, volume)

    def _mark(self, image: str, property: str, value: str) -> None:
        """An image that is gone, because Nova or Cinder has given it up in this moment, is missed at the next look."""
        from openstack.exceptions import NotFoundException

        with self._session.talking("say of an image what it was made of") as cloud, contextlib.suppress(NotFoundException):
            cloud.image.update_image(image, **{property: value})

    # Clearing

    def _clear_between(self) -> bool:
        """Take away what is between volumes and images: snapshots when volumes are gone. True while something is left."""
        copies = list(self._copies())
        for copy in copies:
            self._delete(copy, "volume", lambda cloud: cloud.block_storage.delete_volume)
        if copies:
            return True
        snapshots = list(self._snapshots())
        for snapshot in snapshots:
            self._delete(snapshot, "snapshot", lambda cloud: cloud.block_storage.delete_snapshot)
        return bool(snapshots)

    def clear(self) -> bool:
        """Take away whatever was made. True when nothing is left; until then ask again: some things must come to rest before they go.

        Raises SourceError.
        """
        with self._session.talking("find images of the server") as cloud:
            wanted = image_name(self._server)
            images = [image for image in cloud.image.images(sort="created_at:desc") if (image.name or "").startswith(wanted)]
        for image in images:
            with self._session.talking("delete an image of the server") as cloud:
                cloud.image.delete_image(image.id, ignore_missing=True)
        return not self._clear_between()

    def _delete(self, found: Any, what: str, call: Callable[[Any], Callable[..., Any]]) -> None:
        if found.status in _DELETABLE:
            with self._session.talking(f"delete the {what} {found.id}") as cloud:
                call(cloud)(found.id, ignore_missing=True)

    # Finding

    def _image(self, name: str) -> Object | None:
        """The newest of that name."""
        with self._session.talking("find images of the server") as cloud:
            found = next(iter(cloud.image.images(name=name, sort="created_at:desc")), None)
        return items.image(plain(found)) if found is not None else None

    def _snapshot(self, volume: str) -> Any:
        return next((snapshot for snapshot in self._snapshots() if snapshot.volume_id == volume), None)

    def _snapshots(self) -> Iterator[Any]:
        with self._session.talking("find snapshots of the server's volumes") as cloud:
            yield from list(cloud.block_storage.snapshots(name=snapshot_name(self._server)))

    def _copies(self) -> Iterator[Any]:
        with self._session.talking("find volumes made of snapshots") as cloud:
            yield from list(cloud.block_storage.volumes(name=volume_name(self._server)))


def _is_available(status: str, what: str) -> bool:
    """Raises SourceError for a state that nothing comes of."""
    if status.startswith("error"):
        raise SourceError(f"the {what} is in state {status}", DATA)
    return status == "available"
