# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, ensure present, ensure absent, with a `changed` and a diff of exactly what the task owns.

Owned are the fields of `desired`: every given field of spec (deep), every given label, annotation and secret key. A field given as None
is owned and means "absent". Lists are owned as a whole. The server's own answer decides what a write has changed, so defaults that it
fills in (also inside list items) never look like a change.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import MERGE_PATCH, Cluster, ClusterError

_FORKLIFT = "forklift.konveyor.io/v1beta1"


class Kind(NamedTuple):
    api_version: str
    plural: str
    namespaced: bool = True


#: The kinds the collection speaks about. They are fixed, so nothing is discovered.
KINDS: dict[str, Kind] = {
    "Provider": Kind(_FORKLIFT, "providers"),
    "Host": Kind(_FORKLIFT, "hosts"),
    "NetworkMap": Kind(_FORKLIFT, "networkmaps"),
    "StorageMap": Kind(_FORKLIFT, "storagemaps"),
    "Plan": Kind(_FORKLIFT, "plans"),
    "Migration": Kind(_FORKLIFT, "migrations"),
    "Hook": Kind(_FORKLIFT, "hooks"),
    "Conversion": Kind(_FORKLIFT, "conversions"),
    "ForkliftController": Kind(_FORKLIFT, "forkliftcontrollers"),
    "OVAProviderServer": Kind(_FORKLIFT, "ovaproviderservers"),
    "HyperVProviderServer": Kind(_FORKLIFT, "hypervproviderservers"),
    "OvirtVolumePopulator": Kind(_FORKLIFT, "ovirtvolumepopulators"),
    "OpenstackVolumePopulator": Kind(_FORKLIFT, "openstackvolumepopulators"),
    "VSphereXcopyVolumePopulator": Kind(_FORKLIFT, "vspherexcopyvolumepopulators"),
    "Namespace": Kind("v1", "namespaces", False),
    "Secret": Kind("v1", "secrets"),
    "ConfigMap": Kind("v1", "configmaps"),
    "Service": Kind("v1", "services"),
    "Pod": Kind("v1", "pods"),
    "Event": Kind("v1", "events"),
    "PersistentVolumeClaim": Kind("v1", "persistentvolumeclaims"),
    "ResourceQuota": Kind("v1", "resourcequotas"),
    "PersistentVolume": Kind("v1", "persistentvolumes", False),
    "Job": Kind("batch/v1", "jobs"),
    "StorageClass": Kind("storage.k8s.io/v1", "storageclasses", False),
    "CustomResourceDefinition": Kind("apiextensions.k8s.io/v1", "customresourcedefinitions", False),
    "Route": Kind("route.openshift.io/v1", "routes"),
    "NetworkAttachmentDefinition": Kind("k8s.cni.cncf.io/v1", "network-attachment-definitions"),
    "DataVolume": Kind("cdi.kubevirt.io/v1beta1", "datavolumes"),
    "StorageProfile": Kind("cdi.kubevirt.io/v1beta1", "storageprofiles", False),
    "VirtualMachine": Kind("kubevirt.io/v1", "virtualmachines"),
    "VirtualMachineInstance": Kind("kubevirt.io/v1", "virtualmachineinstances"),
    "VirtualMachineExport": Kind("export.kubevirt.io/v1", "virtualmachineexports"),
}

HIDDEN = "<hidden>"
HIDDEN_CHANGED = "<hidden, changed>"
_DRY_RUN = {"dryRun": "All"}
_ATTEMPTS = 5
_LISTINGS = 3
#: What stands for an object that was not looked at yet; None is one that is not there.
NOT_READ: Any = object()


class Result(NamedTuple):
    """`before` and `after`: what the task owns (secret values hidden), {} where the object does not exist.

    `object`: as the server last returned it (in check mode: as it would be), None when absent. A Secret's holds its data: don't return it.
    `method`: create, patch, delete or "" (nothing sent, or nothing came of it).
    """

    changed: bool
    before: dict[str, Any]
    after: dict[str, Any]
    object: dict[str, Any] | None
    method: str

    @property
    def diff(self) -> dict[str, Any]:
        return {"before": self.before, "after": self.after}


