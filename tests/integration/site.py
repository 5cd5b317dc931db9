"""A web server of the site: it has packages, and takes what is sent to it."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Where an isolated guest finds it that has the annotation `Site.services`.
URL = "http://10.0.2.100/"


class Site:
    """`folder`: what it has; `told`: (Authorization, JSON) of whatever was sent by POST."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[tuple[str | None, Any]] = []
        handler = functools.partial(_Handler, self, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        """On this machine."""
        return f"http://127.0.0.1:{self.server.server_port}/"

    @property
    def services(self) -> dict[str, str]:
        """An annotation of VMs."""
        return {"guest.vmshift.io/services": f"10.0.2.100:80=127.0.0.1:{self.server.server_port}"}


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, site: Site, *arguments: Any, **more: Any) -> None:
        self.site = site
        super().__init__(*arguments, **more)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.site.told.append((self.headers.get("Authorization"), json.loads(body)))
        self.send_response(201)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    folder.mkdir(exist_ok=True)
    site = Site(folder)
    threading.Thread(target=site.server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        site.server.shutdown()
        site.server.server_close()
