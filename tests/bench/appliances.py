"""VMs to migrate by the hundreds: OVA files that share their content, the request for them, and its playbook."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.lab import guests, ova

NAMESPACE = "konveyor-forklift"
# In place of virt-v2v: writes the disk, changes nothing in it.
COPY_ONLY = """#!/bin/sh
set -e
while [ "$1" != -i ]; do shift; done
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
tar -xf "$3" -C "$work"
qemu-img convert -n -O raw "$work"/*.vmdk "$7/guest-sda"
echo '<domain><os/></domain>' > "$7/guest.xml"
"""


def names(count: int) -> list[str]:
    return [f"bench-{number:05}" for number in range(count)]


def make_export(export: Path, work: Path, vms: Sequence[str], *, size: int, content: bytes = b"", archives: bool = True) -> None:
    """VMs with one disk of `size` bytes that begins with `content`, in an OVA file each, or in a folder that shares the disk's file."""
    export.mkdir()
    raw, vmdk = work / "disk.raw", work / "disk.vmdk"
    raw.write_bytes(content)
    with raw.open("ab") as file:
        file.truncate(size)
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, vmdk], check=True, timeout=120)
    for name in vms:
        place = work if archives else export / name
        place.mkdir(exist_ok=True)
        own, ovf = place / f"{name}-disk1.vmdk", place / f"{name}.ovf"
        own.hardlink_to(vmdk)
        guest = ova.Guest(name, nics=(("VM Network", guests.mac_address(name)),), disks=(raw,))
        ovf.write_text(ova.descriptor(guest, [own]))
        if not archives:
            continue
        with tarfile.open(export / f"{name}.ova", "w", format=tarfile.USTAR_FORMAT) as archive:
            for member in (ovf, own):
                archive.add(member, arcname=member.name)
                member.unlink()


def tools_without_conversion(folder: Path) -> Path:
    """A folder to come first on the path of a control plane whose migrations are to cost everything but their conversion."""
    folder.mkdir()
    (folder / "virt-v2v").write_text(COPY_ONLY)
    (folder / "virt-v2v").chmod(0o755)
    return folder


def request_for(export: Path, name: str, vms: Sequence[str]) -> dict[str, Any]:
    """A request document as docs/request.md describes it."""
    return {
        "name": name,
        "namespace": NAMESPACE,
        "source_provider": {"name": "bench", "type": "ova", "url": f"localhost:{export}"},
        "target_namespace": "bench",
        "network_map": {"name": "bench", "pairs": [{"source": "VM Network", "destination": "pod"}]},
        "storage_map": {"name": "bench", "pairs": [{"source": f"{vm}-disk1.vmdk", "destination": "vmshift-local"} for vm in vms]},
        "vms": [{"name": vm} for vm in vms],
    }


def plays(kubeconfig: Path, request: dict[str, Any], *more: dict[str, Any]) -> list[dict[str, Any]]:
    """What the role cold_migration does with a request, up to the plan, and `more` tasks."""
    common = {"namespace": NAMESPACE}
    source = {"source": request["source_provider"]["name"], **common}
    maps = {key: request[key]["name"] for key in ("network_map", "storage_map")}
    plan = {
        "name": request["name"],
        "target_namespace": request["target_namespace"],
        "vms": request["vms"],
        **maps,
        **request.get("plan", {}),
    }
    modules = {
        "provider": {**request["source_provider"], **common},
        "network_map": {**request["network_map"], **source},
        "storage_map": {**request["storage_map"], **source},
        "plan": {**plan, **source},
    }
    tasks = [{"name": f"vmshift.mtv.{module}", f"vmshift.mtv.{module}": arguments} for module, arguments in modules.items()]
    defaults = {"group/vmshift.mtv.mtv": {"kubeconfig": str(kubeconfig)}}
    return [{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": [*tasks, *more]}]


def migration(plan: str) -> dict[str, Any]:
    """The task that runs a plan to its end."""
    return {"name": "vmshift.mtv.migration", "vmshift.mtv.migration": {"namespace": NAMESPACE, "plan": plan, "wait_timeout": 36000}}
