"""The tiny guest with an encrypted root: its kernel on a partition of its own, all else in LUKS, as Debian's installer lays it out.

It is there to be converted, not to be booted: its initramfs asks nobody for a passphrase.
"""

from __future__ import annotations

from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath.acceleration import libguestfs_environment
from ansible_collections.vmshift.mtv.lab import tiny
from ansible_collections.vmshift.mtv.lab.commands import run
from ansible_collections.vmshift.mtv.lab.disk import FIRST_PARTITION, MIB, make_filesystem, partition

PASSPHRASE = "correct horse battery staple"
BOOT, ROOT = 96 * MIB, 192 * MIB  # sizes of the partitions; virt-v2v wants 50 MB free on each
HEADER = 16 * MIB  # of LUKS 2
SECTOR = 512
FSTAB = "LABEL=root / ext4 defaults 0 1\nLABEL=boot /boot ext4 defaults 0 2\n"


def build(image: Path, work: Path, *, hostname: str = "lab-guest") -> str:
    """Write the root disk to `image` (raw). Returns the text planted in /root/payload."""
    root, boot = work / "root", work / "boot"
    payload = tiny.make_tree(root, hostname)
    (root / "etc/fstab").write_text(FSTAB)
    (root / "boot").rename(boot)
    (root / "boot").mkdir()
    start = FIRST_PARTITION + BOOT
    places = ((FIRST_PARTITION, BOOT), (start, ROOT))
    partition(image, start + ROOT, *(f"start={offset // SECTOR}, size={size // SECTOR}, type=83" for offset, size in places))
    make_filesystem(boot, "boot", image, FIRST_PARTITION, BOOT)
    plain, passphrase = work / "plain", work / "passphrase"
    with plain.open("wb") as file:
        file.truncate(ROOT - HEADER)
    make_filesystem(root, "root", plain, 0, ROOT - HEADER)
    passphrase.touch(mode=0o600)
    passphrase.write_text(f"{PASSPHRASE}\n{PASSPHRASE}\n")
    encrypt(image, plain, passphrase)
    return payload


def encrypt(image: Path, plain: Path, passphrases: Path) -> None:
    """Make the second partition of `image` LUKS, and `plain` its content, with the tools that open it again in a conversion.

    `passphrases`: a file with a line for each command that asks.
    """
    commands = (
        ["run"],
        ["luks-format", "/dev/sda2", "0"],
        ["cryptsetup-open", "/dev/sda2", "opened"],
        ["copy-device-to-device", "/dev/sdb", "/dev/mapper/opened"],
        ["cryptsetup-close", "/dev/mapper/opened"],
    )
    words = [word for command in commands for word in (":", *command)][1:]
    disks = ["--format=raw", "-a", str(image), "-a", str(plain)]
    script = 'passphrases=$1; shift; exec guestfish --keys-from-stdin "$@" < "$passphrases"'
    run(["sh", "-c", script, "sh", passphrases, *disks, *words], timeout=900, env=libguestfs_environment())
