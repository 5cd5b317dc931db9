"""The virtual environment of the OpenStack services, built once into the cache outside the checkout."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from ansible_collections.vmshift.mtv.lab.commands import LabError, run
from ansible_collections.vmshift.mtv.lab.guests import cache_folder

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
SERVICES = Path(__file__).with_name("services")
#: How Neutron finds the driver that binds ports without agents (services/port_binding.py).
ENTRY_POINTS = "[neutron.ml2.mechanism_drivers]\nlab = port_binding:LabMechanismDriver\n"


def services_python() -> Path:
    """The interpreter that has the services, installed if the cache lacks them (seconds with uv, minutes with pip). Raises LabError."""
    if not shutil.which("qemu-img"):
        raise LabError("the OpenStack lab needs qemu-img (Debian: qemu-utils)")
    folder = cache_folder() / "openstack" / f"venv-{environment_key()}"
    python = folder / "bin/python"
    if not (folder / "complete").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _build(folder)
    return python


def environment_key() -> str:
    """Changes when anything does that the environment is made from."""
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix} {ENTRY_POINTS}".encode())
    digest.update(REQUIREMENTS.read_bytes())
    return digest.hexdigest()[:16]


def _build(folder: Path) -> None:
    """Virtual environments do not like to be moved: it is made in place, and complete when it says so."""
    with _exclusive(folder):
        if (folder / "complete").exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", "--without-pip", folder])
        installer = shutil.which("uv", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
        command = [installer, "pip", "install", "-q"] if installer else [sys.executable, "-m", "pip", "-q"]
        options = ["install"] if not installer else []
        run([*command, "--python", folder / "bin/python", *options, "-r", REQUIREMENTS], timeout=1200)
        site = next((folder / "lib").glob("python3*")) / "site-packages"
        described = site / "vmshift_lab-1.0.dist-info"
        described.mkdir()
        (described / "METADATA").write_text("Metadata-Version: 2.1\nName: vmshift-lab\nVersion: 1.0\n")
        (described / "entry_points.txt").write_text(ENTRY_POINTS)
        (folder / "complete").touch()


class _exclusive:
    """One process at a time builds; the others wait for it."""

    def __init__(self, folder: Path) -> None:
        self._lock = folder.with_suffix(".lock")

    def __enter__(self) -> None:
        import fcntl

        self._file = self._lock.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_unused: object) -> None:
        self._file.close()


def fresh_folder(parent: Path) -> tempfile.TemporaryDirectory[str]:
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=parent, prefix=".building-")
