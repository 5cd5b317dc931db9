"""A double of Ansible Automation Platform's API over HTTPS, with answers in the shape of the real one's."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "aap-token-value"
TEMPLATES = [
    {"id": 7, "name": "Register in CMDB", "type": "job_template", "summary_fields": {"organization": {"id": 1, "name": "Ops"}}},
    {"id": 8, "name": "Notify", "type": "job_template", "summary_fields": {"organization": {"id": 1, "name": "Ops"}}},
    {"id": 9, "name": "Notify", "type": "job_template", "summary_fields": {"organization": {"id": 2, "name": "Dev"}}},
    {"id": 10, "name": "Register DNS", "type": "job_template", "summary_fields": {}},
]
JOB = 42


class Platform:
    """`root`: what /api/ answers; `answer`: a status instead of anything; `statuses`: of its job, one for each look, the last one for ever.

    `asked`: the paths of GETs; `launched`: (id of the job template, body) of POSTs.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.root: dict[str, Any] = {
            "description": "AWX REST API",
            "current_version": "/api/v2/",
            "available_versions": {"v2": "/api/v2/"},
        }
        self.answer = 0
        self.asked: list[str] = []
        self.launched: list[tuple[int, Any]] = []
        self.statuses = ["pending", "running", "successful"]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                outer.asked.append(self.path)
                self.give(*outer.reply(url.path, {k: v[0] for k, v in parse_qs(url.query).items()}, self.headers["Authorization"]))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.give(*outer.launch(urlsplit(self.path).path, body, self.headers["Authorization"]))

            def give(self, status: int, body: Any) -> None:
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "https://elsewhere.example.com/api/")
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def log_message(self, *_unused: Any) -> None:
                """Nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_unused: Any) -> None:
                """A client that does not trust the certificate."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def reply(self, path: str, query: dict[str, str], authorization: str | None) -> tuple[int, Any]:
        if refusal := self._refusal(path, authorization):
            return refusal
        if path == "/api/":
            return 200, self.root
        if path == f"{self._prefix}/jobs/{JOB}/":
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            return 200, {"id": JOB, "type": "job", "status": status, "failed": status in ("failed", "error", "canceled")}
        if path != f"{self._prefix}/job_templates/":
            return 404, {"detail": "Not found."}
        found = [
            t
            for t in TEMPLATES
            if query.get("name", t["name"]) == t["name"] and query.get("name__icontains", "").lower() in str(t["name"]).lower()
        ]
        if query.get("order_by") == "name" and "page" in query:
            found.sort(key=lambda t: str(t["name"]))
        size, page = int(query.get("page_size", 25)), int(query.get("page", 1))
        shown = found[size * (page - 1) : size * page]
        if page > 1 and not shown:
            return 404, {"detail": "Invalid page."}
        return 200, {"count": len(found), "next": None, "previous": None, "results": shown}

    def launch(self, path: str, body: Any, authorization: str | None) -> tuple[int, Any]:
        if refusal := self._refusal(path, authorization):
            return refusal
        known = {f"{self._prefix}/job_templates/{template['id']}/launch/": int(str(template["id"])) for template in TEMPLATES}
        if path not in known:
            return 404, {"detail": "Not found."}
        self.launched.append((known[path], body))
        return 201, {"job": JOB, "ignored_fields": {}, "id": JOB, "type": "job", "url": f"{self._prefix}/jobs/{JOB}/", "status": "pending"}

    @property
    def _prefix(self) -> str:
        return str(self.root.get("current_version") or "/api/controller/v2/").rstrip("/")

    def _refusal(self, path: str, authorization: str | None) -> tuple[int, Any] | None:
        if self.answer == 200:
            return 200, b"<html>a portal</html>"
        if self.answer:
            return self.answer, {"detail": "no"}
        if path != "/api/" and authorization != f"Bearer {TOKEN}":
            return 401, {"detail": "Authentication credentials were not provided."}
        return None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
