"""A full Debian guest (systemd, apt, its real package tools), for what the tiny guest cannot show.

It takes minutes to build and to convert. `build` makes one to migrate; `build_migrated` makes one as it is after a migration, which
lets in whoever has its key over SSH, with and without the guest agent.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from ansible_collections.vmshift.mtv.lab.commands import LabError, run
from ansible_collections.vmshift.mtv.lab.disk import MIB, make_bootable

SIZE = 1536 * MIB
PACKAGES = "linux-image-cloud-amd64,initramfs-tools,systemd-sysv,udev,grub-pc,openssh-server,ifupdown,isc-dhcp-client"
SUITE = "bookworm"
MIGRATED_PACKAGES = "dbus,python3,python3-apt,qemu-guest-agent"  # beside those: what Ansible needs, and the agent
TIMERS = "apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim logrotate".split()  # work of their own when a test looks
FILES = {
    "etc/fstab": "LABEL=root / ext4 defaults 0 1\n",
    "etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_DISTRIBUTOR=Debian\nGRUB_CMDLINE_LINUX_DEFAULT=""\n'
    'GRUB_CMDLINE_LINUX="console=ttyS0 net.ifnames=0"\nGRUB_TERMINAL=serial\nGRUB_DISABLE_OS_PROBER=true\n',
    "etc/network/interfaces": "auto lo\niface lo inet loopback\nallow-hotplug eth0\niface eth0 inet dhcp\n",
    # Only the drivers in use go into the initramfs: a conversion rebuilds it under emulation, where size is time.
    "etc/initramfs-tools/conf.d/lab": "MODULES=list\nCOMPRESS=gzip\n",
    "etc/systemd/system/lab-marker.service": "[Unit]\nDescription=Tell the console that the guest is up\n[Service]\nType=oneshot\n"
    "ExecStart=/bin/sh -c 'echo LAB-GUEST-UP host=$(hostname) root=$(findmnt -no SOURCE /) > /dev/ttyS0'\n"
    "[Install]\nWantedBy=multi-user.target\n",
}
MENU = """serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
menuentry 'Debian GNU/Linux' {{
  insmod ext2
  search --no-floppy --label --set=root root
  linux /boot/vmlinuz-{kernel} root=LABEL=root ro console=ttyS0 net.ifnames=0
  initrd /boot/initrd.img-{kernel}
}}
"""


def build(image: Path, work: Path, *, hostname: str = "lab-debian") -> str:
    """Write the guest's root disk to `image` (raw, bootable). Returns the text planted in /root/payload. Needs root."""
    root = work / "debian"
    payload = make_tree(root, work, hostname, "vmw_pvscsi", PACKAGES)
    make_bootable(root, image, SIZE)
    return payload


def build_migrated(with_agent: Path, without_agent: Path, work: Path, public_key: str, *, hostname: str = "lab-debian") -> None:
    """Write two root disks that boot on VirtIO: one whose guest agent runs, and one that has none. Needs root."""
    root = work / "debian"
    make_tree(root, work, hostname, "virtio_pci\nvirtio_blk", f"{PACKAGES},{MIGRATED_PACKAGES}")
    keys = root / "root/.ssh/authorized_keys"
    keys.parent.mkdir(mode=0o700, exist_ok=True)
    keys.write_text(f"{public_key}\n")
    for timer in TIMERS:
        (root / f"etc/systemd/system/timers.target.wants/{timer}.timer").unlink(missing_ok=True)
    make_bootable(root, with_agent, SIZE)
    run(["chroot", root, "apt-get", "-q", "-y", "autoremove", "--purge", "qemu-guest-agent"], env={"DEBIAN_FRONTEND": "noninteractive"})
    make_bootable(root, without_agent, SIZE)


def make_tree(root: Path, work: Path, hostname: str, drivers: str, packages: str) -> str:
    """The guest's files. Returns the text planted in /root/payload."""
    if os.geteuid() != 0:
        raise LabError("the full Debian guest is built by mmdebstrap, which needs root: run this as root or with sudo")
    seed = work / "seed"
    for name, text in {**FILES, "etc/initramfs-tools/modules": f"{drivers}\nsd_mod\next4\n"}.items():
        target = seed / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    hooks = [f"--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d && cp -r {seed}/etc/initramfs-tools/. $1/etc/initramfs-tools/"]
    run(
        ["mmdebstrap", "--variant=minbase", f"--include={packages}", *hooks, SUITE, root],
        timeout=1800,
        env={"DEBIAN_FRONTEND": "noninteractive"},
    )
    shutil.copytree(seed, root, dirs_exist_ok=True)
    (root / "etc/hostname").write_text(f"{hostname}\n")
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    (wanted / "lab-marker.service").symlink_to("../lab-marker.service")
    payload = f"planted {secrets.token_hex(24)}\n"
    (root / "root/payload").write_text(payload)
    kernel = next((root / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
    (root / "boot/grub").mkdir(exist_ok=True)
    (root / "boot/grub/grub.cfg").write_text(MENU.format(kernel=kernel))
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
    return payload
