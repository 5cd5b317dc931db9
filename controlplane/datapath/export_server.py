"""The program of the exporter image: serves the disks of a VM that is off, and what it is made of, over HTTPS.

`python -m ansible_collections.vmshift.mtv.controlplane.datapath.export_server` inside a pod's process. It reads the environment that
KubeVirt gives to its export servers, and serves under the same paths: raw disks (whole, or parts of them), compressed with gzip, in
an archive; manifests of the VM. Beside a raw disk lies a map of its parts that are no holes, for importers of ours. Each request
needs the token of the export. In VMSHIFT_POD_DIR it leaves

    serving.json          {"port": number}, once it serves
    termination-message   why it does not, in one line
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import html
import io
import json
import os
import signal
import ssl
import sys
import tarfile
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane.datapath.http_disk import MAP_SUFFIX
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import DISK_IMAGE, Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE, SERVING_FILE, write_json

TOKEN_HEADER = "x-kubevirt-export-token"
READY_PATH = "/exportready"
MANIFESTS = "/manifest_data"
INTERNAL, EXTERNAL = "internal", "external"
PIECE = 1 << 20  # bytes that are compressed at once
_LEVEL = 1  # of compression: faster than most networks, and nearly as small for disks

Object = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Volume:
    """A disk, and the path of each of its forms; "" for one that it does not have."""

    disk: Path
    raw: str
    gzip: str
    archive: str = ""
    folder: str = ""


def main() -> int:
    folder = Path(os.environ["VMSHIFT_POD_DIR"])
    try:
        asyncio.run(serve(os.environ, Mounts.load(folder), folder))
    except (NotMounted, KeyError, ValueError, ssl.SSLError) as error:
        return _fail(folder, f"the pod is not made for an export server: {error}")
    except OSError as error:
        return _fail(folder, error.strerror or str(error), 2 if error.errno == errno.EADDRINUSE else 1)
    return 0


def _fail(folder: Path, why: str, code: int = 1) -> int:
    print(f"export failed: {why}", file=sys.stderr, flush=True)
    (folder / MESSAGE_FILE).write_text(why)
    return code


async def serve(environment: Mapping[str, str], mounts: Mounts, folder: Path) -> None:
    """Until the export expires, or until it is told to end."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(mounts.host_path(environment["CERT_FILE"]), mounts.host_path(environment["KEY_FILE"]))
    token = mounts.host_path(environment["TOKEN_FILE"]).read_text()
    host, _colon, port = environment["LISTEN_ADDR"].rpartition(":")
    runner = web.AppRunner(build_app(environment, mounts, token), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, int(port), ssl_context=context).start()
        write_json(folder / SERVING_FILE, {"port": int(port)})
        print(f"serving on {host}:{port}", flush=True)
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        try:
            await asyncio.wait_for(ended.wait(), _seconds_left(environment["DEADLINE"]))
        except TimeoutError:
            print("the export has expired", flush=True)
    finally:
        await runner.cleanup()


def _seconds_left(deadline: str) -> float:
    return (datetime.fromisoformat(deadline.replace("Z", "+00:00")) - datetime.now(timezone.utc)).total_seconds()


def volumes(environment: Mapping[str, str], mounts: Mounts) -> Iterator[Volume]:
    """What the environment names. Raises NotMounted."""
    number = 0
    while path := environment.get(f"VOLUME{number}_EXPORT_PATH"):
        uris = {name: environment.get(f"VOLUME{number}_EXPORT_{name}_URI", "") for name in ("RAW", "RAW_GZIP", "ARCHIVE", "DIR")}
        disk = mounts.host_path(path if path.startswith("/dev/") else f"{path}/{DISK_IMAGE}")
        yield Volume(disk, uris["RAW"], uris["RAW_GZIP"], uris["ARCHIVE"], uris["DIR"])
        number += 1


def build_app(environment: Mapping[str, str], mounts: Mounts, token: str) -> web.Application:
    """Everything is served under the base path of external links, too, whose proxy takes that away on a cluster."""
    app = web.Application(middlewares=[_checker(token)])
    base = environment.get("EXPORT_BASE_PATH", "")

    def add(path: str, handler: Handler) -> None:
        for prefix in dict.fromkeys(("", base)):
            app.router.add_get(prefix + path, handler)

    add(READY_PATH, _ready)
    for volume in volumes(environment, mounts):
        add(volume.raw, _file(volume.disk))
        add(volume.raw + MAP_SUFFIX, _map(volume.disk))
        add(volume.gzip, _compressed(volume.disk, _pieces))
        if volume.archive:
            add(volume.archive, _compressed(volume.disk, _archive))
        if volume.folder:
            add(volume.folder, _listing)
            add(volume.folder + DISK_IMAGE, _file(volume.disk))
    if uri := environment.get("EXPORT_VM_DEF_URI"):
        for kind in (INTERNAL, EXTERNAL):
            add(f"/{kind}{uri}", _manifests(mounts, kind))
    if uri := environment.get("EXPORT_SECRET_DEF_URI"):
        for kind in (INTERNAL, EXTERNAL):
            add(f"/{kind}{uri}", _header_secret(mounts, token))
    return app


