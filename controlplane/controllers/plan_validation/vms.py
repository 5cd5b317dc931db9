"""Rules about the VMs of a plan (facts 8). The order of RULES is that of Forklift: of one type, the last finding shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, WARN
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import populated, templates, vsphere
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.planned import (
    PlannedVm,
    Rule,
    Selection,
    each,
    repeated,
    rule,
    select,
)
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.sources import SOURCES, Source, interface_macs
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject
from ansible_collections.vmshift.mtv.plugins.module_utils.naming import is_dns1123_subdomain

Object = dict[str, Any]

UNSUPPORTED_EXPORT = "ova.source.unsupported"


def check(subject: Subject) -> None:
    """A running plan is not asked again: its VMs are on their way."""
    if subject.conditions.has("Executing"):
        return
    selection = select(subject)
    if selection.unset:
        subject.conditions.set("VMRefNotValid", CRITICAL, "Either `ID` or `Name` required.", reason="NotSet")
    for apply in (*RULES, *MORE_RULES.get(subject.source_type, ())):
        apply(subject, selection)


# --- finders --------------------------------------------------------------------------------------------------------


def _exists(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    """Of another plan, or of nobody: a VM that this plan works on has a status."""
    taken = (subject.target_namespace, planned.target_name) in subject.destination_vms
    return taken and not subject.status_of(planned.ref)


def _name_will_change(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return not planned.entry.get("targetName") and not is_dns1123_subdomain(planned.ref["name"])


def _bad_target_name(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return bool(planned.entry.get("targetName")) and not is_dns1123_subdomain(planned.entry["targetName"])


def _unmapped_network(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    return not all(map(subject.network_is_mapped, source.networks(subject, planned.vm)))


def _unmapped_storage(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    storages = source.storages(subject, planned.vm) if subject.storage_map else []
    return not all(storage and subject.storage_is_mapped(storage) for storage in storages)


def _many_pod_networks(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    """A NIC takes the first pair of its network."""
    pairs = (next(subject.network_pairs(network), {}) for network in source.nic_networks(subject, planned.vm))
    return sum((pair.get("destination") or {}).get("type") == "pod" for pair in pairs) > 1


def _not_running(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    return subject.type == "live" and not source.is_running(planned.vm)


def _not_live_migratable(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    return subject.type == "live" and not source.is_live_migratable(planned.vm)


def _bad_disk_sizes(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    return source.has_invalid_disk_sizes(subject, planned.vm)


def _luks_and_clevis(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return bool((planned.entry.get("luks") or {}).get("name")) and bool(planned.entry.get("nbdeClevis"))


def _unsupported_export(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return any(concern.get("id") == UNSUPPORTED_EXPORT for concern in planned.vm.get("concerns") or ())


def _bad_volume(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return templates.is_bad_volume_name(planned.entry)


def _bad_network(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return templates.is_bad_network_name(planned.entry)


def _critical_concerns(_subject: Subject, selection: Selection) -> Iterator[str]:
    for planned in selection.vms:
        for concern in planned.vm.get("concerns") or ():
            if concern.get("category") == "Critical":
                yield f"{planned.text} ({concern.get('label', '')})"


def _bad_pvc_names(subject: Subject, selection: Selection) -> Iterator[str]:
    for planned in selection.vms:
        template = planned.entry.get("pvcNameTemplate") or subject.spec.get("pvcNameTemplate")
        if not template:
            continue
        status = subject.status_of(planned.ref) or {}
        target = planned.entry.get("targetName") or status.get("newName") or ""
        values = templates.pvc_values(subject.plan["metadata"]["name"], planned.ref["id"], planned.ref["name"], target)
        disks = SOURCES[subject.source_type].disks(subject, planned.vm)
        problem = next(filter(None, (templates.pvc_problem(template, {**values, **disk}) for disk in disks)), "")
        if problem:
            yield f"{planned.text} template:{template} error:{problem}"


def _mac_conflicts(subject: Subject, selection: Selection) -> None:
    """The message tells who has which address.

    As on a cluster a VM that this plan has made is a conflict for its own source: a plan that has migrated one VM and failed with another
    cannot run again (recorded: fail-then-retry).
    """
    used: dict[str, str] = {}
    for target in subject.destination_vms.values():
        for mac in interface_macs(target):
            used[mac.lower()] = f"{target['namespace']}/{target['name']}"
    items, sentences = [], []
    for planned in selection.known:
        conflicts: dict[str, list[str]] = {}
        for mac in SOURCES[subject.source_type].macs(subject, planned.vm):
            if mac.lower() in used:
                conflicts.setdefault(used[mac.lower()], []).append(mac)
        if conflicts:
            items.append(planned.text)
            parts = [f"MACs {', '.join(macs)} conflict with destination VM {name}" for name, macs in conflicts.items()]
            sentences.append(f"VM {planned.text} has MAC address conflicts: {'; '.join(parts)}")
    if items:
        subject.conditions.set("MacConflicts", CRITICAL, "; ".join(sentences), reason="NotValid", items=items)


RULES: tuple[Rule, ...] = (
    rule("VMNotFound", "NotFound", "VM not found.", lambda _subject, selection: selection.unknown),
    rule("DuplicateVM", "NotUnique", "Duplicate (source) VM.", repeated(lambda planned: planned.ref["id"])),
    rule("VMAlreadyExists", "NotUnique", "Target VM already exists.", each(_exists)),
    rule(
        "TargetNameNotValid",
        "NotValid",
        "Target VM name does not comply with DNS1123 RFC, will be automatically changed.",
        each(_name_will_change),
        WARN,
    ),
    rule("DuplicateVM", "Ambiguous", "VM reference is ambiguous.", lambda _subject, selection: selection.ambiguous),
    rule("VMNetworksNotMapped", "NotValid", "VM has unmapped networks.", each(_unmapped_network)),
    rule("VMStorageNotMapped", "NotValid", "VM has unmapped storage.", each(_unmapped_storage)),
    rule(
        "VMMultiplePodNetworkMappings",
        "NotValid",
        "VM has more than one interface mapped to the pod network.",
        each(_many_pod_networks),
    ),
    rule("NotValid", "", "VM PVC name template is invalid.", _bad_pvc_names),
    rule("NotValid", "", "VM volume name template is invalid.", each(_bad_volume)),
    rule("NotValid", "", "VM network name template is invalid.", each(_bad_network)),
    rule("NotValid", "", "TargetName is invalid.", each(_bad_target_name)),
    rule("DuplicateVM", "NotUnique", "Duplicate targetName.", repeated(lambda planned: planned.entry.get("targetName"))),
    rule(
        "UnsupportedOVFExportSource",
        "",
        "VM appears to have been exported from an unsupported OVF source, and may have issues during import.",
        each(_unsupported_export),
        WARN,
    ),
    rule("VMPowerStateUnsupported", "NotSupported", "VM power state is incompatible with the selected migration type.", each(_not_running)),
    rule("VMMigrationTypeUnsupported", "NotSupported", "VM is incompatible with the selected migration type.", each(_not_live_migratable)),
    rule("InvalidDiskSizes", "NotValid", "VM has disks with invalid sizes.", each(_bad_disk_sizes)),
    _mac_conflicts,
    rule(
        "LuksAndClevisIncompatibility",
        "NotValid",
        "LUKS keys and Clevis cannot be configured together; Clevis will be used.",
        each(_luks_and_clevis),
        WARN,
    ),
    rule("VMCriticalConcerns", "NotValid", "VM has critical concerns, which block its migration.", _critical_concerns),
)

#: Of VMs from one type of source only.
MORE_RULES: Mapping[str, tuple[Rule, ...]] = {
    "vsphere": vsphere.RULES,
    "ovirt": (
        vsphere.HOST_NOT_READY,
        rule("VMStorageNotSupported", "NotValid", "VM has a direct LUN, which is not attached here.", populated.direct_luns),
    ),
}
