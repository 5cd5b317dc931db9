"""A disk out of an export of a VM, as another cluster imports it, beside `nbdkit curl` and `qemu-img convert` of it, as CDI does."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from measures import Measure, environment, median, taken

ROUNDS = 3
DISK = 1 << 30
#: Bytes in it that are no hole.
FILLED = (1 << 30, 256 << 20)
SMOKE = {"ROUNDS": 1, "DISK": 16 << 20, "FILLED": (16 << 20, 4 << 20)}

DATAPATH = "ansible_collections.vmshift.mtv.controlplane.datapath"
HEADER, URI = "x-kubevirt-export-token", "/volumes/disk/disk.img"


def measure(work: Path) -> Iterator[Measure]:
    for data in FILLED:
        folder = work / str(data)
        folder.mkdir()
        write(folder / "disk.img", data)
        with exported(folder) as url:
            yield from compared(folder, url, f"{DISK >> 20} MiB with {data >> 20} MiB of data")


def write(disk: Path, data: int) -> None:
    """Data in places all over the disk, holes between."""
    with disk.open("wb") as file:
        file.truncate(DISK)
        for number in range(data >> 20):
            file.seek(number * (DISK // (data >> 20)))
            file.write(secrets.token_bytes(1 << 20))


@contextlib.contextmanager
def exported(folder: Path) -> Iterator[str]:
    """The URL of the disk of an export server."""
    from ansible_collections.vmshift.mtv.lab.certificates import write_certificates

    secret, pod = folder / "secret", folder / "server"
    for place in (secret, pod):
        place.mkdir()
    authority, _certificate, _key = write_certificates(secret, "bench export")
    (secret / "token").write_text(secrets.token_hex(16))
    authority.rename(folder / "ca.crt")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "CERT_FILE": "/secret/server.crt",
        "KEY_FILE": "/secret/server.key",
        "TOKEN_FILE": "/secret/token",
        "LISTEN_ADDR": f"127.0.0.1:{port}",
        "DEADLINE": (datetime.now(timezone.utc) + timedelta(hours=2)).isoformat(),
        "VOLUME0_EXPORT_PATH": "/disk",
        "VOLUME0_EXPORT_RAW_URI": URI,
        "VOLUME0_EXPORT_RAW_GZIP_URI": f"{URI}.gz",
    }
    mount(pod, ("/disk", folder / "disk.img", "Filesystem"), ("/secret", secret, "Secret"))
    with subprocess.Popen(
        [sys.executable, "-m", f"{DATAPATH}.export_server"],
        env={**environment(), **variables, "VMSHIFT_POD_DIR": str(pod)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            while not (pod / "serving.json").exists():
                if server.poll() is not None:
                    raise RuntimeError((pod / "termination-message").read_text())
                time.sleep(0.05)
            yield f"https://127.0.0.1:{port}{URI}"
        finally:
            server.terminate()


def mount(pod: Path, *mounts: tuple[str, Path, str]) -> None:
    entries = [{"mountPath": path, "source": str(source), "kind": kind, "readOnly": False} for path, source, kind in mounts]
    (pod / "mounts.json").write_text(json.dumps(entries))


def compared(folder: Path, url: str, what: str) -> Iterator[Measure]:
    token, own, other, read = (folder / "secret/token").read_text(), [], [], 0
    source = ["nbdkit", "-U", "-", "curl", f"url={url}", f"header={HEADER}: {token}", f"cainfo={folder / 'ca.crt'}"]
    convert = [*source, "--run", f"qemu-img convert -n -W -O raw $uri {folder / 'theirs.raw'}"]
    for _unused in range(ROUNDS):
        wall_and_cpu, read = imported(folder, url, token)
        own.append(wall_and_cpu)
        other.append(taken(convert, fresh(folder / "theirs.raw"))[:2])
        if (folder / "ours.raw").read_bytes() != (folder / "theirs.raw").read_bytes():
            raise RuntimeError("the two copies differ")
    for who, figures in (("the importer, with sums", own), ("nbdkit and qemu-img convert", other)):
        yield Measure(f"{what}: {who}", DISK / median(wall for wall, _cpu in figures) / 2**20, "MiB/s")
        yield Measure(f"{what}: {who}", median(cpu for _wall, cpu in figures), "CPU s")
    pairs = list(zip(own, other, strict=True))
    yield Measure(f"{what}: speed, qemu-img convert = 1", median(theirs[0] / ours[0] for ours, theirs in pairs), "", least=0.9)
    yield Measure(f"{what}: CPU, qemu-img convert = 1", median(ours[1] / theirs[1] for ours, theirs in pairs), "")
    yield Measure(f"{what}: bytes that travel, size of the disk = 1", read / DISK, "")


def imported(folder: Path, url: str, token: str) -> tuple[tuple[float, float], int]:
    """((wall, CPU) seconds of the importer's program, bytes read). What the server takes is not in it."""
    pod, certificates = folder / "importer", folder / "certificates"
    for place in (pod, certificates):
        place.mkdir(exist_ok=True)
    for left in pod.iterdir():
        left.unlink()
    (certificates / "ca.crt").write_text((folder / "ca.crt").read_text())
    mount(pod, ("/data", folder / "ours.raw", "Filesystem"), ("/certs", certificates, "ConfigMap"))
    variables = {"IMPORTER_SOURCE": "http", "IMPORTER_ENDPOINT": f"{url}.gz", "IMPORTER_EXTRA_HEADER_0": f"{HEADER}: {token}"}
    wall, cpu, _told = taken(
        [sys.executable, "-m", f"{DATAPATH}.importer"],
        fresh(folder / "ours.raw"),
        {**environment(), **variables, "VMSHIFT_POD_DIR": str(pod)},
    )
    return (wall, cpu), json.loads((pod / "result.json").read_text())["read"]


def fresh(volume: Path) -> Path:
    """A new one, all zeros."""
    volume.unlink(missing_ok=True)
    with volume.open("wb") as file:
        file.truncate(DISK)
    return volume
