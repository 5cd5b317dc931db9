"""Images of Glance into volumes, as the populator fetches them, beside `openstack image save` of the same images."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measures import Measure, environment, median, taken

ROUNDS = 3
DISK, DATA = 1 << 30, 256 << 20
FORMATS = ("raw", "qcow2")
SMOKE = {"ROUNDS": 1, "DISK": 16 << 20, "DATA": 4 << 20}

PROGRAM = "ansible_collections.vmshift.mtv.controlplane.datapath.openstack_populator"


def measure(work: Path) -> Iterator[Measure]:
    from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.exports import OF_VOLUME

    lab = OpenStack.start(work / "cloud", while_process=os.getpid())
    try:
        disk = work / "disk.raw"
        write(disk)
        for format in FORMATS:
            file = work / f"disk.{format}"
            if file != disk:
                subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", format, disk, file], check=True)
            with lab.connect() as cloud, file.open("rb") as data:
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
    for who, figures in (("the populator, with sums", ours), ("openstack image save", theirs)):
        yield Measure(f"{what}: {who}", median(wall for wall, _cpu in figures), "s")
        yield Measure(f"{what}: {who}", median(cpu for _wall, cpu in figures), "CPU s")
    pairs = list(zip(ours, theirs, strict=True))
    yield Measure(f"{what}: speed, openstack image save = 1", median(other[0] / own[0] for own, other in pairs), "", least=0.9)
    yield Measure(f"{what}: CPU, openstack image save = 1", median(own[1] / other[1] for own, other in pairs), "")
    yield Measure(f"{what}: bytes that travel, size of the disk = 1", read / DISK, "")


def populate(work: Path, lab: Any, image: str) -> tuple[tuple[float, float], int]:
    """((wall, CPU) seconds, bytes read)"""
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
    variables = {**environment(), **lab.secret(), "VMSHIFT_POD_DIR": str(pod)}
    return taken(command, volume, variables)[:2], json.loads((pod / "result.json").read_text())["read"]


def save(work: Path, lab: Any, image: str) -> tuple[float, float]:
    """(wall, CPU) seconds. The client is that of the services' environment."""
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
    return taken([str(client), "image", "save", "--file", str(target), image], target, {**own, **login})[:2]
