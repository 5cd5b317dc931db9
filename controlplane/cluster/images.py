"""The images that pods of this cluster can run: programs of this machine instead of container images.

A new kind of pod becomes runnable by a new entry in IMAGES.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

VIRT_V2V_IMAGE = "vmshift.local/virt-v2v:latest"
VIRT_V2V_XFS_IMAGE = "vmshift.local/virt-v2v-xfs:latest"  # for old XFS file systems, which the tools of this machine read as well
INSPECTION_IMAGE = "vmshift.local/deep-inspection:latest"
INSPECTION_XFS_IMAGE = "vmshift.local/deep-inspection-xfs:latest"
IMPORTER_IMAGE = "vmshift.local/importer:latest"
EXPORTER_IMAGE = "vmshift.local/virt-exportserver:latest"
CONSUMER_IMAGE = "vmshift.local/volume-consumer:latest"
OPENSTACK_POPULATOR_IMAGE = "vmshift.local/openstack-populator:latest"
OVIRT_POPULATOR_IMAGE = "vmshift.local/ovirt-populator:latest"
IMAGE_CONVERTER_IMAGE = "vmshift.local/image-converter:latest"
LAUNCHER_IMAGE = "vmshift.local/virt-launcher:latest"

_CONVERSION = "ansible_collections.vmshift.mtv.controlplane.datapath.conversion"
_INSPECTION = "ansible_collections.vmshift.mtv.controlplane.datapath.inspection"
_IMPORTER = "ansible_collections.vmshift.mtv.controlplane.datapath.importer"
_EXPORTER = "ansible_collections.vmshift.mtv.controlplane.datapath.export_server"
_OPENSTACK_POPULATOR = "ansible_collections.vmshift.mtv.controlplane.datapath.openstack_populator"
_OVIRT_POPULATOR = "ansible_collections.vmshift.mtv.controlplane.datapath.ovirt_populator"
_IMAGE_CONVERTER = "ansible_collections.vmshift.mtv.controlplane.datapath.image_converter"
_HOOK_RUNNER = "ansible_collections.vmshift.mtv.controlplane.datapath.hook_runner"
_CUSTOMIZE = "ansible_collections.vmshift.mtv.controlplane.datapath.customize"
_LAUNCHER = "ansible_collections.vmshift.mtv.controlplane.datapath.guest.launcher"

Container = dict[str, Any]

_DISK_ACCESS = "ansible_collections.vmshift.mtv.controlplane.datapath.disk_access"

#: An init container by this name copies VMware's disk library to where its pod finds it; nothing here uses that.
VDDK_CONTAINER = "vddk-side-car"


def _virt_v2v(container: Container) -> list[str]:
    """The conversion; or, of the Job that looks at VMware's disk library with `file`, a look at what reads disks here instead."""
    return [sys.executable, "-m", _DISK_ACCESS if container.get("command", [])[:1] == ["file"] else _CONVERSION]


# image -> the argv of its process, made from the container
IMAGES: dict[str, Callable[[Container], list[str]]] = {
    VIRT_V2V_IMAGE: _virt_v2v,
    VIRT_V2V_XFS_IMAGE: _virt_v2v,
    INSPECTION_IMAGE: lambda _container: [sys.executable, "-m", _INSPECTION],
    INSPECTION_XFS_IMAGE: lambda _container: [sys.executable, "-m", _INSPECTION],
    IMPORTER_IMAGE: lambda _container: [sys.executable, "-m", _IMPORTER],
    EXPORTER_IMAGE: lambda _container: [sys.executable, "-m", _EXPORTER],
    OPENSTACK_POPULATOR_IMAGE: lambda container: [sys.executable, "-m", _OPENSTACK_POPULATOR, *container["args"]],
    IMAGE_CONVERTER_IMAGE: lambda container: [sys.executable, "-m", _IMAGE_CONVERTER, *container["args"]],
    OVIRT_POPULATOR_IMAGE: lambda container: [sys.executable, "-m", _OVIRT_POPULATOR, *container["args"]],
    LAUNCHER_IMAGE: lambda _container: [sys.executable, "-m", _LAUNCHER],
    CONSUMER_IMAGE: lambda _container: ["true"],  # it is there to have volumes bound, not to do anything
}


def runs_hook(container: Container) -> bool:
    """It is a hook with a playbook: whichever image it names, ansible-runner of this machine runs it."""
    return list(container.get("command") or ())[:2] == ["/bin/entrypoint", "ansible-runner"]


def customizes(container: Container) -> bool:
    """It changes disks with virt-customize, for which each image that has it may be named."""
    return list(container.get("command") or ())[:1] == ["virt-customize"]


class UnknownImage(Exception):
    """Nothing on this machine stands for the image."""


def argv(container: Container) -> list[str]:
    """Raises UnknownImage."""
    if runs_hook(container):
        return [sys.executable, "-m", _HOOK_RUNNER, *container["command"][1:]]
    if customizes(container):
        return [sys.executable, "-m", _CUSTOMIZE, *container["command"][1:], *(container.get("args") or ())]
    image = container.get("image", "")
    builder = IMAGES.get(image)
    if builder is None:
        known = ", ".join(sorted(IMAGES))
        raise UnknownImage(f'this control plane pulls no images: "{image}" is none of the programs that it has ({known})')
    return builder(container)
