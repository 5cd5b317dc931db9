"""The verbs of the API, for controllers in this process and for the HTTP layer alike.

Every write goes one way: read, change, admit, compare, commit, publish. A verb returns once its write is durable.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import apply as ownership
from ansible_collections.vmshift.mtv.controlplane.apiserver import objectmeta, patching, refusals, strategies
from ansible_collections.vmshift.mtv.controlplane.apiserver.admission import Hook, Options, admit, decode
from ansible_collections.vmshift.mtv.controlplane.apiserver.definitions import Definitions
from ansible_collections.vmshift.mtv.controlplane.apiserver.events import Recorder
from ansible_collections.vmshift.mtv.controlplane.apiserver.garbage import Collector
from ansible_collections.vmshift.mtv.controlplane.apiserver.history import Event
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind, Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.quota import Quotas
from ansible_collections.vmshift.mtv.controlplane.apiserver.selectors import LabelSelector, Selection, exactly, parse_labels
from ansible_collections.vmshift.mtv.controlplane.apiserver.shelf import Term, reference
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record, Store

Object = dict[str, Any]

IN_PROCESS = Options()


class Api:
    """All objects, by kind. Synchronous; to be called on one thread (the event loop's).

    `kind` is the name of a built-in kind ("Plan") or a Kind. `namespace` is "" or None for cluster-scoped kinds. Returned
    objects are the caller's own. Refusals are ApiErrors with the code and words of kube-apiserver.
    """

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self.admission: list[Hook] = [strategies.refuse_deletion]
        self._collector = Collector(store, registry)
        self._recorder = Recorder(self)
        self._quotas = Quotas(store)
        self._definitions = Definitions(store, registry)
        self.admission.append(self._definitions.guard)

    # Reading

    def get(self, kind: str | Kind, namespace: str | None, name: str) -> Object:
        """Raises NotFound."""
        return self._record(self.kind(kind), namespace, name).object()

    def find(self, kind: str | Kind, namespace: str | None, name: str) -> Object | None:
        record = self.store.get(self.kind(kind).resource, namespace or "", name)
        return record.object() if record else None

    def view(self, kind: str | Kind, namespace: str | None, name: str) -> Object | None:
        """As find, but shared: read only. For long objects, of which a copy takes long."""
        record = self.store.get(self.kind(kind).resource, namespace or "", name)
        return self.store.view(record) if record else None

    def is_long(self, kind: str | Kind, namespace: str | None, name: str) -> bool:
        record = self.store.get(self.kind(kind).resource, namespace or "", name)
        return record is not None and record.long

    def list(
        self, kind: str | Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None, selector: str = ""
    ) -> builtins.list[Object]:
        """Objects of all namespaces or one, with all of `labels`, matching the label `selector`; by namespace and name."""
        return [record.object() for record in self.records(kind, namespace, labels, selector)]

    def records(
        self, kind: str | Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None, selector: str = ""
    ) -> builtins.list[Record]:
        """What `list` would return, unparsed: enough where names, uids and labels are wanted."""
        chosen = LabelSelector((*exactly(labels or {}).requirements, *parse_labels(selector).requirements))
        return Selection(chosen).records(self.store, self.kind(kind).resource, namespace or "")

    def referring(self, kind: str | Kind, field: str, value: str, namespace: str | None = None) -> builtins.list[Record]:
        """Records of objects that have `value` among their references of that field (shelf.REFERENCES); by namespace and name."""
        return self.store.records(self.kind(kind).resource, namespace or "", (reference(field, value),))

    def events_about(self, obj: Object) -> builtins.list[Object]:
        return [record.object() for record in self.referring("Event", "uid", obj["metadata"]["uid"])]

    # Writing

    def create(self, obj: Object, *, dry_run: bool = False, options: Options = IN_PROCESS) -> Object:
        """Create `obj` (metadata.name or generateName); status is not taken for kinds with a status subresource."""
        options = replace(options, dry_run=dry_run or options.dry_run)
        with self.store.transaction(keep=not options.dry_run):
            return self._save(self._kind_of(obj), None, patching.copy(obj), options)

    def update(self, obj: Object, *, subresource: str = "", options: Options = IN_PROCESS) -> Object:
        """Replace an object (its status, with subresource "status"); a resourceVersion in `obj` must be the current one."""
        meta = obj["metadata"]
        return self._change(
            self._kind_of(obj),
            meta.get("namespace"),
            meta["name"],
            lambda _record: patching.copy(obj),
            options=options,
            subresource=subresource,
        )

    def update_status(self, obj: Object) -> Object:
        """Write only the status of `obj`, for a controller; nothing when it is unchanged. 409 when obj's resourceVersion is stale."""
        return self.write_status(obj).object()

    def write_status(self, obj: Object, *, lasting: bool = False) -> Record:
        """As update_status, for who does not need the object: it may be long.

        `lasting`: nobody changes any part of the status any more, so that it is not copied. What it has of the view of another object
        must be what the schema of this kind allows there, too.
        """
        kind, meta = self._kind_of(obj), obj["metadata"]
        with self.store.transaction():
            record = self._record(kind, meta.get("namespace"), meta["name"])
            old = self.store.view(record)
            own = {field: value for field, value in meta.items() if field != "managedFields"}
            status, known = obj.get("status"), old.get("status")
            if not lasting or status == known:
                status = patching.copy_sharing(status, known)
            new = {**old, "metadata": own, "status": status}
            return self._write(kind, record, new, IN_PROCESS, "status", old=old)

    def patch(
        self,
        kind: str | Kind,
        namespace: str | None,
        name: str,
        patch: Any,
        *,
        subresource: str = "",
        content_type: str = patching.MERGE,
        options: Options = IN_PROCESS,
    ) -> Object:
        """Change an object by a merge patch (or, by `content_type`, a JSON patch or strategic merge patch)."""
        found = self.kind(kind)

        def change(record: Record) -> Object:
            return patching.patched(found, record.object(), patch, content_type)

        return self._change(found, namespace, name, change, options=options, subresource=subresource)

    def apply(self, config: Object, *, force: bool = False, subresource: str = "", options: Options = IN_PROCESS) -> tuple[Object, bool]:
        """Server-side apply of `config` by options.manager: (object, whether it was created). Raises Conflict unless forced."""
        kind = self._kind_of(config)
        config = patching.copy(config)
        decode(kind, config, options)
        meta = config["metadata"]
        with self.store.transaction(keep=not options.dry_run):
            record = self.store.get(kind.resource, meta.get("namespace", ""), meta["name"])
            if record is None and subresource:
                raise refusals.not_found(kind, meta["name"])
            live = record.object() if record else None
            new = ownership.apply(kind, live, config, options.manager, force=force, subresource=subresource)
            managed = new["metadata"]["managedFields"]
            return self._save(kind, record, new, options, subresource, managed), record is None

    def delete(
        self,
        kind: str | Kind,
        namespace: str | None,
        name: str,
        *,
        propagation: str | None = "Background",
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> Object | None:
        """Delete an object (if it is the one of `uid`). Returns it when finalizers still hold it. Raises NotFound, Conflict.

        `propagation`: Background, Foreground or Orphan; None: as the object's finalizers say.
        """
        found = self.kind(kind)
        with self.store.transaction(keep=not dry_run):
            record = self._record(found, namespace, name)
            _check_preconditions(found, record, uid, resource_version)
            for hook in self.admission:
                hook("DELETE", found.kind, None, record.object())
            self._collector.delete(record, propagation)
            left = self.store.by_uid(record.uid)
            return left.object() if left else None

    def delete_collection(
        self,
        kind: str | Kind,
        namespace: str | None,
        chosen: Callable[[Record], bool],
        *,
        terms: Iterable[Term] = (),
        propagation: str | None = "Background",
        dry_run: bool = False,
    ) -> builtins.list[Record]:
        """Delete the `chosen` of the objects that have all `terms` in one transaction. Returns what they were."""
        found = self.kind(kind)
        with self.store.transaction(keep=not dry_run):
            victims = [record for record in self.store.records(found.resource, namespace or "", terms) if chosen(record)]
            for record in victims:
                if self.store.by_uid(record.uid):  # not gone with another one
                    self.delete(found, record.namespace, record.name, propagation=propagation)
        return victims

    def delete_all(self, kind: str | Kind, namespace: str | None, labels: Mapping[str, str]) -> int:
        """Delete the objects with all of `labels`; how many there were."""
        selector = exactly(labels)
        return len(self.delete_collection(kind, namespace, lambda record: selector.matches(record.labels), terms=selector.terms))

    # Changes and events

    def subscribe(self, callback: Callable[[str, str, Object], None]) -> Callable[[], None]:
        """Call back with ("ADDED"|"MODIFIED"|"DELETED", kind, object) after each committed change, until the result is called.

        The object is shared: read only.
        """

        def tell(event: Event, obj: Object) -> None:
            callback(event.type, event.record.kind, obj)

        return self.store.subscribe(tell)

    def record_event(self, obj: Object, type: str, reason: str, message: str, component: str) -> None:
        """Write a core/v1 Event about `obj` (`type`: Normal or Warning); the same event again only counts up."""
        self._recorder.record(obj, type, reason, message, component)

    # The one way of a write

    def _change(
        self, kind: Kind, namespace: str | None, name: str, change: Callable[[Record], Object], *, options: Options, subresource: str
    ) -> Object:
        """Read, change and save one object. `change` makes the wanted object of what is stored."""
        with self.store.transaction(keep=not options.dry_run):
            record = self._record(kind, namespace, name)
            return self._save(kind, record, change(record), options, subresource)

    def _save(
        self,
        kind: Kind,
        record: Record | None,
        new: Object,
        options: Options,
        subresource: str = "",
        managed: builtins.list[Object] | None = None,
    ) -> Object:
        """Write `new`. Returns the object as it is then; of a dry run, as it would be."""
        written = self._write(kind, record, new, options, subresource, managed)
        return _not_written(written, record) if options.dry_run and written is not record else written.object()

    def _write(
        self,
        kind: Kind,
        record: Record | None,
        new: Object,
        options: Options,
        subresource: str = "",
        managed: builtins.list[Object] | None = None,
        old: Object | None = None,
    ) -> Record:
        """Admit `new`, compare it with what is stored, write it when it differs. Returns what is stored then.

        `managed`: its managedFields, when known. `old`: the view of `record`, when `new` shares parts of it and of nothing else.
        """
        viewed = old is not None
        decode(kind, new, options, old)
        if record and old is None:
            old = record.object()
        if old is None:
            objectmeta.begin(new)
            self._check_place(kind, new)
        else:
            objectmeta.carry_over(kind, old, new)
        admit(kind, new, old, hooks=self.admission, subresource=subresource)
        if not subresource:
            self._quotas.admit(kind, new, old)
        objectmeta.set_managed(new, ownership.track_update(kind, old, new, options.manager, subresource) if managed is None else managed)
        if record and _same(old, new):
            return record
        written = self.store.put(kind.resource, _ordered(kind, new), viewed=viewed)
        self._collector.written(written, record)
        return written

    # Finding

    def kind(self, kind: str | Kind) -> Kind:
        return kind if isinstance(kind, Kind) else self.registry.named(kind)

    def _kind_of(self, obj: Object) -> Kind:
        kind = self.registry.by_kind(obj.get("apiVersion", ""), obj.get("kind", ""))
        if kind is None or kind.virtual:
            raise refusals.bad_request(f'no kind "{obj.get("kind", "")}" is registered for version "{obj.get("apiVersion", "")}"')
        return kind

    def _record(self, kind: Kind, namespace: str | None, name: str) -> Record:
        record = self.store.get(kind.resource, namespace or "", name)
        if record is None:
            raise refusals.not_found(kind, name)
        return record

    def _check_place(self, kind: Kind, new: Object) -> None:
        """The name is free, and the namespace is there and takes new objects."""
        meta = new["metadata"]
        name = meta.get("name", "")
        if kind.namespaced:
            if not meta.get("namespace"):
                raise refusals.bad_request("an empty namespace may not be set during creation")
            self._check_namespace(kind, meta["namespace"], name)
        else:
            meta.pop("namespace", None)
        if self.store.get(kind.resource, meta.get("namespace", ""), name):
            raise refusals.already_exists(kind, name)

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        record = self.store.get("namespaces", "", namespace)
        if record is None:
            raise refusals.not_found(self.registry.named("Namespace"), namespace)
        if record.deleting:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise refusals.forbidden(kind, name, why, [cause])


def _check_preconditions(kind: Kind, record: Record, uid: str | None, resource_version: str | None) -> None:
    again = "The object might have been deleted and then recreated"
    if uid and uid != record.uid:
        why = f"the UID in the precondition ({uid}) does not match the UID in record ({record.uid}). {again}"
        raise refusals.conflict(kind, record.name, why)
    if resource_version and resource_version != str(record.revision):
        why = (
            f"the ResourceVersion in the precondition ({resource_version}) does not match the ResourceVersion in record "
            f"({record.revision}). The object might have been modified"
        )
        raise refusals.conflict(kind, record.name, why)


def _same(old: Object | None, new: Object) -> bool:
    if old != new:
        return False
    if old and all(value is old[field] for field, value in new.items() if field != "metadata"):
        return True
    # Python takes 1, 1.0 and True for equal; JSON does not.
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _not_written(written: Record, record: Record | None) -> Object:
    """The answer to a dry run: the object as it would be, with the resourceVersion it still has."""
    obj = written.object()
    if record:
        obj["metadata"]["resourceVersion"] = str(record.revision)
    else:
        del obj["metadata"]["resourceVersion"]
    return obj


def _ordered(kind: Kind, obj: Object) -> Object:
    """What is asked for alone stands first, to be read without the rest."""
    first = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": obj["metadata"]}
    return {**first, **{field: value for field, value in obj.items() if field not in first}}
