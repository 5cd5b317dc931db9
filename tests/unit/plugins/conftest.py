"""Servers for the talk layer and the modules, on real sockets.

`kube` answers what a test says: for busy servers, broken connections, ended watches. `plane` is the embedded API server without
controllers: what a controller would write, a test writes.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import importlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

from ansible_collections.vmshift.mtv.controlplane.apiserver import http, pki, schemas
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind, Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.plugins.module_utils import releases
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, connect


class Request:
    """What the server was asked: method, path, query (first values), headers, body (parsed JSON; other bodies are left out)."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        self.method, self.path, self.headers = handler.command, url.path, handler.headers
        self.query = {k: v[0] for k, v in parse_qs(url.query).items()}
        length = int(handler.headers.get("Content-Length") or 0)
        raw = handler.rfile.read(length)
        self.body = json.loads(raw) if raw and "json" in handler.headers["Content-Type"] else None


Answer = Callable[[Request, BaseHTTPRequestHandler], None]


class KubeServer:
    """Answers each request with `answer`; keeps the requests in `requests`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Answer = lambda request, handler: send(handler, 404, {"kind": "Status", "reason": "NotFound", "message": "not found"})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                request = Request(self)
                outer.requests.append(request)
                outer.answer(request, self)

            do_POST = do_PATCH = do_DELETE = do_PUT = do_GET

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: Any) -> None:
                pass  # a client that ends a watch is no error

        self._make = lambda port: Server(("127.0.0.1", port), Handler)
        self._port = 0
        self.open()
        self.url = f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Listen (again, on the same port)."""
        self._server = self._make(self._port)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    """One answer: a dict or list as JSON, a string as text."""
    text = body if isinstance(body, str) else json.dumps(body)
    handler.send_response(status)
    handler.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
    handler.send_header("Content-Length", str(len(text.encode())))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(text.encode())


