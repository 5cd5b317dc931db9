"""The VirtualMachine of a VM from oVirt. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.migration import quantities
from ansible_collections.vmshift.mtv.controlplane.migration.builders import base
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import MULTUS, NetworkPair, Nic

Object = dict[str, Any]

BUSES = {"virtio_scsi": "scsi", "sata": "sata", "ide": "sata"}
#: Models of NICs that KubeVirt has, too.
MODELS = ("virtio", "e1000", "e1000e", "rtl8139")
PASSTHROUGH = "pci_passthrough"
CLUSTER_DEFAULT = "cluster_default"
EFI = ("q35_ovmf", "q35_secure_boot")
NEEDS_TPM = ("windows_2022", "windows_11")
DEDICATED = "dedicated"


def virtual_machine(
    vm: Object,
    plan: Object,
    status: Object,
    *,
    networks: Iterable[NetworkPair],
    claims: Mapping[str, str],
    labels: dict[str, str],
    instance_type: Object | None = None,
) -> Object:
    """The target VM.

    `vm`: a workload of the inventory (facts 5.3); `status`: its status in the plan; `claims`: disk id -> PVC name; `labels`: of child
    objects; `instance_type`: {kind, name}. Raises ValueError for an unmapped network and a disk without PVC.
    """
    spec = plan["spec"]
    strategy = base.run_strategy(status.get("targetPowerState") or spec.get("targetPowerState"), status.get("restorePowerState"))
    built = base.shell(status, plan, vm["name"], labels, converted=None, run_strategy=strategy)
    disks, volumes = _disks(vm, claims)
    cards = list(_cards(vm))
    interfaces, targets = base.networks([nic for nic, _passed in cards], networks)
    _pass_through({nic.mac for nic, passed in cards if passed}, interfaces, targets)
    domain = _domain(vm, spec, disks, interfaces)
    built["spec"]["template"]["spec"].update(domain=domain, networks=targets, volumes=volumes)
    base.use_instance_type(built, instance_type)
    return built


def _domain(vm: Object, spec: Object, disks: list[Object], interfaces: list[Object]) -> Object:
    bios = vm["bios"] if vm["bios"] != CLUSTER_DEFAULT else (vm["cluster"] or {}).get("biosType", "")
    domain: Object = {
        "cpu": _cpu(vm, spec),
        "memory": {"guest": quantities.quantity(vm["memory"])},
        "firmware": {**base.firmware("efi" if bios in EFI else "bios", secure_boot=False, serial=vm["id"]), "uuid": vm["id"]},
        "devices": {
            "disks": disks,
            "interfaces": interfaces,
            "inputs": [{"name": "tablet", "type": "tablet", "bus": base.VIRTIO}],
            **({"tpm": {"persistent": True}} if any(name in vm["osType"] for name in NEEDS_TPM) else {}),
        },
        "resources": {},
    }
    if vm["timezone"]:
        domain["clock"] = {"timezone": vm["timezone"]}
    return domain


def _cpu(vm: Object, spec: Object) -> Object:
    found: Object = {"sockets": vm["cpuSockets"], "cores": vm["cpuCores"], "threads": vm["cpuThreads"] or 1}
    if vm["cpuPinningPolicy"] == DEDICATED:
        found["dedicatedCpuPlacement"] = True
    if vm["customCpuModel"]:
        model, flags = _model(vm["customCpuModel"])
    elif spec.get("preserveClusterCpuModel"):
        model, flags = _model(_cluster_model(vm))
    else:
        return found
    if model:
        found["model"] = model
    if flags:
        found["features"] = flags
    return found


def _model(text: str) -> tuple[str, list[Object]]:
    """ "Cascadelake-Server,-hle,+vmx": the model, and features that it is to have or not."""
    model, *flags = [part.strip() for part in text.split(",") if part.strip()] or [""]
    return model, [{"name": flag.lstrip("+-"), "policy": "disable" if flag.startswith("-") else "require"} for flag in flags]


def _cluster_model(vm: Object) -> str:
    """What the CPU type of the VM's cluster stands for, "" where that is not told.

    An entry of the list is LEVEL:NAME:FLAGS:MODEL:ARCHITECTURE.
    """
    cluster = vm["cluster"] or {}
    version = "{major}.{minor}".format(**cluster.get("version") or {"major": "", "minor": ""})
    for option in (vm.get("serverCpu") or {}).get("systemOptionValue") or ():
        for entry in option["value"].split(";") if option["version"] == version else ():
            fields = [field.strip() for field in entry.split(":")]
            if len(fields) == 5 and fields[1] == (cluster.get("cpu") or {}).get("type"):
                return fields[3]
    return ""


def _disks(vm: Object, claims: Mapping[str, str]) -> tuple[list[Object], list[Object]]:
    """(disks, volumes), by the ids of the source's disks."""
    disks: list[Object] = []
    volumes: list[Object] = []
    for attached in vm["diskAttachments"]:
        id = attached["disk"]["id"]
        if id not in claims:
            raise ValueError(f"Disk {attached['disk']['name']} ({id}) has no PersistentVolumeClaim.")
        disk = {"name": id, "serial": id, "disk": {"bus": BUSES.get(attached["interface"], base.VIRTIO)}}
        disks.append({**disk, "bootOrder": 1} if attached["bootable"] else disk)
        volumes.append({"name": id, "persistentVolumeClaim": {"claimName": claims[id]}})
    return disks, volumes


def _cards(vm: Object) -> Iterable[tuple[Nic, bool]]:
    """NICs, each with whether it is a card of the host. One without a profile is on no network, and is left out."""
    for nic in vm["nics"]:
        if nic["profile"].get("network"):
            model = nic["interface"] if nic["interface"] in MODELS else base.VIRTIO
            yield Nic(nic["profile"]["network"], nic["mac"], model=model), nic["interface"] == PASSTHROUGH


def _pass_through(macs: set[str], interfaces: list[Object], targets: list[Object]) -> None:
    """On a network of its own a card of the host stays one."""
    for interface, target in zip(interfaces, targets, strict=True):
        if interface.get("macAddress") in macs and MULTUS in target:
            del interface["bridge"], interface["model"]
            interface["sriov"] = {}
