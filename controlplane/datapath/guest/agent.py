"""The guest agent (qemu-ga) behind its channel: asked one thing at a time, under a deadline, and never trusted to answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from pathlib import Path
from typing import Any

Object = dict[str, Any]

_SENTINEL = b"\xff"  # before it, whatever was left unread of an earlier talk
_LONGEST_ANSWER = 4 * 1024 * 1024
_MOST_ITEMS = 256  # of interfaces, users, file systems: more is not an honest guest


class AgentError(Exception):
    """The agent does not answer, or refused."""


class Agent:
    """One connection to the channel. After an AgentError that is no refusal it is of no use any more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
        self._reader, self._writer, self._seconds = reader, writer, seconds

    @classmethod
    async def connect(cls, socket: Path, seconds: float) -> Agent:
        """An agent that answered. Raises AgentError; `seconds` is how long each answer may take."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=_LONGEST_ANSWER)
        except OSError as error:
            raise AgentError("the channel of the guest agent is closed") from error
        agent = cls(reader, writer, seconds)
        try:
            await agent._synchronise()
        except BaseException:
            await agent.close()
            raise
        return agent

    async def _synchronise(self) -> None:
        token = secrets.randbelow(1 << 31)
        request = {"execute": "guest-sync-delimited", "arguments": {"id": token}}
        async with self._deadline():
            self._writer.write(_SENTINEL + json.dumps(request).encode() + b"\n")
            while True:
                await self._reader.readuntil(_SENTINEL)
                with contextlib.suppress(ValueError):
                    if json.loads(await self._reader.readline()).get("return") == token:
                        return

    async def ask(self, command: str, **arguments: Any) -> Any:
        """Raises AgentError."""
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        async with self._deadline():
            self._writer.write(json.dumps(request).encode() + b"\n")
            line = await self._reader.readline()
        try:
            answer = json.loads(line)
        except ValueError:
            raise AgentError(f"{command}: the guest agent closed its channel" if not line else f"{command}: no JSON was answered") from None
        if not isinstance(answer, dict) or "return" not in answer:
            raise AgentRefusal(f"{command}: {(answer.get('error') or {}).get('desc', '') if isinstance(answer, dict) else ''}")
        return answer["return"]

    async def tell(self, command: str, **arguments: Any) -> None:
        """Something that is not answered when all goes well."""
        with contextlib.suppress(OSError):
            self._writer.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    @contextlib.asynccontextmanager
    async def _deadline(self) -> Any:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise AgentError("the guest agent does not answer") from error


class AgentRefusal(AgentError):
    """The agent answered that it does not do this."""


async def describe(agent: Agent) -> Object:
    """What the guest tells of itself, in the fields of KubeVirt's `VirtualMachineInstanceGuestAgentInfo`; unknown parts are left out.

    Raises AgentError when the agent fell silent meanwhile.
    """
    info = await agent.ask("guest-info")
    described: Object = {"guestAgentVersion": str(info.get("version", ""))}
    described["supportedCommands"] = [
        {"name": entry["name"], "enabled": bool(entry.get("enabled"))} for entry in info.get("supported_commands") or ()
    ]
    for command, take in (
        ("guest-get-host-name", _hostname),
        ("guest-get-osinfo", _system),
        ("guest-get-timezone", _timezone),
        ("guest-network-get-interfaces", _interfaces),
        ("guest-get-users", _users),
        ("guest-get-fsinfo", _filesystems),
    ):
        with contextlib.suppress(AgentRefusal):
            answer = await agent.ask(command)
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):  # what a guest says need make no sense
                described.update(take(answer))
    return described


def _hostname(answer: Object) -> Object:
    return {"hostname": str(answer["host-name"])}


def _system(answer: Object) -> Object:
    names = {
        "name": "name",
        "id": "id",
        "version": "version",
        "versionId": "version-id",
        "prettyName": "pretty-name",
        "kernelRelease": "kernel-release",
        "kernelVersion": "kernel-version",
        "machine": "machine",
    }
    return {"os": {ours: str(answer[theirs]) for ours, theirs in names.items() if theirs in answer}}


def _timezone(answer: Object) -> Object:
    return {"timezone": f"{answer.get('zone', '')}, {int(answer['offset'])}"}


def _interfaces(answer: list[Object]) -> Object:
    """Only of NICs; addresses without their prefix, IPv4 first, link-local ones last."""
    found = []
    for interface in answer[:_MOST_ITEMS]:
        mac = str(interface.get("hardware-address", "")).lower()
        if not mac or mac == "00:00:00:00:00:00":
            continue
        addresses = [str(entry["ip-address"]) for entry in interface.get("ip-addresses") or ()]
        addresses.sort(key=lambda address: (":" in address, address.lower().startswith("fe80:")))
        found.append({"name": str(interface["name"]), "mac": mac, "addresses": addresses})
    return {"interfaces": found}


def _users(answer: list[Object]) -> Object:
    return {
        "userList": [
            {
                "userName": str(user["user"]),
                **({"domain": str(user["domain"])} if user.get("domain") else {}),
                "loginTime": float(user.get("login-time", 0)),
            }
            for user in answer[:_MOST_ITEMS]
        ]
    }


def _filesystems(answer: list[Object]) -> Object:
    disks = [
        {
            "diskName": str(entry["name"]),
            "mountPoint": str(entry["mountpoint"]),
            "fileSystemType": str(entry["type"]),
            "usedBytes": int(entry.get("used-bytes", 0)),
            "totalBytes": int(entry.get("total-bytes", 0)),
        }
        for entry in answer[:_MOST_ITEMS]
    ]
    return {"fsInfo": {"disks": disks}}
