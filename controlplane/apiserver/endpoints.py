"""The verbs over HTTP: one function for each, between a parsed request and the Api."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane.apiserver import incoming, patching, pod_logs, refusals, reviews
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.incoming import Target, Warnings
from ansible_collections.vmshift.mtv.controlplane.apiserver.rbac import User
from ansible_collections.vmshift.mtv.controlplane.apiserver.rendering import Form, form
from ansible_collections.vmshift.mtv.controlplane.apiserver.selectors import Selection
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record
from ansible_collections.vmshift.mtv.controlplane.apiserver.watch import Request as WatchRequest
from ansible_collections.vmshift.mtv.controlplane.apiserver.watch import Wakeups, Watch

Object = dict[str, Any]
ServiceHandler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]
PodPort = Callable[[Object, int, str], "str | None"]  # (pod, port, path) -> the text that is answered there, None when nothing listens

_PROPAGATIONS = ("Background", "Foreground", "Orphan")
_ORPHANED_BY_DEFAULT = "jobs.batch"


class Aggregated(Protocol):
    """An API group that something beside the objects answers for, as aggregated API servers do in a cluster."""

    @property
    def group(self) -> str: ...

    @property
    def versions(self) -> tuple[str, ...]: ...

    def resources(self) -> list[Object]:
        """As discovery lists them."""

    def access(self, method: str, plural: str, subresource: str) -> tuple[str, str] | None:
        """(verb, resource) of a request, for authorization; None when there is nothing of the kind. Raises ApiError 405."""

    def answer(self, method: str, plural: str, subresource: str, namespace: str, name: str, body: Object) -> Object | None:
        """None is an empty answer (202). Raises ApiError."""


@dataclass(frozen=True)
class Parts:
    """What the endpoints work with."""

    api: Api
    tokens: Tokens
    wakeups: Wakeups
    pod_log: pod_logs.PodLog
    service_proxy: Mapping[str, ServiceHandler]
    pod_port: PodPort
    aggregated: Mapping[str, Aggregated] = field(default_factory=dict)  # by group


@dataclass(frozen=True)
class Call:
    """One request to one resource."""

    request: web.Request
    parts: Parts
    target: Target
    user: User
    warnings: Warnings = field(default_factory=Warnings)

    @property
    def api(self) -> Api:
        return self.parts.api

    @property
    def form(self) -> Form:
        return form(self.request, self.target.kind)

    def answer(self, obj: Object, code: int = 200) -> web.Response:
        return self.respond(self.form.one(obj), code)

    def respond(self, text: str, code: int = 200) -> web.Response:
        headers = {"Warning": self.warnings.header()} if self.warnings.texts else None
        return web.Response(text=text, status=code, content_type="application/json", headers=headers)


Endpoint = Callable[[Call], Awaitable[web.StreamResponse]]


# Reading


async def get(call: Call) -> web.StreamResponse:
    target = call.target
    if incoming.flag(call.request, "watch"):
        return await watch(call)
    return call.answer(call.api.get(target.kind, target.namespace, target.name))


async def list_or_watch(call: Call) -> web.StreamResponse:
    if incoming.flag(call.request, "watch"):
        return await watch(call)
    target, query = call.target, call.request.query
    selection = Selection.of(query, target.kind.resource)
    store = call.api.store
    records = selection.records(store, target.kind.resource, target.namespace)
    metadata: Object = {"resourceVersion": str(store.revision)}
    limit = query.get("limit", "")
    if query.get("continue"):
        revision, after = _read_continue(query["continue"])
        metadata["resourceVersion"] = str(revision)
        records = [record for record in records if record.key[1:] > after]
    if limit.isdigit() and 0 < int(limit) < len(records):
        if selection.everything:
            metadata["remainingItemCount"] = len(records) - int(limit)
        records = records[: int(limit)]
        metadata["continue"] = _continue(metadata["resourceVersion"], records[-1])
    return call.respond(call.form.many(records, metadata))


def _continue(revision: str, last: Record) -> str:
    """A place in a list. A watch from the first page's revision replays what changed while the pages were read."""
    return base64.urlsafe_b64encode(json.dumps([int(revision), *last.key[1:]]).encode()).decode()


def _read_continue(token: str) -> tuple[int, tuple[str, str]]:
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        return int(revision), (str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error):
        raise refusals.bad_request("continue key is not valid: it must be what an earlier page of the list gave") from None


