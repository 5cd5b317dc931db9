"""A guest converted where its disks are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath.in_place import InPlace
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed, Guest

Tool = Callable[[str, str], None]

# Writes a pattern into the first disk of the domain, as a conversion changes it.
CHANGE = r"""disk=$(sed -n 's/.*<source file="\([^"]*overlay0\)".*/\1/p' "$(for a in "$@"; do case $a in *.xml) echo $a;; esac; done)")
qemu-io -f qcow2 -c 'write -P 0x41 0 4096' "$disk" > /dev/null
echo 'i_osinfo = debian12'; echo 'i_firmware = UEFI [/dev/sda1]'; echo 'libguestfs: trace: a lot'
say message "Opening the source"; say warning "no grub"
"""


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "root.img", tmp_path / "data.img"]
    for volume in found:
        volume.write_bytes(b"x" * (1 << 20))
    return found


async def run(volumes: list[Path], scratch: Path, log: list[str]) -> tuple[Guest, list[str]]:
    scratch.mkdir()
    conversion = InPlace(volumes, scratch, "app", ["--root", "first"], lambda _progress: None, log.append)
    return await conversion.run(os.environ, 30), conversion.warnings


async def test_what_was_changed_is_in_the_volumes(tmp_path: Path, tool: Tool, volumes: list[Path]) -> None:
    tool("virt-v2v-in-place", CHANGE)
    log: list[str] = []
    assert await run(volumes, tmp_path / "scratch", log) == (Guest("efi", "debian12"), ["no grub"])
    assert volumes[0].read_bytes() == b"A" * 4096 + b"x" * ((1 << 20) - 4096)
    assert volumes[1].read_bytes() == b"x" * (1 << 20)
    assert log == ["Opening the source"]  # and not what it says when it is verbose


async def test_a_conversion_that_fails_leaves_the_volumes_as_they_were(tmp_path: Path, tool: Tool, volumes: list[Path]) -> None:
    tool("virt-v2v-in-place", CHANGE + 'say error "no root device found"; exit 1')
    with pytest.raises(ConversionFailed, match="^virt-v2v: no root device found$"):
        await run(volumes, tmp_path / "scratch", [])
    assert [volume.read_bytes() for volume in volumes] == [b"x" * (1 << 20)] * 2


LOCKED = """cat <<'E'
virt-v2v-in-place: virt-v2v 2.2.0 (x86_64)
libguestfs: trace: cryptsetup_open = -1 (error)
/usr/bin/virt-v2v-in-place: could not find key to open LUKS encrypted /dev/sda2.

Try using --key on the command line.

Original error: cryptsetup_open: cryptsetup exited with status 2: No key available with this passphrase. (0)
E
exit 1"""
NO_CLEVIS = (
    """echo "virt-v2v-in-place: 'clevis_luks_unlock', needed for decrypting /dev/sda2, is unavailable in this libguestfs version"; exit 1"""
)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (LOCKED, "No passphrase of the Secret with the keys of the VM opens /dev/sda2, which is encrypted."),
        (
            LOCKED.replace("/usr/bin/virt", "guestfsd: => cryptsetup_open virt"),  # what the appliance prints comes in between
            "No passphrase of the Secret with the keys of the VM opens /dev/sda2, which is encrypted.",
        ),
        (NO_CLEVIS, "/dev/sda2 is to be opened with Clevis, which libguestfs can from version 1.50 on; the one of this machine is older."),
    ],
)
async def test_a_disk_that_stays_closed_is_told_in_a_sentence(
    tmp_path: Path, tool: Tool, volumes: list[Path], script: str, said: str
) -> None:
    tool("virt-v2v-in-place", script)
    with pytest.raises(ConversionFailed) as caught:
        await run(volumes, tmp_path / "scratch", [])
    assert str(caught.value) == said


async def test_options_reach_the_program(tmp_path: Path, tool: Tool, volumes: list[Path]) -> None:
    tool("virt-v2v-in-place", f'printf "%s\\n" "$@" > {tmp_path}/argv')
    await run(volumes, tmp_path / "scratch", [])
    argv = (tmp_path / "argv").read_text().splitlines()
    assert argv[2:] == ["-i", "libvirtxml", f"{tmp_path}/scratch/domain.xml", "--root", "first"]
