"""Rules about VMs from vSphere (facts 8)."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, WARN
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.destination import is_user_defined
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.planned import PlannedVm, Rule, Selection, each, rule
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.sources import Source
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject
from ansible_collections.vmshift.mtv.controlplane.migration import history, labels
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import vms

Object = dict[str, Any]

NO_TOOLS = ("", "null", "toolsNotInstalled")
PRIMARY_NETWORK_LABEL = "k8s.ovn.org/primary-user-defined-network"


def _in_maintenance(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    hosts = subject.source_inventory.find("hosts", {"id": planned.vm.get("host") or ""})
    return any(host.get("inMaintenance") for host in hosts)


def _lacks_guest_addresses(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    """The guest told nothing, or of NICs that the VM does not have."""
    if not subject.spec.get("preserveStaticIPs", True):
        return False
    macs = {nic.get("mac") for nic in planned.vm.get("nics") or ()}
    told = [network.get("mac") for network in planned.vm.get("guestNetworks") or ()]
    silent = vms.is_powered_on(planned.vm) and bool(macs) and not told
    return silent or not macs.issuperset(told)


def _outside_of_network(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    """An address that goes to the namespace's own network, and does not fit there."""
    subnet = _primary_subnet(subject)
    if subnet is None or not subject.spec.get("preserveStaticIPs", True):
        return False
    on_pod = {nic["network"]["id"] for nic in planned.vm.get("nics") or () if _goes_to_pod(subject, nic["network"]["id"])}
    names = {item["name"] for id in on_pod for item in subject.source_inventory.find("networks", {"id": id})}
    addresses = [n.get("ip") or "" for n in planned.vm.get("guestNetworks") or () if n.get("network") in names]
    return not all(_is_in(address, subnet) for address in addresses)


def _goes_to_pod(subject: Subject, network: str) -> bool:
    return any((pair.get("destination") or {}).get("type") == "pod" for pair in subject.network_pairs({"id": network}))


def _primary_subnet(subject: Subject) -> Any:
    """The subnet of the network that all VMs of the target namespace are on; None where there is no such network."""
    namespace = subject.api.find("Namespace", None, subject.target_namespace)
    if namespace is None or PRIMARY_NETWORK_LABEL not in (namespace["metadata"].get("labels") or {}):
        return None
    for nad in subject.destination_inventory.collection("networkattachmentdefinitions"):
        if is_user_defined(nad, subject.target_namespace):
            try:
                return ipaddress.ip_network(json.loads(nad["object"]["spec"]["config"])["subnets"], strict=False)
            except (KeyError, TypeError, ValueError):
                continue
    return None


def _is_in(address: str, subnet: Any) -> bool:
    try:
        return ipaddress.ip_address(address) in subnet
    except ValueError:
        return False


