"""Addresses in an isolated guest's network that lead to services of this machine: a mirror of packages, say."""

from __future__ import annotations

import ipaddress
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.datapath.guest import relay
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.qemu import Service, Unsupported, network_prefix

Object = dict[str, Any]

#: On the template of a VirtualMachine: "10.0.2.100:80=127.0.0.1:8080", several separated by spaces.
ANNOTATION = "guest.vmshift.io/services"
_ENTRY = re.compile(r"(?P<address>[0-9.]+):(?P<port>\d{1,5})=(?P<host>[A-Za-z0-9.-]+):(?P<target>\d{1,5})")


def of(instance: Object) -> tuple[Service, ...]:
    """Those that the annotation of an instance names. Raises Unsupported."""
    text = (instance["metadata"].get("annotations") or {}).get(ANNOTATION) or ""
    return tuple(_service(entry) for entry in text.split())


def _service(entry: str) -> Service:
    match = _ENTRY.fullmatch(entry)
    if not match:
        raise Unsupported(f'{ANNOTATION}: "{entry}" is not of the form {network_prefix(0)}.100:80=127.0.0.1:8080')
    try:
        address = ipaddress.IPv4Address(match["address"])
    except ValueError:
        address = None
    network = ipaddress.IPv4Network(f"{network_prefix(0)}.0/24")
    if address is None or address not in network or not all(0 < int(match[port]) < 65536 for port in ("port", "target")):
        raise Unsupported(f'{ANNOTATION}: "{entry}" needs an address in {network} and ports from 1 to 65535')
    # QEMU splits the command at spaces, and so do paths that have some.
    program = [sys.executable, "-I", "-S", str(Path(relay.__file__).absolute()), match["host"], match["target"]]
    if any(" " in word for word in program):
        raise Unsupported(f"{ANNOTATION}: the path {shlex.join(program[:4])} has a space in it, which QEMU cannot be told")
    return Service(str(address), int(match["port"]), " ".join(program))
