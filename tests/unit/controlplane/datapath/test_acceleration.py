from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import acceleration

needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="qemu-system-x86_64 is not installed")


@pytest.mark.parametrize(
    ("cpuinfo", "capable"),
    [
        ("flags\t\t: fpu vmx sse", True),
        ("flags\t\t: fpu svm\nflags : fpu svm", True),
        ("model name : vmx\nflags\t\t: fpu hypervisor", False),
        ("Features : fp asimd", True),
    ],
)
def test_virtualization_flags(cpuinfo: str, capable: bool) -> None:
    assert acceleration.has_virtualization_flags(cpuinfo) is capable


@needs_qemu
def test_trial_boots_under_emulation_and_fails_without_its_accelerator() -> None:
    assert acceleration.boots_with("tcg")
    assert not acceleration.boots_with("no-such-accelerator")


@needs_qemu
def test_trial_that_takes_too_long_fails() -> None:
    assert not acceleration.boots_with("tcg", seconds=0.001)


@pytest.fixture
def capable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose flags and device look right. Returns where the outcome of the trial is remembered."""
    (tmp_path / "cpuinfo").write_text("flags : vmx\n")
    (tmp_path / "kvm").touch()
    (tmp_path / "boot_id").write_text("boot-1\n")
    monkeypatch.setattr(acceleration, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(acceleration, "_DEVICE", tmp_path / "kvm")
    monkeypatch.setattr(acceleration, "_BOOT_ID", tmp_path / "boot_id")
    monkeypatch.setattr(acceleration, "_QEMU", "sh")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vmshift-mtv" / "acceleration.json"


def test_failed_trial_is_remembered_until_the_next_boot(capable: Path, tmp_path: Path) -> None:
    assert acceleration.libguestfs_environment() == {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
    assert json.loads(capable.read_text()) == {"boot_id": "boot-1", "usable": False}
    capable.write_text(json.dumps({"boot_id": "boot-1", "usable": True}))
    assert acceleration.libguestfs_environment() == {"LIBGUESTFS_BACKEND": "direct"}
    (tmp_path / "boot_id").write_text("boot-2\n")
    assert not acceleration.usable_kvm()


def test_unusable_device_needs_no_trial(capable: Path, tmp_path: Path) -> None:
    (tmp_path / "kvm").unlink()
    assert not acceleration.usable_kvm()
    assert not capable.exists()


def test_broken_memory_is_replaced(capable: Path) -> None:
    capable.parent.mkdir()
    capable.write_text("{")
    assert not acceleration.usable_kvm()
    assert json.loads(capable.read_text())["boot_id"] == "boot-1"
