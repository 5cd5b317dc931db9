"""CustomResourceDefinitions: those of the built-in kinds, and those that users add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import objectmeta
from ansible_collections.vmshift.mtv.controlplane.apiserver.garbage import CRD_FINALIZER, CRDS
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry, crd_object, kind_from_crd
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import FieldCause, forbidden, invalid, invalid_value

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.history import Event
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store

Object = dict[str, Any]


class Definitions:
    """Keeps the registry and the stored CustomResourceDefinitions in step."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._registry = registry
        self._built_in = {kind.resource: kind for kind in registry.all() if kind.custom}
        for record in store.records(CRDS):
            if record.name not in self._built_in:
                self._serve(record.object())
        self._publish_built_in(store)
        store.subscribe(self._changed)

    def guard(self, operation: str, kind: str, new: Object | None, old: Object | None) -> None:
        """Admission of CustomResourceDefinitions: names must fit, what this server brings itself cannot be changed."""
        if kind != "CustomResourceDefinition":
            return
        crd = new or old or {}
        name = crd["metadata"].get("name", "")
        if name in self._built_in:
            raise forbidden(self._registry.named(kind), name, "it is built into this API server and cannot be changed")
        if new is None:
            return
        causes = [*_problems(new), *self._name_clashes(new)]
        if causes:
            raise invalid(self._registry.named(kind), name, causes)
        _complete(new)

    def _name_clashes(self, crd: Object) -> list[FieldCause]:
        group, names = crd["spec"]["group"], crd["spec"]["names"]
        for kind in self._registry.all():
            if kind.group == group and kind.kind == names["kind"] and kind.plural != names["plural"]:
                return [invalid_value("spec.names.kind", names["kind"], f'"{kind.resource}" has this kind already')]
            if kind.group == group and kind.plural == names["plural"] and not kind.custom:
                return [invalid_value("spec.names.plural", names["plural"], "is built into this API server")]
        return []

    def _publish_built_in(self, store: Store) -> None:
        """Clients read the served schemas from CRDs, so the built-in custom kinds have them as in a cluster."""
        with store.transaction():
            for kind in self._built_in.values():
                crd = crd_object(kind)
                record = store.get(CRDS, "", kind.resource)
                known = record.object() if record else None
                _complete(crd, known)
                if known is not None and all(known.get(half) == crd.get(half) for half in ("spec", "status")):
                    continue
                if known is None:
                    objectmeta.begin(crd)
                    crd["metadata"]["generation"] = 1
                else:
                    crd["metadata"] = {**known["metadata"], "generation": known["metadata"]["generation"] + 1}
                store.put(CRDS, crd)

    def _changed(self, event: Event, crd: Object) -> None:
        if event.record.resource != CRDS or event.record.name in self._built_in:
            return
        for kind in self._registry.all():
            if kind.resource == event.record.name:
                self._registry.remove(kind)
        if event.type != "DELETED":
            self._serve(crd)

    def _serve(self, crd: Object) -> None:
        for kind in kind_from_crd(crd):
            self._registry.add(kind)


def _problems(crd: Object) -> list[FieldCause]:
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    missing = [FieldCause(f"spec.{field}", "FieldValueRequired", "Required value") for field in ("group", "scope") if not spec.get(field)]
    missing += [FieldCause(f"spec.names.{f}", "FieldValueRequired", "Required value") for f in ("plural", "kind") if not names.get(f)]
    versions = spec.get("versions") or []
    if not versions:
        missing.append(FieldCause("spec.versions", "FieldValueRequired", "Required value"))
    if missing:
        return missing
    causes = []
    wanted = f"{names['plural']}.{spec['group']}"
    if crd["metadata"].get("name") != wanted:
        why = f'must be spec.names.plural+"."+spec.group: must be "{wanted}"'
        causes.append(invalid_value("metadata.name", crd["metadata"].get("name"), why))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        causes.append(
            invalid_value("spec.versions", [v.get("name") for v in versions], "must have exactly one version marked as storage version")
        )
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            field = f"spec.versions[{index}].schema.openAPIV3Schema"
            causes.append(FieldCause(field, "FieldValueRequired", "Required value: schemas are required"))
    return causes


def _complete(crd: Object, old: Object | None = None) -> None:
    """Defaulted names, the finalizer that ends the instances, and the status: a definition is served at once."""
    spec = crd["spec"]
    names = spec["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})
    if "deletionTimestamp" not in crd["metadata"]:
        finalizers = crd["metadata"].setdefault("finalizers", [])
        if CRD_FINALIZER not in finalizers:
            finalizers.append(CRD_FINALIZER)
    before = (old or crd).get("status") or {}
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    stored = [*before.get("storedVersions", ())]
    crd["status"] = {
        "acceptedNames": names,
        "conditions": before.get("conditions") or _conditions(),
        "storedVersions": stored if storage in stored else [*stored, storage],
    }


def _conditions() -> list[Object]:
    time = objectmeta.now()
    return [
        _condition("NamesAccepted", "NoConflicts", "no conflicts found", time),
        _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", time),
    ]


def _condition(type: str, reason: str, message: str, time: str) -> Object:
    return {"type": type, "status": "True", "reason": reason, "message": message, "lastTransitionTime": time}
