"""The program of a virt-launcher pod: runs QEMU for one VirtualMachineInstance until the guest ends.

`python -m ansible_collections.vmshift.mtv.controlplane.datapath.guest.launcher` inside a pod's process, in the pod's folder. It reads

    STANDALONE_VMI            the VirtualMachineInstance as JSON
    VMSHIFT_GUEST_NETWORK     "isolated": no route out; "nat": through this machine

and leaves in the folder `guest.json` (report.py), `guest-console-log` (all that the guest wrote to its serial console) and, when it
fails, `termination-message`. SIGTERM presses the guest's power button; whoever sends it kills this program when its patience ends.
QEMU locks the disks it writes, so a second guest never runs on them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.datapath.acceleration import usable_kvm
from ansible_collections.vmshift.mtv.controlplane.datapath.guest import firmware, qemu, report, services
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.agent import Agent, AgentError, describe
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.qemu import Host, Unsupported
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.qmp import Monitor, MonitorError
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import DISK_IMAGE, Mounts, NotMounted

log = logging.getLogger("launcher")

Object = dict[str, Any]

INSTANCE_VARIABLE, NETWORK_VARIABLE = "STANDALONE_VMI", "VMSHIFT_GUEST_NETWORK"
ISOLATED, NAT = "isolated", "nat"
MESSAGE_FILE = "termination-message"
STATE_PATH = "/var/lib/libvirt/swtpm"  # of the claim with what a persistent TPM holds
DISK_PATH, DEVICE_PATH = "/var/run/kubevirt-private/vmi-disks/{}/disk.img", "/dev/{}"
TERMINATED = 128 + signal.SIGTERM

START_SECONDS = 60.0  # until QEMU's monitor answers
PING_SECONDS, ANSWER_SECONDS = 5.0, 20.0  # between questions to the agent, and how long an answer may take
EAGER_PINGS, DESCRIBE_EVERY = 12, 6  # at first each answer is followed by questions: the network comes up after the agent
POWER_BUTTON_SECONDS = 10.0  # between two presses: a guest that is still booting does not notice the first
_LAST_OUTPUT = 4096
_PR_SET_PDEATHSIG = 1
_CLOSING = {"guest-panic": "the guest's kernel panicked", "host-error": "QEMU met an error"}


class Failed(Exception):
    """The guest cannot run (any more); the text is one sentence for the user."""


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", stream=sys.stdout)
    folder = Path.cwd()
    try:
        instance = json.loads(os.environ[INSTANCE_VARIABLE])
        return asyncio.run(Launcher(folder, instance).run())
    except (Unsupported, Failed) as error:
        (folder / MESSAGE_FILE).write_text(f"{error}\n")
        log.error("%s", error)
        return 1


class Launcher:
    """One guest, from its start to its end."""

    def __init__(self, folder: Path, instance: Object) -> None:
        self._folder, self._instance = folder, instance
        self._domain = instance["spec"]["domain"]
        self._report = report.Report(folder)
        self._monitor: Monitor | None = None
        self._ending = asyncio.Event()  # SIGTERM came
        self._agent_port = asyncio.Event()  # something in the guest has opened the agent's channel
        self._agent: Agent | None = None  # while it answers
        self._reason = ""  # QEMU's word for why the guest ended

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        host = self._host()
        self._report.update(state=report.STARTING, accelerator=host.accelerator)
        tpm = await self._start_tpm()
        machine = await self._start(qemu.command(self._instance, host))
        watchers: list[asyncio.Task[None]] = []
        try:
            self._monitor = await self._connect(machine)
            await self._power_on()
            watchers = [asyncio.create_task(work) for work in (self._press_power_button(), self._watch_agent())]
            code = await machine.wait()
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            for process in (machine, tpm):
                if process and process.returncode is None:
                    process.kill()
                    await process.wait()
        return self._outcome(code)

    def _outcome(self, code: int) -> int:
        if code < 0:
            raise Failed(f"QEMU was ended by {signal.Signals(-code).name}")
        if code:
            raise Failed(f"QEMU ended with exit code {code}: {self._last_output()}")
        if self._reason in _CLOSING:
            raise Failed(_CLOSING[self._reason])
        log.info("the guest has ended (%s)", self._reason or "no reason is known")
        return TERMINATED if self._ending.is_set() else 0

    # Before the start

    def _host(self) -> Host:
        uefi = None
        if qemu.boots_uefi(self._domain):
            found = firmware.find(secure=qemu.secure_boot(self._domain))
            uefi = found.copied_to(self._folder) if found else None
        isolated = os.environ.get(NETWORK_VARIABLE, ISOLATED) != NAT
        accelerator = "kvm" if usable_kvm() else "tcg"
        wanted = services.of(self._instance)
        return Host(accelerator, self._disks(), uefi, isolated, wanted, report.CONSOLE_LOG)

    def _disks(self) -> dict[str, Path]:
        """Volume name -> file, of the volumes that are claims."""
        mounts, found = Mounts.load(self._folder), {}
        for volume in self._instance["spec"].get("volumes") or ():
            for path in (DISK_PATH, DEVICE_PATH):
                with contextlib.suppress(NotMounted):
                    found[volume["name"]] = mounts.host_path(path.format(volume["name"]))
        return found

    async def _start_tpm(self) -> asyncio.subprocess.Process | None:
        """An emulated TPM, whose memory is on a claim of its own when it is persistent, and else lasts as long as the pod."""
        if not qemu.has_tpm(self._domain):
            return None
        if not shutil.which("swtpm"):
            raise Unsupported("the guest has a TPM, which needs swtpm: install the package swtpm")
        if qemu.keeps_tpm(self._domain):
            place = f"backend-uri=file://{Mounts.load(self._folder).host_path(f'{STATE_PATH}/{DISK_IMAGE}')}"
        else:
            place = "dir=tpm"
            (self._folder / "tpm").mkdir(exist_ok=True)
        argv = ["swtpm", "socket", "--tpm2", "--tpmstate", place, "--ctrl", f"type=unixio,path={qemu.TPM_SOCKET}", "--terminate"]
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, preexec_fn=_die_with_parent, start_new_session=True
        )
        while not (self._folder / qemu.TPM_SOCKET).exists():
            if process.returncode is not None:
                raise Failed(f"swtpm ended with exit code {process.returncode} before the guest could start")
            await asyncio.sleep(0.05)
        return process

    async def _start(self, argv: list[str]) -> asyncio.subprocess.Process:
        log.info("starting %s", " ".join(argv))
        for name in (qemu.MONITOR_SOCKET, qemu.AGENT_SOCKET, qemu.CONSOLE_SOCKET):
            (self._folder / name).unlink(missing_ok=True)
        try:
            with (self._folder / "qemu.log").open("wb") as output:
                # In a session of its own: a signal to the pod's program is not one to QEMU, which would drop the guest.
                return await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    preexec_fn=_die_with_parent,
                    start_new_session=True,
                )
        except FileNotFoundError:
            raise Unsupported(
                f"{argv[0]} is not installed: install the package qemu-system-x86 (Debian, Ubuntu) or qemu-system-x86-core (Fedora)"
            ) from None

    async def _connect(self, machine: asyncio.subprocess.Process) -> Monitor:
        until = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                return await Monitor.connect(Path(qemu.MONITOR_SOCKET), self._on_event)
            except (OSError, MonitorError):
                if machine.returncode is not None:
                    raise Failed(f"QEMU does not start: {self._last_output()}") from None
                if asyncio.get_running_loop().time() > until:
                    raise Failed(f"QEMU's monitor did not answer within {START_SECONDS:.0f} s: {self._last_output()}") from None
                await asyncio.sleep(0.05)

    def _last_output(self) -> str:
        with contextlib.suppress(OSError):
            text = (self._folder / "qemu.log").read_bytes()[-_LAST_OUTPUT:].decode(errors="replace").strip()
            lines = [line.removeprefix(f"{qemu.PROGRAM}: ") for line in text.splitlines() if "warning:" not in line]
            return " ".join(lines[-2:]) or "it printed nothing"
        return "it printed nothing"

    # While it runs

    async def _power_on(self) -> None:
        """Set what cannot be said on a command line, and let the guest begin."""
        assert self._monitor
        interfaces = (self._domain.get("devices") or {}).get("interfaces") or ()
        self._report.update(ssh=await self._forward_ssh() if interfaces else None)  # before it runs: whoever sees it run finds the way in
        for number, interface in enumerate(interfaces):
            if interface.get("state") == "down":
                await self._monitor.run("set_link", name=f"nic{number}", up=False)
        if self._instance["spec"].get("startStrategy") == "Paused":
            self._report.update(state=report.PAUSED)
            return
        await self._monitor.run("cont")
        self._report.update(state=report.RUNNING)

    async def _forward_ssh(self) -> str:
        """The address on this machine that leads to the guest's port 22."""
        assert self._monitor
        refusal = ""
        for _attempt in range(20):  # somebody may take a free port before QEMU does
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            refusal = await self._monitor.human(f"hostfwd_add net0 tcp:127.0.0.1:{port}-:22")
            if not refusal:
                log.info("the guest's port 22 is at 127.0.0.1:%s", port)
                return f"127.0.0.1:{port}"
        raise Failed(f"no port of this machine could be forwarded to the guest: {refusal}")

    def _on_event(self, event: Object) -> None:
        name, data = event["event"], event.get("data") or {}
        if name == "SHUTDOWN":
            self._reason = data.get("reason", "")
        elif name == "VSERPORT_CHANGE" and data.get("id") == "agent-port":
            if data.get("open"):
                self._agent_port.set()
            else:
                self._agent_port.clear()
        elif name in ("STOP", "RESUME"):
            self._report.update(state=report.RUNNING if name == "RESUME" else report.PAUSED)
        if name not in ("RTC_CHANGE", "NIC_RX_FILTER_CHANGED"):
            log.info("QEMU: %s %s", name, json.dumps(data))

    async def _press_power_button(self) -> None:
        await self._ending.wait()
        log.info("asked to end: pressing the guest's power button")
        assert self._monitor
        while True:
            with contextlib.suppress(MonitorError):
                await self._monitor.run("system_powerdown")
            await asyncio.sleep(POWER_BUTTON_SECONDS)
            if self._agent:  # some guests do not look at the button
                await self._agent.tell("guest-shutdown", mode="powerdown")

    # The guest agent

    async def _watch_agent(self) -> None:
        """Keep the report's `agent` true: there while the agent answers, and gone soon after it stopped to."""
        while True:
            await self._agent_port.wait()
            try:
                agent = await Agent.connect(Path(qemu.AGENT_SOCKET), ANSWER_SECONDS)
            except AgentError:
                await asyncio.sleep(1)
                continue
            self._agent = agent
            try:
                await self._talk(agent)
            except AgentError as error:
                log.info("%s", error)
            finally:
                self._agent = None
                self._report.update(agent=None)
                await agent.close()

    async def _talk(self, agent: Agent) -> None:
        """Raises AgentError when it no longer answers."""
        pings = 0
        while self._agent_port.is_set():
            await agent.ask("guest-ping")
            if pings < EAGER_PINGS or pings % DESCRIBE_EVERY == 0:
                self._report.update(agent=await describe(agent))
            pings += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_SECONDS):
                    await _cleared(self._agent_port)


async def _cleared(event: asyncio.Event) -> None:
    while event.is_set():
        await asyncio.sleep(0.2)


def _die_with_parent() -> None:
    """In the child: be killed when this program is, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
