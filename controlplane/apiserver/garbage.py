"""Deletion: finalizers, owner references, the contents of namespaces, the instances of CRDs.

All that one deletion leads to happens in the transaction of its request. So nothing waits to be collected, also
after a crash, and clients see what they see of kube-apiserver: the same events, in an order that holds there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.objectmeta import now

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record, Store

Object = dict[str, Any]

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
CRD_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_BY_PROPAGATION = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN], "Background": []}


class Collector:
    """Ends objects and what hangs on them. Every method runs inside a store transaction."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._ending: set[str] = set()  # uids whose end is being worked on further up the stack
        self._finalizers: dict[str, Callable[[Record], bool]] = {
            FOREGROUND: self._end_dependents,
            ORPHAN: self._release_dependents,
            CRD_FINALIZER: self._end_instances,
        }

    def delete(self, record: Record, propagation: str | None) -> None:
        """Delete, or mark as being deleted while finalizers hold the object. `propagation` None: as its finalizers say."""
        if record.deleting:
            return
        obj = record.object()
        meta = obj["metadata"]
        finalizers = meta.get("finalizers", [])
        if propagation is not None:
            finalizers = [f for f in finalizers if f not in (FOREGROUND, ORPHAN)] + _BY_PROPAGATION[propagation]
        if not finalizers and not _spec_finalizers(obj):
            self._remove(record)
            return
        if finalizers:
            meta["finalizers"] = finalizers
        meta["deletionTimestamp"] = now()
        meta["deletionGracePeriodSeconds"] = 0
        if "generation" in meta:
            meta["generation"] += 1
        if record.resource == "namespaces":
            obj["status"]["phase"] = "Terminating"
        self._end(self._put(record, obj))

    def written(self, record: Record, previous: Record | None) -> None:
        """Go on with whatever waited for this write."""
        if record.deleting:
            self._end(record)
        elif record.owners and not any(self._store.by_uid(uid) for uid in record.owners):
            self._collect(record)
        for uid in set(previous.owners if previous else ()) - set(record.owners):
            self._resume(self._store.by_uid(uid))

    def _end(self, record: Record) -> None:
        """Do what the finalizers that are ours ask for, and remove the object once none is left."""
        if record.uid in self._ending:
            return
        self._ending.add(record.uid)
        try:
            done = {name for name in record.object()["metadata"].get("finalizers", ()) if name in self._finalizers}
            done = {name for name in done if self._finalizers[name](record)}
            if record.resource == "namespaces" and self._end_contents(record):
                done.add("kubernetes")
            self._drop(record.uid, done)
        finally:
            self._ending.discard(record.uid)

    def _drop(self, uid: str, done: set[str]) -> None:
        record = self._store.by_uid(uid)
        if record is None:
            return
        obj = record.object()
        left = [name for name in obj["metadata"].pop("finalizers", ()) if name not in done]
        held = [name for name in _spec_finalizers(obj) if name not in done]
        if not left and not held:
            self._remove(record)
        elif done:
            if left:
                obj["metadata"]["finalizers"] = left
            if _spec_finalizers(obj):
                obj["spec"]["finalizers"] = held
            self._put(record, obj)

    def _remove(self, record: Record) -> None:
        self._store.remove(record)
        for dependent in self._store.dependents(record.uid):
            self._collect(dependent)
        for uid in record.owners:
            self._resume(self._store.by_uid(uid))
        if record.namespace:
            self._resume(self._store.get("namespaces", "", record.namespace))
        self._resume(self._store.get(CRDS, "", record.resource))

    def _resume(self, record: Record | None) -> None:
        if record and record.deleting:
            self._end(record)

    def _collect(self, dependent: Record) -> None:
        """Delete an object that no owner holds any more; one that has other owners only loses the references."""
        current = self._store.by_uid(dependent.uid)
        if current is None:
            return
        obj = current.object()
        references = obj["metadata"].get("ownerReferences", [])
        holding = [reference for reference in references if self._holds(reference, dependent)]
        if not holding:
            self.delete(current, None)
        elif len(holding) < len(references):
            obj["metadata"]["ownerReferences"] = holding
            self._put(current, obj)

    def _holds(self, reference: Object, dependent: Record) -> bool:
        owner = self._store.by_uid(reference["uid"])
        if owner is None or owner.namespace not in ("", dependent.namespace):
            # What this server does not serve may exist elsewhere: never collect because of it.
            return self._registry.by_kind(reference["apiVersion"], reference["kind"]) is None
        return not (owner.deleting and FOREGROUND in owner.object()["metadata"].get("finalizers", ()))

    def _end_dependents(self, owner: Record) -> bool:
        for dependent in self._store.dependents(owner.uid):
            self._collect(dependent)
        return not any(_blocks(dependent.object(), owner.uid) for dependent in self._store.dependents(owner.uid))

    def _release_dependents(self, owner: Record) -> bool:
        for dependent in self._store.dependents(owner.uid):
            obj = dependent.object()
            references = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] != owner.uid]
            obj["metadata"]["ownerReferences"] = references
            if not references:
                del obj["metadata"]["ownerReferences"]
            self._put(dependent, obj)
        return True

    def _end_instances(self, crd: Record) -> bool:
        return self._end_all(lambda: self._store.records(crd.name))

    def _end_contents(self, namespace: Record) -> bool:
        return self._end_all(lambda: self._store.in_namespace(namespace.name))

    def _end_all(self, records: Callable[[], Iterable[Record]]) -> bool:
        """Delete all of them; True when none is left."""
        for record in records():
            current = self._store.by_uid(record.uid)
            if current:
                self.delete(current, "Background")
        return not any(True for _unused in records())

    def _put(self, record: Record, obj: Object) -> Record:
        return self._store.put(record.resource, obj)


def _spec_finalizers(obj: Object) -> list[str]:
    """Namespaces are held by finalizers in their spec too."""
    return obj.get("spec", {}).get("finalizers", []) if obj["kind"] == "Namespace" else []


def _blocks(obj: Object, owner: str) -> bool:
    references = obj["metadata"].get("ownerReferences", ())
    return any(ref["uid"] == owner and ref.get("blockOwnerDeletion") for ref in references)
