"""Disk files of a vSphere datastore, over HTTPS: the extent of a disk, and its bytes by ranges."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Mapping

from ansible_collections.vmshift.mtv.controlplane.datapath.ranges import Extent, RangeReader
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, Session, connect

_LARGEST_DESCRIPTOR = 64 << 10
_EXTENT = re.compile(r'^RW\s+(\d+)\s+(\w+)(?:\s+"([^"]+)")?', re.MULTILINE)
_FLAT = ("FLAT", "VMFS")


class Datastores:
    """The files that a session may read; `datacenter` is the path of the one they are in. A session that has run out is opened anew."""

    def __init__(self, endpoint: Endpoint, session: Session, datacenter: str) -> None:
        self._endpoint = endpoint
        self._session = session
        self._datacenter = datacenter
        self._tls = endpoint.tls()
        self._lock = threading.Lock()

    def extent(self, disk: str) -> Extent:
        """The extent of the disk "[datastore] folder/name.vmdk". Raises SourceError for one that is not in one flat file."""
        descriptor = self._text(self._session.file_url(disk, self._datacenter))
        extents = _EXTENT.findall(descriptor)
        if len(extents) != 1 or extents[0][1] not in _FLAT or not extents[0][2]:
            kinds = ", ".join(sorted({kind for _size, kind, _name in extents})) or "no extent"
            raise SourceError(
                f"{disk} is not in one flat file ({kinds}): it cannot be read from its datastore. Remove snapshots that the VM had before",
                DATA,
            )
        url = self._session.file_url(f"{disk.rpartition('/')[0]}/{extents[0][2]}", self._datacenter)
        return self.look(url)

    def look(self, url: str) -> Extent:
        """A file as it is now. Raises SourceGone, SourceError."""
        reader = DatastoreReader(self, url)
        try:
            return reader.look()
        finally:
            reader.close()

    def _text(self, url: str) -> str:
        reader = DatastoreReader(self, url)
        try:
            return reader.ask(0, _LARGEST_DESCRIPTOR).read(_LARGEST_DESCRIPTOR).decode("utf-8", "replace")
        finally:
            reader.close()

    @property
    def tls(self) -> ssl.SSLContext:
        return self._tls

    @property
    def cookie(self) -> str:
        return self._session.cookie

    def log_in_again(self, refused: str) -> None:
        """The cookie `refused` is worth nothing any more. Raises SourceError."""
        with self._lock:
            if self._session.cookie == refused:
                self._session = connect(self._endpoint)

    def close(self) -> None:
        self._session.close()


class DatastoreReader(RangeReader):
    """One connection to one file of a datastore."""

    def __init__(self, datastores: Datastores, url: str) -> None:
        super().__init__(url, datastores.tls)
        self._datastores = datastores

    def headers(self) -> Mapping[str, str]:
        return {"Cookie": self._datastores.cookie}

    def log_in_again(self, refused: Mapping[str, str]) -> bool:
        self._datastores.log_in_again(refused["Cookie"])
        return True
