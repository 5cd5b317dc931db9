"""The images that pods of this cluster can run: programs of this machine instead of container images.

A new kind of pod (a hook runner, a populator) becomes runnable by a new entry in IMAGES.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

VIRT_V2V_IMAGE = "vmshift.local/virt-v2v:latest"
CONSUMER_IMAGE = "vmshift.local/volume-consumer:latest"

_CONVERSION = "ansible_collections.vmshift.mtv.controlplane.datapath.conversion"

Container = dict[str, Any]

# image -> the argv of its process, made from the container
IMAGES: dict[str, Callable[[Container], list[str]]] = {
    VIRT_V2V_IMAGE: lambda _container: [sys.executable, "-m", _CONVERSION],
    CONSUMER_IMAGE: lambda _container: ["true"],  # it is there to have volumes bound, not to do anything
}


class UnknownImage(Exception):
    """Nothing on this machine stands for the image."""


def argv(container: Container) -> list[str]:
    """Raises UnknownImage."""
    image = container.get("image", "")
    builder = IMAGES.get(image)
    if builder is None:
        known = ", ".join(sorted(IMAGES))
        raise UnknownImage(f'this control plane pulls no images: "{image}" is none of the programs that it has ({known})')
    return builder(container)
