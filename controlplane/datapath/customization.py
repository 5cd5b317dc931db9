"""What is done to a guest after its conversion: addresses kept, scripts run now or when it boots first (facts 3.9).

Nothing of this fails a migration: the guest is converted, and a warning says what was not done to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath import guest_options, tools
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted

SCRIPTS = "/mnt/dynamic_scripts"
KEEP_ADDRESSES = Path(__file__).with_name("keep_addresses.sh")
MAC_TO_IP = "/tmp/macToIP"
FAILED = "Guest customization failed"
_LINUX = re.compile(r"\d+_linux_(run|firstboot).*\.sh")
_WINDOWS = re.compile(r"\d+_win_firstboot.*\.ps1")
_WINDOWS_FOLDER = "/Windows/Temp"


class Customization:
    """`volumes`: the disks of the converted guest, in their order."""

    def __init__(self, environment: Mapping[str, str], mounts: Mounts, volumes: Sequence[Path], operating_system: str) -> None:
        self._environment = environment
        self._volumes = volumes
        self._windows = operating_system.startswith("win")
        self._keys = guest_options.keys(environment, mounts, len(volumes))
        self._scripts = _scripts(mounts)
        self.warnings = [
            f"{script.name} is not run: its name is none of those of scripts" for script in self._scripts if not _known(script)
        ]

    def argv(self, scratch: Path) -> list[str]:
        """Options of virt-customize; none when nothing is to be done. Writes into `scratch` what is to be uploaded."""
        return self._of_windows(scratch) if self._windows else self._of_linux(scratch)

    async def run(self, scratch: Path, environment: Mapping[str, str], deadline: float, say: Callable[[str], None]) -> None:
        """Adds to `warnings` what went wrong. Raises tools.ToolMissing."""
        wanted = self.argv(scratch)
        if not wanted:
            return
        disks = [option for volume in self._volumes for option in ("-a", str(volume))]
        # Keys that Clevis fetches come over the network; nothing else is to.
        offline = [] if guest_options.uses_clevis(self._environment) else ["--no-network"]
        argv = [tools.find("virt-customize"), *offline, "--format", "raw", *disks, *self._keys, *wanted]
        try:
            await tools.run(argv, deadline=deadline, env=environment, on_line=tools.remembering(say))
        except tools.ToolFailed as error:
            self.warnings.append(f"{FAILED}: {error}")

    def _of_linux(self, scratch: Path) -> list[str]:
        options = []
        addresses = guest_options.addresses(self._environment)
        if addresses:
            mapping = scratch / "macToIP"
            mapping.write_text("".join(f"{mac}:ip:{address}\n" for mac, address in addresses))
            options += ["--upload", f"{mapping}:{MAC_TO_IP}", "--run", str(KEEP_ADDRESSES), "--delete", MAC_TO_IP]
        for script in self._scripts:
            if match := _LINUX.fullmatch(script.name):
                options += [f"--{match[1]}", str(script)]
        return options

    def _of_windows(self, scratch: Path) -> list[str]:
        scripts = [script for script in self._scripts if _WINDOWS.fullmatch(script.name)]
        if self._environment.get("V2V_multipleIPsPerNic") == "true":
            path = scratch / "0_win_firstboot_addresses.ps1"
            path.write_text(more_addresses(guest_options.addresses(self._environment)))
            scripts.insert(0, path)
        options = []
        for script in scripts:
            inside = f"{_WINDOWS_FOLDER}/{script.name}"
            starter = scratch / f"{script.stem}.bat"
            starter.write_text(f'powershell.exe -ExecutionPolicy Bypass -File "%SystemRoot%\\Temp\\{script.name}"\r\n')
            options += ["--upload", f"{script}:{inside}", "--firstboot", str(starter)]
        return options


def more_addresses(addresses: Iterable[tuple[str, str]]) -> str:
    """A PowerShell script that gives a NIC all its addresses; virt-v2v gives it one, and the gateway."""
    lines = []
    for mac, address in addresses:
        ip, _gateway, prefix, *_dns = [*address.split(","), "", ""]
        physical = mac.replace(":", "-").upper()
        lines += [
            f"$nic = Get-NetAdapter | Where-Object {{ $_.MacAddress -eq '{physical}' }}",
            f"if ($nic -and -not (Get-NetIPAddress -InterfaceIndex $nic.ifIndex -IPAddress '{ip}' -ErrorAction SilentlyContinue)) {{",
            f"  New-NetIPAddress -InterfaceIndex $nic.ifIndex -IPAddress '{ip}' -PrefixLength {prefix or 24}",
            "}",
        ]
    return "\r\n".join([*lines, ""])


def _scripts(mounts: Mounts) -> list[Path]:
    """Those of the plan, in the order of their numbers."""
    try:
        folder = mounts.host_path(SCRIPTS)
    except NotMounted:
        return []
    found = [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]
    return sorted(found, key=lambda file: (_number(file.name), file.name))


def _number(name: str) -> int:
    match = re.match(r"\d+", name)
    return int(match[0]) if match else 0


def _known(script: Path) -> bool:
    return bool(_LINUX.fullmatch(script.name) or _WINDOWS.fullmatch(script.name))
