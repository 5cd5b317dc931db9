"""The API over HTTPS: from connections to endpoints."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane.apiserver import discovery, endpoints, incoming, openapi
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
from ansible_collections.vmshift.mtv.controlplane.apiserver.door import Door
from ansible_collections.vmshift.mtv.controlplane.apiserver.endpoints import Aggregated, Call, Parts, PodPort, ServiceHandler
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.pki import Pki
from ansible_collections.vmshift.mtv.controlplane.apiserver.pod_logs import PodLog
from ansible_collections.vmshift.mtv.controlplane.apiserver.rbac import User, acting
from ansible_collections.vmshift.mtv.controlplane.apiserver.watch import Wakeups

log = logging.getLogger(__name__)

Object = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LARGEST_BODY = 3 * 1024 * 1024  # bytes; kube-apiserver's limit
_STOP_SECONDS = 0.25  # verbs are done by then; what still runs is watches and logs being followed
_TOO_MANY = 429
_CLIENT_GONE = 499  # in no standard; nginx's word for it
_PUBLIC = frozenset(("/healthz", "/readyz", "/livez", "/version"))
_IMMUTABLE = {"Cache-Control": "public, immutable, max-age=31536000"}


def build_app(
    api: Api,
    *,
    tokens: Tokens,
    pod_log: PodLog,
    service_proxy: Mapping[str, ServiceHandler] | None = None,
    pod_port: PodPort = lambda _pod, _port, _path: None,
    aggregated: Iterable[Aggregated] = (),
) -> web.Application:
    """The whole API as an application.

    `pod_log` finds the log file of a container, `service_proxy` what is behind Services, `pod_port` what pods answer on their ports;
    `aggregated` answer for groups of their own.
    """
    groups = {each.group: each for each in aggregated}
    server = _Server(Parts(api, tokens, Wakeups(api.store), pod_log, service_proxy or {}, pod_port, groups))
    app = web.Application(middlewares=[_refusals_as_status], client_max_size=_LARGEST_BODY)
    app.router.add_route("*", "/{path:.*}", server.handle)
    return app


async def start(app: web.Application, pki: Pki, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Serve `app` over TLS; a port of 0 takes a free one. Returns the runner (to be cleaned up) and the port. Raises OSError."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    try:
        door = Door(runner, host, port, pki.server_context())
    except OSError:
        await runner.cleanup()
        raise
    await door.start()
    return runner, door.port


@web.middleware
async def _refusals_as_status(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return _json(error.status(), error.code, {"Retry-After": "1"} if error.code == _TOO_MANY else None)
    except web.HTTPRequestEntityTooLarge:
        return _json(ApiError(413, "RequestEntityTooLarge", f"the request is larger than {_LARGEST_BODY} bytes").status(), 413)
    except ConnectionError:  # the client went while it was written to: nobody reads this any more
        return web.Response(status=_CLIENT_GONE)
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return _json(ApiError(500, "InternalError", "Internal error occurred: see the log of the control plane").status(), 500)


class _Server:
    """Finds what answers a request, and lets in who may ask."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path in _PUBLIC:
            return _json(discovery.version()) if path == "/version" else web.Response(text="ok")
        user = self._user(request)
        if request.method == "GET":
            found = self._described(request, path)
            if found is not None:
                return found
        parts = path.strip("/").split("/")
        if parts[0] == "apis" and len(parts) > 1 and parts[1] in self._parts.aggregated:
            return await self._aggregated(self._parts.aggregated[parts[1]], user, parts[2:], request)
        target = incoming.target(self._parts.api.registry, path)
        endpoint = endpoints.endpoint(target, request.method) if target else None
        if target is None or endpoint is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        self._authorize(user, target, request)
        acting.set(user)
        return await endpoint(Call(request, self._parts, target, user))

    async def _aggregated(self, api: Aggregated, user: User, parts: list[str], request: web.Request) -> web.Response:
        """…/VERSION/namespaces/NAMESPACE/PLURAL/NAME/SUBRESOURCE"""
        found = (
            api.access(request.method, parts[3], parts[5])
            if len(parts) == 6 and parts[0] in api.versions and parts[1] == "namespaces"
            else None
        )
        if found is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        (verb, resource), (namespace, plural, name, subresource) = found, parts[2:]
        if not self._parts.tokens.authorize(user, verb, api.group, resource, namespace, name):
            told = f'User "{user.name}" cannot {verb} resource "{resource}" in API group "{api.group}" in the namespace "{namespace}"'
            details = {"name": name, "group": api.group, "kind": plural}
            raise ApiError(403, "Forbidden", f'{plural}.{api.group} "{name}" is forbidden: {told}', details)
        sent = await incoming.body(request) if request.can_read_body else {}
        answer = api.answer(request.method, plural, subresource, namespace, name, sent if isinstance(sent, dict) else {})
        return web.Response(status=202) if answer is None else _json(answer)

    def _described(self, request: web.Request, path: str) -> web.Response | None:
        """Discovery and OpenAPI documents."""
        registry = self._parts.api.registry
        parts = path.strip("/").split("/")
        document: Object | None = None
        if path == "/api":
            document = discovery.versions(request.host)
        elif path == "/apis":
            document = discovery.groups(registry, self._parts.aggregated.values())
        elif parts[0] == "apis" and len(parts) in (2, 3) and parts[1] in self._parts.aggregated:
            document = discovery.aggregated(self._parts.aggregated[parts[1]], parts[2:])
        elif parts[0] == "apis" and len(parts) == 2:
            document = discovery.group(registry, parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            document = discovery.resources(registry, parts[1], parts[2])
        elif parts[0] == "api" and len(parts) == 2:
            document = discovery.resources(registry, "", parts[1])
        elif path == "/openapi/v2":
            body, content_type = openapi.version_2(request.headers.get("Accept", ""))
            return web.Response(body=body, content_type=content_type)
        elif path == "/openapi/v3":
            document = openapi.index(registry)
        elif path.startswith("/openapi/v3/"):
            return self._openapi(request, parts[2:])
        return None if document is None else _json(document)

    def _openapi(self, request: web.Request, parts: list[str]) -> web.Response | None:
        group, version = (parts[1], parts[2]) if len(parts) == 3 else ("", parts[-1])
        if discovery.resources(self._parts.api.registry, group, version) is None:
            return None
        document = openapi.document(self._parts.api.registry, group, version)
        return _json(document, headers=_IMMUTABLE if "hash" in request.query else None)

    def _user(self, request: web.Request) -> User:
        scheme, _unused, token = request.headers.get("Authorization", "").partition(" ")
        user = self._parts.tokens.authenticate(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
        if user is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return self._impersonated(user, request)

    def _impersonated(self, user: User, request: web.Request) -> User:
        name = request.headers.get("Impersonate-User")
        if not name:
            return user
        if not self._parts.tokens.authorize(user, "impersonate", "", "users", "", name):
            raise ApiError(403, "Forbidden", f'users "{name}" is forbidden: User "{user.name}" cannot impersonate resource "users"')
        groups = tuple(request.headers.getall("Impersonate-Group", []))
        return User(name, (*groups, "system:authenticated"))

    def _authorize(self, user: User, target: incoming.Target, request: web.Request) -> None:
        kind, verb = target.kind, target.verb(request)
        if self._parts.tokens.authorize(user, verb, kind.group, target.resource, target.namespace, target.name):
            return
        named = f' "{target.name}"' if target.name else ""
        where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
        told = f'User "{user.name}" cannot {verb} resource "{target.resource}" in API group "{kind.group}" {where}'
        about = {"name": target.name, "group": kind.group, "kind": kind.plural}
        details = {key: value for key, value in about.items() if value}
        raise ApiError(403, "Forbidden", f"{kind.resource}{named} is forbidden: {told}", details)


def _json(body: Object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type="application/json", headers=headers)
