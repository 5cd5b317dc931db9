# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with all that it refers to, as validation rules and builders get it (facts 5.3). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Object = dict[str, Any]

#: What stands for an image that is gone: nothing is known of it.
NO_IMAGE: Object = {"id": "", "revision": 0, "name": "", "selfLink": "", "properties": {}}


class Inventory(Protocol):
    """Collections that are looked into: by id, by name, as a whole."""

    def item(self, collection: str, id: str) -> Object | None: ...

    def named(self, collection: str, name: str) -> list[Object]: ...

    def collection(self, name: str) -> list[Object]: ...


def surroundings(vm: Mapping[str, Any], inventory: Inventory) -> Object:
    """Image, flavor, networks and disks of a server."""
    item, named = inventory.item, inventory.named
    volumes = [volume for attached in vm.get("attachedVolumes") or () if (volume := item("volumes", attached["ID"]))]
    networks = [network for name in vm["addresses"] for network in named("networks", name)]
    types: dict[str, Object] = {}
    for volume in volumes:
        for type in named("volumetypes", volume["volumeType"])[:1]:
            types[type["id"]] = type
    ids = {volume["id"] for volume in volumes}
    found = {
        "image": item("images", image_id(vm, volumes)) or NO_IMAGE,
        "flavor": item("flavors", vm["flavorID"]) or {"id": vm["flavorID"], "name": "", "vcpus": 0, "ram": 0},
        "networks": networks,
        "subnets": [subnet for network in networks for id in network.get("subnets") or () if (subnet := item("subnets", id))],
        "volumes": volumes,
        "volumeTypes": list(types.values()),
        "snapshots": [snapshot for snapshot in inventory.collection("snapshots") if snapshot["volumeID"] in ids],
    }
    return {key: value for key, value in found.items() if value or key not in ("volumes", "volumeTypes", "snapshots")}


def device(volume: Mapping[str, Any], vm_id: str) -> str:
    """The name under which a server has a volume, "/dev/vdb": Nova lists volumes in no order."""
    return next((str(attached["Device"]) for attached in volume.get("attachments") or () if attached["ServerID"] == vm_id), "")


def image_id(vm: Mapping[str, Any], volumes: list[Object]) -> str:
    """Of the image that a server was made from: its own, or that of the volume which it boots from; "" when there was none."""
    if vm.get("imageID"):
        return str(vm["imageID"])
    bootable = sorted((volume for volume in volumes if volume["bootable"] == "true"), key=lambda volume: device(volume, vm["id"]))
    images = [(volume.get("volumeImageMetadata") or {}).get("image_id", "") for volume in bootable]
    return next((image for image in images if image), "")
