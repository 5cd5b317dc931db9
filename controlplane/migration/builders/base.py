"""What target VMs of all sources have in common. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.migration import labels

Object = dict[str, Any]

POD, MULTUS, IGNORED = "pod", "multus", "ignored"
SERIAL_LENGTH = 20  # what virtio carries
VIRTIO = "virtio"


@dataclass(frozen=True)
class NetworkPair:
    """One pair of a network map, its source resolved: `network` is what NICs name it by."""

    network: str
    destination: Object


@dataclass(frozen=True)
class Nic:
    """One NIC of a source VM. `mac` may be empty; `model`: where it is not that of all NICs of the VM."""

    network: str
    mac: str
    pci_address: str = ""
    connected: bool = True
    model: str = ""


#: A name from the values that its template may use.
Name = Callable[[Object], str]


def shell(
    status: Object, plan: Object, source_name: str, child_labels: dict[str, str], *, converted: bool | None, run_strategy: str
) -> Object:
    """A VirtualMachine with everything but its domain, networks and volumes. `status`: the VM's status in the plan; `converted`: None for
    sources whose guests never are.
    """
    name = status.get("newName") or source_name
    meta: Object = {
        "name": name,
        "namespace": plan["spec"]["targetNamespace"],
        "labels": {**child_labels, **({} if converted is None else {labels.GUEST_CONVERTED: "true" if converted else "false"})},
    }
    if name != source_name:
        meta["annotations"] = {labels.DISPLAY_NAME: source_name, labels.ORIGINAL_ID: status["id"]}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": meta,
        "spec": {"runStrategy": run_strategy, "template": {"metadata": _template_meta(name, plan), "spec": placement(plan)}},
    }


def _template_meta(name: str, plan: Object) -> Object:
    return {
        "labels": {"app": name, **(plan["spec"].get("targetLabels") or {})},
        "annotations": {"vm.kubevirt.io/flavor": "", "vm.kubevirt.io/os": "", "vm.kubevirt.io/workload": ""},
    }


def placement(plan: Object) -> Object:
    """Where the plan wants its VMs to run, as fields of a guest's spec."""
    wanted = {"nodeSelector": plan["spec"].get("targetNodeSelector"), "affinity": plan["spec"].get("targetAffinity")}
    return {field: value for field, value in wanted.items() if value}


def run_strategy(target_power_state: str | None, restore_power_state: str | None) -> str:
    """`spec.runStrategy` (facts 3.13): as asked for; else as the source was, which for sources without power is off."""
    if target_power_state == "on":
        return "Always"
    if target_power_state == "off":
        return "Halted"
    return "Always" if restore_power_state == "On" else "Halted"


def _numbered(values: Object) -> str:
    return f"net-{values['NetworkIndex']}"


def networks(
    nics: Iterable[Nic], pairs: Iterable[NetworkPair], *, model: str = VIRTIO, name: Name = _numbered
) -> tuple[list[Object], list[Object]]:
    """(interfaces, networks) of the VM, in the order of its NICs; NICs on ignored networks are left out.

    `name`: of a network, by values of naming.NETWORK_FIELDS. Several pairs of one source are a pool: each NIC takes the next one.
    Raises ValueError for a NIC on an unmapped network.
    """
    pools: dict[str, list[Object]] = {}
    for pair in pairs:
        pools.setdefault(pair.network, []).append(pair.destination)
    interfaces: list[Object] = []
    targets: list[Object] = []
    for nic in nics:
        destination = _next_of(pools, nic.network)
        if destination["type"] == IGNORED:
            continue
        values = {
            "NetworkName": destination.get("name", ""),
            "NetworkNamespace": destination.get("namespace", ""),
            "NetworkType": destination["type"],
            "NetworkIndex": len(targets),
        }
        interface, target = _attachment(name(values), nic, destination, model)
        interfaces.append(interface)
        targets.append(target)
    return interfaces, targets


def _next_of(pools: dict[str, list[Object]], network: str) -> Object:
    """The destination for the next NIC on `network`. A used NAD goes to the end, so that it serves again only after the others."""
    pool = pools.get(network)
    if not pool:
        raise ValueError(f'The network map has no entry for network "{network}".')
    first = pool[0]
    if first["type"] == MULTUS:
        pool.append(pool.pop(0))
    return first


def _attachment(name: str, nic: Nic, destination: Object, model: str) -> tuple[Object, Object]:
    interface: Object = {"name": name, "model": nic.model or model}
    if nic.mac:
        interface["macAddress"] = nic.mac
    if nic.pci_address:
        interface["pciAddress"] = nic.pci_address
    if not nic.connected:
        interface["state"] = "down"
    if destination["type"] == MULTUS:
        return {**interface, "bridge": {}}, {"name": name, "multus": {"networkName": f"{destination['namespace']}/{destination['name']}"}}
    return {**interface, "masquerade": {}}, {"name": name, "pod": {}}


def use_instance_type(machine: Object, chosen: Object | None) -> None:
    """Leave CPU and memory to an instance type, {kind, name}."""
    if chosen:
        machine["spec"]["instancetype"] = chosen
        for field in ("cpu", "memory"):
            machine["spec"]["template"]["spec"]["domain"].pop(field, None)


def serial(own: str, vm_id: str, key: str) -> str:
    """The serial of a disk: its own, as far as a serial can carry it, else one made of the ids of VM and disk."""
    kept = re.sub(r"[^A-Za-z0-9_.+-]", "", own)
    return (kept or hashlib.sha256(f"{vm_id}:{key}".encode()).hexdigest())[:SERIAL_LENGTH]


def cpu(count: int, cores_per_socket: int, *, nested: bool | None = None) -> Object:
    """`domain.cpu`. Where the count cannot be split into full sockets, each CPU gets a socket of its own: none is lost."""
    cores = cores_per_socket if cores_per_socket > 0 and count % cores_per_socket == 0 else 1
    found: Object = {"sockets": max(count // cores, 1), "cores": cores}
    if nested is not None:
        policy = "optional" if nested else "disable"
        found["features"] = [{"name": name, "policy": policy} for name in ("vmx", "svm")]
    return found


def firmware(kind: str, *, secure_boot: bool, serial: str) -> Object:
    """`domain.firmware`. `kind`: "bios", "efi" or "uefi"."""
    loader: Object = {"efi": {"secureBoot": secure_boot}} if kind.lower() in ("efi", "uefi") else {"bios": {}}
    return {"bootloader": loader, "serial": serial}
