"""What stands before a server and passes bytes on, until a test holds them up, cuts them off, or lets nobody in."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

REGION = "Gated"
LONG = 1 << 20  # bytes: what has come over one connection when it is a download


class Gate:
    """`url`: what `upstream` has there. Certificates are its own, so it must be called by the same host name.

    `held`: set once a connection is held up; `refused`: connections that were let in no further since it was shut.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = parts._replace(netloc=f"127.0.0.1:{self._listener.getsockname()[1]}").geturl()
        self.held = threading.Event()
        self.refused = self.cuts = 0
        self._cut_after = self._left = 0
        self._pass = threading.Event()
        self._pass.set()
        self._lock = threading.Lock()
        self._is_open = True
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, after: int, times: int) -> None:
        """Connections over which more than `after` bytes of answers have come are cut, so many `times`."""
        self._cut_after, self.cuts = after, times

    def hold(self, after: int) -> None:
        """Once more than `after` bytes of downloads have come, they are held up, until the gate is shut or opened."""
        self._pass.clear()
        self.held.clear()
        self._left = after

    def shut(self) -> None:
        """Reset all connections, and those to come."""
        with self._lock:
            self.refused, self._is_open = 0, False
            for end in self._connections:
                shut(end)
            self._connections.clear()
        self._pass.set()

    def open(self) -> None:
        self._is_open = True
        self._pass.set()

    def close(self) -> None:
        self.shut()
        shut(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._let_in(client)

    def _let_in(self, client: socket.socket) -> None:
        if not self._is_open:
            self.refused += 1
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        server = socket.create_connection(self._upstream)
        self._connections += [client, server]
        for source, sink, answers in ((client, server, False), (server, client, True)):
            threading.Thread(target=self._pump, args=(source, sink, answers), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                passed += len(data)
                if answers and self.cuts and passed > self._cut_after:
                    self.cuts -= 1
                    break
                if answers and passed > LONG:
                    self._hold_up(len(data))
                sink.sendall(data)
        for end in (source, sink):
            shut(end)

    def _hold_up(self, length: int) -> None:
        self._left -= length
        if self._left < 0 and not self._pass.is_set():
            self.held.set()
            self._pass.wait()


def shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def region(openstack: Any, gates: Mapping[str, Gate]) -> Iterator[str]:
    """The name of a region of the cloud whose services (by type: "image") are reached through gates; no others are in it."""
    with openstack.connect(admin=True) as cloud:
        identity = cloud.identity
        made = identity.create_region(id=REGION)
        services = {service.type: service.id for service in identity.services()}
        endpoints = [
            identity.create_endpoint(service_id=services[type], interface="public", url=gate.url, region_id=REGION)
            for type, gate in gates.items()
        ]
        try:
            yield REGION
        finally:
            for gate in gates.values():
                gate.close()
            for endpoint in endpoints:
                identity.delete_endpoint(endpoint)
            identity.delete_region(made)
