"""One run of virt-v2v: what it says while it works, and what it found out about the guest."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from defusedxml.ElementTree import fromstring

from ansible_collections.vmshift.mtv.controlplane.datapath import tools

GUEST = "guest"  # the name of the output; neutral, because names of VMs may have characters that files and options may not
_COPYING = re.compile(r"Copying disk (\d+)/(\d+)")
_PROGRESS_BAR = re.compile(r"(\d+)% \[[*-]+\]")
_TOOL_COMPLAINT = re.compile(r"(?:nbdkit|nbdcopy|nbdinfo|qemu-\w+|tar|unxz|gzip|supermin|mke2fs)\b.*: ")
_NEEDS_UEFI = "requires UEFI"
_LONGEST_REASON = 600
_BOILERPLATE = ("Assuming that you are running", "If the messages above are not sufficient")
_NO_KEY = re.compile(r"could not find key to open \w+ encrypted (\S+?)\.?(?:\s|$)")
_NO_CLEVIS = re.compile(r"'clevis_luks_unlock', needed for decrypting (\S+), is unavailable")
_OSINFO = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}os"


class ConversionFailed(Exception):
    """The guest was not converted; the text is the reason in one sentence or two."""


@dataclass
class Progress:
    """What virt-v2v is at. `disks`: percent copied by virt-v2v's own disk numbers, from 0."""

    stage: str = ""
    disks: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Guest:
    """What virt-v2v found out. `operating_system` is libosinfo's short id ("debian12"), "" when unknown."""

    firmware: str
    operating_system: str


class Messages:
    """The messages of --machine-readable: one JSON object a line. `stage` is called with each that tells what is being done."""

    def __init__(self, stage: Callable[[str], None], warnings: list[str]) -> None:
        self._tell = stage
        self.warnings = warnings
        self.errors: list[str] = []
        self.refusal: ConversionFailed | None = None

    async def listen(self, descriptor: int, running: asyncio.Task[None]) -> None:
        """Until the other end is closed; `running` is ended when a message makes it vain to go on."""
        stream = asyncio.StreamReader()
        pipe = os.fdopen(descriptor, "rb", 0)
        transport, _unused = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        try:
            while (line := await stream.readline()).endswith(b"\n"):
                message = json.loads(line)
                self._message(message["type"], message["message"])
        except ConversionFailed as refusal:
            self.refusal = refusal
            running.cancel()
        finally:
            transport.close()

    def _message(self, type: str, text: str) -> None:
        if type == "error":
            self.errors.append(text)
        elif type == "warning":
            self.warnings.append(text)
        elif type == "info" and _NEEDS_UEFI in text and not tools.uefi_firmware_present():
            raise ConversionFailed(f"the guest boots with UEFI: {tools.ToolMissing(tools.UEFI_FIRMWARE)}")
        elif type == "message":
            self._tell(text)


