"""Whether hardware acceleration is real on this machine.

A /dev/kvm that opens proves nothing: where KVM is done in software (nested sandboxes without vmx or svm) guests crawl,
and QEMU and libguestfs hang instead of failing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

TRIAL_SECONDS = 20.0
_CPUINFO = Path("/proc/cpuinfo")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DEVICE = Path("/dev/kvm")
_QEMU = "qemu-system-x86_64"
# A boot sector that writes 0x10 to QEMU's exit port: mov dx, 0x501; mov al, 0x10; out dx, al; hlt. QEMU then ends with (0x10 << 1) | 1.
_BOOT_SECTOR = bytes.fromhex("ba0105b010eef4").ljust(510, b"\0") + b"\x55\xaa"
_BOOTED = 33


def libguestfs_environment() -> dict[str, str]:
    """Environment for every process that uses libguestfs: no libvirt, and emulation where KVM is not real."""
    environment = {"LIBGUESTFS_BACKEND": "direct"}
    if not usable_kvm():
        environment["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    return environment


def usable_kvm() -> bool:
    """CPU flags first, then a trial boot, whose outcome the user's cache folder keeps until this machine boots again."""
    if not has_virtualization_flags(_CPUINFO.read_text()) or not os.access(_DEVICE, os.R_OK | os.W_OK) or not shutil.which(_QEMU):
        return False
    boot = _BOOT_ID.read_text().strip()
    remembered = _cache_file()
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        entry = json.loads(remembered.read_text())
        if entry["boot_id"] == boot:
            return bool(entry["usable"])
    usable = boots_with("kvm")
    log.info("hardware acceleration %s", "works" if usable else "failed its trial: guests are emulated")
    with contextlib.suppress(OSError):  # a read-only home only costs the next process the same trial
        remembered.parent.mkdir(parents=True, exist_ok=True)
        partial = remembered.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"boot_id": boot, "usable": usable}))
        partial.replace(remembered)
    return usable


def has_virtualization_flags(cpuinfo: str) -> bool:
    """The text of /proc/cpuinfo shows Intel VT-x or AMD-V. Other architectures have no flag and count as capable."""
    flags = {flag for line in cpuinfo.splitlines() if line.startswith("flags") for flag in line.partition(":")[2].split()}
    return not flags or bool(flags & {"vmx", "svm"})


def boots_with(accelerator: str, seconds: float = TRIAL_SECONDS) -> bool:
    """A few instructions run as a guest under QEMU's `accelerator` ("kvm", "tcg") to their end within `seconds`."""
    with tempfile.NamedTemporaryFile(prefix="vmshift-trial-", suffix=".img") as disk:
        disk.write(_BOOT_SECTOR)
        disk.flush()
        argv = [_QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-accel", accelerator, "-m", "16"]
        argv += ["-device", "isa-debug-exit,iobase=0x501,iosize=1", "-drive", f"file={disk.name},format=raw,if=ide,snapshot=on"]
        try:
            ended = subprocess.run(argv, timeout=seconds, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except (subprocess.TimeoutExpired, OSError):
            return False
    return ended.returncode == _BOOTED


def _cache_file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmshift-mtv" / "acceleration.json"
