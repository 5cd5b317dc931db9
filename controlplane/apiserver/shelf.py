"""The records of one resource in memory: by name, in order, by label, and by what they refer to."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record

Object = dict[str, Any]
Place = tuple[str, str]  # (namespace, name)
Term = tuple[str, str]  # what records are found by: a label, or ("->FIELD", value) for a reference


def reference(field: str, value: str) -> Term:
    """The term of a reference. No label looks like it: their keys hold no `>`."""
    return f"->{field}", value


def place(namespace: str | None, name: str | None) -> str:
    """An object as the value of a reference."""
    return f"{namespace or ''}/{name or ''}"


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def _claims(pod: Object) -> Iterator[str]:
    for volume in _spec(pod).get("volumes") or ():
        yield (volume.get("persistentVolumeClaim") or {}).get("claimName", "")


def _providers(obj: Object) -> Iterator[str]:
    pair = _spec(obj).get("provider") or {}
    return map(_object, (pair.get("source"), pair.get("destination")))


def _maps(plan: Object) -> Iterator[str]:
    return map(_object, (_spec(plan).get("map") or {}).values())


def _hooks(plan: Object) -> Iterator[str]:
    return (_object(entry.get("hook")) for vm in _spec(plan).get("vms") or () for entry in vm.get("hooks") or ())


def _content(claim: Object) -> Iterator[str]:
    """What a PVC is filled from, within its namespace."""
    reference = _spec(claim).get("dataSourceRef")
    if reference:
        yield place(reference.get("kind"), reference.get("name"))


def _object(found: Object | None) -> str:
    return place(found.get("namespace"), found.get("name")) if found else ""


#: resource -> field -> what an object has there: the references that are looked for backwards, from what they mean.
REFERENCES: Mapping[str, Mapping[str, Callable[[Object], Iterable[str]]]] = {
    "pods": {"claim": _claims},
    "persistentvolumeclaims": {"volume": lambda claim: (_spec(claim).get("volumeName", ""),), "content": _content},
    "persistentvolumes": {"claim": lambda volume: ((_spec(volume).get("claimRef") or {}).get("uid", ""),)},
    "events": {"uid": lambda event: ((event.get("involvedObject") or {}).get("uid", ""),)},
    "plans.forklift.konveyor.io": {"provider": _providers, "map": _maps, "hook": _hooks},
    "networkmaps.forklift.konveyor.io": {"provider": _providers},
    "storagemaps.forklift.konveyor.io": {"provider": _providers},
    # Their pods know their names only.
    "conversions.forklift.konveyor.io": {"name": lambda conversion: (conversion["metadata"]["name"],)},
    "migrations.forklift.konveyor.io": {"plan": lambda migration: (_object(_spec(migration).get("plan")),)},
}


def references(resource: str, obj: Object) -> tuple[Term, ...]:
    found = ((field, set(filter(None, values(obj)))) for field, values in REFERENCES.get(resource, {}).items())
    return tuple(reference(field, value) for field, values in found for value in sorted(values))


class Shelf:
    def __init__(self) -> None:
        self._records: dict[Place, Record] = {}
        self._order: list[Place] = []
        self._by_term: dict[Term, set[Place]] = {}

    def get(self, namespace: str, name: str) -> Record | None:
        return self._records.get((namespace, name))

    def records(self, namespace: str = "", terms: Iterable[Term] = ()) -> list[Record]:
        """Of one namespace when given, having all of `terms`; ordered by namespace and name."""
        found = [self._by_term.get(term) or set() for term in terms]
        if found:
            few, *rest = sorted(found, key=len)
            return [self._records[p] for p in sorted(few) if (not namespace or p[0] == namespace) and all(p in others for others in rest)]
        first, end = 0, len(self._order)
        if namespace:
            first, end = bisect_left(self._order, (namespace, "")), bisect_left(self._order, (namespace + "\0", ""))
        return [self._records[p] for p in self._order[first:end]]

    def add(self, record: Record) -> None:
        """Put in a record whose place is free."""
        there = record.place
        self._records[there] = record
        insort(self._order, there)
        for term in record.terms:
            self._by_term.setdefault(term, set()).add(there)

    def remove(self, record: Record) -> None:
        there = record.place
        del self._records[there]
        del self._order[bisect_left(self._order, there)]
        for term in record.terms:
            places = self._by_term[term]
            places.discard(there)
            if not places:
                del self._by_term[term]
