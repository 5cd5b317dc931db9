"""The Inventory service over HTTP: read only, bearer tokens, the routes and answers of MTV's."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane import automation
from ansible_collections.vmshift.mtv.controlplane.context import CONTROLLER_NAMESPACE
from ansible_collections.vmshift.mtv.controlplane.inventory.items import COLLECTIONS, ProviderInventory, has_path
from ansible_collections.vmshift.mtv.controlplane.inventory.views import (
    MAX_DETAIL,
    TREES,
    WORKLOADS,
    item_view,
    listed,
    provider_view,
    schema,
    single,
    tree,
)
from ansible_collections.vmshift.mtv.controlplane.jsontext import encoded
from ansible_collections.vmshift.mtv.plugins.module_utils import job_templates
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import GROUP, PROVIDER_TYPES

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import Inventory

Object = dict[str, Any]
Handler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]

#: How long a request waits for an inventory that is being loaded before it is answered 206.
WAIT = 10.0  # seconds
#: How long a granted permission is remembered.
GRANTED = 10.0  # seconds
#: How many job templates are told where nothing else is asked for, and at most.
JOB_TEMPLATES, MOST_JOB_TEMPLATES = 500, 2000

_INTEGER = re.compile(r"[+-]?\d{1,9}")


def build_inventory_app(inventory: Inventory, tokens: Tokens, api: Api, *, wait: float = WAIT) -> web.Application:
    """The service for a port of its own."""
    service = _Service(inventory, tokens, api, wait)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await service.answer(request, request.path)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


def proxy_handler(inventory: Inventory, tokens: Tokens, api: Api, *, wait: float = WAIT) -> Handler:
    """The service behind the API server's service proxy: (request, path within the service) -> response."""
    return _Service(inventory, tokens, api, wait).answer


