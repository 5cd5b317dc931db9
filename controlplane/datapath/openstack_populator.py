"""The program of the OpenStack populator image: downloads an image of Glance into a volume, as Forklift's populator does.

`python -m … --endpoint=URL --image-id=ID` and the arguments of all populators (populator.py), with the keys of the provider's Secret as
environment. Images are read in parts, in parallel, each compared with what the volume then holds; a part that fails is read again, with
a new token where the old one has expired. What was made of a volume is packed as qcow2, so that only its data travels, and is unpacked
into the volume. The image of a server itself is taken as it is: what is not raw in it, a Job unpacks afterwards (facts 3.15).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.datapath import populator, tools, transfer
from ansible_collections.vmshift.mtv.controlplane.datapath.patience import patiently
from ansible_collections.vmshift.mtv.controlplane.datapath.populator import Filled, Target, Unfit
from ansible_collections.vmshift.mtv.controlplane.datapath.ranges import RangeReader
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Journal, SourceGone, Totals, Transfer
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.exports import OF_VOLUME
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.session import Credentials, Session, connect

Tell = Callable[[Totals], None]

RAW = "raw"
UNPACKING = 24 * 3600.0  # seconds
JOURNAL_FILE, PACKED_FILE = "journal", "image"
TOKEN_HEADER = "X-Auth-Token"
#: Environment variables that are keys of a provider's Secret (facts 1.1).
OPTIONS = (
    "regionName authType username userID password applicationCredentialID applicationCredentialName applicationCredentialSecret token "
    "projectName projectID userDomainName userDomainID projectDomainName projectDomainID domainName domainID defaultDomain "
    "insecureSkipVerify cacert availability"
).split()


def fill(given: argparse.Namespace, environment: Mapping[str, str], target: Target, tell: Tell) -> Filled:
    """Raises what populator.Fill may."""
    credentials = Credentials(given.endpoint, {name: environment.get(name, "") for name in OPTIONS})
    with patiently(lambda: connect(credentials), _say_again) as session:
        source = patiently(lambda: Image(session, given.image_id), _say_again)
        if source.format == RAW or not source.is_of_volume:
            target.take(source.size)
            return Filled(source.size, source.copy(target.path, Path(os.environ["VMSHIFT_POD_DIR"]), tell))
        return _unpack(source, target, Path(os.environ["VMSHIFT_POD_DIR"]), tell)


def _say_again(why: str) -> None:
    populator.say(f"this is tried again: {why}")


def _unpack(source: Image, target: Target, folder: Path, tell: Tell) -> Filled:
    """By way of a file in the folder of the pod, which holds nothing but data."""
    packed = folder / PACKED_FILE
    packed.touch()
    os.truncate(packed, source.size)
    try:
        totals = source.copy(packed, folder, tell)
        size = _virtual_size(packed, source.format, folder)
        target.take(size)
        populator.say(f"image {source.id}: unpacking {source.size} bytes of {source.format} into a disk of {size} bytes")
        _qemu_img(["convert", "-n", "-W", "-f", source.format, "-O", RAW, "-S", "64k", str(packed), str(target.path)], folder)
    except (tools.ToolFailed, tools.ToolMissing, ValueError) as error:
        raise SourceError(f"image {source.id} cannot be unpacked: {error}", DATA) from error
    finally:
        packed.unlink(missing_ok=True)
    return Filled(size, totals)


def _qemu_img(arguments: list[str], folder: Path) -> str:
    """Returns what it writes. Raises ToolFailed, ToolMissing."""
    told = folder / "qemu-img.out"
    with told.open("wb") as output:
        asyncio.run(tools.run([tools.find("qemu-img"), *arguments], deadline=UNPACKING, stdout=output))
    return told.read_text()


def _virtual_size(packed: Path, format: str, folder: Path) -> int:
    """Of an image that stands alone: one with a backing file could name any file of this machine."""
    told = json.loads(_qemu_img(["info", "--output=json", "-f", format, str(packed)], folder))
    if told.get("backing-filename") or (told.get("format-specific", {}).get("data") or {}).get("data-file"):
        raise Unfit("the image refers to another file, which is not followed")
    return int(told["virtual-size"])


class Image:
    """One image in Glance. Raises SourceError when it is not there, or not complete."""

    def __init__(self, session: Session, id: str) -> None:
        self.id = id
        self._session = session
        with session.talking(f"read image {id}") as cloud:
            found: Any = cloud.image.get_image(id)
            self._url = f"{cloud.image.get_endpoint().rstrip('/')}/{_versioned(cloud)}images/{id}/file"
        if found.status != "active":
            raise SourceError(f"image {id} is {found.status}, not active", DATA)
        self.format: str = found.disk_format or RAW
        self.size = int(found.size or 0)
        self.is_of_volume = OF_VOLUME in (found.properties or {})
        self._stamp = f"{found.hash_value or found.checksum} {found.updated_at}"
        self._turn = threading.Lock()
        self._token = str(session.cloud.auth_token)
        self._tls = _tls(session.credentials) if self._url.startswith("https:") else None
        if not self.size:
            raise SourceError(f"image {id} holds nothing", DATA)

    def copy(self, volume: Path, folder: Path, tell: Tell) -> Totals:
        """All its bytes to the start of `volume`, from where an earlier attempt of this pod had come. Raises SourceGone, SourceError."""
        journal = Journal(folder / JOURNAL_FILE, {"image": self.id, "stamp": self._stamp, "size": self.size, "volume": str(volume)})
        journal.begin()
        populator.say(f"image {self.id}: {self.size} bytes ({self.format}) are to be downloaded")
        try:
            with _named(self.id):
                return Transfer(lambda: _Reader(self), volume, journal, tell).copy(list(transfer.pieces([(0, self.size)], self.size)))
        finally:
            journal.close()

    def token(self) -> str:
        with self._turn:
            return self._token

    def renew(self, refused: str) -> bool:
        """Log in again, once for all threads that were refused with the same token. Raises SourceError."""
        with self._turn:
            if self._token == refused:
                auth = self._session.cloud.session.auth
                auth.invalidate()
                self._session.authenticate()
                self._token = str(self._session.cloud.auth_token)
                populator.say("the token had expired; logged in again")
            return self._token != refused


class _Reader(RangeReader):
    def __init__(self, image: Image) -> None:
        super().__init__(image._url, image._tls)
        self._image = image

    def headers(self) -> Mapping[str, str]:
        return {TOKEN_HEADER: self._image.token()}

    def log_in_again(self, refused: Mapping[str, str]) -> bool:
        try:
            return self._image.renew(refused[TOKEN_HEADER])
        except SourceError as error:
            if error.kind == CONNECTION:  # Keystone may be back at the next attempt
                raise SourceGone(error.message) from error
            raise


def _versioned(cloud: Any) -> str:
    """ "v2/", unless the catalog has it in the end point already."""
    return "" if cloud.image.get_endpoint().rstrip("/").endswith("/v2") else "v2/"


def _tls(credentials: Credentials) -> ssl.SSLContext:
    if credentials.insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    return ssl.create_default_context(cadata=credentials.ca) if credentials.ca else ssl.create_default_context()


@contextlib.contextmanager
def _named(id: str) -> Iterator[None]:
    """Failures say which image they are about."""
    try:
        yield
    except SourceGone as error:
        raise SourceGone(f"image {id} was not downloaded completely: {error}") from error


if __name__ == "__main__":
    sys.exit(populator.main({"endpoint": "URL of Keystone", "image-id": "the image"}, fill))