def _checker(token: str) -> Any:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = (request.headers.get(TOKEN_HEADER, ""), request.query.get(TOKEN_HEADER, ""))
        known = any(hmac.compare_digest(one.encode(), token.encode()) for one in given)
        if not known and not request.path.endswith(READY_PATH):
            return web.Response(status=401)
        return await handler(request)

    return check


async def _ready(_request: web.Request) -> web.Response:
    return web.Response(text="OK")


async def _listing(_request: web.Request) -> web.Response:
    return web.Response(text=f'<pre>\n<a href="{html.escape(DISK_IMAGE)}">{DISK_IMAGE}</a>\n</pre>\n', content_type="text/html")


def _file(disk: Path) -> Handler:
    async def answer(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(disk, chunk_size=PIECE, headers={"Content-Type": "application/octet-stream"})

    return answer


def _map(disk: Path) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        found = await asyncio.to_thread(lambda: list(data_of(disk)))
        return web.json_response({"size": disk.stat().st_size, "data": found})

    return answer


def data_of(disk: Path) -> Iterator[tuple[int, int]]:
    """(offset, length) of the parts of a file that are no holes."""
    with disk.open("rb") as file:
        end = 0
        while True:
            try:
                begin = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    return
                raise
            end = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            yield begin, end - begin


# Compressed


def _compressed(disk: Path, content: Callable[[Path], Iterator[bytes]]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "application/gzip"})
        await reply.prepare(request)
        packed = _packed(content(disk))
        while data := await asyncio.to_thread(next, packed, b""):
            await reply.write(data)
        await reply.write_eof()
        return reply

    return answer


def _packed(content: Iterator[bytes]) -> Iterator[bytes]:
    """gzip, in members of one piece each: what is all zeros needs to be compressed only once."""
    zeros, packed_zeros = bytes(PIECE), _member(bytes(PIECE))
    for data in content:
        yield packed_zeros if data == zeros else _member(data)


def _member(data: bytes) -> bytes:
    machine = zlib.compressobj(_LEVEL, wbits=31)
    return machine.compress(data) + machine.flush()


def _pieces(disk: Path) -> Iterator[bytes]:
    """All bytes of a disk. Holes are not read."""
    size, zeros = disk.stat().st_size, bytes(PIECE)
    with disk.open("rb") as file:
        for offset in range(0, size, PIECE):
            length = min(PIECE, size - offset)
            yield zeros[:length] if _is_hole(file.fileno(), offset, length) else os.pread(file.fileno(), length, offset)


def _is_hole(descriptor: int, offset: int, length: int) -> bool:
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA) >= offset + length
    except OSError as error:
        return error.errno == errno.ENXIO


def _archive(disk: Path) -> Iterator[bytes]:
    """A tar file with the disk in it."""
    status = disk.stat()
    member = tarfile.TarInfo(f"./{DISK_IMAGE}")
    member.size, member.mtime, member.mode = status.st_size, int(status.st_mtime), 0o660
    yield member.tobuf(tarfile.GNU_FORMAT)
    yield from _pieces(disk)
    padding = -status.st_size % tarfile.BLOCKSIZE
    yield bytes(padding + 2 * tarfile.BLOCKSIZE)


# Manifests


def _manifests(mounts: Mounts, kind: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return _rendered(request, manifests(mounts, kind))

    return answer


def manifests(mounts: Mounts, kind: str) -> list[Object]:
    """The ConfigMap with the certificate of the server, the VM, and a DataVolume for each disk that the VM makes none for itself."""

    def load(name: str) -> str:
        return mounts.host_path(f"{MANIFESTS}/{name}").read_text()

    machine, authority, name = json.loads(load("virtualmachine-manifest")), json.loads(load(f"{kind}_ca_cm")), load("export-name")
    base = f"https://{load(f'{kind}_host')}"
    made = [json.loads(path.read_text()) for path in mounts.files(MANIFESTS) if path.name.startswith("dv-")]
    for volume in (*made, *(machine["spec"].get("dataVolumeTemplates") or ())):
        source = (volume["spec"].get("source") or {}).get("http")
        if source is not None:
            source["url"] = f"{base}/volumes/{volume['metadata']['name']}/{DISK_IMAGE}.gz"
            source.update(certConfigMap=authority["metadata"]["name"], secretExtraHeaders=[_secret_name(name)])
    return [{"apiVersion": "v1", "kind": "ConfigMap", **authority}, machine, *made]


def _secret_name(export: str) -> str:
    return f"header-secret-{export}"


def _header_secret(mounts: Mounts, token: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        name = mounts.host_path(f"{MANIFESTS}/export-name").read_text()
        data = {"token": f"{TOKEN_HEADER}:{token}"}
        return _rendered(request, [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _secret_name(name)}, "stringData": data}])

    return answer


def _rendered(request: web.Request, objects: list[Object]) -> web.Response:
    """As YAML documents; as a List, to whoever asks for JSON."""
    if request.headers.get("Accept") == "application/json":
        return web.json_response({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": objects})
    target = io.StringIO()
    yaml.safe_dump_all(objects, target, sort_keys=False, explicit_start=True)
    return web.Response(text=target.getvalue(), content_type="application/yaml")


if __name__ == "__main__":
    sys.exit(main())