class _Answer(Exception):
    """Ends a request early."""

    def __init__(self, status: int, headers: dict[str, str] | None = None, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.headers = {**(headers or {}), **({"forklift-error-message": message} if message else {})}


class _Query:
    """The query parameters of a request. Raises _Answer 400."""

    def __init__(self, request: web.Request) -> None:
        query = request.query
        self.namespace = query.get("namespace", "")
        self.path = query.get("name", "")
        self.name = self.path.rpartition("/")[2]
        self.limit = _integer(query.get("limit", ""), least=0)
        self.offset = _integer(query.get("offset", ""), least=0) or 0
        detail = query.get("detail", "")
        self.detail = MAX_DETAIL if detail.lower() == "all" else _integer(detail) or 0

    def select(self, items: list[Object]) -> list[Object]:
        chosen = [
            item
            for item in items
            if (not self.name or item["name"] == self.name)
            and ("/" not in self.path or "path" not in item or has_path(item, self.path))
            and (not self.namespace or item.get("namespace", self.namespace) == self.namespace)
        ]
        return chosen[self.offset : None if self.limit is None else self.offset + self.limit]


class _Service:
    def __init__(self, inventory: Inventory, tokens: Tokens, api: Api, wait: float) -> None:
        self._inventory = inventory
        self._tokens = tokens
        self._api = api
        self._wait = wait
        self._granted: dict[tuple[str, ...], float] = {}

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        try:
            return await self._route(request, path.strip("/")) if request.method == "GET" else _no_route()
        except _Answer as answer:
            return web.Response(status=answer.status, headers=answer.headers)

    async def _route(self, request: web.Request, path: str) -> web.Response:
        if path == "schema":
            return _json(schema(PROVIDER_TYPES))
        if path == "aap/job-templates":
            return await self._job_templates(request)
        root, *parts = path.split("/")
        if root != "providers" or (parts and parts[0] not in PROVIDER_TYPES):
            return _no_route()
        if len(parts) < 2:
            return self._providers(request, *parts)
        type, uid, *rest = parts
        return await self._provider(request, type, uid, rest) if _is_route(type, rest) else _no_route()

    def _providers(self, request: web.Request, only: str = "") -> web.Response:
        """All providers by type, or a list of those of one type."""
        query = _Query(request)
        self._permit(request, "list", query.namespace)
        found: dict[str, list[Object]] = {type: [] for type in PROVIDER_TYPES}
        for provider in self._api.list("Provider"):
            known = self._inventory.get(provider["metadata"]["uid"])
            found.get(provider["spec"].get("type", ""), []).append(provider_view(provider, known, query.detail))
        chosen = {type: query.select(views) for type, views in found.items()}
        return _json(chosen[only] if only else chosen)

    async def _job_templates(self, request: web.Request) -> web.Response:
        """{"count", "results": [{"id", "name"}]} of the automation controller that the settings name (facts 4.4)."""
        most = _integer(request.query.get("max", ""), least=1) or JOB_TEMPLATES
        self._permit(request, "list", request.query.get("namespace", ""))
        try:
            platform = automation.of_settings(self._api, CONTROLLER_NAMESPACE, automation.settings(self._api, CONTROLLER_NAMESPACE))
            if platform is None:
                return _json({"message": "AAP is not configured (set ForkliftController aap_url and aap_token_secret_name)."}, 503)
            results, count = await asyncio.to_thread(job_templates.offered, platform, min(most, MOST_JOB_TEMPLATES))
        except TalkError as error:
            return _json({"message": str(error)}, 502)
        return _json({"count": count, "results": results})

    async def _provider(self, request: web.Request, type: str, uid: str, rest: list[str]) -> web.Response:
        """One provider, and what is below it."""
        query = _Query(request)
        provider = next((p for p in self._api.list("Provider") if p["metadata"]["uid"] == uid), None)
        known = self._inventory.get(uid)
        if provider is None or known is None or known.type != type:
            raise _Answer(404, {"X-Reason": "ProviderNotFound"})
        self._permit(request, "get", provider["metadata"]["namespace"], provider["metadata"]["name"])
        if "X-Watch" in request.headers:
            raise _Answer(501, message="watching the inventory is not offered here: ask again instead")
        known = await self._loaded(uid)
        if not rest:
            return _json(provider_view(provider, known, MAX_DETAIL))
        if rest[0] == "tree":
            return _json(tree(known, rest[1], query.detail))
        collection, *ids = rest
        if not ids:
            return _json([item_view(type, collection, item, query.detail) for item in query.select(listed(known, collection))])
        item = known.item("vms" if collection == "workloads" else collection, ids[0])
        if item is None:
            raise _Answer(404)
        return _json(known.workload(ids[0]) if collection == "workloads" else single(known, collection, item))

    async def _loaded(self, uid: str) -> ProviderInventory:
        """Wait for the inventory, whatever replaces it meanwhile."""
        deadline = time.monotonic() + self._wait
        while known := self._inventory.get(uid):
            if known.loaded:
                return known
            left = deadline - time.monotonic()
            if left <= 0:
                raise _Answer(206)
            try:
                await asyncio.wait_for(known.ready.wait(), min(left, 1.0))
            except TimeoutError:
                continue
        raise _Answer(404, {"X-Reason": "ProviderNotFound"})

    def _permit(self, request: web.Request, verb: str, namespace: str, name: str = "") -> None:
        """Raises _Answer 401, or 403 in the words of an access review."""
        scheme, _unused, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _Answer(401)
        asked, now = (token.strip(), verb, namespace, name), time.monotonic()
        if self._granted.get(asked, 0) > now:
            return
        self._granted = {key: until for key, until in self._granted.items() if until > now}
        user = self._tokens.authenticate(token.strip())
        if user is None:
            raise _Answer(401)
        if not self._tokens.authorize(user, verb, GROUP, "providers", namespace, name):
            raise _Answer(
                403,
                message=f'providers.{GROUP} is forbidden: User "{user.name}" cannot {verb} resource "providers" in API group "{GROUP}" '
                f'in the namespace "{namespace}"',
            )
        self._granted[asked] = now + GRANTED


def _is_route(type: str, rest: list[str]) -> bool:
    if not rest:
        return True
    if rest[0] in COLLECTIONS.get(type, ()):
        return len(rest) <= 2
    if len(rest) != 2:
        return False
    return (rest[0] == "workloads" and type in WORKLOADS) or (rest[0] == "tree" and rest[1] in TREES.get(type, ()))


def _integer(text: str, least: int | None = None) -> int | None:
    """None when absent. Raises _Answer 400."""
    if not text:
        return None
    if not _INTEGER.fullmatch(text) or (least is not None and int(text) < least):
        raise _Answer(400)
    return int(text)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=encoded(body), status=status, headers={"Content-Type": "application/json; charset=utf-8"})


def _no_route() -> web.Response:
    return web.Response(body=b"404 page not found", status=404, headers={"Content-Type": "text/plain"})
