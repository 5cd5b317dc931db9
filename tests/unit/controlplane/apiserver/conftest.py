"""An Api over a store of its own, a CRD to try things with, and the real HTTPS server with a small client."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver import http, pki
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind, Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.state import State

Object = dict[str, Any]

NAMESPACE = "team"
WIDGET_CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.try.example.com"},
    "spec": {
        "group": "try.example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wg"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "SIZE", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "READY", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status', "priority": 1},
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 0},
                                    "color": {"type": "string", "default": "red", "enum": ["red", "blue"]},
                                    "tags": {"type": "array", "items": {"type": "string"}},
                                    "ports": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["name"],
                                        "items": {
                                            "type": "object",
                                            "properties": {"name": {"type": "string"}, "number": {"type": "integer"}},
                                        },
                                    },
                                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


def configmap(name: str, data: Object | None = None, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE, **metadata}, "data": data or {}}


def widget(name: str, spec: Object | None = None, **metadata: Any) -> Object:
    return {
        "apiVersion": "try.example.com/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {"size": 1} if spec is None else spec,
    }


def owned_by(*owners: Object, **more: Any) -> list[Object]:
    return [
        {"apiVersion": o["apiVersion"], "kind": o["kind"], "name": o["metadata"]["name"], "uid": o["metadata"]["uid"], **more}
        for o in owners
    ]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    store = Store(tmp_path / "store.sqlite")
    made = Api(store, Registry())
    made.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield made
    store.close()


@pytest.fixture
def widgets(api: Api) -> Kind:
    """A user's custom kind, served."""
    api.create(WIDGET_CRD)
    kind = api.registry.by_kind("try.example.com/v1", "Widget")
    assert kind
    return kind


class Switches:
    """A group that something beside the objects answers for: switches of widgets."""

    group, versions = "switches.try.example.com", ("v1",)

    def resources(self) -> list[Object]:
        return [{"name": "widgets/press", "singularName": "", "namespaced": True, "kind": "Widget", "verbs": ["update"]}]

    def access(self, method: str, plural: str, subresource: str) -> tuple[str, str] | None:
        if (plural, subresource) != ("widgets", "press"):
            return None
        if method not in ("GET", "PUT"):
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        return ("get" if method == "GET" else "update"), "widgets/press"

    def answer(self, method: str, plural: str, subresource: str, namespace: str, name: str, body: Object) -> Object | None:
        if name == "broken":
            raise ApiError(409, "Conflict", "it is broken")
        return {"of": f"{namespace}/{name}"} if method == "GET" or body.get("tell") else None


class Client:
    """Speaks JSON with the server under test."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self.session = session
        self.url = url
        self.token = token
        self.headers: Any = {}  # of the last answer

    async def call(self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str) -> tuple[int, Any]:
        """(status, decoded body)"""
        token = self.token if token is None else token
        sent = {"Content-Type": headers.pop("content_type", "application/json"), **{k.replace("_", "-"): v for k, v in headers.items()}}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, (str, bytes)) else None if body is None else json.dumps(body)
        async with self.session.request(method, self.url + path, data=data, headers=sent) as answer:
            self.headers = answer.headers
            text = await answer.text()
            try:
                return answer.status, json.loads(text)
            except ValueError:
                return answer.status, text

    async def watch(self, path: str, seconds: int = 1, opened: asyncio.Event | None = None) -> list[Object]:
        """The events of a watch that the server ends; `opened` is set when it has begun."""
        query = f"{path}{'&' if '?' in path else '?'}watch=true&timeoutSeconds={seconds}"
        async with self.session.get(self.url + query, headers={"Authorization": f"Bearer {self.token}"}) as answer:
            assert answer.status == 200, await answer.text()
            if opened:
                opened.set()
            return [json.loads(line) async for line in answer.content]


class Served:
    """The parts behind the server under test."""

    def __init__(self, api: Api, tokens: Tokens, state: State) -> None:
        self.api = api
        self.tokens = tokens
        self.state = state
        self.proxied: list[tuple[str, str]] = []


@pytest.fixture
def served(api: Api, tmp_path: Path) -> Served:
    state = State(tmp_path / "state")
    pki.ensure_pki(state)
    return Served(api, Tokens(api, state), state)


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Client]:
    """A client of the real server, over TLS with the server's own CA, as administrator."""

    async def inventory(request: aiohttp.web.Request, path: str) -> aiohttp.web.Response:
        return aiohttp.web.json_response({"path": path, "query": request.query_string, "token": request.headers["Authorization"]})

    certificates = pki.ensure_pki(served.state)
    app = http.build_app(
        served.api,
        tokens=served.tokens,
        pod_log=lambda pod, container: served.state.pod(pod["metadata"]["uid"]) / f"{container}.log",
        service_proxy={"forklift-inventory": inventory},
        pod_port=lambda pod, port, path: f"{pod['metadata']['name']} says {path}" if port == 2112 else None,
        aggregated=[Switches()],
    )
    runner, port = await http.start(app, certificates, "127.0.0.1", 0)
    trust = ssl.create_default_context(cafile=str(certificates.ca_cert_path))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        yield Client(session, f"https://127.0.0.1:{port}", served.tokens.admin)
    await runner.cleanup()