def _untracked(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return subject.warm and not planned.vm.get("changeTrackingEnabled")


def _has_snapshot(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    """Before a run; during one it has those of the run."""
    return subject.warm and not history.active(subject.plan) and bool((planned.vm.get("snapshot") or {}).get("id"))


def _needs_consolidation(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return subject.warm and bool(planned.vm.get("consolidationNeeded"))


def _lacks_tools(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    """Of a running VM only: one that is off is not asked to shut down."""
    if not vms.is_powered_on(planned.vm):
        return False
    return (planned.vm.get("toolsStatus") or "") in NO_TOOLS or planned.vm.get("toolsRunningStatus") == "guestToolsNotRunning"


def _lacks_claims(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    """Of disks that somebody else has copied."""
    if subject.type != "conversion":
        return False
    wanted = {labels.VM_ID: planned.ref["id"], labels.VM_UUID: planned.vm.get("uuid", "")}.items()
    there = subject.destination_inventory.collection("persistentvolumeclaims")
    claims = [claim["object"]["metadata"] for claim in there if claim["namespace"] == subject.target_namespace]
    return sum(wanted <= (meta.get("labels") or {}).items() for meta in claims) != len(planned.vm.get("disks") or ())


def _has_raw_device(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    """Snapshots leave out raw devices in physical mode only."""
    disks = planned.vm.get("disks") or ()
    return any(disk.get("rdm") and (disk.get("physicalMode") or not subject.warm) for disk in disks)


def _has_independent_disk(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return any((disk.get("mode") or "").startswith("independent") for disk in planned.vm.get("disks") or ())


# --- shared disks -----------------------------------------------------------------------------------------------------


def _shared_disks(subject: Subject, selection: Selection) -> None:
    """One condition per VM, named for it."""
    sharing = [planned for planned in selection.vms if _shared(planned.vm)]
    if not sharing:
        return
    users = _users(subject, {file for planned in sharing for file in _shared(planned.vm)})
    for planned in sharing:
        type, category, message = _sharing_problem(subject, selection, planned, users)
        if message:
            subject.conditions.set(f"{type}-{planned.ref['id']}", category, message, items=[planned.text])


def _shared(vm: Object) -> list[str]:
    return [disk["file"] for disk in vm.get("disks") or () if disk.get("shared")]


def _users(subject: Subject, files: set[str]) -> dict[str, list[Object]]:
    """File -> the VMs of the inventory that have it for a disk."""
    found: dict[str, list[Object]] = {file: [] for file in files}
    for vm in subject.source_inventory.collection("vms"):
        for disk in vm.get("disks") or ():
            if disk.get("file") in found:
                found[disk["file"]].append(vm)
    return found


def _sharing_problem(subject: Subject, selection: Selection, planned: PlannedVm, users: dict[str, list[Object]]) -> tuple[str, str, str]:
    """(type, category, message); no message when there is none."""
    files = _shared(planned.vm)
    if subject.warm:
        return "SharedDisks", "", "The shared disks cannot be used with warm migration"  # no category: it blocks nothing
    running = dict.fromkeys(vm["name"] for file in files for vm in users[file] if vm.get("powerState") != vms.POWERED_OFF)
    if running:
        return (
            "SharedDisks",
            CRITICAL,
            f"Virtual Machines {_quoted(running)} are running with attached shared disk, please power them off",
        )
    there = _shared_claims(subject)
    if not _copies_shared(subject, planned):
        missing = [file for file in files if file not in there]
        text = "the VMs can be migrated but the disk will not be attached"
        message = f"Missing shared disks PVC {_quoted(missing)} in namespace '{subject.target_namespace}', {text}"
        return "SharedWarnDisks", WARN, message if missing else ""
    existing = [file for file in files if file in there]
    if existing:
        text = "the VMs can be migrated but the disk will be duplicated"
        return (
            "SharedWarnDisks",
            WARN,
            f"Already existing shared disks PVCs {_quoted(existing)} in namespace '{subject.target_namespace}', {text}",
        )
    return "SharedWarnDisks", WARN, _copied_often(subject, selection, files)


def _copied_often(subject: Subject, selection: Selection, files: list[str]) -> str:
    """Disks of which several VMs of the plan get a copy each."""
    counts = {file: sum(file in _shared(p.vm) for p in selection.vms if _copies_shared(subject, p)) for file in files}
    often = {file: count for file, count in counts.items() if count > 1}
    if not often:
        return ""
    copies = " ".join(f"the shared disk '{file}' will be coppied {count}x, " for file, count in often.items())
    disk = "disk" if len(often) == 1 else "disks"
    return f"{copies} please detach the {disk} from all but one of the VMs, or remove the VMs from the plan to avoid duplicating the {disk}"


def _copies_shared(subject: Subject, planned: PlannedVm) -> bool:
    own = planned.entry.get("migrateSharedDisks")
    return bool(subject.spec.get("migrateSharedDisks", True) if own is None else own)


def _shared_claims(subject: Subject) -> set[str]:
    """Files of the shared disks that the target namespace has already."""
    found = subject.api.list("PersistentVolumeClaim", subject.target_namespace, {"shareable": "true"})
    return {(claim["metadata"].get("annotations") or {}).get(labels.DISK_SOURCE, "") for claim in found}


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# --- copy offload -----------------------------------------------------------------------------------------------------


def _offload(subject: Subject, selection: Selection) -> None:
    """Of this control plane: there is no storage array behind its volumes."""
    pairs = ((subject.storage_map or {}).get("spec") or {}).get("map") or ()
    if any(pair.get("offloadPlugin") for pair in pairs):
        message = "Copies by a storage array are not available here: take offloadPlugin out of the storage map."
        subject.conditions.set("OffloadNotSupported", CRITICAL, message, reason="NotSupported")


_ADDRESSES = "Guest information on vNICs is missing, cannot preserve static IPs. Make sure VMware Tools is installed and the VM is running."
_TRACKING = "Changed Block Tracking (CBT) has not been enabled on some VM. This feature is a prerequisite for VM warm migration."
_TOOLS = (
    "VMware Tools issues detected. This may impact migration performance, guest OS detection, and network configuration. "
    "Ensure VMware Tools are properly installed and running before migration. "
    "If this is an encrypted VM, please turn the VM off manually before migration."
)
_CLAIMS = (
    "Missing required PVCs for conversion-only mode. Ensure vendor-provided PVCs exist in the target namespace and are labeled with vmID "
    "and vmUUID."
)
_RAW = "VM has raw device mapped disks, which cannot be copied without a storage offload plugin."
_INDEPENDENT = "VM has independent disks, which snapshots leave out."

#: Hosts of oVirt have it, too.
HOST_NOT_READY = rule("HostNotReady", "InMaintenanceMode", "VM host is in maintenance mode.", each(_in_maintenance), WARN)

RULES: tuple[Rule, ...] = (
    HOST_NOT_READY,
    rule("VMMissingGuestIPs", "MissingGuestInformation", _ADDRESSES, each(_lacks_guest_addresses), WARN),
    rule(
        "VMIpNotMatchingUdnSubnet",
        "NotValid",
        "VM has a static IP that is not within the subnet of the user defined network.",
        each(_outside_of_network),
        WARN,
    ),
    rule("VMMissingChangedBlockTracking", "MissingChangedBlockTracking", _TRACKING, each(_untracked)),
    rule("VMHasSnapshots", "NotValid", "VM has pre-existing snapshots which are incompatible with warm migration", each(_has_snapshot)),
    rule("VMConsolidationNeeded", "ConsolidationNeeded", "VM snapshots need consolidation.", each(_needs_consolidation), WARN),
    rule("GuestToolsIssue", "NotValid", _TOOLS, each(_lacks_tools)),
    rule("MissingPvcForOnlyConversion", "NotValid", _CLAIMS, each(_lacks_claims)),
    rule("RDMDiskWarning", "NotSupported", _RAW, each(_has_raw_device), WARN),
    rule("IndependentDiskWarning", "NotSupported", _INDEPENDENT, each(_has_independent_disk), WARN),
    _shared_disks,
    _offload,
)
