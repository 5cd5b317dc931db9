"""External tools: where they are, which package brings them, and running them under a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

LAST_LINES = 12  # of a failed tool's output that go into the error
KILL_AFTER = 5.0  # seconds between SIGTERM and SIGKILL
_LOOK, _LAST_WORDS = 0.1, 2.0  # seconds between looks whether a tool has ended, and for what it has left in its output then
_LINE_END = re.compile(rb"[\r\n]+")


class Tool(NamedTuple):
    """An executable and the packages that bring it."""

    name: str
    debian: str
    fedora: str


_TOOLS = (
    Tool("virt-v2v", "virt-v2v", "virt-v2v"),
    Tool("virt-v2v-in-place", "virt-v2v", "virt-v2v"),
    Tool("qemu-img", "qemu-utils", "qemu-img"),
    Tool("qemu-nbd", "qemu-utils", "qemu-img"),
    Tool("nbdkit", "nbdkit", "nbdkit"),
    Tool("nbdcopy", "libnbd-bin", "libnbd"),
    Tool("virt-customize", "libguestfs-tools", "guestfs-tools"),
    Tool("guestfish", "libguestfs-tools", "guestfs-tools"),
    Tool("virt-inspector", "libguestfs-tools", "guestfs-tools"),
    Tool("qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core"),
)
TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in _TOOLS}

# UEFI firmware that virt-v2v looks for when a guest boots with UEFI. It is no executable, so it has no place in TOOLS.
UEFI_FIRMWARE = Tool("UEFI firmware", "ovmf", "edk2-ovmf")
_UEFI_FILES = (
    "/usr/share/OVMF/OVMF_CODE.fd",
    "/usr/share/OVMF/OVMF_CODE.secboot.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
    "/usr/share/AAVMF/AAVMF_CODE.fd",
    "/usr/share/AAVMF/AAVMF_CODE.verbose.fd",
    "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
)


class ToolMissing(Exception):
    """A tool is not installed; the text names the packages that bring it."""

    def __init__(self, tool: Tool) -> None:
        super().__init__(
            f"{tool.name} is not installed: install the package {tool.debian} (Debian, Ubuntu) or {tool.fedora} (Fedora, RHEL)"
        )
        self.tool = tool


class ToolFailed(Exception):
    """A tool ended with an error or ran too long. `code` is its exit code (negative: signal), None when the deadline ended it."""

    def __init__(self, name: str, why: str, code: int | None, output: Sequence[str]) -> None:
        super().__init__(f"{name} {why}" + (": " + " | ".join(output) if output else ", without any output"))
        self.code = code
        self.output = list(output)


def find(name: str) -> str:
    """Path of the tool `name` (a key of TOOLS). Raises ToolMissing."""
    path = shutil.which(name)
    if path is None:
        raise ToolMissing(TOOLS[name])
    return path


def missing(names: Iterable[str]) -> list[Tool]:
    """Those of `names` that are not installed, as (tool, Debian package, Fedora package)."""
    return [TOOLS[name] for name in names if shutil.which(name) is None]


def uefi_firmware_present() -> bool:
    return any(Path(path).exists() for path in _UEFI_FILES)


async def run(
    argv: Sequence[str],
    *,
    deadline: float,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    on_line: Callable[[str], bool] | None = None,
    pass_fds: Sequence[int] = (),
    stdout: BinaryIO | None = None,
) -> str:
    """Run a tool to its end and return the last lines of its output. `stdout`: a file for what it writes there, which then are no lines.

    It runs in a process group of its own, which dies with it, with a missed `deadline` (seconds) or when the caller is cancelled.
    `on_line` sees every line of stdout and stderr (a carriage return ends a line, too) and says whether it is worth
    remembering for an error. Raises ToolFailed.
    """
    name = Path(argv[0]).name
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout or asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if stdout else asyncio.subprocess.STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    last: deque[str] = deque(maxlen=LAST_LINES)
    try:
        async with asyncio.timeout(deadline):
            await _listen(process, process.stderr if stdout else process.stdout, last, on_line)
            code = process.returncode if process.returncode is not None else await process.wait()
    except TimeoutError:
        raise ToolFailed(name, f"did not end within {deadline:.0f} s and was killed", None, last) from None
    finally:
        await _end(process)
    if code:
        raise ToolFailed(name, f"ended with exit code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}", code, last)
    return "\n".join(last)


async def _listen(
    process: asyncio.subprocess.Process, stream: asyncio.StreamReader | None, last: deque[str], on_line: Callable[[str], bool] | None
) -> None:
    """Until the output ends, or the tool has: one that fails may leave others running which hold its output open for ever."""

    async def read() -> None:
        async for line in _lines(stream):
            if line and (on_line is None or on_line(line)):
                last.append(line)

    async def ended() -> None:
        while process.returncode is None:
            await asyncio.sleep(_LOOK)

    reading, ending = asyncio.create_task(read()), asyncio.create_task(ended())
    try:
        await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            await asyncio.wait({reading}, timeout=_LAST_WORDS)
        if reading.done():
            reading.result()
    finally:
        for task in (reading, ending):
            task.cancel()


def remembering(say: Callable[[str], None]) -> Callable[[str], bool]:
    """For `on_line`: every line is told, and worth remembering."""

    def line(text: str) -> bool:
        say(text)
        return True

    return line


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    """Lines of any length; the last one need not be ended."""
    assert stream is not None
    rest = b""
    while chunk := await stream.read(65536):
        *lines, rest = _LINE_END.split(rest + chunk)
        for line in lines:
            yield line.decode(errors="replace").rstrip()
    yield rest.decode(errors="replace").rstrip()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of the tool's process group behind."""
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_AFTER):
                await process.wait()
    _signal_group(process.pid, signal.SIGKILL)
    if process.returncode is None:
        await process.wait()


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
