"""Guests of a few bytes: a boot sector that waits, or that switches its machine off."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

Object = dict[str, Any]

HALT = bytes.fromhex("faf4ebfd")  # cli; hlt; jmp to hlt
POWER_OFF = bytes.fromhex("ba0406b80020ef") + HALT  # out 0x604, 0x2000: q35's way of ACPI, set up by SeaBIOS

INSTANCE: Object = {
    "metadata": {"name": "vm", "namespace": "tgt", "uid": "0b4b2c9e-8a1b-4e1a-9d25-9f7f9a5b0c11"},
    "spec": {
        "domain": {
            "cpu": {"sockets": 2, "cores": 1},
            "memory": {"guest": "64Mi"},
            "firmware": {"bootloader": {"bios": {}}, "serial": "42,3"},
            "devices": {
                "disks": [{"name": "vol-0", "disk": {"bus": "virtio"}, "serial": "abc"}],
                "interfaces": [{"name": "net-0", "model": "virtio", "macAddress": "00:50:56:8A:AA:BB", "masquerade": {}}],
                "inputs": [{"name": "tablet", "type": "tablet", "bus": "virtio"}],
            },
        },
        "networks": [{"name": "net-0", "pod": {}}],
        "volumes": [{"name": "vol-0", "persistentVolumeClaim": {"claimName": "disk"}}],
    },
}


@pytest.fixture
def instance() -> Object:
    return copy.deepcopy(INSTANCE)


def boot_disk(path: Path, program: bytes) -> Path:
    path.write_bytes(program.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    return path
