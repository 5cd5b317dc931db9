"""Boot a disk image in QEMU until a line shows on its serial console; the image itself is not changed."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath.acceleration import usable_kvm
from ansible_collections.vmshift.mtv.lab.commands import LabError

MARKER = "LAB-GUEST-UP"
NO_ROOT = "LAB-NO-ROOT"
DEVICES = {
    "vmware": ["-device", "pvscsi,id=s0", "-device", "scsi-hd,drive=d0,bus=s0.0", "-device", "vmxnet3,netdev=n,romfile="],
    "virtio": ["-device", "virtio-blk-pci,drive=d0", "-device", "virtio-net-pci,netdev=n,romfile="],
}


def boot(image: Path, hardware: str, *, timeout: float = 240, memory: int = 256) -> str:
    """The line with MARKER or NO_ROOT that the guest prints on `hardware` ("vmware" or "virtio"); LabError when neither comes in time."""
    accelerator = "kvm" if usable_kvm() else "tcg"
    with tempfile.TemporaryDirectory() as folder:
        console = Path(folder) / "console"
        console.touch()
        command = ["qemu-system-x86_64", "-accel", accelerator, "-m", str(memory), "-display", "none", "-no-reboot",
                   "-serial", f"file:{console}", "-drive", f"file={image},format=raw,if=none,id=d0,snapshot=on",
                   "-netdev", "user,id=n,restrict=on", *DEVICES[hardware]]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as machine:
            try:
                return await_line(machine, console, time.monotonic() + timeout)
            finally:
                machine.kill()


def await_line(machine: subprocess.Popen[str], console: Path, deadline: float) -> str:
    while time.monotonic() < deadline:
        text = console.read_text(errors="replace")
        for line in text.splitlines(keepends=True):
            if (MARKER in line or NO_ROOT in line) and line.endswith("\n"):
                return line.strip()
        if machine.poll() is not None:
            raise LabError(f"QEMU ended before the guest was up: {(machine.stderr.read() if machine.stderr else '')[-500:]}")
        time.sleep(0.2)
    raise LabError(f"the guest printed neither {MARKER} nor {NO_ROOT} in time; its console ended with: {text[-500:]}")
