"""A small Kubernetes-like server on a real socket: for busy servers, broken connections, ended watches."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, connect


class Request:
    """What the server was asked: method, path, query (first values), headers, body (parsed JSON)."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        self.method, self.path, self.headers = handler.command, url.path, handler.headers
        self.query = {k: v[0] for k, v in parse_qs(url.query).items()}
        length = int(handler.headers.get("Content-Length") or 0)
        self.body = json.loads(handler.rfile.read(length)) if length else None


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

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
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
