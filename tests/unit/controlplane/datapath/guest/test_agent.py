"""Talking to a guest agent: one that answers, one that is silent, one that lies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ansible_collections.vmshift.mtv.controlplane.datapath.guest.agent import Agent, AgentError, AgentRefusal, describe

ANSWERS: dict[str, Any] = {
    "guest-ping": {},
    "guest-info": {"version": "7.2.22", "supported_commands": [{"name": "guest-ping", "enabled": True}]},
    "guest-get-host-name": {"host-name": "app"},
    "guest-get-osinfo": {"id": "debian", "pretty-name": "Debian 12", "version-id": "12", "kernel-release": "6.1"},
    "guest-get-timezone": {"zone": "CET", "offset": 3600},
    "guest-network-get-interfaces": [
        {"name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses": [{"ip-address": "127.0.0.1"}]},
        {
            "name": "eth0",
            "hardware-address": "00:50:56:AA:BB:CC",
            "ip-addresses": [{"ip-address": "fe80::1"}, {"ip-address": "fd00::2"}, {"ip-address": "10.0.2.15"}],
        },
        {"name": "eth1", "hardware-address": "00:50:56:aa:bb:cd"},
    ],
    "guest-get-users": [{"user": "root", "login-time": 12.5}],
    "guest-get-fsinfo": [{"name": "vda1", "mountpoint": "/", "type": "ext4", "used-bytes": 5, "total-bytes": 10}],
}


class Double:
    """As much of qemu-ga as is asked for. `stale`: bytes that an earlier talk has left in the channel."""

    def __init__(self) -> None:
        self.answers = dict(ANSWERS)
        self.stale = b""
        self.silent: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.stale)
        while line := await reader.readline():
            request = json.loads(line.lstrip(b"\xff"))
            name = request["execute"]
            if name in self.silent:
                continue
            if name == "guest-sync-delimited":
                writer.write(b"\xff" + json.dumps({"return": request["arguments"]["id"]}).encode() + b"\n")
            elif isinstance(self.answers.get(name), bytes):
                writer.write(self.answers[name])
            elif name in self.answers:
                writer.write(json.dumps({"return": self.answers[name]}).encode() + b"\n")
            else:
                writer.write(json.dumps({"error": {"class": "CommandNotFound", "desc": f"{name} is disabled"}}).encode() + b"\n")
            await writer.drain()
        writer.close()


@pytest.fixture
def double() -> Double:
    return Double()


@pytest_asyncio.fixture
async def connect(double: Double, tmp_path: Path) -> AsyncIterator[Callable[[], Any]]:
    server = await asyncio.start_unix_server(double.serve, tmp_path / "agent.sock")
    yield lambda: Agent.connect(tmp_path / "agent.sock", 0.5)
    server.close()


async def test_what_a_guest_tells(connect: Any) -> None:
    agent = await connect()
    assert await describe(agent) == {
        "guestAgentVersion": "7.2.22",
        "supportedCommands": [{"name": "guest-ping", "enabled": True}],
        "hostname": "app",
        "os": {"id": "debian", "prettyName": "Debian 12", "versionId": "12", "kernelRelease": "6.1"},
        "timezone": "CET, 3600",
        "interfaces": [
            {"name": "eth0", "mac": "00:50:56:aa:bb:cc", "addresses": ["10.0.2.15", "fd00::2", "fe80::1"]},
            {"name": "eth1", "mac": "00:50:56:aa:bb:cd", "addresses": []},
        ],
        "userList": [{"userName": "root", "loginTime": 12.5}],
        "fsInfo": {"disks": [{"diskName": "vda1", "mountPoint": "/", "fileSystemType": "ext4", "usedBytes": 5, "totalBytes": 10}]},
    }
    await agent.close()


async def test_what_is_left_of_an_earlier_talk_is_skipped(connect: Any, double: Double) -> None:
    double.stale = b'{"return": {}}\n{"return": 5}\n\xff{"return": 1}\nhalf of an answer'
    agent = await connect()
    assert await agent.ask("guest-ping") == {}
    await agent.close()


async def test_no_agent_is_no_answer(connect: Any, double: Double, tmp_path: Path) -> None:
    double.silent = {"guest-sync-delimited"}
    with pytest.raises(AgentError, match="the guest agent does not answer"):
        await connect()
    with pytest.raises(AgentError, match="the channel of the guest agent is closed"):
        await Agent.connect(tmp_path / "none.sock", 0.5)


async def test_an_agent_that_falls_silent(connect: Any, double: Double) -> None:
    agent = await connect()
    double.silent = {"guest-get-users"}
    with pytest.raises(AgentError, match="does not answer"):
        await describe(agent)
    await agent.close()


async def test_what_an_agent_does_not_do_is_left_out(connect: Any, double: Double) -> None:
    del double.answers["guest-get-fsinfo"], double.answers["guest-get-osinfo"]
    agent = await connect()
    with pytest.raises(AgentRefusal, match="guest-get-osinfo is disabled"):
        await agent.ask("guest-get-osinfo")
    told = await describe(agent)
    assert "os" not in told and "fsInfo" not in told and told["hostname"] == "app"
    await agent.close()


@pytest.mark.parametrize("answer", [{"host-name": {"a": 1}}, [], "x", None, 7, {}])
async def test_what_makes_no_sense_is_left_out(connect: Any, double: Double, answer: Any) -> None:
    for name in ("guest-get-host-name", "guest-network-get-interfaces", "guest-get-timezone", "guest-get-fsinfo"):
        double.answers[name] = answer
    agent = await connect()
    assert (await describe(agent))["os"]["id"] == "debian"
    await agent.close()


@pytest.mark.parametrize("answer", [b"no json\n", b"[]\n", b'"text"\n'])
async def test_an_answer_that_is_none(connect: Any, double: Double, answer: bytes) -> None:
    double.answers["guest-ping"] = answer
    agent = await connect()
    with pytest.raises(AgentError):
        await agent.ask("guest-ping")
    await agent.close()
