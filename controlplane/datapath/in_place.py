"""A guest converted where its disks are: virt-v2v-in-place changes overlays, which become part of the disks when it has succeeded.

So a conversion that fails leaves the disks as they were copied.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath import tools, virt_v2v
from ansible_collections.vmshift.mtv.controlplane.datapath.guest_input import Hardware, libvirt_domain
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import WRITING
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed, Guest, Messages, Progress

_QUICK = 300.0  # seconds for qemu-img to make an overlay or to find out about it
#: What is no message, among much that it says only because it is verbose; at times in the middle of a line of its appliance.
_COMPLAINT = re.compile(r"(?:^|[\s/])virt-v2v-in-place: (?!virt-v2v \d)")
_FOUND = re.compile(r"i_(osinfo|firmware) = (\S+)")


class InPlace:
    def __init__(
        self,
        volumes: Sequence[Path],
        scratch: Path,
        vm: str,
        options: Sequence[str],
        changed: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> None:
        self._volumes = volumes
        self._scratch = scratch
        self._vm = vm
        self._options = list(options)
        self._changed = changed
        self._say = say
        self._found: dict[str, str] = {}
        self.warnings: list[str] = []

    async def run(self, environment: Mapping[str, str], deadline: float) -> Guest:
        """Raises ConversionFailed, tools.ToolMissing."""
        overlays = [await self._overlay(number, volume, environment) for number, volume in enumerate(self._volumes)]
        source = libvirt_domain(self._scratch / "domain.xml", Hardware(self._vm), overlays, type="kvm")
        await self._convert(source.argv, environment, deadline)
        self._changed(Progress(WRITING))
        for overlay in overlays:
            await self._image(["commit", "-q", "-f", "qcow2", str(overlay)], environment, deadline)
        firmware = "efi" if self._found.get("firmware", "").lower().startswith("uefi") else "bios"
        osinfo = self._found.get("osinfo", "")
        return Guest(firmware, osinfo if osinfo != "unknown" else "")

    async def _overlay(self, number: int, volume: Path, environment: Mapping[str, str]) -> Path:
        path = self._scratch / f"overlay{number}"
        await self._image(["create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(volume.absolute()), str(path)], environment, _QUICK)
        return path

    async def _image(self, argv: list[str], environment: Mapping[str, str], deadline: float) -> None:
        try:
            await tools.run([tools.find("qemu-img"), *argv], deadline=deadline, env=environment)
        except tools.ToolFailed as error:
            raise ConversionFailed(str(error)) from None

    async def _convert(self, source: Sequence[str], environment: Mapping[str, str], deadline: float) -> None:
        """What it finds out about the guest it tells only when it is verbose."""
        reader, writer = os.pipe()
        argv = [tools.find("virt-v2v-in-place"), "-v", f"--machine-readable=fd:{writer}", *source, *self._options]
        messages = Messages(self._stage, self.warnings)
        running = asyncio.create_task(self._work(argv, environment, deadline, writer))
        outcomes = await asyncio.gather(running, messages.listen(reader, running), return_exceptions=True)
        for outcome in (messages.refusal, *outcomes):
            if isinstance(outcome, tools.ToolFailed):
                told = virt_v2v.not_opened(str(outcome)) or str(outcome)
                raise ConversionFailed(virt_v2v.one_line(messages.errors[-1], "") if messages.errors else told)
            if isinstance(outcome, BaseException):
                raise outcome

    async def _work(self, argv: Sequence[str], environment: Mapping[str, str], deadline: float, writer: int) -> None:
        try:
            await tools.run(argv, deadline=deadline, env=environment, on_line=self._line, pass_fds=[writer])
        finally:
            os.close(writer)

    def _stage(self, text: str) -> None:
        stage = text.partition(": -")[0]
        self._say(stage)
        self._changed(Progress(stage))

    def _line(self, line: str) -> bool:
        if match := _FOUND.search(line):
            self._found.setdefault(match[1], match[2])
        return _COMPLAINT.search(line) is not None