class Run:
    """virt-v2v into output files, as `-o local`. `argv`: its options for the guest.

    `-o local` and not `-o kubevirt`: the metadata that virt-v2v 2.2 writes for KubeVirt has neither firmware nor operating
    system. Both write into files that are there already under the names it chooses, through symbolic links, and cut them to the
    size of the virtual disk.
    """

    def __init__(self, argv: Sequence[str], output: Path, changed: Callable[[Progress], None], say: Callable[[str], None]) -> None:
        self._argv = [*argv, "-o", "local", "-os", str(output), "-of", "raw", "-on", GUEST]
        self._output = output
        self._changed = changed
        self._say = say
        self._copying: int | None = None
        self._complaint = ""  # the first one of the stage: the others follow from it
        self.progress = Progress()
        self.warnings: list[str] = []
        self._messages = Messages(self._stage, self.warnings)

    async def run(self, environment: Mapping[str, str], deadline: float) -> Guest:
        """Convert and copy. Raises ConversionFailed, tools.ToolMissing."""
        reader, writer = os.pipe()
        argv = [tools.find("virt-v2v"), f"--machine-readable=fd:{writer}", *self._argv]
        running = asyncio.create_task(self._work(argv, environment, deadline, writer))
        outcomes = await asyncio.gather(running, self._messages.listen(reader, running), return_exceptions=True)
        for outcome in (self._messages.refusal, *outcomes):
            if isinstance(outcome, tools.ToolFailed):
                raise ConversionFailed(self._reason(outcome))
            if isinstance(outcome, BaseException):
                raise outcome
        return read_guest(self._output / f"{GUEST}.xml")

    async def _work(self, argv: Sequence[str], environment: Mapping[str, str], deadline: float, writer: int) -> None:
        try:
            await tools.run(argv, deadline=deadline, env=environment, on_line=self._line, pass_fds=[writer])
        finally:
            os.close(writer)

    def _stage(self, text: str) -> None:
        if self._copying is not None:
            self.progress.disks[self._copying] = 100
            self._copying = None
        match = _COPYING.match(text)
        if match:
            self._copying = int(match[1]) - 1
            for disk in range(int(match[2])):
                self.progress.disks.setdefault(disk, 0)
        self._complaint = ""
        self.progress.stage = text.partition(": -")[0]  # without virt-v2v's options
        self._changed(self.progress)

    def _line(self, line: str) -> bool:
        """A line of output: for the log, unless it only draws a progress bar."""
        drawn = _PROGRESS_BAR.search(line)
        if not drawn:
            self._say(line)
            if not self._complaint and _TOOL_COMPLAINT.match(line):
                self._complaint = line
            return True
        percent = int(drawn[1])
        if self._copying is not None and percent > self.progress.disks[self._copying]:
            # 100 is for the disk that virt-v2v has done with, not for the last byte on its way.
            self.progress.disks[self._copying] = min(percent, 99)
            self._changed(self.progress)
        return False

    def _reason(self, failure: tools.ToolFailed) -> str:
        errors = self._messages.errors
        if failure.code is None or not errors:
            return not_opened(str(failure)) or str(failure)
        return one_line(errors[-1], self._complaint)


def not_opened(error: str) -> str:
    """The sentence for a disk that is encrypted, "" for any other error. virt-v2v does not make a message of it, but prints it."""
    if encrypted := _NO_KEY.search(error):
        return f"No passphrase of the Secret with the keys of the VM opens {encrypted[1]}, which is encrypted."
    if encrypted := _NO_CLEVIS.search(error):
        return f"{encrypted[1]} is to be opened with Clevis, which libguestfs can from version 1.50 on; the one of this machine is older."
    return ""


def one_line(error: str, complaint: str) -> str:
    """virt-v2v's error, which may be several paragraphs, and what a tool that it runs complained about."""
    if told := not_opened(error):
        return told
    paragraphs = [paragraph for paragraph in error.split("\n\n") if not paragraph.startswith(_BOILERPLATE)]
    text = " ".join(" ".join(paragraphs).split()).rstrip(".")
    if len(text) > _LONGEST_REASON:
        text = text[:_LONGEST_REASON] + "…"
    return f"virt-v2v: {text}" + (f" ({complaint})" if complaint else "")


def read_guest(domain: Path) -> Guest:
    """Firmware ("bios" or "efi") and operating system out of the libvirt domain that `-o local` writes."""
    root = fromstring(domain.read_bytes())
    boots_with_uefi = root.find("os/loader") is not None or root.find("os[@firmware='efi']") is not None
    osinfo = root.find(f".//{_OSINFO}")
    return Guest("efi" if boots_with_uefi else "bios", short_id(osinfo.get("id", "") if osinfo is not None else ""))


def short_id(osinfo: str) -> str:
    """libosinfo's short id of an operating system: "http://debian.org/debian/12" -> "debian12"."""
    return "".join(osinfo.rpartition("://")[2].split("/")[1:])


def disk_letters(number: int) -> str:
    """The letters of virt-v2v's n-th disk, from 0: a … z, aa …"""
    letters = ""
    while number >= 0:
        letters = chr(ord("a") + number % 26) + letters
        number = number // 26 - 1
    return letters
