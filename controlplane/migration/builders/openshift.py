"""The VirtualMachine of a VM from another cluster: as it is there, with its disks and networks here. Pure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.migration import labels as known_labels
from ansible_collections.vmshift.mtv.controlplane.migration.builders import base
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import IGNORED, MULTUS, POD

Object = dict[str, Any]
Key = tuple[str, str]  # kind and name of an object

#: The destination of a network of the source: {"type": …}; None when the map has none.
Destination = Callable[[Object], Object | None]


def claim_of(volume: Object) -> str:
    """The claim that a volume is; "" for any other volume."""
    if "persistentVolumeClaim" in volume:
        return volume["persistentVolumeClaim"]["claimName"]
    return volume["dataVolume"]["name"] if "dataVolume" in volume else ""


def volumes(machine: Object) -> list[Object]:
    return _guest(machine).get("volumes") or []


def claims(machine: Object) -> list[str]:
    """Of a VM, each once, in the order of its volumes."""
    return list(dict.fromkeys(filter(None, map(claim_of, volumes(machine)))))


def belongings(machine: Object) -> list[Key]:
    """ConfigMaps and Secrets without which the VM does not start, each once."""
    return list(dict.fromkeys(_belongings(machine)))


def _belongings(machine: Object) -> Iterator[Key]:
    for volume in volumes(machine):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
        for drive in (volume.get("cloudInitNoCloud"), volume.get("cloudInitConfigDrive")):
            for reference in ((drive or {}).get("secretRef"), (drive or {}).get("networkDataSecretRef")):
                if reference:
                    yield "Secret", reference["name"]
        sysprep = volume.get("sysprep") or {}
        for kind, field in (("ConfigMap", "configMap"), ("Secret", "secret")):
            if sysprep.get(field):
                yield kind, sysprep[field]["name"]
    for credential in _guest(machine).get("accessCredentials") or ():
        for way in credential.values():
            secret = ((way or {}).get("source") or {}).get("secret")
            if secret:
                yield "Secret", secret["secretName"]


def virtual_machine(
    machine: Object,
    plan: Object,
    status: Object,
    *,
    destination: Destination,
    claims: Mapping[str, str],
    labels: dict[str, str],
    instance_type: Object | None = None,
) -> Object:
    """The target VM.

    `machine`: the source VM, as its export describes it; `status`: its status in the plan; `claims`: claim of the source -> PVC name;
    `labels`: of child objects; `instance_type`: {kind, name}. Raises ValueError for an unmapped network and a disk without PVC.
    """
    spec, name = plan["spec"], status.get("newName") or machine["metadata"]["name"]
    meta: Object = {"name": name, "namespace": spec["targetNamespace"], "labels": labels}
    if name != machine["metadata"]["name"]:
        meta["annotations"] = {known_labels.DISPLAY_NAME: machine["metadata"]["name"], known_labels.ORIGINAL_ID: status["id"]}
    template = copy.deepcopy(machine["spec"]["template"])
    template["metadata"] = _template_metadata(template.get("metadata") or {}, spec)
    guest = template["spec"]
    guest.update(base.placement(plan))
    guest["volumes"] = [_volume(volume, claims) for volume in guest.get("volumes") or ()]
    _map_networks(guest, destination)
    strategy = base.run_strategy(status.get("targetPowerState") or spec.get("targetPowerState"), status.get("restorePowerState"))
    built: Object = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": meta,
        "spec": {"runStrategy": strategy, "template": template},
    }
    if machine["spec"].get("preference"):  # of those that clusters have in common
        built["spec"]["preference"] = machine["spec"]["preference"]
    base.use_instance_type(built, instance_type)
    return built


def _template_metadata(given: Object, spec: Object) -> Object:
    kept = {key: value for key, value in given.items() if value is not None}
    if spec.get("targetLabels"):
        kept["labels"] = {**(kept.get("labels") or {}), **spec["targetLabels"]}
    return kept


def _volume(volume: Object, claims: Mapping[str, str]) -> Object:
    claim = claim_of(volume)
    if not claim:
        return volume
    if claim not in claims:
        raise ValueError(f"Disk {claim} has no PersistentVolumeClaim.")
    return {"name": volume["name"], "persistentVolumeClaim": {"claimName": claims[claim]}}


def _map_networks(guest: Object, destination: Destination) -> None:
    """A NIC keeps its kind of network: MTV leaves one out that would go from the pod network to a NAD, or back (facts 3.14)."""
    kept = [found for network in guest.get("networks") or () if (found := _network(network, destination))]
    names = {network["name"] for network in kept}
    devices = guest.setdefault("domain", {}).setdefault("devices", {})
    interfaces = [interface for interface in devices.get("interfaces") or () if interface["name"] in names]
    places: tuple[tuple[Object, str, list[Object]], ...] = ((guest, "networks", kept), (devices, "interfaces", interfaces))
    for place, field, left in places:
        if left or field in place:
            place[field] = left


def _network(network: Object, destination: Destination) -> Object | None:
    target = destination(network)
    if target is None:
        raise ValueError(f'The network map has no entry for the network "{network["name"]}" ({shown(network)}) of the VM.')
    if target["type"] == IGNORED or _changes_kind(network, target):
        return None
    if target["type"] == MULTUS:
        return {**network, "multus": {**network["multus"], "networkName": f"{target['namespace']}/{target['name']}"}}
    return network


def _changes_kind(network: Object, target: Object) -> bool:
    return ("pod" in network) != (target["type"] == POD)


def dropped(machine: Object, destination: Destination) -> list[str]:
    """One sentence for each NIC that the target VM will not have although its network is mapped."""
    found = []
    for network in _guest(machine).get("networks") or ():
        target = destination(network)
        if target and target["type"] != IGNORED and _changes_kind(network, target):
            to = "the pod network" if target["type"] == POD else f"the NAD {target.get('namespace')}/{target.get('name')}"
            found.append(f'The NIC "{network["name"]}" is left out: MTV does not map {shown(network)} to {to} for VMs of OpenShift.')
    return found


def shown(network: Object) -> str:
    return "the pod network" if "pod" in network else f"the NAD {(network.get('multus') or {}).get('networkName', '')}"


def _guest(machine: Object) -> Object:
    return (machine["spec"].get("template") or {}).get("spec") or {}
