# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a vCenter or ESXi host in the shapes of MTV's inventory, kept up to date by reading only what changes."""

from __future__ import annotations

import threading
import time
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import Collected, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.assembly import COLLECTIONS, Assembly
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.reader import Reader
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import TIMEOUT, Endpoint, Session, connect, explained
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.tags import tags_of_vms

__all__ = ["COLLECTIONS", "VSphereInventory"]

TAGS_EVERY = 60.0  # seconds
PRIVILEGES_EVERY = 600.0
#: What migrations do on a vCenter (facts 2.2).
PRIVILEGES = (
    "VirtualMachine.State.CreateSnapshot",
    "VirtualMachine.State.RemoveSnapshot",
    "VirtualMachine.Interact.PowerOn",
    "VirtualMachine.Interact.PowerOff",
    "VirtualMachine.Provisioning.DiskRandomRead",
    "VirtualMachine.Provisioning.GetVmFiles",
    "VirtualMachine.Config.ChangeTracking",
    "Datastore.Browse",
    "Datastore.FileManagement",
)


class VSphereInventory:
    """Of several threads one after the other reads or closes."""

    def __init__(self, endpoint: Endpoint, timeout: float = TIMEOUT) -> None:
        self._turn = threading.RLock()
        self._endpoint = endpoint
        self._timeout = timeout
        self._opened: tuple[Session, Reader] | None = None
        self._assembly = Assembly()
        self._tags_due = 0.0
        self._tags_problem: list[str] = []
        self._privileges_due = 0.0
        self._missing: list[str] = []

    def read_once(self) -> Collected:
        """The inventory, read as a whole, and the session closed. Raises SourceError."""
        with self._turn:
            try:
                session, reader = self._begin()
                for changes in reader.once():
                    self._assembly.apply(changes)
                self._read_tags(session)
                return Collected(self._assembly.resources(), list(self._tags_problem), about(session))
            finally:
                self.close()

    def collect(self) -> Collected:
        """The inventory as it is now; everything is read at the first call, and again after a SourceError. Raises SourceError."""
        with self._turn:
            try:
                session, reader = self._opened or self._begin()
                for changes in reader.pages():
                    self._assembly.apply(changes)
                self._read_tags(session)
                self._check_privileges(session)
                return Collected(self._assembly.resources(), list(self._tags_problem), about(session), list(self._missing))
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Log out; the next reading begins anew."""
        with self._turn:
            if self._opened is not None:
                session, reader = self._opened
                reader.close()
                session.close()
            self._opened = None

    def _begin(self) -> tuple[Session, Reader]:
        session = connect(self._endpoint, self._timeout)
        self._opened = session, Reader(session)
        self._assembly = Assembly(tells_of_tpm(session))
        self._tags_due = self._privileges_due = 0.0
        return self._opened

    def _check_privileges(self, session: Session) -> None:
        if session.is_vcenter and time.monotonic() >= self._privileges_due:
            self._privileges_due = time.monotonic() + PRIVILEGES_EVERY
            self._missing = missing_privileges(session)

    def _read_tags(self, session: Session) -> None:
        """Tags that cannot be read are a problem of their own: all else is shown."""
        if not session.is_vcenter or time.monotonic() < self._tags_due:
            return
        self._tags_due = time.monotonic() + TAGS_EVERY
        try:
            self._assembly.tag(tags_of_vms(self._endpoint, self._timeout))
            self._tags_problem = []
        except SourceError as error:
            self._tags_problem = [error.message]


def missing_privileges(session: Session) -> list[str]:
    """Those of PRIVILEGES that the user does not have on the root folder. Raises SourceError."""
    content = session.content
    with explained(session.endpoint):
        current = content.sessionManager.currentSession
        granted = content.authorizationManager.HasPrivilegeOnEntity(content.rootFolder, current.key, list(PRIVILEGES))
    return [privilege for privilege, given in zip(PRIVILEGES, granted) if not given]


def about(session: Session) -> dict[str, Any]:
    """What the inventory tells of the source itself."""
    told = session.content.about
    return {"apiVersion": told.apiVersion, "product": told.name, "instanceUuid": told.instanceUuid or ""}


def tells_of_tpm(session: Session) -> bool:
    """Since version 6.7 of the API."""
    try:
        version = tuple(int(part) for part in session.content.about.apiVersion.split(".")[:2])
    except ValueError:
        return True
    return version >= (6, 7)