async def watch(call: Call) -> web.StreamResponse:
    target, query = call.target, dict(call.request.query)
    if target.name:
        query["fieldSelector"] = f"metadata.name={target.name}"
    kind = target.kind
    watch = Watch(call.api.store, call.parts.wakeups, target, Selection.of(query, kind.resource), call.form)
    asked = WatchRequest.of(call.request)
    return await watch.serve(call.request, asked, lambda: call.api.registry.by_path(kind.group, kind.version, kind.plural) is not None)


# Writing


async def create(call: Call) -> web.StreamResponse:
    obj = incoming.checked(call.target, await incoming.body(call.request))
    if call.target.kind.virtual:
        return call.answer(reviews.answer(call.parts.tokens, call.target.kind.kind, obj, call.user), 201)
    if call.target.kind.namespaced and not call.target.namespace:
        raise method_not_allowed()
    return call.answer(call.api.create(obj, options=incoming.options(call.request, call.warnings)), 201)


async def update(call: Call) -> web.StreamResponse:
    target = call.target
    obj = incoming.checked(target, await incoming.body(call.request))
    if target.kind.custom and not obj["metadata"].get("resourceVersion"):
        cause = refusals.FieldCause("metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0: must be specified for an update")
        raise refusals.invalid(target.kind, target.name, [cause])
    options = incoming.options(call.request, call.warnings)
    return call.answer(call.api.update(obj, subresource=target.subresource, options=options))


async def patch(call: Call) -> web.StreamResponse:
    target = call.target
    content_type = incoming.media_type(call.request)
    options = incoming.options(call.request, call.warnings)
    if content_type == patching.APPLY:
        return await _apply(call)
    if content_type not in patching.accepted(target.kind):
        raise patching.unsupported(target.kind)
    change = await incoming.body(call.request, patch=True)
    changed = call.api.patch(
        target.kind,
        target.namespace,
        target.name,
        change,
        subresource=target.subresource,
        content_type=content_type,
        options=options,
    )
    return call.answer(changed)


async def _apply(call: Call) -> web.StreamResponse:
    target, query = call.target, call.request.query
    if not query.get("fieldManager"):
        why = "fieldManager: Required value: is required for apply patch"
        raise ApiError(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {why}')
    config = incoming.checked(target, await incoming.body(call.request, patch=True))
    if config["metadata"].get("managedFields"):
        raise refusals.bad_request("metadata.managedFields must be nil")
    options = incoming.options(call.request, call.warnings)
    force = incoming.flag(call.request, "force")
    obj, created = call.api.apply(config, force=force, subresource=target.subresource, options=options)
    return call.answer(obj, 201 if created else 200)


# Deleting


@dataclass(frozen=True)
class Deletion:
    """DeleteOptions of a request, from its body or its query."""

    propagation: str | None
    uid: str | None
    resource_version: str | None
    dry_run: bool

    @classmethod
    async def of(cls, call: Call) -> Deletion:
        query = call.request.query
        sent = await incoming.body(call.request) if call.request.can_read_body else None
        sent = sent if isinstance(sent, dict) else {}
        propagation = sent.get("propagationPolicy") or query.get("propagationPolicy") or None
        if sent.get("orphanDependents") or incoming.flag(call.request, "orphanDependents"):
            propagation = "Orphan"
        if propagation not in (None, *_PROPAGATIONS):
            supported = ", ".join(f'"{name}"' for name in _PROPAGATIONS)
            raise refusals.bad_request(f'propagationPolicy: Unsupported value: "{propagation}": supported values: {supported}')
        if propagation is None and call.target.kind.resource == _ORPHANED_BY_DEFAULT:
            propagation = "Orphan"
            call.warnings.add(
                "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
                "propagationPolicy=Orphan to suppress this warning"
            )
        preconditions = sent.get("preconditions") or {}
        dry_run = incoming.dry_run([*(sent.get("dryRun") or ()), *query.getall("dryRun", [])])
        return cls(propagation, preconditions.get("uid"), preconditions.get("resourceVersion"), dry_run)


async def delete(call: Call) -> web.StreamResponse:
    """Answers with the object while finalizers hold it, else with Success."""
    target = call.target
    asked = await Deletion.of(call)
    uid = call.api.get(target.kind, target.namespace, target.name)["metadata"]["uid"]
    left = call.api.delete(
        target.kind,
        target.namespace,
        target.name,
        propagation=asked.propagation,
        uid=asked.uid,
        resource_version=asked.resource_version,
        dry_run=asked.dry_run,
    )
    if left:
        return call.answer(left)
    return call.respond(_success({**refusals.details(target.kind, target.name), "uid": uid}))


async def delete_collection(call: Call) -> web.StreamResponse:
    """Answers with the objects as they were."""
    target = call.target
    asked = await Deletion.of(call)
    selection = Selection.of(call.request.query, target.kind.resource)
    deleted = call.api.delete_collection(
        target.kind,
        target.namespace,
        selection.matches,
        terms=selection.labels.terms,
        propagation=asked.propagation,
        dry_run=asked.dry_run,
    )
    return call.respond(call.form.many(deleted, {"resourceVersion": str(call.api.store.revision)}))


def _success(details: Object) -> str:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})


