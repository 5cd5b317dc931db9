"""Connections from the loopback interface to the API: TLS is served, anything else is told so, and there are not too many of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl

from aiohttp import web

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 8192
_TLS_HANDSHAKE = b"\x16"  # the first byte of every TLS connection
_HANDSHAKE_SECONDS = 30.0
# Word for word what kube-apiserver answers.
_REFUSAL = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class Door(web.BaseSite):
    """A site of an aiohttp runner that looks at the first byte of a connection before it begins with TLS."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(runner, ssl_context=context)
        self._listener = _listen(host, port)
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"https://{host}:{port}"

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    async def start(self) -> None:
        await super().start()
        self._begin(self._accept())

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listener.close()
        await super().stop()

    def _begin(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _address = await loop.sock_accept(self._listener)
            except OSError as error:  # no more file descriptors: those that are there may end
                log.warning("cannot take a connection: %s", error.strerror)
                await asyncio.sleep(0.1)
                continue
            self._begin(self._admit(connection))

    async def _admit(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        server = self._runner.server
        assert server is not None
        if len(server.connections) + len(self._tasks) > MOST_CONNECTIONS:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                if await _first_byte(connection) == _TLS_HANDSHAKE:
                    await loop.connect_accepted_socket(server, connection, ssl=self._context)
                    return
                await loop.sock_sendall(connection, _REFUSAL)
        except (OSError, TimeoutError):  # it went, was too slow, or does not trust this server
            pass
        await _close(connection)


async def _first_byte(connection: socket.socket) -> bytes:
    """Without taking it away; empty when the client goes before it says anything."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)


async def _close(connection: socket.socket) -> None:
    """Read what has come, or the kernel would send a reset, and the client would never see the answer."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)
    connection.close()


def _listen(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    listener = socket.create_server((host, port), backlog=1024)
    listener.setblocking(False)
    return listener
