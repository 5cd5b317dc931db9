"""Images of Glance into volumes, as the populator fetches them, beside `openstack image save` of the same images."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measures import Measure, environment, median

ROUNDS = 3
DISK, DATA = 1 << 30, 256 << 20
SMOKE = {"ROUNDS": 1, "DISK": 16 << 20, "DATA": 4 << 20}

PROGRAM = "ansible_collections.vmshift.mtv.controlplane.datapath.openstack_populator"


def measure(work: Path) -> Iterator[Measure]:
    from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.exports import OF_VOLUME

    lab = OpenStack.start(work / "cloud", while_process=os.getpid())
    try:
        raw, packed = work / "disk.raw", work / "disk.qcow2"
        write(raw)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, packed], check=True)
        with lab.connect() as cloud:
            for file, format in ((raw, "raw"), (packed, "qcow2")):
                with file.open("rb") as data:
                    properties: dict[str, Any] = {OF_VOLUME: "v"}
                    image = cloud.image.create_image(name=format, disk_format=format, container_format="bare", data=data, **properties)
                yield from compared(work, lab, image.id, f"{DISK >> 20} MiB with {DATA >> 20} MiB of data, {format}")
    finally:
        lab.stop()


def write(disk: Path) -> None:
    """Data in places all over the disk, holes between."""
    with disk.open("wb") as file:
        file.truncate(DISK)
        for number in range(DATA >> 20):
            file.seek(number * (DISK // (DATA >> 20)))
            file.write(secrets.token_bytes(1 << 20))


def compared(work: Path, lab: Any, image: str, what: str) -> Iterator[Measure]:
    ours, theirs, read = [], [], 0
    for _unused in range(ROUNDS):
        seconds, read = populate(work, lab, image)
        ours.append(seconds)
        theirs.append(save(work, lab, image))
    yield Measure(f"{what}: the populator, with sums", median(ours), "s")
    yield Measure(f"{what}: openstack image save", median(theirs), "s")
    yield Measure(f"{what}: speed, openstack image save = 1", median(b / a for a, b in zip(ours, theirs, strict=True)), "", least=0.9)
    yield Measure(f"{what}: bytes that travel, size of the disk = 1", read / DISK, "")


def populate(work: Path, lab: Any, image: str) -> tuple[float, int]:
    """(seconds until the volume is on stable storage, bytes read)"""
    pod, volume = work / "pod", work / "volume.img"
    pod.mkdir(exist_ok=True)
    for left in pod.iterdir():
        left.unlink()
    with volume.open("wb") as file:
        file.truncate(DISK)
    mounts = [{"mountPath": "/mnt/", "source": str(volume), "kind": "Filesystem", "readOnly": False}]
    (pod / "mounts.json").write_text(json.dumps(mounts))
    command = [
        sys.executable,
        "-m",
        PROGRAM,
        f"--endpoint={lab.url}",
        f"--image-id={image}",
        "--volume-path=/mnt/disk.img",
        f"--pvc-size={DISK}",
    ]
    begun = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        env={**environment(), **lab.secret(), "VMSHIFT_POD_DIR": str(pod)},
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    return time.perf_counter() - begun, json.loads((pod / "result.json").read_text())["read"]


def save(work: Path, lab: Any, image: str) -> float:
    """Seconds until the file is on stable storage. The client is that of the services' environment."""
    from ansible_collections.vmshift.mtv.lab.openstack.environment import services_python

    target = work / "saved.img"
    target.unlink(missing_ok=True)
    login = {
        "OS_AUTH_URL": lab.url,
        "OS_USERNAME": lab.user,
        "OS_PASSWORD": lab.password,
        "OS_PROJECT_NAME": lab.project,
        "OS_USER_DOMAIN_NAME": lab.domain,
        "OS_PROJECT_DOMAIN_NAME": lab.domain,
        "OS_CACERT": str(lab.folder / "ca.crt"),
        "OS_IDENTITY_API_VERSION": "3",
    }
    client = services_python().with_name("openstack")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "PYTHON"))}
    begun = time.perf_counter()
    subprocess.run([client, "image", "save", "--file", target, image], check=True, env={**own, **login}, stdin=subprocess.DEVNULL)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - begun
