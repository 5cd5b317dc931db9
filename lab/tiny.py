"""The tiny guest: Debian's kernel, busybox and a package database, 20 MB, built in seconds.

It is honest where it matters: recognised and converted by virt-v2v, it boots on VMware-like devices before the conversion
and on VirtIO only after it, because the drivers in its initramfs are rebuilt by its own update-initramfs.
"""

from __future__ import annotations

import lzma
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

from ansible_collections.vmshift.mtv.lab.commands import LabError, run
from ansible_collections.vmshift.mtv.lab.disk import MIB, make_bootable

OVERLAY = Path(__file__).parent / "tiny_root"
SIZE = 256 * MIB  # virt-v2v wants 50 MB free on the root filesystem
FOLDERS = (
    "bin sbin etc proc sys dev run tmp root mnt var/log var/lib/dpkg/info usr/bin usr/sbin usr/lib boot/grub etc/rc2.d etc/modprobe.d"
).split()
MODULES = (
    "virtio virtio_ring virtio_pci virtio_blk virtio_scsi virtio_net virtio_console virtio_rng virtio_balloon "
    "scsi_mod sd_mod libata ata_piix ata_generic vmw_pvscsi vmxnet3"
).split()
CONVERTED = ("virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net")  # what a conversion names to the initramfs
PACKAGES = {"dpkg": "1.21.22", "initramfs-tools": "0.142"}
NOT_FROM_BUSYBOX = {"dpkg", "dpkg-deb", "rpm", "rpm2cpio"}


def build(image: Path, work: Path, *, hostname: str = "lab-guest", hardware: str = "vmware") -> str:
    """Write the guest's root disk to `image` (raw, bootable). Returns the text planted in /root/payload.

    `hardware`: what it boots on: "vmware"; or "virtio" too, as after a conversion.
    """
    root = work / "root"
    payload = make_tree(root, hostname, hardware)
    make_bootable(root, image, SIZE)
    return payload


def make_tree(root: Path, hostname: str, hardware: str = "vmware") -> str:
    """The guest's files, in the new folder `root`. Returns the planted text."""
    shutil.copytree(OVERLAY, root, symlinks=True)
    if hardware == "virtio":
        (root / "etc/initramfs-tools/modules").write_text("".join(f"{module}\n" for module in CONVERTED))
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc/hostname").write_text(f"{hostname}\n")
    add_busybox(root)
    version = add_kernel(root)
    menu = root / "boot/grub/grub.cfg"
    menu.write_text(menu.read_text().replace("@KERNEL@", version))
    add_package_database(root, version)
    payload = f"planted {secrets.token_hex(24)}\n"
    (root / "root/payload").write_text(payload)
    run(["sh", root / "usr/sbin/update-initramfs", "-c", "-k", version], env={"ROOT": str(root)})
    return payload


def add_busybox(root: Path) -> None:
    busybox = next(
        (Path(p) for p in ("/bin/busybox", "/usr/bin/busybox", "/usr/sbin/busybox", "/sbin/busybox") if is_static(Path(p))), None
    )
    if busybox is None:
        raise LabError("a statically linked busybox is needed (Debian: busybox-static, Fedora: busybox)")
    shutil.copy(busybox, root / "bin/busybox")
    for applet in run([busybox, "--list"]).split():
        link = root / "bin" / applet
        if applet not in NOT_FROM_BUSYBOX and not link.exists():
            link.symlink_to("busybox")
    for applet in ("init", "switch_root", "getty", "modprobe", "insmod", "poweroff", "reboot"):
        (root / "sbin" / applet).symlink_to("../bin/busybox")


def is_static(program: Path) -> bool:
    """An ELF program without an interpreter segment."""
    return program.exists() and b"/ld-linux" not in program.read_bytes()[:4096]


def kernel_version() -> str:
    """The newest installed kernel that has its modules: the cloud flavour first, because it is small."""
    found = [m.name for m in Path("/lib/modules").glob("*") if kernel_image(m.name) and (m / "modules.dep").exists()]
    if not found:
        raise LabError("no kernel image with modules is installed (Debian: linux-image-cloud-amd64, Fedora: kernel-core)")
    return max(found, key=lambda v: ("cloud" in v, [int(n) for n in re.findall(r"\d+", v)]))


def kernel_image(version: str) -> Path | None:
    return next((p for p in (Path(f"/boot/vmlinuz-{version}"), Path(f"/lib/modules/{version}/vmlinuz")) if p.exists()), None)


def add_kernel(root: Path) -> str:
    """Kernel image, configuration and the few modules that matter, with what they depend on."""
    version = kernel_version()
    image = kernel_image(version)
    assert image is not None
    if not os.access(image, os.R_OK):
        raise LabError(f"{image} is readable by root only; `sudo chmod a+r {image}` lets libguestfs and the lab use it")
    shutil.copy(image, root / f"boot/vmlinuz-{version}")
    config = next((p for p in (Path(f"/boot/config-{version}"), Path(f"/lib/modules/{version}/config")) if p.exists()), None)
    if config:
        shutil.copy(config, root / f"boot/config-{version}")
    for module in sorted({m for name in MODULES for m in files_of(name, version)}):
        target = root / str(module).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_uncompressed(module, target)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        if (source := Path(f"/lib/modules/{version}/{name}")).exists():
            shutil.copy(source, root / f"lib/modules/{version}/{name}")
    run(["depmod", "-b", root, version])
    return version


def files_of(module: str, version: str) -> list[Path]:
    """The .ko files that `module` needs, itself included; none when it is built into the kernel."""
    try:
        lines = run(["modprobe", "-S", version, "--show-depends", "--ignore-install", module]).splitlines()
    except LabError:  # this kernel does not have it
        return []
    return [Path(re.sub("^/usr/lib/", "/lib/", line.split()[1])) for line in lines if line.startswith("insmod")]


def copy_uncompressed(module: Path, target: Path) -> None:
    """busybox loads plain .ko files only."""
    if module.suffix == ".xz":
        target.with_suffix("").write_bytes(lzma.decompress(module.read_bytes()))
    elif module.suffix == ".zst":
        target.with_suffix("").write_bytes(subprocess.run(["zstd", "-dcq", module], capture_output=True, check=True, timeout=60).stdout)
    else:
        shutil.copy(module, target)


def add_package_database(root: Path, version: str) -> None:
    packages = {f"linux-image-{version}": "6.1.0", **PACKAGES}
    status = "\n".join(
        f"Package: {name}\nStatus: install ok installed\nPriority: required\nSection: admin\nMaintainer: lab\n"
        f"Architecture: amd64\nVersion: {number}\nDescription: {name}\n"
        for name, number in packages.items()
    )
    (root / "var/lib/dpkg/status").write_text(status)
    files = sorted(f"/{p.relative_to(root)}" for top in ("boot", "lib/modules") for p in (root / top).rglob("*") if "grub" not in p.parts)
    (root / f"var/lib/dpkg/info/linux-image-{version}.list").write_text("\n".join(files) + "\n")
