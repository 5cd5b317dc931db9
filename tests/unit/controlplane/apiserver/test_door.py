"""What comes to the port that is no well-behaved client: plain HTTP, silence, too many, too much."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver import door, watch


def port_of(client: Any) -> int:
    return int(client.url.rpartition(":")[2])


async def test_plain_http_is_told_what_this_is(client: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(client))
    writer.write(b"GET /api/v1/secrets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nothing\r\n\r\n")
    assert await reader.read() == b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    writer.close()
    assert (await client.call("GET", "/api/v1/namespaces"))[0] == 200


async def test_who_says_nothing_or_nonsense_is_in_nobodys_way(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_HANDSHAKE_SECONDS", 0.2)
    silent, silent_writer = await asyncio.open_connection("127.0.0.1", port_of(client))
    babbling, babbling_writer = await asyncio.open_connection("127.0.0.1", port_of(client))
    babbling_writer.write(b"\x16" + b"\xff" * 300)
    assert (await client.call("GET", "/api/v1/namespaces"))[0] == 200
    assert await silent.read() == b""
    with pytest.raises(ConnectionError):  # or the end, with an alert before it
        assert b"HTTP" not in await babbling.read()
        raise ConnectionResetError
    silent_writer.close()
    babbling_writer.close()


async def test_a_client_that_does_not_trust_the_server_goes_quietly(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port_of(client), ssl=ssl.create_default_context(), server_hostname="localhost")
    await asyncio.sleep(0.1)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


async def test_there_are_not_more_connections_than_there_is_room_for(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await client.call("GET", "/api/v1/namespaces"))[0] == 200  # keeps its connection
    monkeypatch.setattr(door, "MOST_CONNECTIONS", 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(client))
    writer.write(b"x")
    with pytest.raises(ConnectionError):  # or the end
        assert await reader.read() == b""
        raise ConnectionResetError
    writer.close()
    assert (await client.call("GET", "/api/v1/namespaces"))[0] == 200


async def test_there_are_not_more_watches_than_there_is_room_for(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_WATCHES", 1)
    opened = asyncio.Event()
    first = asyncio.create_task(client.watch("/api/v1/namespaces", 2, opened))
    await asyncio.wait_for(opened.wait(), 10)
    while (answer := await client.call("GET", "/api/v1/namespaces?watch=true&timeoutSeconds=1"))[0] == 200:
        pass  # the first has been let in and is about to begin
    assert (answer[0], answer[1]["reason"], client.headers["Retry-After"]) == (429, "TooManyRequests", "1")
    assert await first


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [({"X-Long": "x" * 20000}, None, 400), ({}, b"x" * (3 * 1024 * 1024 + 1), 413), ({"Authorization": "Bearer \xe9\xff"}, None, 401)],
)
async def test_what_is_too_much_is_refused(client: Any, headers: dict[str, str], body: bytes | None, status: int) -> None:
    path = "/api/v1/namespaces/team/configmaps" if body else "/api/v1/namespaces"
    sent = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json", **headers}
    async with client.session.request("POST" if body else "GET", client.url + path, data=body, headers=sent) as answer:
        assert answer.status == status
        assert client.token not in await answer.text()
