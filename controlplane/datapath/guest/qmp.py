"""QEMU's monitor: commands one at a time, events as they come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Object = dict[str, Any]

_ANSWER_SECONDS = 60.0  # an emulated guest on a busy machine
_LONGEST_LINE = 16 * 1024 * 1024


class MonitorError(Exception):
    """QEMU refused a command, or is gone."""


class Monitor:
    """One connection. `on_event` is called with each event, {"event", "data", …}."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_event: Callable[[Object], None]) -> None:
        self._reader, self._writer, self._on_event = reader, writer, on_event
        self._waiting: asyncio.Future[Object] | None = None
        self._turn = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, socket: Path, on_event: Callable[[Object], None]) -> Monitor:
        """Raises OSError while QEMU does not listen, MonitorError."""
        monitor = cls(*await asyncio.open_unix_connection(str(socket), limit=_LONGEST_LINE), on_event)
        await monitor._reader.readline()  # the greeting
        monitor._reading = asyncio.create_task(monitor._read())
        await monitor.run("qmp_capabilities")
        return monitor

    async def run(self, command: str, **arguments: Any) -> Any:
        """What QEMU answers. Raises MonitorError."""
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        async with self._turn:
            if self._reading is None or self._reading.done():
                raise MonitorError("QEMU has ended")
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                self._writer.write(json.dumps(request).encode() + b"\n")
                async with asyncio.timeout(_ANSWER_SECONDS):
                    answer = await self._waiting
            except (OSError, TimeoutError) as error:
                raise MonitorError(f"{command}: QEMU does not answer") from error
            finally:
                self._waiting = None
        if "error" in answer:
            raise MonitorError(f"{command}: {answer['error'].get('desc', '')}")
        return answer.get("return")

    async def human(self, line: str) -> str:
        """A command of QEMU's other monitor, for what this one lacks; its answer is text."""
        return str(await self.run("human-monitor-command", **{"command-line": line})).strip()

    async def close(self) -> None:
        if self._reading:
            self._reading.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                message = json.loads(line)
                if "event" in message:
                    self._on_event(message)
                elif self._waiting and not self._waiting.done():
                    self._waiting.set_result(message)
        except (OSError, ValueError):
            pass
        if self._waiting and not self._waiting.done():
            self._waiting.set_result({"error": {"desc": "QEMU has ended"}})
