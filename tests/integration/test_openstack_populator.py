"""The program of the OpenStack populator image against real Glance: formats, connections that break, tokens that expire."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet, MultiFernet
from gate import REGION, Gate, region

from ansible_collections.vmshift.mtv.controlplane.datapath import openstack_populator, patience, populator, transfer
from ansible_collections.vmshift.mtv.controlplane.datapath.populator import Target, Unfit
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone, Totals
from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.exports import OF_VOLUME

MIB = 1 << 20
PROGRAM = "ansible_collections.vmshift.mtv.controlplane.datapath.openstack_populator"


class Given:
    """Arguments of the program."""

    def __init__(self, endpoint: str, image_id: str) -> None:
        self.endpoint, self.image_id = endpoint, image_id


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.05)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A volume with room for 320 MiB, in which an earlier attempt has left something."""
    path = tmp_path / "volume.img"
    path.write_bytes(b"left over" * 1000)
    (tmp_path / "pod").mkdir()
    monkeypatch.setenv("VMSHIFT_POD_DIR", str(tmp_path / "pod"))
    return Target(path, 320 * MIB, block=False)


@pytest.fixture(scope="module")
def packed(openstack: OpenStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image as Cinder makes one of a volume: qcow2, and it says of which."""
    source = openstack.folder / "data/glance" / openstack.images["guest-data"]
    file = tmp_path_factory.mktemp("packed") / "data.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, file], check=True)
    with openstack.connect() as cloud:
        with file.open("rb") as data:
            properties: dict[str, Any] = {OF_VOLUME: "v-1"}
            made = cloud.image.create_image(name="packed", disk_format="qcow2", container_format="bare", data=data, **properties)
        yield made.id
        cloud.image.delete_image(made.id)


def fill(
    openstack: OpenStack,
    image: str,
    target: Target,
    tell: Callable[[Totals], None] = lambda _totals: None,
    *,
    endpoint: str = "",
    **options: str,
) -> Any:
    environment = {**openstack.secret(), **options}
    return openstack_populator.fill(Given(endpoint or openstack.url, image), environment, target, tell)  # type: ignore[arg-type]


def sums(openstack: OpenStack) -> dict[str, str]:
    return {disk["image"]: disk["sha256"] for server in openstack.servers for disk in server["disks"] if "image" in disk}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_a_raw_image_arrives_whole_and_sparse(openstack: OpenStack, target: Target) -> None:
    image, told = openstack.images["guest-raw"], []
    filled = fill(openstack, image, target, lambda totals: told.append(totals.done))
    assert (filled.size, filled.totals.read) == (256 * MIB, 256 * MIB)
    assert sha256(target.path) == sums(openstack)[image]
    assert target.path.stat().st_blocks * 512 < 128 * MIB
    assert max(told) == 256 * MIB and len(told) > 10


def test_an_image_of_a_volume_is_unpacked_and_only_its_data_travels(openstack: OpenStack, target: Target, packed: str) -> None:
    filled = fill(openstack, packed, target)
    assert filled.size == 64 * MIB
    assert filled.totals.read < 8 * MIB
    assert sha256(target.path) == sums(openstack)[openstack.images["guest-data"]]
    assert not [path for path in (target.path.parent / "pod").iterdir() if path.stat().st_size > MIB]  # what it was packed in is gone


def test_an_image_of_a_server_is_taken_as_it_is(openstack: OpenStack, target: Target) -> None:
    image = openstack.images["guest"]
    fill(openstack, image, target)
    assert sha256(target.path) == sha256(openstack.folder / "data/glance" / image)


def test_as_a_program_it_tells_how_far_it_is(openstack: OpenStack, target: Target, packed: str) -> None:
    pod = target.path.parent / "pod"
    with target.path.open("r+b") as file:
        file.truncate(100 * MIB)
    (pod / "mounts.json").write_text(
        json.dumps([{"mountPath": "/mnt/", "source": str(target.path), "kind": "Filesystem", "readOnly": False}])
    )
    command = [sys.executable, "-m", PROGRAM, f"--endpoint={openstack.url}", f"--image-id={packed}", "--volume-path=/mnt/disk.img"]
    command += ["--secret-name=s", "--cr-name=c", "--cr-namespace=n", "--owner-uid=u", f"--pvc-size={100 * MIB}"]
    environment = {**os.environ, **openstack.secret(), "VMSHIFT_POD_DIR": str(pod)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    progress = json.loads((pod / "progress.json").read_text())
    assert progress["done"] == progress["total"] > 0
    assert json.loads((pod / "result.json").read_text())["size"] == 64 * MIB
    assert openstack.password not in done.stdout + done.stderr + " ".join(command)


@pytest.fixture
def gates(openstack: OpenStack) -> Iterator[dict[str, Gate]]:
    """Behind them stand Glance and Keystone of a region of its own."""
    found = {"image": Gate(openstack.endpoints["glance"]), "identity": Gate(openstack.url)}
    with region(openstack, found):
        yield found


@pytest.mark.parametrize("keystone", ["there", "away"])
def test_a_token_that_expires_in_the_middle_is_renewed(
    openstack: OpenStack, target: Target, gates: dict[str, Gate], monkeypatch: pytest.MonkeyPatch, keystone: str
) -> None:
    """From some point on the token is one that Keystone itself has let expire; the copy goes on with a new one, once there can be one."""
    aged: list[str] = []
    renew = openstack_populator.Image.renew

    def tell(totals: Totals) -> None:
        if not aged and totals.done > 64 * MIB:
            aged.append(expired(openstack, images[0].token()))
            images[0]._token = aged[0]
            if keystone == "away":
                gates["identity"].shut()

    def back_at_the_first_try(image: openstack_populator.Image, refused: str) -> bool:
        try:
            return renew(image, refused)
        except SourceError:
            gates["identity"].open()
            raise

    images = remembered(monkeypatch)
    monkeypatch.setattr(openstack_populator.Image, "renew", back_at_the_first_try)
    fill(openstack, openstack.images["guest-raw"], target, tell, endpoint=gates["identity"].url, regionName=REGION)
    assert aged and images[0].token() != aged[0]
    assert (gates["identity"].refused > 0) == (keystone == "away")
    assert sha256(target.path) == sums(openstack)[openstack.images["guest-raw"]]


def remembered(monkeypatch: pytest.MonkeyPatch) -> list[openstack_populator.Image]:
    """The images that the program will look at."""
    images: list[openstack_populator.Image] = []
    make = openstack_populator.Image.__init__

    def remember(image: openstack_populator.Image, *arguments: Any) -> None:
        make(image, *arguments)
        images.append(image)

    monkeypatch.setattr(openstack_populator.Image, "__init__", remember)
    return images


def expired(openstack: OpenStack, token: str) -> str:
    """The same token of Keystone's, sealed with its own key, as it is when its hour is over."""
    keys = openstack.folder / "etc/keystone/fernet-keys"
    fernet = MultiFernet([Fernet(key.read_bytes()) for key in sorted(keys.iterdir(), reverse=True)])
    payload = fernet.decrypt(token + "=" * (-len(token) % 4))
    now = time.time()
    # The only number in it that is a time to come: 64 bits of floating point in MessagePack.
    offsets = [offset for offset, byte in enumerate(payload[:-8]) if byte == 0xCB]
    (at,) = [offset + 1 for offset in offsets if 0 < struct.unpack_from(">d", payload, offset + 1)[0] - now < 7 * 24 * 3600]
    return fernet.encrypt(payload[:at] + struct.pack(">d", now - 1) + payload[at + 8 :]).decode().rstrip("=")


def test_connections_that_break_are_made_anew(openstack: OpenStack, target: Target, gates: dict[str, Gate]) -> None:
    gates["image"].cut(after=3 * MIB, times=6)
    image = openstack.images["guest-raw"]
    filled = fill(openstack, image, target, regionName=REGION)
    assert gates["image"].cuts == 0
    assert filled.totals.read == 256 * MIB and sha256(target.path) == sums(openstack)[image]


def test_a_cloud_that_is_away_at_the_begin_is_asked_again(
    openstack: OpenStack, target: Target, gates: dict[str, Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        gates["identity"].open()

    monkeypatch.setattr(populator, "say", say)
    monkeypatch.setattr(patience, "PAUSE", 0.05)
    gates["identity"].shut()
    image = openstack.images["guest-data"]
    fill(openstack, image, target, endpoint=gates["identity"].url, regionName=REGION)
    assert said[0].startswith(f"this is tried again: {gates['identity'].url} cannot be asked to log in: ")
    assert sha256(target.path) == sha256(openstack.folder / "data/glance" / image)


def test_a_source_that_goes_away_is_told_in_one_sentence(openstack: OpenStack, target: Target, gates: dict[str, Gate]) -> None:
    def tell(totals: Totals) -> None:
        if totals.done > 32 * MIB:
            gates["image"].shut()

    image = openstack.images["guest-raw"]
    with pytest.raises(SourceGone, match=f"image {image} was not downloaded completely") as failure:
        fill(openstack, image, target, tell, regionName=REGION)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("kind", ["absent", "too large", "no data"])
def test_what_cannot_be_downloaded_is_told(openstack: OpenStack, target: Target, kind: str) -> None:
    if kind == "too large":
        with pytest.raises(Unfit, match="and its volume only"):
            fill(openstack, openstack.images["guest-raw"], Target(target.path, 10 * MIB, block=False))
        return
    if kind == "absent":
        with pytest.raises(SourceError, match="00000000-0000-4000-8000-0000000000ff") as failure:
            fill(openstack, "00000000-0000-4000-8000-0000000000ff", target)
        assert failure.value.kind == DATA
        return
    with openstack.connect() as cloud:
        empty = cloud.image.create_image(name="empty", disk_format="raw", container_format="bare")
        try:
            with pytest.raises(SourceError, match="is queued, not active"):
                fill(openstack, empty.id, target)
        finally:
            cloud.image.delete_image(empty.id)
