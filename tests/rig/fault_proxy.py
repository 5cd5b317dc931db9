"""An HTTPS proxy that does what goes wrong between a client and a Kubernetes API server, or a vCenter.

It presents the server's own certificate, so another port is all that a client needs: `url`, and of a control plane `kubeconfig`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml
from aiohttp import web

WRITES = ("POST", "PUT", "PATCH", "DELETE")
_HOP_BY_HOP = ("host", "connection", "transfer-encoding", "content-length", "content-encoding", "accept-encoding")


class Seen(NamedTuple):
    """A request that came; `faulted`: something was done to it."""

    method: str
    path: str
    watch: bool
    faulted: bool


@dataclass(frozen=True)
class Answer:
    """What the control plane answered."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Call:
    """One request on its way."""

    proxy: FaultProxy
    request: web.Request
    body: bytes

    @property
    def is_watch(self) -> bool:
        return self.request.query.get("watch") == "true"

    async def forward(self) -> Answer:
        """Let the control plane act."""
        async with self.proxy.send(self.request, self.body) as reply:
            return Answer(reply.status, _passed_on(reply.headers), await reply.read())

    async def pass_on(self, *, events: int | None = None) -> web.StreamResponse:
        """The answer as it comes; of a watch so many whole events and the half of one more."""
        async with self.proxy.send(self.request, self.body) as reply:
            response = web.StreamResponse(status=reply.status, headers=_passed_on(reply.headers))
            await response.prepare(self.request)
            seen = 0
            async for line in reply.content:
                if events is not None and seen >= events:
                    await response.write(line[: len(line) // 2])
                    break
                await response.write(line)
                seen += 1
            else:
                await response.write_eof()
            return response

    def reset(self) -> web.StreamResponse:
        """End the connection as a crashed server does: with RST."""
        transport = self.request.transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        return web.Response()

    def garble(self) -> web.StreamResponse:
        """Say what is no TLS in the midst of a connection, as a broken middlebox does, and end it."""
        transport = self.request.transport
        if transport is not None:
            with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as plain:
                plain.setblocking(True)
                plain.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            transport.abort()
        return web.Response()

    async def stall(self) -> web.StreamResponse:
        """Say nothing more until the client goes, or the fault is over."""
        await self.proxy.quiet.wait()
        return self.reset()


Fault = Callable[[Call], Awaitable[web.StreamResponse]]


def _status(code: int, reason: str, message: str, **headers: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": message}
    return web.json_response(body, status=code, headers=headers)


def _page(code: int, title: str) -> web.Response:
    return web.Response(status=code, text=f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>")


async def busy(_call: Call) -> web.StreamResponse:
    return _status(
        429, "TooManyRequests", "the server has received too many requests and has asked us to try again later", **{"Retry-After": "1"}
    )


async def unavailable(_call: Call) -> web.StreamResponse:
    return _status(503, "ServiceUnavailable", "the server is currently unable to handle the request")


async def internal_error(_call: Call) -> web.StreamResponse:
    return _status(500, "InternalError", "Internal error occurred: etcdserver: leader changed")


async def internal_error_after(call: Call) -> web.StreamResponse:
    await call.forward()
    return _status(500, "InternalError", "Internal error occurred: etcdserver: request timed out")


async def gateway_page_after(call: Call) -> web.StreamResponse:
    await call.forward()
    return _page(502, "502 Bad Gateway")


async def unavailable_page(_call: Call) -> web.StreamResponse:
    return _page(503, "503 Service Unavailable")


async def late(call: Call) -> web.StreamResponse:
    await asyncio.sleep(0.3)
    return await call.pass_on()


async def garbled(call: Call) -> web.StreamResponse:
    return call.garble()


async def gateway_timeout_after(call: Call) -> web.StreamResponse:
    await call.forward()
    return _status(504, "Timeout", "Timeout: request did not complete within requested timeout - context deadline exceeded")


async def conflict(call: Call) -> web.StreamResponse:
    """Somebody else was faster: only writes that name an object can meet that."""
    if call.request.method in ("PUT", "PATCH", "DELETE"):
        told = "the object has been modified; please apply your changes to the latest version and try again"
        return _status(409, "Conflict", f"Operation cannot be fulfilled: {told}")
    return await call.pass_on()


async def reset_before(call: Call) -> web.StreamResponse:
    return call.reset()


async def reset_after(call: Call) -> web.StreamResponse:
    await call.forward()
    return call.reset()


async def reset_midway(call: Call) -> web.StreamResponse:
    """The half of an answer; of a watch one event and a half."""
    if call.is_watch:
        await call.pass_on(events=1)
        return call.reset()
    answer = await call.forward()
    response = web.StreamResponse(status=answer.status, headers={**answer.headers, "Content-Length": str(len(answer.body))})
    await response.prepare(call.request)
    await response.write(answer.body[: len(answer.body) // 2])
    return call.reset()


async def stall_before(call: Call) -> web.StreamResponse:
    return await call.stall()


async def stall_after(call: Call) -> web.StreamResponse:
    await asyncio.shield(call.forward())  # also when the client gives up before
    return await call.stall()


async def silent_watch(call: Call) -> web.StreamResponse:
    """A watch that opens and never says anything."""
    if not call.is_watch:
        return await call.pass_on()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(call.request)
    return await call.stall()


async def gone(call: Call) -> web.StreamResponse:
    """410 for a watch or a later page of a list."""
    if call.is_watch or call.request.query.get("continue"):
        return _status(410, "Expired", "too old resource version: 1 (99)")
    return await call.pass_on()


async def gone_in_watch(call: Call) -> web.StreamResponse:
    """The same told inside the watch, as kube-apiserver does once it is open."""
    if not call.is_watch:
        return await call.pass_on()
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": 410,
        "reason": "Expired",
        "message": "too old resource version",
    }
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(call.request)
    await response.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
    await response.write_eof()
    return response


async def expired_token(_call: Call) -> web.StreamResponse:
    return _status(401, "Unauthorized", "Unauthorized")


class Storm:
    """Faults at random."""

    def __init__(self, faults: Sequence[Fault], dice: random.Random) -> None:
        self._faults, self._dice = faults, dice
        self._calm = True

    def next(self) -> Fault | None:
        self._calm = not self._calm or self._dice.random() < 0.5
        return None if self._calm else self._dice.choice(self._faults)


#: Of these a client learns only by its own timeout.
SILENT: set[Fault | None] = {stall_before, stall_after, silent_watch}


class FaultProxy:
    """`with FaultProxy(url, pki) as proxy: proxy.arm(reset_after, at=2)`: a fault for the third request from now on.

    upstream: https://HOST:PORT, whose certificate, key and authority lie in `pki` as server.crt, server.key and ca.crt.
    """

    def __init__(self, upstream: str, pki: Path) -> None:
        self._upstream, self._pki = upstream, pki
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._fault: Fault | None = None
        self._storm: Storm | None = None
        self._at = 0
        self._lasting = False
        self.quiet = asyncio.Event()
        #: What was asked since the last arm().
        self.seen: list[Seen] = []

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)
        self.url = f"https://127.0.0.1:{port}"
        return self

    def __exit__(self, *_unused: object) -> None:
        self.disarm()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def arm(self, fault: Fault, at: int = 0, *, lasting: bool = False) -> None:
        """Do `fault` to the request number `at` from now on (from 0), and when lasting to all that follow."""
        self.disarm()
        self._at, self._lasting = at, lasting
        self._fault = fault

    def storm(self, faults: Sequence[Fault], seed: int) -> None:
        """From now on a fault at about every third request, never at two in a row."""
        self.disarm()
        self._storm = Storm(faults, random.Random(seed))

    def disarm(self) -> None:
        """No more faults; what stalls is let go."""
        self._fault = self._storm = None
        self.seen = []
        before, self.quiet = self.quiet, asyncio.Event()
        self._loop.call_soon_threadsafe(before.set)

    @property
    def faulted(self) -> list[Seen]:
        return [request for request in self.seen if request.faulted]

    def stalls_within(self, requests: int) -> bool:
        """One of so many next requests will wait in vain."""
        return self._fault in SILENT and any(self._concerned(len(self.seen) + number) for number in range(requests))

    def _concerned(self, number: int) -> bool:
        return number == self._at or (self._lasting and number > self._at)

    def send(self, request: web.Request, body: bytes) -> Any:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        url = self._upstream + request.raw_path
        return self._session.request(request.method, aiohttp.client.URL(url, encoded=True), data=body or None, headers=headers)

    async def _open(self) -> int:
        trust = ssl.create_default_context(cafile=str(self._pki / "ca.crt"))
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False)
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(self._pki / "server.crt", self._pki / "server.key")
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=own).start()
        return self._runner.addresses[0][1]

    async def _close(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        fault = self._storm.next() if self._storm else self._fault if self._concerned(len(self.seen)) else None
        call = Call(self, request, await request.read())
        self.seen.append(Seen(request.method, request.path, call.is_watch, fault is not None))
        return await (fault(call) if fault else call.pass_on())


class PlaneProxy(FaultProxy):
    """Before a control plane; `kubeconfig`, in `folder`, leads through it."""

    def __init__(self, kubeconfig: Path, pki: Path, folder: Path) -> None:
        self._config = yaml.safe_load(kubeconfig.read_text())
        self.kubeconfig = folder / "faulty.kubeconfig"
        super().__init__(self._config["clusters"][0]["cluster"]["server"], pki)

    def __enter__(self) -> PlaneProxy:
        super().__enter__()
        self._config["clusters"][0]["cluster"]["server"] = self.url
        self.kubeconfig.touch(0o600)
        self.kubeconfig.write_text(yaml.safe_dump(self._config))
        return self


def _passed_on(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
