"""The VMs of a plan as rules see them, and what rules are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers import references
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.sources import SOURCES, Source
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject

Object = dict[str, Any]


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
    """What the entries of `spec.vms` mean. `vms`: those that are not migrated yet; `known`: these and those that are."""

    vms: list[PlannedVm] = field(default_factory=list)
    known: list[PlannedVm] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unset: bool = False


Find = Callable[[Subject, Selection], Iterable[str]]
Rule = Callable[[Subject, Selection], None]


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
            selection.known.append(planned)
            if not _has_succeeded(subject, planned.ref):
                selection.vms.append(planned)
    return selection


def _has_succeeded(subject: Subject, ref: Object) -> bool:
    status = subject.status_of(ref) or {}
    return any(c["type"] == "Succeeded" and c["status"] == "True" for c in status.get("conditions") or ())


def each(holds: Callable[[Subject, Source, PlannedVm], bool]) -> Callable[[Subject, Selection], Iterator[str]]:
    """Lists the VMs of which `holds` is true."""

    def find(subject: Subject, selection: Selection) -> Iterator[str]:
        return (planned.text for planned in selection.vms if holds(subject, SOURCES[subject.source_type], planned))

    return find


def repeated(key: Callable[[PlannedVm], Any]) -> Callable[[Subject, Selection], Iterator[str]]:
    """Lists the VMs whose `key` an earlier one has already."""

    def find(_subject: Subject, selection: Selection) -> Iterator[str]:
        seen = set()
        for planned in selection.vms:
            value = key(planned)
            if value and value in seen:
                yield planned.text
            seen.add(value)

    return find


def rule(type: str, reason: str, message: str, find: Find, category: str = CRITICAL) -> Rule:
    """Sets the condition when `find` has items for it."""

    def apply(subject: Subject, selection: Selection) -> None:
        items = list(find(subject, selection))
        if items:
            subject.conditions.set(type, category, message, reason=reason, items=items)

    return apply
