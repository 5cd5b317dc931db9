"""What the plan wants of a conversion, as options of virt-v2v and of tools like it. Passphrases stay in their files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed, disk_letters

KEYS = "/etc/luks"
_PARTITIONS = 15
_STATIC_IP = re.compile(r"((?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}):ip:(.+)")
_FIRST = "first"


def of(environment: Mapping[str, str], mounts: Mounts, disks: int) -> list[str]:
    """Options of virt-v2v for a guest with so many disks. Raises ConversionFailed for what cannot be understood."""
    return [
        "--root",
        environment.get("V2V_RootDisk") or _FIRST,
        *static_ips(environment),
        *keys(environment, mounts, disks),
        *extra(environment, "V2V_extra_args"),
    ]


def static_ips(environment: Mapping[str, str]) -> list[str]:
    """Of Windows guests virt-v2v itself keeps the addresses, of others it does not look at them.

    It takes no empty gateway, so what comes after one is left out.
    """
    options = []
    for mac, address in addresses(environment):
        ip, *rest = address.split(",")
        options += ["--mac", f"{mac}:ip:{','.join([ip, *rest] if rest and rest[0] else [ip])}"]
    return options


def addresses(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """(MAC, "IP,gateway,prefix,DNS…") of each address to be kept."""
    found = [_STATIC_IP.fullmatch(entry) for entry in environment.get("V2V_staticIPs", "").split("_") if entry]
    return [(match[1], match[2]) for match in found if match]


def keys(environment: Mapping[str, str], mounts: Mounts, disks: int) -> list[str]:
    """By device, as not every virt-v2v has a word for all of them: the disks and their partitions."""
    if uses_clevis(environment):
        return [option for device in _devices(disks) for option in ("--key", f"{device}:clevis")]
    files = key_files(mounts)
    return [option for device in _devices(disks) for file in files for option in ("--key", f"{device}:file:{file}")]


def uses_clevis(environment: Mapping[str, str]) -> bool:
    return environment.get("V2V_NBDE_CLEVIS") == "true"


def key_files(mounts: Mounts) -> list[Path]:
    try:
        folder = mounts.host_path(KEYS)
    except NotMounted:
        return []
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _devices(disks: int) -> list[str]:
    names = [f"/dev/sd{disk_letters(number)}" for number in range(disks)]
    return [f"{name}{partition}" for name in names for partition in ("", *range(1, _PARTITIONS + 1))]


def extra(environment: Mapping[str, str], name: str) -> list[str]:
    """More arguments, from the settings of the controller: a list in JSON."""
    text = environment.get(name) or "[]"
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
        raise ConversionFailed(f"{name} is {text!r}; a list of strings in JSON is needed")
    return found
