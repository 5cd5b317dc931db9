"""A bootable disk image from a folder, without mounting anything."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.vmshift.mtv.lab.commands import LabError, run

MIB = 1 << 20
FIRST_PARTITION = 1 * MIB  # where sfdisk puts it with start=2048
GRUB_FOLDERS = ("/usr/lib/grub/i386-pc", "/usr/share/grub2/i386-pc", "/usr/lib/grub2/i386-pc")
GRUB_MODULES = "biosdisk part_msdos ext2 normal linux search search_label serial terminal configfile boot echo"


def make_bootable(tree: Path, image: Path, size: int) -> None:
    """Write a BIOS-bootable raw image of `size` bytes: one ext4 partition labelled `root` with the content of `tree`, and GRUB."""
    partition(image, size, "start=2048, type=83, bootable")
    make_filesystem(tree, "root", image, FIRST_PARTITION, size - FIRST_PARTITION)
    install_grub(image)


def partition(image: Path, size: int, *partitions: str) -> None:
    """A raw image of `size` bytes with partitions as sfdisk is told them."""
    with image.open("wb") as file:
        file.truncate(size)
    table = image.with_suffix(".sfdisk")
    table.write_text("\n".join(["label: dos", *partitions, ""]))
    run(["sh", "-c", 'exec sfdisk -q "$1" < "$2"', "sh", image, table])
    table.unlink()


def make_filesystem(tree: Path, label: str, image: Path, offset: int, size: int) -> None:
    """An ext4 with the content of `tree` in `size` bytes of `image`."""
    # Old e2fsprogs in conversion appliances refuse the newest features.
    features = "^metadata_csum_seed,^orphan_file"
    make: list[str | Path] = [
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-E",
        f"offset={offset},root_owner=0:0",
        "-L",
        label,
        "-d",
        tree,
        image,
    ]
    blocks = f"{size // 1024}k"
    try:
        run([*make[:4], "-O", features, *make[4:], blocks])
    except LabError:  # an e2fsprogs that does not know orphan_file yet
        run([*make[:4], "-O", "^metadata_csum_seed", *make[4:], blocks])


def install_grub(image: Path) -> None:
    """GRUB's first sector and core image, as grub-install would place them."""
    folder = next((Path(f) for f in GRUB_FOLDERS if (Path(f) / "boot.img").exists()), None)
    if folder is None:
        raise LabError("GRUB's i386-pc files are not installed (Debian: grub-pc-bin, Fedora: grub2-pc-modules)")
    core = image.with_suffix(".core")
    make = "grub-mkimage" if folder.parts[-2] == "grub" and Path("/usr/bin/grub-mkimage").exists() else "grub2-mkimage"
    run([make, "-O", "i386-pc", "-d", folder, "-o", core, "-p", "(hd0,msdos1)/boot/grub", *GRUB_MODULES.split()])
    with image.open("r+b") as disk:
        disk.write((folder / "boot.img").read_bytes()[:440])
        disk.seek(512)
        disk.write(core.read_bytes())
    core.unlink()