def path_of(kind: str, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """The API path of a collection (no name) or an object. Without a namespace: the collection in all namespaces."""
    known = KINDS[kind]
    path = ("/api/" if known.api_version == "v1" else "/apis/") + known.api_version
    if known.namespaced and namespace:
        path += "/namespaces/" + namespace
    path += "/" + known.plural
    if name:
        path += "/" + name
    return path + ("/" + subresource if subresource else "")


def get(cluster: Cluster, kind: str, namespace: str | None, name: str) -> dict[str, Any] | None:
    """The object, or None when it does not exist."""
    try:
        return tidy(cluster.request("GET", path_of(kind, namespace, name)))
    except ClusterError as error:
        if error.status == 404 and _about_object(error):
            return None
        _explain(error, kind)
        raise


def list_objects(
    cluster: Cluster, kind: str, namespace: str | None = None, *, label_selector: str | None = None, field_selector: str | None = None
) -> list[dict[str, Any]]:
    """All objects of a kind in a namespace, or in all of them."""
    query: dict[str, Any] = {"labelSelector": label_selector or None, "fieldSelector": field_selector or None, "limit": 500}
    for attempt in range(_LISTINGS):
        if attempt == _LISTINGS - 1:
            query["limit"] = None
        try:
            return _pages(cluster, kind, namespace, query)
        except ClusterError as error:
            # The server has forgotten the state that the first pages are of; in one piece it cannot.
            if error.status != 410 or attempt == _LISTINGS - 1:
                _explain(error, kind)
                raise
    raise AssertionError("unreachable")


def _pages(cluster: Cluster, kind: str, namespace: str | None, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = None
    while True:
        page = cluster.request("GET", path_of(kind, namespace), query={**query, "continue": token})
        found += [tidy(item, kind) for item in page.get("items") or []]
        token = (page.get("metadata") or {}).get("continue")
        if not token:
            return found


def ensure_present(
    cluster: Cluster,
    desired: Mapping[str, Any],
    *,
    check_mode: bool = False,
    ask_server: bool = True,
    amend: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
    current: dict[str, Any] | None = NOT_READ,
) -> Result:
    """Create the object, or bring the fields of `desired` into it.

    `desired`: a manifest with kind, metadata.name (and namespace) and any of spec, labels, annotations, data, stringData (Secret).
    Check mode sends the same write with dryRun=All, so that admission speaks; `ask_server=False` predicts without it (for an object
    whose references are themselves only predicted). `amend`: what is desired of the object as it is now, in place of `desired`; asked
    again when somebody else has written in between, so that a list which is added to loses nothing. `current`: the object as the caller
    has just read it (None: it was not there), so that it is not read twice. Raises ClusterError.
    """
    wanted = _normal(desired)
    kind, meta = wanted["kind"], wanted["metadata"]
    query = _DRY_RUN if check_mode else None
    lost = False  # the answer to a creation, which then is this task's when the object is found
    for attempt in range(_ATTEMPTS):
        if attempt or current is NOT_READ:
            current = get(cluster, kind, meta.get("namespace"), meta["name"])
        try:
            if current is None:
                return _create(cluster, wanted, check_mode, ask_server)
            if "deletionTimestamp" in current["metadata"]:
                raise ClusterError(409, "Deleting", f"{describe(current)} is being deleted; wait until it is gone.")
            wanted = _normal(amend(current)) if amend else wanted
            before = {} if lost else owned(current, wanted)
            patch = difference(current, wanted)
            if not patch:
                return _result(kind, before, owned(current, wanted), current, "create")
            if amend:
                patch["metadata"] = {**patch.get("metadata", {}), "resourceVersion": current["metadata"]["resourceVersion"]}
            if check_mode and not ask_server:
                reply = merged(current, patch)
            else:
                path = path_of(kind, meta.get("namespace"), meta["name"])
                reply = cluster.request("PATCH", path, query=query, body=patch, content_type=MERGE_PATCH)
            return _result(kind, before, owned(reply, wanted), reply, "create" if lost else "patch")
        except ClusterError as error:
            # AlreadyExists: someone was faster; Conflict: the server could not fit two writes together. Look again.
            # NotFound: it went away between reading and writing. Unclear: it may be there by now.
            lost = lost or (current is None and error.unclear)
            passes = error.reason in ("AlreadyExists", "Conflict") or (current is None and error.unclear)
            if attempt == _ATTEMPTS - 1 or not (passes or (error.status == 404 and current is not None)):
                raise
        time.sleep(_pause(attempt))
    raise AssertionError("unreachable")


def create_one(cluster: Cluster, body: Mapping[str, Any], *, check_mode: bool = False) -> dict[str, Any]:
    """Create an object whose name begins with its generateName.

    The rest of the name is made here, so that the object can be looked for when the answer is lost: there are never two.
    Raises ClusterError.
    """
    meta = body["metadata"]
    named = {**body, "metadata": {**meta, "name": meta["generateName"] + secrets.token_hex(3)}}
    kind, namespace, name = body["kind"], meta["namespace"], named["metadata"]["name"]
    for attempt in range(_ATTEMPTS):
        try:
            reply = cluster.request("POST", path_of(kind, namespace), query=_DRY_RUN if check_mode else None, body=named)
            return tidy(reply, kind)
        except ClusterError as error:
            found = get(cluster, kind, namespace, name) if error.unclear or error.reason == "AlreadyExists" else None
            if found is not None:
                return found
            if not error.unclear or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(_pause(attempt))
    raise AssertionError("unreachable")


def ensure_absent(
    cluster: Cluster, kind: str, namespace: str | None, name: str, *, check_mode: bool = False, ask_server: bool = True
) -> Result:
    """Ask for the deletion. An object with finalizers may live on: see waiting.wait_gone. `ask_server`: as in ensure_present."""
    for attempt in range(_ATTEMPTS):
        current = get(cluster, kind, namespace, name)
        if current is None:
            return Result(False, {}, {}, None, "")
        before = _shown(kind, {k: v for k, v in current.items() if k != "status"})
        before["metadata"] = {k: v for k, v in current["metadata"].items() if k in ("name", "namespace", "labels", "annotations")}
        if "deletionTimestamp" in current["metadata"]:
            return Result(False, before, before, current, "")
        try:
            if ask_server or not check_mode:
                _delete(cluster, current, check_mode)
        except ClusterError as error:
            # Conflict: another object has that name by now.
            if error.reason != "Conflict" or attempt == _ATTEMPTS - 1:
                raise
        else:
            return Result(True, before, {}, None, "delete")
        time.sleep(_pause(attempt))
    raise AssertionError("unreachable")


def _delete(cluster: Cluster, current: Mapping[str, Any], check_mode: bool) -> None:
    """Ask for the deletion of this object and of no other one of its name, also when the question has to be repeated."""
    meta = current["metadata"]
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": meta["uid"]}}
    path = path_of(current["kind"], meta.get("namespace"), meta["name"])
    try:
        cluster.request("DELETE", path, query=_DRY_RUN if check_mode else None, body=body)
    except ClusterError as error:
        if error.status != 404:
            raise


def add_owner(cluster: Cluster, obj: Mapping[str, Any], owner: Mapping[str, Any], *, check_mode: bool = False) -> dict[str, Any]:
    """Make `owner` an owner of `obj` beside those it has; returns the object as it is afterwards."""
    by = owner["metadata"]
    kind, meta = obj["kind"], obj["metadata"]
    current: Mapping[str, Any] | None = obj
    for attempt in range(_ATTEMPTS):
        if current is None:
            raise ClusterError(404, "NotFound", f"{describe(obj)} was deleted while this task was using it.")
        references = list(current["metadata"].get("ownerReferences") or [])
        if any(r.get("uid") == by["uid"] for r in references):
            return dict(current)
        references.append({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": by["name"], "uid": by["uid"]})
        # The resourceVersion makes the server refuse if the list has changed since it was read.
        patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"], "ownerReferences": references}}
        path = path_of(kind, meta.get("namespace"), meta["name"])
        try:
            return cluster.request("PATCH", path, query=_DRY_RUN if check_mode else None, body=patch, content_type=MERGE_PATCH)
        except ClusterError as error:
            if error.reason != "Conflict" or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(_pause(attempt))
        current = get(cluster, kind, meta.get("namespace"), meta["name"])
    raise AssertionError("unreachable")


def _pause(attempt: int) -> float:
    """Seconds until the next one."""
    return 0.2 * (attempt + 1)


def tidy(obj: Mapping[str, Any], kind: str = "") -> dict[str, Any]:
    """Without managedFields, which nobody reads in a task's result; with the kind, which items of a list lack."""
    typed = {"apiVersion": KINDS[kind].api_version, "kind": kind} if kind else {}
    return {**typed, **obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def describe(obj: Mapping[str, Any]) -> str:
    """`Plan mig/app1`: how error texts name an object."""
    meta = obj["metadata"]
    return "{} {}".format(obj["kind"], "/".join(p for p in (meta.get("namespace"), meta.get("name")) if p))


# --- pure -----------------------------------------------------------------------------------------------------------


def difference(current: Any, desired: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest merge patch that brings `desired` into `current`; {} when nothing is to do."""
    patch: dict[str, Any] = {}
    have = current if isinstance(current, Mapping) else {}
    for key, value in desired.items():
        if value is None:
            if have.get(key) is not None:
                patch[key] = None
        elif isinstance(value, Mapping):
            inner = difference(have.get(key), value)
            if inner or not isinstance(have.get(key), Mapping):
                patch[key] = inner
        elif key not in have or not _same(have[key], value):
            patch[key] = without_nulls(value)
    return patch


def merged(current: Any, patch: Any) -> Any:
    """`current` after a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    out = dict(current) if isinstance(current, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


def owned(actual: Any, desired: Any) -> Any:
    """`actual` cut down to the fields of `desired`."""
    if isinstance(desired, Mapping) and isinstance(actual, Mapping):
        return {k: owned(actual[k], v) for k, v in desired.items() if k in actual and actual[k] is not None}
    return actual


def without_nulls(value: Any) -> Any:
    """A copy without None fields, at any depth: what a new object is created with."""
    if isinstance(value, Mapping):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [without_nulls(v) for v in value]
    return value


def _same(one: Any, other: Any) -> bool:
    # In Python 1 == True; in JSON they differ.
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        other = without_nulls(other)
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other))
    return one == other


def _normal(desired: Mapping[str, Any]) -> dict[str, Any]:
    """With apiVersion, without status; a Secret's stringData as data (that is how it comes back)."""
    wanted = {"apiVersion": KINDS[desired["kind"]].api_version, **{k: v for k, v in desired.items() if k not in ("status", "stringData")}}
    if "stringData" in desired:
        encoded = {k: None if v is None else base64.b64encode(str(v).encode()).decode() for k, v in desired["stringData"].items()}
        wanted["data"] = {**(desired.get("data") or {}), **encoded}
    return wanted


def _create(cluster: Cluster, wanted: Mapping[str, Any], check_mode: bool, ask_server: bool) -> Result:
    kind, body = wanted["kind"], without_nulls(wanted)
    namespace = body["metadata"].get("namespace")
    reply = body
    if ask_server or not check_mode:
        try:
            reply = cluster.request("POST", path_of(kind, namespace), query=_DRY_RUN if check_mode else None, body=body)
        except ClusterError as error:
            # A task before this one would have made the namespace: predict instead of failing.
            if not (check_mode and error.status == 404 and _about_object(error)):
                _explain(error, kind)
                raise
            cluster.warn(f"Predicted without the server's opinion: {error.message}")
    return _result(kind, {}, owned(reply, wanted), reply, "create")


def _result(kind: str, before: Any, after: Any, obj: dict[str, Any], method: str) -> Result:
    changed = not _same(before, after)
    return Result(changed, _shown(kind, before), _shown(kind, after, before), tidy(obj), method if changed else "")


def _shown(kind: str, part: dict[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A Secret's part of a diff without its values: only the keys, and which of them changed."""
    if kind != "Secret" or "data" not in part:
        return dict(part)
    old = (before or part).get("data", {})
    data = {k: HIDDEN if k not in old or old[k] == v else HIDDEN_CHANGED for k, v in (part["data"] or {}).items()}
    return {**part, "data": data}


def _about_object(error: ClusterError) -> bool:
    # A missing kind is a 404 too, but without the Status object that names what was not found.
    return error.reason == "NotFound" and "not find the requested resource" not in error.message


def _explain(error: ClusterError, kind: str) -> None:
    """Raise a clearer error when the cluster does not serve the kind."""
    if error.status != 404 or _about_object(error):
        return
    api_version = KINDS[kind].api_version
    hint = ": is MTV installed there" if api_version == _FORKLIFT else ""
    raise ClusterError(404, "KindNotServed", f"The cluster does not know the kind {kind} ({api_version}){hint}.") from error
