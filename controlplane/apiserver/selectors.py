"""Label and field selectors: parsing and matching."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.shelf import Term
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record, Store

QUALIFIED_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_COMMA = re.compile(r",(?![^(]*\))")
_SET = re.compile(r"(\S+)\s+(in|notin)\s*\(([^()]*)\)")
_EXISTS = re.compile(r"(!?)\s*([^\s=!<>(),]+)")
_COMPARED = re.compile(r"([^\s=!<>(),]+)\s*(==|=|!=|>|<)\s*([^\s=!<>(),]*)")

# Fields by which kube-apiserver selects, beside metadata.name and metadata.namespace.
SELECTABLE: Mapping[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source.component",
        "type",
    ),
    "secrets": ("type",),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "services": ("spec.clusterIP", "spec.type"),
    "jobs.batch": ("status.successful",),
}


@dataclass(frozen=True)
class Requirement:
    """One comma-separated part of a label selector."""

    key: str
    operator: str  # in, notin, exists, !exists, gt, lt
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if self.operator == "in":
            return value in self.values
        if self.operator == "notin":
            return value not in self.values
        if self.operator == "exists":
            return value is not None
        if self.operator == "!exists":
            return value is None
        try:
            number, limit = int(value or ""), int(self.values[0])
        except ValueError:
            return False
        return number > limit if self.operator == "gt" else number < limit


@dataclass(frozen=True)
class LabelSelector:
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def terms(self) -> tuple[Term, ...]:
        """Labels that everything it selects has: by them a store finds candidates without looking at all objects."""
        return tuple((r.key, r.values[0]) for r in self.requirements if r.operator == "in" and len(r.values) == 1)


def parse_labels(text: str) -> LabelSelector:
    """`a=b,c!=d,e in (f,g),h,!i` as kubectl writes it. Raises ApiError 400."""
    if not text.strip():
        return LabelSelector()
    return LabelSelector(tuple(_requirement(part.strip()) for part in _COMMA.split(text)))


def exactly(labels: Mapping[str, str]) -> LabelSelector:
    """Selects objects that carry all of `labels`."""
    return LabelSelector(tuple(Requirement(key, "in", (value,)) for key, value in labels.items()))


def _requirement(text: str) -> Requirement:
    if match := _EXISTS.fullmatch(text):
        return _checked(Requirement(match[2], "!exists" if match[1] else "exists"), text)
    if match := _COMPARED.fullmatch(text):
        operator = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}[match[2]]
        return _checked(Requirement(match[1], operator, (match[3],)), text)
    if match := _SET.fullmatch(text):
        values = tuple(value.strip() for value in match[3].split(","))
        return _checked(Requirement(match[1], match[2], values), text)
    raise _unparsable(text, "expected KEY, !KEY, KEY=VALUE, KEY!=VALUE, KEY in (VALUES) or KEY notin (VALUES)")


def _checked(requirement: Requirement, text: str) -> Requirement:
    if not QUALIFIED_NAME.fullmatch(requirement.key):
        raise _unparsable(text, f'key: Invalid value: "{requirement.key}"')
    for value in requirement.values:
        if not LABEL_VALUE.fullmatch(value):
            raise _unparsable(text, f'values: Invalid value: "{value}"')
    if requirement.operator in ("gt", "lt") and not re.fullmatch(r"-?\d+", requirement.values[0]):
        raise _unparsable(
            text, f"values: Invalid value: \"{requirement.values[0]}\": for 'Gt', 'Lt' operators, the value must be an integer"
        )
    return requirement


def _unparsable(text: str, why: str) -> ApiError:
    return ApiError(400, "BadRequest", f'unable to parse requirement "{text}": {why}')


@dataclass(frozen=True)
class FieldSelector:
    terms: tuple[tuple[str, bool, str], ...] = ()  # (path, equal, value)

    def matches(self, record: Record) -> bool:
        """The object is read only when another field than its name and namespace is asked for, and those match."""
        known = {"metadata.name": record.name, "metadata.namespace": record.namespace}
        if any((known[path] == value) != equal for path, equal, value in self.terms if path in known):
            return False
        rest = [term for term in self.terms if term[0] not in known]
        if not rest:
            return True
        obj = record.object()
        return all((_field(obj, path) == value) == equal for path, equal, value in rest)


def parse_fields(text: str, resource: str) -> FieldSelector:
    """`metadata.name=a,status.phase!=Running`. Raises ApiError 400 for a field that `resource` is not selected by."""
    allowed = ("metadata.name", "metadata.namespace", *SELECTABLE.get(resource, ()))
    terms = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", part)
        if not match:
            raise ApiError(400, "BadRequest", f"invalid selector: '{text}'; can't understand '{part}'")
        path = {"source": "source.component"}.get(match[1], match[1])
        if path not in allowed:
            raise ApiError(400, "BadRequest", f"field label not supported: {match[1]} (supported for {resource}: {', '.join(allowed)})")
        terms.append((path, match[2] != "!=", match[3]))
    return FieldSelector(tuple(terms))


@dataclass(frozen=True)
class Selection:
    """What a list, a watch or the deletion of a collection is about."""

    labels: LabelSelector = LabelSelector()
    fields: FieldSelector = FieldSelector()

    @classmethod
    def of(cls, query: Mapping[str, str], resource: str) -> Selection:
        """By labelSelector and fieldSelector of a request's query. Raises ApiError 400."""
        return cls(parse_labels(query.get("labelSelector", "")), parse_fields(query.get("fieldSelector", ""), resource))

    @property
    def everything(self) -> bool:
        return not self.labels.requirements and not self.fields.terms

    def matches(self, record: Record) -> bool:
        return self.labels.matches(record.labels) and self.fields.matches(record)

    def records(self, store: Store, resource: str, namespace: str) -> list[Record]:
        """What it selects, ordered by namespace and name."""
        return [record for record in store.records(resource, namespace, self.labels.terms) if self.matches(record)]


def _field(obj: dict[str, Any], path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
