"""Rules about the VMs of a plan (facts 8). The order of RULES is that of Forklift: of one type, the last finding shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers import references
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, WARN
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import templates
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.sources import SOURCES, Source, interface_macs
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject
from ansible_collections.vmshift.mtv.plugins.module_utils.naming import is_dns1123_subdomain

Object = dict[str, Any]

UNSUPPORTED_EXPORT = "ova.source.unsupported"


@dataclass(frozen=True)
class PlannedVm:
    """An entry of `spec.vms` that means one VM of the inventory."""

    entry: Object
    ref: Object  # with the id and the name that the inventory has
    vm: Object

    @property
    def text(self) -> str:
        return references.text(self.ref)

    @property
    def target_name(self) -> str:
        return self.entry.get("targetName") or self.ref["name"]


@dataclass
class Selection:
    """What the entries of `spec.vms` mean; those whose VM has been migrated are left out."""

    vms: list[PlannedVm] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unset: bool = False


Find = Callable[[Subject, Selection], Iterable[str]]
Rule = Callable[[Subject, Selection], None]


def check(subject: Subject) -> None:
    """A running plan is not asked again: its VMs are on their way."""
    if subject.conditions.has("Executing"):
        return
    selection = select(subject)
    if selection.unset:
        subject.conditions.set("VMRefNotValid", CRITICAL, "Either `ID` or `Name` required.", reason="NotSet")
    for rule in RULES:
        rule(subject, selection)


def select(subject: Subject) -> Selection:
    selection = Selection()
    for entry in subject.spec.get("vms") or ():
        ref = {key: entry[key] for key in ("id", "name", "namespace", "type") if entry.get(key)}
        if not ref.get("id") and not ref.get("name"):
            selection.unset = True
            continue
        try:
            vm = references.resolve(subject.source_inventory, "vms", ref)
        except references.Missing as missing:
            if not _has_succeeded(subject, ref):
                selection.unknown.append(str(missing))
        except references.Ambiguous as ambiguous:
            selection.ambiguous.append(str(ambiguous))
        else:
            planned = PlannedVm(entry, references.resolved(ref, vm), vm)
            if not _has_succeeded(subject, planned.ref):
                selection.vms.append(planned)
    return selection


def _has_succeeded(subject: Subject, ref: Object) -> bool:
    status = subject.status_of(ref) or {}
    return any(c["type"] == "Succeeded" and c["status"] == "True" for c in status.get("conditions") or ())


# --- finders --------------------------------------------------------------------------------------------------------


def _each(holds: Callable[[Subject, Source, PlannedVm], bool]) -> Callable[[Subject, Selection], Iterator[str]]:
    """Lists the VMs of which `holds` is true."""

    def find(subject: Subject, selection: Selection) -> Iterator[str]:
        return (planned.text for planned in selection.vms if holds(subject, SOURCES[subject.source_type], planned))

    return find


def _repeated(key: Callable[[PlannedVm], Any]) -> Callable[[Subject, Selection], Iterator[str]]:
    """Lists the VMs whose `key` an earlier one has already."""

    def find(_subject: Subject, selection: Selection) -> Iterator[str]:
        seen = set()
        for planned in selection.vms:
            value = key(planned)
            if value and value in seen:
                yield planned.text
            seen.add(value)

    return find


def _exists(subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    """Of another plan, or of nobody: a VM that this plan works on has a status."""
    taken = (subject.target_namespace, planned.target_name) in subject.destination_vms
    return taken and not subject.status_of(planned.ref)


def _name_will_change(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return not planned.entry.get("targetName") and not is_dns1123_subdomain(planned.ref["name"])


def _bad_target_name(_subject: Subject, _source: Source, planned: PlannedVm) -> bool:
    return bool(planned.entry.get("targetName")) and not is_dns1123_subdomain(planned.entry["targetName"])


def _unmapped_network(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    return not all(map(subject.network_is_mapped, source.networks(planned.vm)))


def _unmapped_storage(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    storages = source.storages(subject, planned.vm) if subject.storage_map else []
    return not all(storage and subject.storage_is_mapped(storage) for storage in storages)


def _many_pod_networks(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    """A NIC takes the first pair of its network."""
    pairs = (next(subject.network_pairs(network), {}) for network in source.nic_networks(planned.vm))
    return sum((pair.get("destination") or {}).get("type") == "pod" for pair in pairs) > 1


def _not_running(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    return subject.type == "live" and not source.is_running(planned.vm)


def _not_live_migratable(subject: Subject, source: Source, planned: PlannedVm) -> bool:
    return subject.type == "live" and not source.is_live_migratable(planned.vm)


def _bad_disk_sizes(_subject: Subject, source: Source, planned: PlannedVm) -> bool:
    return source.has_invalid_disk_sizes(planned.vm)


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
        disks = SOURCES[subject.source_type].disks(planned.vm)
        problem = next(filter(None, (templates.pvc_problem(template, {**values, **disk}) for disk in disks)), "")
        if problem:
            yield f"{planned.text} template:{template} error:{problem}"


def _mac_conflicts(subject: Subject, selection: Selection) -> None:
    """The message tells who has which address. A VM that this plan made is no conflict for its own source."""
    used: dict[str, tuple[str, Object]] = {}
    for target in subject.destination_vms.values():
        for mac in interface_macs(target):
            used[mac.lower()] = f"{target['namespace']}/{target['name']}", target["object"]["metadata"].get("labels") or {}
    items, sentences = [], []
    for planned in selection.vms:
        own = {"plan": subject.plan["metadata"]["uid"], "vmID": planned.ref["id"]}
        conflicts: dict[str, list[str]] = {}
        for mac in SOURCES[subject.source_type].macs(subject, planned.vm):
            name, labels = used.get(mac.lower(), ("", {}))
            if name and any(labels.get(key) != value for key, value in own.items()):
                conflicts.setdefault(name, []).append(mac)
        if conflicts:
            items.append(planned.text)
            parts = [f"MACs {', '.join(macs)} conflict with destination VM {name}" for name, macs in conflicts.items()]
            sentences.append(f"VM {planned.text} has MAC address conflicts: {'; '.join(parts)}")
    if items:
        subject.conditions.set("MacConflicts", CRITICAL, "; ".join(sentences), reason="NotValid", items=items)


def _rule(type: str, reason: str, message: str, find: Find, category: str = CRITICAL) -> Rule:
    """Sets the condition when `find` has items for it."""

    def rule(subject: Subject, selection: Selection) -> None:
        items = list(find(subject, selection))
        if items:
            subject.conditions.set(type, category, message, reason=reason, items=items)

    return rule


RULES: tuple[Rule, ...] = (
    _rule("VMNotFound", "NotFound", "VM not found.", lambda _subject, selection: selection.unknown),
    _rule("DuplicateVM", "NotUnique", "Duplicate (source) VM.", _repeated(lambda planned: planned.ref["id"])),
    _rule("VMAlreadyExists", "NotUnique", "Target VM already exists.", _each(_exists)),
    _rule(
        "TargetNameNotValid",
        "NotValid",
        "Target VM name does not comply with DNS1123 RFC, will be automatically changed.",
        _each(_name_will_change),
        WARN,
    ),
    _rule("DuplicateVM", "Ambiguous", "VM reference is ambiguous.", lambda _subject, selection: selection.ambiguous),
    _rule("VMNetworksNotMapped", "NotValid", "VM has unmapped networks.", _each(_unmapped_network)),
    _rule("VMStorageNotMapped", "NotValid", "VM has unmapped storage.", _each(_unmapped_storage)),
    _rule(
        "VMMultiplePodNetworkMappings",
        "NotValid",
        "VM has more than one interface mapped to the pod network.",
        _each(_many_pod_networks),
    ),
    _rule("NotValid", "", "VM PVC name template is invalid.", _bad_pvc_names),
    _rule("NotValid", "", "VM volume name template is invalid.", _each(_bad_volume)),
    _rule("NotValid", "", "VM network name template is invalid.", _each(_bad_network)),
    _rule("NotValid", "", "TargetName is invalid.", _each(_bad_target_name)),
    _rule("DuplicateVM", "NotUnique", "Duplicate targetName.", _repeated(lambda planned: planned.entry.get("targetName"))),
    _rule(
        "UnsupportedOVFExportSource",
        "",
        "VM appears to have been exported from an unsupported OVF source, and may have issues during import.",
        _each(_unsupported_export),
        WARN,
    ),
    _rule(
        "VMPowerStateUnsupported", "NotSupported", "VM power state is incompatible with the selected migration type.", _each(_not_running)
    ),
    _rule(
        "VMMigrationTypeUnsupported", "NotSupported", "VM is incompatible with the selected migration type.", _each(_not_live_migratable)
    ),
    _rule("InvalidDiskSizes", "NotValid", "VM has disks with invalid sizes.", _each(_bad_disk_sizes)),
    _mac_conflicts,
    _rule(
        "LuksAndClevisIncompatibility",
        "NotValid",
        "LUKS keys and Clevis cannot be configured together; Clevis will be used.",
        _each(_luks_and_clevis),
        WARN,
    ),
    _rule("VMCriticalConcerns", "NotValid", "VM has critical concerns, which block its migration.", _critical_concerns),
)
