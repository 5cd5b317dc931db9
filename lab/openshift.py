"""VMs on an embedded control plane, for another one to migrate from: their disks have real bytes, the first one a guest that boots."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab import booted
from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, connect
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import ensure_present, get

Object = dict[str, Any]

MIB = 1 << 20
NAMESPACE = "shop"
STORAGE_CLASS = "vmshift-immediate"
_BOUND_SECONDS = 60.0


@dataclass(frozen=True)
class Disk:
    """`guest`: it holds the tiny guest, and is as large as that; else every other MiB of it is noise, and the rest are holes."""

    name: str
    size: int = 16 * MIB
    mode: str = "Filesystem"
    guest: bool = False


@dataclass(frozen=True)
class Machine:
    """`template`, `spec`: more of the VirtualMachine's."""

    name: str
    disks: tuple[Disk, ...]
    namespace: str = NAMESPACE
    strategy: str = "Halted"
    mac: str = "02:00:00:00:20:01"
    template: Object = field(default_factory=dict)
    spec: Object = field(default_factory=dict)


ONE = (Machine("web", (Disk("web-root", guest=True), Disk("web-data", mode="Block"))),)


def furnish(state: State, machines: Sequence[Machine] = ONE) -> Object:
    """Make the VMs on the control plane that runs over `state`. Returns facts, which also lie beside the state folder (`facts_path`).

    {url, token, ca, vms: [{namespace, name, disks: [{claim, size, sha256}]}]}
    """
    cluster = connect({"kubeconfig": str(state.kubeconfig)})
    facts = {**access(state), "vms": [_made(state, cluster, machine) for machine in machines]}
    with os.fdopen(os.open(facts_path(state), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(facts, file, indent=2)
    return facts


def facts_path(state: State) -> Path:
    return state.root.with_name(f"{state.root.name}-facts.json")


def access(state: State) -> Object:
    """What a user gives for the Provider of that cluster."""
    if not lifetime.read_endpoints(state):
        raise LabError(f"no control plane runs over {state.root}; start one first")
    given = yaml.safe_load(state.kubeconfig.read_text())
    url, token = given["clusters"][0]["cluster"]["server"], given["users"][0]["user"]["token"]
    return {"url": url, "token": token, "ca": (state.pki / "ca.crt").read_text()}


def _made(state: State, cluster: Cluster, machine: Machine) -> Object:
    ensure_present(cluster, {"kind": "Namespace", "metadata": {"name": machine.namespace}})
    disks = [_filled(state, cluster, machine, number, disk) for number, disk in enumerate(machine.disks)]
    volumes = [{"name": f"disk-{n}", "persistentVolumeClaim": {"claimName": disk["claim"]}} for n, disk in enumerate(disks)]
    devices = {
        "disks": [{"name": volume["name"], "disk": {"bus": "virtio"}} for volume in volumes],
        "interfaces": [{"name": "default", "masquerade": {}, "model": "virtio", "macAddress": machine.mac}],
    }
    template: Object = {
        "domain": {"cpu": {"cores": 1}, "memory": {"guest": "256Mi"}, "devices": devices},
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [*volumes, *machine.template.get("volumes", ())],
        **{key: value for key, value in machine.template.items() if key != "volumes"},
    }
    spec = {"runStrategy": machine.strategy, "template": {"metadata": {"labels": {"app": machine.name}}, "spec": template}, **machine.spec}
    meta = {"name": machine.name, "namespace": machine.namespace, "labels": {"app": machine.name}}
    ensure_present(cluster, {"kind": "VirtualMachine", "metadata": meta, "spec": spec})
    return {"namespace": machine.namespace, "name": machine.name, "disks": disks}


def _filled(state: State, cluster: Cluster, machine: Machine, number: int, disk: Disk) -> Object:
    guest = booted.tiny_guest() if disk.guest else None
    size = guest.disk.stat().st_size if guest else disk.size
    spec: Object = {"accessModes": ["ReadWriteOnce"], "volumeMode": disk.mode, "storageClassName": STORAGE_CLASS}
    spec["resources"] = {"requests": {"storage": str(size)}}
    meta = {"name": disk.name, "namespace": machine.namespace}
    ensure_present(cluster, {"kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec})
    path = state.volume(_volume(cluster, machine.namespace, disk.name))
    if guest:
        guest.copied_to(path)
    else:
        _write_noise(path, size, seed=f"{machine.name}/{number}")
    return {"claim": disk.name, "size": size, "sha256": sha256(path)}


def _volume(cluster: Cluster, namespace: str, claim: str) -> str:
    deadline = time.monotonic() + _BOUND_SECONDS
    while time.monotonic() < deadline:
        found = get(cluster, "PersistentVolumeClaim", namespace, claim) or {}
        if found.get("status", {}).get("phase") == "Bound":
            return found["spec"]["volumeName"]
        time.sleep(0.1)
    raise LabError(f"the PersistentVolumeClaim {namespace}/{claim} was not bound within {_BOUND_SECONDS:.0f} s")


def _write_noise(path: Path, size: int, seed: str) -> None:
    """Every other MiB; the rest of the file is a hole."""
    noise = random.Random(seed)
    with path.open("r+b") as file:
        for offset in range(0, size, 2 * MIB):
            os.pwrite(file.fileno(), noise.randbytes(min(MIB, size - offset)), offset)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def secret_data(facts: Object) -> dict[str, str]:
    """Of a provider's Secret, by which another control plane reaches this one."""
    return {key: b64encode(text.encode()).decode() for key, text in (("token", facts["token"]), ("ca.crt", facts["ca"]))}