def send_events(handler: BaseHTTPRequestHandler, events: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    """A watch: each event as one chunk, as it comes; then the end."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for event in events:
        line = json.dumps(event).encode() + b"\n"
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        handler.wfile.flush()
    handler.wfile.write(b"0\r\n\r\n")


@pytest.fixture
def kube() -> Iterator[KubeServer]:
    server = KubeServer()
    server.send, server.send_events = send, send_events  # type: ignore[attr-defined]
    yield server
    server.close()


@pytest.fixture
def cluster(kube: KubeServer) -> Cluster:
    return connect({"host": kube.url, "api_key": "s3cret"})


def kinds_of(release: str) -> list[Kind]:
    """The kinds as that release of MTV serves them: without the fields (values, kinds) that came later."""
    return [cut for kind in schemas.built_in() if (cut := _as_of(kind, release)) is not None]


def _as_of(kind: Kind, release: str) -> Kind | None:
    later = [p for p, since in releases.since(kind.kind).items() if releases.number(since) > releases.number(release)]
    if not later:
        return kind
    if "" in later:
        return None
    schema = copy.deepcopy(kind.schema or {})
    for path in later:
        _cut(schema["properties"]["spec"], path)
    return dataclasses.replace(kind, schema=schema)


def _cut(spec: dict[str, Any], path: str) -> None:
    """Take one field, or one value of a field, out of a schema; it may have gone already with one above it."""
    field, _equals, value = path.partition("=")
    *above, last = field.replace("[]", ".[]").split(".")
    for part in above:
        spec = spec.get("items" if part == "[]" else "properties", {})
        spec = spec if part == "[]" else spec.get(part, {})
    if not value:
        spec.get("properties", {}).pop(last, None)
    elif last in spec.get("properties", {}):
        spec["properties"][last] = {**spec["properties"][last], "enum": [v for v in spec["properties"][last]["enum"] if v != value]}


class Plane:
    """The embedded API server in a thread, with an inventory that a test fills."""

    def __init__(self, state: State, kinds: Iterable[Kind] | None = None) -> None:
        self._kinds = kinds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        #: "providers/TYPE/UID/COLLECTION" -> list, or (status, headers)
        self.inventory: dict[str, Any] = {}
        self._run(self._open(state))
        self.kubeconfig = str(state.kubeconfig)
        self.state = state

    async def _open(self, state: State) -> None:
        state.prepare()
        self.store = Store(state.store)
        self.api = Api(self.store, Registry(self._kinds))
        tokens = Tokens(self.api, state)
        app = http.build_app(self.api, tokens=tokens, pod_log=lambda *_unused: None, service_proxy={"forklift-inventory": self._inventory})
        _runner, port = await http.start(app, pki.ensure_pki(state), "127.0.0.1", 0)
        self.url = f"https://127.0.0.1:{port}"
        pki.write_kubeconfig(state, self.url, tokens.admin)

    async def _end(self) -> None:
        """What still waits (for connections, for requests, for changes to watch) would be complained about when it is thrown away."""
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        if waiting:  # the server's own handling of a connection may take a cancellation for the client's, and go on
            await asyncio.wait(waiting, timeout=2)
        self.store.close()

    async def _inventory(self, request: web.Request, path: str) -> web.Response:
        found = self.inventory.get(path.strip("/"), (404, {}))
        if isinstance(found, tuple):
            return web.Response(status=found[0], headers=found[1])
        name = request.query.get("name")
        return web.json_response([i for i in found if name in (None, i["name"])] if isinstance(found, list) else found)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def do(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A verb of the Api, on its own thread."""

        async def call() -> Any:
            return getattr(self.api, method)(*args, **kwargs)

        return self._run(call())

    def make(self, kind: str, name: str, namespace: str = "mig", api_version: str = "forklift.konveyor.io/v1beta1", **fields: Any) -> Any:
        meta = {"name": name, **({"namespace": namespace} if namespace else {})}
        return self.do("create", {"apiVersion": api_version, "kind": kind, "metadata": meta, **fields})

    def provider(self, name: str, type: str = "ova", namespace: str = "mig", **spec: Any) -> Any:
        return self.make("Provider", name, namespace, spec={"type": type, "secret": {}, **spec})

    def controller(self, kind: str, decide: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Callable[[], None]:
        """Write the status that `decide` returns (None: leave it) for each object of the kind, whenever anything changes."""

        def reconcile() -> None:
            for obj in self.api.list(kind):
                status = decide(obj)
                if status is not None and obj.get("status") != status:
                    self.api.update_status({**obj, "status": status})

        return self.do("subscribe", lambda *_unused: self._loop.call_soon(reconcile))

    def later(self, seconds: float, method: str, *args: Any) -> None:
        """A verb of the Api, some time from now."""
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, getattr(self.api, method), *args)

    def close(self) -> None:
        # Not gracefully: clients keep their connections, and waiting for them would take longer than most tests.
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def conditions(obj: dict[str, Any], *types: str, category: str = "Required", **fields: Any) -> dict[str, Any]:
    """A status about the present spec with these conditions True."""
    listed = [{"type": t, "status": "True", "category": category, "lastTransitionTime": "2026-01-01T00:00:00Z", **fields} for t in types]
    return {"observedGeneration": obj["metadata"]["generation"], "conditions": listed}


@pytest.fixture
def plane(tmp_path: Any, request: pytest.FixtureRequest) -> Iterator[Plane]:
    """`@pytest.mark.mtv("2.10")`: the API of that release instead of the newest."""
    release = request.node.get_closest_marker("mtv")
    found = Plane(State(tmp_path / "state"), kinds_of(release.args[0]) if release else None)
    for namespace in ("mig", "konveyor-forklift"):
        found.make("Namespace", namespace, "", "v1")
    found.make("Service", "forklift-inventory", "konveyor-forklift", "v1", spec={"ports": [{"port": 8443}]})
    yield found
    found.close()


@pytest.fixture
def there(plane: Plane) -> Cluster:
    """The way to `plane`."""
    return connect({"kubeconfig": plane.kubeconfig})


@pytest.fixture
def run(plane: Plane, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """`run("provider", name=…, check_mode=True)`: a module as Ansible runs it, up to the JSON it prints; "OMIT" leaves an option out."""

    # Tests of action plugins make this process a controller, where warnings go elsewhere.
    monkeypatch.setattr(_internal, "is_controller", False)

    def call(name: str, /, check_mode: bool = False, **params: Any) -> dict[str, Any]:
        module = importlib.import_module(f"ansible_collections.vmshift.mtv.plugins.modules.{name}")
        given = {"kubeconfig": plane.kubeconfig, "_ansible_check_mode": check_mode, "_ansible_diff": True, **params}
        given = {k: v for k, v in given.items() if v != "OMIT"}
        capsys.readouterr()
        warnings._global_warnings.clear()  # Ansible keeps them per process, one process being one task
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        result = json.loads(capsys.readouterr().out)
        result["warnings"] = [w["event"]["msg"] if isinstance(w, dict) else w for w in result.get("warnings", [])]
        return result

    return call


@pytest.fixture
def conditions_of_status() -> Callable[..., dict[str, Any]]:
    return conditions
