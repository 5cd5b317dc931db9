"""The program of the OpenStack populator image against real Glance: formats, connections that break, tokens that expire."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import openstack_populator, transfer
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


def fill(openstack: OpenStack, image: str, target: Target, tell: Callable[[Totals], None] = lambda _totals: None, **options: str) -> Any:
    environment = {**openstack.secret(), **options}
    return openstack_populator.fill(Given(openstack.url, image), environment, target, tell)  # type: ignore[arg-type]


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


def test_a_token_that_expires_in_the_middle_is_renewed(openstack: OpenStack, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Glance refuses the token from some point on, as it refuses one that has expired; the copy goes on with a new one."""
    images: list[openstack_populator.Image] = []
    make = openstack_populator.Image.__init__

    def remember(image: openstack_populator.Image, *arguments: Any) -> None:
        make(image, *arguments)
        images.append(image)

    monkeypatch.setattr(openstack_populator.Image, "__init__", remember)
    spoiled: list[int] = []

    def tell(totals: Totals) -> None:
        if not spoiled and totals.done > 64 * MIB:
            spoiled.append(totals.done)
            images[0]._token = "gAAAAABexpired"

    fill(openstack, openstack.images["guest-raw"], target, tell)
    assert spoiled and images[0]._token != "gAAAAABexpired"
    assert sha256(target.path) == sums(openstack)[openstack.images["guest-raw"]]


class Breaking:
    """Stands before Glance and cuts connections: each after `after` bytes, as long as `cuts` are left. Closed, it refuses all."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.after, self.cuts = 1 << 60, 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._upstream)
            self._open += [client, server]
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                passed += len(data)
                if counted and passed > self.after and self.cuts:
                    self.cuts -= 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            shut(end)

    def close(self) -> None:
        shut(self._listener)
        self._listener.close()
        for end in self._open:
            shut(end)


def shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def breaking(openstack: OpenStack) -> Iterator[Breaking]:
    """Glance of a region of its own goes through it."""
    proxy = Breaking(openstack.endpoints["glance"])
    with openstack.connect(admin=True) as cloud:
        identity = cloud.identity
        region = identity.create_region(id="Shaky")
        services = {service.type: service.id for service in identity.services()}
        made = [
            identity.create_endpoint(service_id=services[type], interface="public", url=url, region_id="Shaky")
            for type, url in (("image", f"https://127.0.0.1:{proxy.port}"), ("identity", openstack.url))
        ]
        yield proxy
        proxy.close()
        for endpoint in made:
            identity.delete_endpoint(endpoint)
        identity.delete_region(region)


def test_connections_that_break_are_made_anew(openstack: OpenStack, target: Target, breaking: Breaking) -> None:
    breaking.after, breaking.cuts = 3 * MIB, 6
    image = openstack.images["guest-raw"]
    filled = fill(openstack, image, target, regionName="Shaky")
    assert breaking.cuts == 0
    assert filled.totals.read == 256 * MIB and sha256(target.path) == sums(openstack)[image]


def test_a_source_that_goes_away_is_told_in_one_sentence(openstack: OpenStack, target: Target, breaking: Breaking) -> None:
    def tell(totals: Totals) -> None:
        if totals.done > 32 * MIB:
            breaking.close()

    image = openstack.images["guest-raw"]
    with pytest.raises(SourceGone, match=f"image {image} was not downloaded completely") as failure:
        fill(openstack, image, target, tell, regionName="Shaky")
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
