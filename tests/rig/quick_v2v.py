"""A virt-v2v for tests: takes its time where the real one does, leaves the guest as it is, and copies every byte of its disks.

It speaks the same: the options of `-i ova -o local -of raw` and `-i libvirtxml`, --machine-readable, output files that are there already
and are cut to the size of the disk. With --in-place it is virt-v2v-in-place, which has nothing to copy. VMSHIFT_QUICK_V2V_SECONDS is how
long a conversion takes beside the copying; tests that stop it midway give it some. While the file VMSHIFT_QUICK_V2V_REFUSES is
there, it converts nothing.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from xml.etree import ElementTree

CHUNK = 1 << 20


def main():
    parser = argparse.ArgumentParser()
    for option in ("--machine-readable", "-i", "-o", "-os", "-of", "-on"):
        parser.add_argument(option, dest=option.strip("-").replace("-", "_"))
    parser.add_argument("--in-place", action="store_true")
    parser.add_argument("source")
    asked, _others = parser.parse_known_args()
    channel = os.fdopen(int(asked.machine_readable.partition("fd:")[2]), "w")
    pause = float(os.environ.get("VMSHIFT_QUICK_V2V_SECONDS", "0"))

    def say(kind, text):
        print(text, flush=True)
        channel.write(json.dumps({"type": kind, "message": text}) + "\n")
        channel.flush()

    say("message", f"Setting up the source: -i {asked.i} {asked.source}")
    if os.path.exists(os.environ.get("VMSHIFT_QUICK_V2V_REFUSES") or "/nowhere"):
        say("error", "inspection could not detect the source guest (or physical machine)")
        return 1
    if asked.i == "libvirtxml":
        say("message", "Converting the guest to run on KVM")
        time.sleep(pause / 2)
        if not asked.in_place:
            copy_all(overlays(asked.source), asked, pause, say)
        say("message", "Finishing off")
        return 0
    with tempfile.TemporaryDirectory() as work, tarfile.open(asked.source) as archive:
        disks = sorted(name for name in archive.getnames() if name.endswith(".vmdk"))
        say("message", "Converting the guest to run on KVM")
        time.sleep(pause / 2)
        for number, name in enumerate(disks):
            say("message", f"Copying disk {number + 1}/{len(disks)}")
            archive.extract(name, work, filter="data")
            raw = os.path.join(work, "disk.raw")
            done = subprocess.run(
                ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", os.path.join(work, name), raw],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                say("error", done.stderr.strip())
                return 1
            actual = sha256(os.path.join(work, name))
            if actual not in manifest(archive):  # as virt-v2v 2.2 says it, which names the algorithm for what it expected
                said = f"checksum of disk {name} does not match manifest (actual = {actual}, expected = sha256)"
                say("error", f"-i ova: corrupt OVA: {said}")
                return 1
            copy(raw, os.path.join(asked.os, f"{asked.on}-sd{chr(ord('a') + number)}"), pause / 2 / len(disks))
    describe(asked)
    say("message", "Finishing off")
    return 0


def describe(asked):
    with open(os.path.join(asked.os, f"{asked.on}.xml"), "w") as domain:
        domain.write("<domain><os/></domain>")


def overlays(domain):
    """The qcow2 files of the disks of a libvirt domain."""
    return [source.get("file") for source in ElementTree.parse(domain).iterfind("devices/disk/source")]


def copy_all(files, asked, pause, say):
    for number, file in enumerate(files):
        say("message", f"Copying disk {number + 1}/{len(files)}")
        with tempfile.TemporaryDirectory() as work:
            raw = os.path.join(work, "disk.raw")
            subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", file, raw], check=True)
            copy(raw, os.path.join(asked.os, f"{asked.on}-sd{chr(ord('a') + number)}"), pause / 2 / len(files))
    describe(asked)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(archive):
    """The text of the manifest; one that holds everything where there is none."""
    names = [name for name in archive.getnames() if name.endswith(".mf")]
    return archive.extractfile(names[0]).read().decode() if names else Anything()


class Anything:
    def __contains__(self, _text):
        return True


def copy(source, target, seconds):
    size = os.stat(source).st_size
    chunks = -(-size // CHUNK)
    with open(source, "rb") as reader, open(target, "r+b") as writer:
        writer.truncate(size)
        for number in range(chunks):
            writer.write(reader.read(CHUNK))
            writer.flush()
            print(f"{100 * (number + 1) // chunks:3}% [****----]", end="\r", flush=True)
            time.sleep(seconds / chunks)


if __name__ == "__main__":
    sys.exit(main())