# Subresources


async def create_token(call: Call) -> web.StreamResponse:
    account = call.api.get(call.target.kind, call.target.namespace, call.target.name)
    asked = await incoming.body(call.request) if call.request.can_read_body else {}
    return call.respond(json.dumps(reviews.token_request(call.parts.tokens, account, asked)), 201)


async def pod_log(call: Call) -> web.StreamResponse:
    target = call.target
    pod = call.api.get(target.kind, target.namespace, target.name)
    container = pod_logs.container_of(pod, call.request.query.get("container"))
    wanted = pod_logs.Wanted.of(call.request, call.warnings)
    path = call.parts.pod_log(pod, container)

    def current() -> Object | None:
        now = call.api.find(target.kind, target.namespace, target.name)
        return now if now and now["metadata"]["uid"] == pod["metadata"]["uid"] else None

    return await pod_logs.serve(call.request, pod, container, wanted, path, current, call.warnings.header())


async def proxy_to_service(call: Call) -> web.StreamResponse:
    """Hand the request (with its token) to the part of this process that is behind the Service."""
    target = call.target
    parts = target.name.split(":")
    name = parts[0] if len(parts) == 1 else parts[1] if len(parts) == 3 or parts[0] in ("http", "https") else parts[0]
    call.api.get(target.kind, target.namespace, name)
    handler = call.parts.service_proxy.get(name)
    if handler is None:
        raise ApiError(503, "ServiceUnavailable", f'no endpoints available for service "{name}"')
    return await handler(call.request, target.rest)


async def proxy_to_pod(call: Call) -> web.StreamResponse:
    """What a pod answers on a port ("NAME:PORT"; the scheme may stand before it)."""
    target = call.target
    parts = target.name.removeprefix("http:").removeprefix("https:").split(":")
    pod = call.api.get(target.kind, target.namespace, parts[0])
    port = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 80
    text = call.parts.pod_port(pod, port, target.rest)
    if text is None:
        raise ApiError(503, "ServiceUnavailable", f"error trying to reach service: port {port} of the pod refuses the connection")
    return web.Response(text=text)


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


_COLLECTION: dict[str, Endpoint] = {"GET": list_or_watch, "POST": create, "DELETE": delete_collection}
_OBJECT: dict[str, Endpoint] = {"GET": get, "PUT": update, "PATCH": patch, "DELETE": delete}
_STATUS: dict[str, Endpoint] = {"GET": get, "PUT": update, "PATCH": patch}
_SUBRESOURCES: dict[tuple[str, str], dict[str, Endpoint]] = {
    ("pods", "log"): {"GET": pod_log},
    ("pods", "proxy"): {"GET": proxy_to_pod},
    ("serviceaccounts", "token"): {"POST": create_token},
    ("services", "proxy"): dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"), proxy_to_service),
}


def endpoint(target: Target, method: str) -> Endpoint | None:
    """What answers `method` there. None: there is no such resource. Raises ApiError 405."""
    methods: dict[str, Endpoint] | None
    if target.kind.virtual:
        methods = {"POST": create} if not target.name else None
    elif not target.subresource:
        methods = _OBJECT if target.name else _COLLECTION
    elif target.subresource == "status":
        methods = _STATUS if target.kind.status and not target.rest else None
    else:
        methods = _SUBRESOURCES.get((target.kind.resource, target.subresource))
    if methods is None:
        return None
    if method not in methods:
        raise method_not_allowed()
    return methods[method]
