"""Disk images from HTTP servers, of every kind that answers differently, with faults."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import http_disk, importer, transfer
from ansible_collections.vmshift.mtv.controlplane.datapath.http_disk import Request
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mount, Mounts
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone
from ansible_collections.vmshift.mtv.controlplane.datapath.vsphere_disk import Unreadable
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError

MIB = 1 << 20
TOKEN = {"x-kubevirt-export-token": "s3cret"}


def disk(size: int = 20 * MIB) -> bytes:
    """Data with holes."""
    noise = random.Random(5).randbytes(3 * MIB + 77)
    image = bytearray(size)
    image[: len(noise)] = noise
    image[13 * MIB : 13 * MIB + len(noise)] = noise
    return bytes(image)


class Server:
    """`files` by path. `parts`: it gives parts of them; `breaks`: of answers, how many bytes are sent before the connection ends.

    None: all are sent.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.parts = True
        self.stamp = '"1"'
        self.breaks: list[int | None] = []
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_unused: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_unused: None  # type: ignore[method-assign]  # of clients that give up
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range") if self.parts else None
        self.asked.append(f"{handler.path} {asked or 'all'}")
        content = self.files.get(handler.path.partition("?")[0])
        if handler.headers.get("x-kubevirt-export-token") != "s3cret" or content is None:
            handler.send_response(401 if content is not None else 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        begin, end = 0, len(content)
        if asked:
            first, last = asked.removeprefix("bytes=").split("-")
            begin, end = int(first), min(int(last) + 1, end)
        handler.send_response(206 if asked else 200)
        if asked:
            handler.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        handler.send_header("ETag", self.stamp)
        handler.send_header("Content-Length", str(end - begin))
        handler.end_headers()
        upto = self.breaks.pop(0) if self.breaks and end - begin > 100 else None
        handler.wfile.write(content[begin:end][:upto])
        if upto is not None:
            handler.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    path.write_bytes(b"\xff" * 24 * MIB)  # of an earlier use
    return path


def copy(server: Server, volume: Path, path: str, checksum: str = "") -> transfer.Totals:
    request = Request(server.url + path, TOKEN, checksum=checksum)
    return http_disk.copy(request, volume, volume.parent, lambda _totals: None, lambda _line: None)


def holds(volume: Path, content: bytes) -> bool:
    return volume.read_bytes() == content + bytes(24 * MIB - len(content))


def test_the_raw_form_beside_a_compressed_one_is_read_in_parts_that_hold_data(server, volume):
    content = disk()
    server.files = {
        "/v/disk.img": content,
        "/v/disk.img.gz": gzip.compress(content, 1),
        "/v/disk.img.map": json.dumps({"size": len(content), "data": [[0, 4 * MIB], [13 * MIB, 4 * MIB]]}).encode(),
    }
    totals = copy(server, volume, "/v/disk.img.gz")
    assert holds(volume, content)
    assert totals.read == totals.wanted == 8 * MIB
    assert not any("disk.img.gz" in line for line in server.asked)
    assert os.stat(volume).st_blocks * 512 < 12 * MIB


def test_without_a_map_all_of_it_is_read(server, volume):
    server.files = {"/v/disk.img": disk()}
    assert copy(server, volume, "/v/disk.img").read == 20 * MIB
    assert holds(volume, disk())


def test_a_map_of_another_size_is_not_believed(server, volume):
    server.files = {"/v/disk.img": disk(), "/v/disk.img.map": json.dumps({"size": 5, "data": []}).encode()}
    copy(server, volume, "/v/disk.img.gz")
    assert holds(volume, disk())


def test_a_connection_that_breaks_is_opened_again(server, volume, monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.01)
    server.files, server.breaks = {"/v/disk.img": disk()}, [5000, 70000, 0]
    copy(server, volume, "/v/disk.img")
    assert holds(volume, disk())


def test_an_attempt_goes_on_where_the_last_one_was_and_believes_only_sums(server, volume, monkeypatch):
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    monkeypatch.setattr(transfer, "THREADS", 1)
    server.files = {"/v/disk.img": disk()}
    server.breaks = [None, None, None, 9]
    with pytest.raises(SourceGone, match="broke off"):
        copy(server, volume, "/v/disk.img")
    with volume.open("r+b") as file:
        file.write(b"overwritten by somebody")
    totals = copy(server, volume, "/v/disk.img")
    assert holds(volume, disk())
    assert totals.kept == 8 * MIB  # of the three pieces that were there the first was damaged


def test_a_disk_that_changes_meanwhile_is_refused(server, volume):
    server.files = {"/v/disk.img": disk()}
    answer = server.answer

    def changing(handler: BaseHTTPRequestHandler) -> None:
        if len(server.asked) == 5:
            server.stamp = '"2"'
        answer(handler)

    server.answer = changing
    with pytest.raises(SourceError, match="was written to while it was copied"):
        copy(server, volume, "/v/disk.img")


@pytest.mark.parametrize("members", [1, 3])
def test_a_compressed_stream(server, volume, members):
    content, server.parts = disk(), False
    cut = [content[i * len(content) // members : (i + 1) * len(content) // members] for i in range(members)]
    server.files = {"/v/disk.img.gz": b"".join(gzip.compress(part, 1) for part in cut)}
    copy(server, volume, "/v/disk.img.gz")
    assert holds(volume, content)
    assert os.stat(volume).st_blocks * 512 < 12 * MIB


def test_a_stream_that_ends_too_early_is_no_disk(server, volume):
    server.parts = False
    packed = gzip.compress(disk(), 1)
    server.files = {"/v/disk.img.gz": packed[:-MIB], "/v/disk.img": disk()}
    with pytest.raises(SourceGone, match="broke off in the middle"):
        copy(server, volume, "/v/disk.img.gz")
    server.files = {"/v/disk.img.gz": packed[:MIB] + bytes(64) + packed[MIB + 64 :]}
    with pytest.raises(SourceGone, match="damaged"):
        copy(server, volume, "/v/disk.img.gz")
    server.files, server.breaks = {"/v/disk.img": disk()}, [None, 9 * MIB]
    with pytest.raises(SourceGone, match="broke off"):
        copy(server, volume, "/v/disk.img")


def test_the_image_in_an_archive(server, volume):
    target, content = io.BytesIO(), disk()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, data in (("./notes", b"x"), ("./disk.img", content)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    server.parts, server.files = False, {"/v/disk.tar.gz": target.getvalue()}
    copy(server, volume, "/v/disk.tar.gz")
    assert holds(volume, content)


def test_a_checksum_is_of_what_is_sent(server, volume):
    packed = gzip.compress(disk(), 1)
    server.files = {"/v/disk.img.gz": packed, "/v/disk.img": disk()}
    copy(server, volume, "/v/disk.img.gz", f"sha256:{hashlib.sha256(packed).hexdigest()}")
    assert holds(volume, disk())
    with pytest.raises(SourceError, match="does not have the checksum"):
        copy(server, volume, "/v/disk.img.gz", f"sha256:{'0' * 64}")
    with pytest.raises(SourceError, match="checksum 'sha256:12' is not understood"):
        copy(server, volume, "/v/disk.img.gz", "sha256:12")


@pytest.mark.parametrize("parts", [True, False])
def test_what_cannot_be_a_disk_here(server, volume, parts):
    server.parts = parts
    server.files = {"/v/big.img": disk(25 * MIB), "/v/qcow2": b"QFI\xfb" + bytes(MIB)}
    with pytest.raises(SourceError, match="its volume holds"):
        copy(server, volume, "/v/big.img")
    with pytest.raises(SourceError, match="is a qcow2 image"):
        copy(server, volume, "/v/qcow2")
    with pytest.raises(SourceError, match="answers 404"):
        copy(server, volume, "/v/absent")
    with pytest.raises(SourceError, match="answers 401") as refused:
        http_disk.copy(Request(f"{server.url}/v/big.img?a=b", {"x": "s3cret"}), volume, volume.parent, print, print)
    assert "s3cret" not in str(refused.value)


def test_certificates_that_are_none():
    with pytest.raises(SourceError, match="are not in PEM format"):
        http_disk.copy(Request("https://127.0.0.1:1/disk.img", authority="x"), Path("v"), Path(), print, print)


def test_what_the_pod_is_told(tmp_path):
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca/ca.pem").write_text("PEM")
    (tmp_path / "h0").mkdir()
    (tmp_path / "h0/token").write_text("x-kubevirt-export-token:s3cret")
    mounts = Mounts([
        Mount("/certs", str(tmp_path / "ca"), "ConfigMap"),
        Mount("/extraheaders/0", str(tmp_path / "h0"), "Secret"),
        Mount("/data", str(tmp_path / "disk"), "Filesystem"),
    ])  # fmt: skip
    given = {"IMPORTER_ENDPOINT": "https://x/disk.img.gz", "IMPORTER_EXTRA_HEADER_0": "a: b", "IMPORTER_ACCESS_KEY_ID": "me"}
    request = importer.http_request(given, mounts)
    assert request.headers == {"a": "b", "x-kubevirt-export-token": "s3cret", "Authorization": "Basic bWU6"}
    assert (request.authority, request.url) == ("PEM", "https://x/disk.img.gz")
    assert "s3cret" not in repr(request)
    with pytest.raises(Unreadable, match="the url 'ftp://x'"):
        importer.http_request({"IMPORTER_ENDPOINT": "ftp://x"}, mounts)
    (tmp_path / "h0/token").write_text("s3cret")
    with pytest.raises(Unreadable, match="is not NAME: VALUE") as refused:
        importer.http_request(given, mounts)
    assert "s3cret" not in str(refused.value)
