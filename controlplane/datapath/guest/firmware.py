"""UEFI firmware on this machine: where distributions put it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

# (code, variables), the newer layout of 4 MiB first
_PLAIN = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2", "/usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
)
_SECURE = (
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE_4M.secboot.qcow2", "/usr/share/edk2/ovmf/OVMF_VARS_4M.secboot.qcow2"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"),
)


@dataclass(frozen=True)
class Firmware:
    """Program and variables, the latter to be copied for each guest."""

    code: Path
    variables: Path

    def copied_to(self, folder: Path) -> Firmware:
        """With variables of its own, fresh as after each start on a cluster."""
        own = folder / f"uefi-variables{self.variables.suffix}"
        shutil.copyfile(self.variables, own)
        return Firmware(self.code, own)


def find(*, secure: bool) -> Firmware | None:
    """`secure`: it enforces secure boot with Microsoft's keys. None when nothing fitting is installed."""
    for code, variables in _SECURE if secure else _PLAIN:
        if Path(code).exists() and Path(variables).exists():
            return Firmware(Path(code), Path(variables))
    return None
