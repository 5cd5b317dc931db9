# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image transfers: the engine's leave to read a disk, or what a snapshot has kept of it, from a host that has it.

A transfer locks its disk. It ends by itself when nobody uses it for INACTIVITY seconds and nobody extends it. Whose it is the engine does
not tell; what it tells is how a transfer was asked for, and whether anybody reads by it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import Session, explained

INACTIVITY = 20  # seconds; whoever reads by a transfer extends it more often
BEGIN_SECONDS = 300.0  # until a transfer that was asked for must have begun
END_SECONDS = 120.0
SILENCE = 5.0  # seconds without a byte, after which a transfer that a killed program may have left is taken for that
LOOK_EVERY = 0.1
#: Phases as the API has them.
BEGINNING, GOING_ON = ("initializing", "resuming"), "transferring"
SUCCEEDED = "finished_success"
#: On the way to its end, with the disk still locked: an engine that was told to cancel says so first, and cleans up then.
ENDING = ("cancelled", "cancelled_user", "cancelled_system", "finalizing_success", "finalizing_failure", "finalizing_cleanup")
FORGOTTEN = "forgotten"  # our word for a transfer that the engine does not know any more
OVER = (SUCCEEDED, "finished_failure", "finished_cleanup", FORGOTTEN)


@dataclass(frozen=True)
class Image:
    """What is read: a disk as it is, or what the snapshot image with that id (`snapshot`) has kept of it.

    `shallow`: of the image alone what was written into it, not what it stands on.
    """

    disk: str
    snapshot: str = ""
    shallow: bool = False


class Transfer:
    """One image transfer of an engine. All verbs raise SourceError."""

    def __init__(self, session: Session, id: str) -> None:
        self.id = id
        self._endpoint = session.endpoint
        self._service = session.system.image_transfers_service().image_transfer_service(id)
        self.urls: tuple[str, ...] = ()

    @classmethod
    def begin(cls, session: Session, image: Image, say: Callable[[str], None] = lambda _line: None, *, succeeds: bool = False) -> Transfer:
        """Ask for a transfer and wait until it has begun. A disk that is locked is waited for. `succeeds`: an earlier program may have been
        killed; the transfer that it has left is canceled, which the engine would end by itself after a while.
        """
        until = time.monotonic() + BEGIN_SECONDS
        told, left = False, _Left(session, image.disk)
        while True:
            try:
                transfer = cls(session, _ask_for(session, image))
                break
            except _Locked as error:
                if time.monotonic() > until:
                    raise SourceError(f"the disk {image.disk} stays locked: {error}", DATA) from None
                if not told:
                    say(f"the disk is in use, which is waited for: {error}")
                    told = True
                if succeeds and left.canceled():
                    say("nobody reads by the image transfer that an earlier attempt has left: it was canceled")
                time.sleep(LOOK_EVERY * 5)
        try:
            transfer._await_begin(until)
        except BaseException:
            transfer.cancel()
            raise
        return transfer

    def _await_begin(self, until: float) -> None:
        while True:
            phase = self.phase()
            if phase == GOING_ON and self.urls:
                return
            if phase not in (GOING_ON, *BEGINNING):
                raise SourceError(f"the engine did not begin the image transfer: it is {phase}", CONNECTION)
            if time.monotonic() > until:
                raise SourceError(f"the engine did not begin the image transfer within {BEGIN_SECONDS:.0f} s", CONNECTION)
            time.sleep(LOOK_EVERY)

    def phase(self) -> str:
        """The phase it is in; FORGOTTEN when the engine does not know it any more."""
        with explained(self._endpoint):
            from ovirtsdk4 import NotFoundError

            try:
                found = self._service.get()
            except NotFoundError:
                return FORGOTTEN
        self.urls = tuple(url for url in (found.transfer_url, found.proxy_url) if url) or self.urls
        return str(found.phase.value)

    def extend(self) -> None:
        with explained(self._endpoint):
            self._service.extend()

    def finalize(self) -> None:
        """Tell that all was read, and wait until the disk is free. Raises SourceError when the engine takes the transfer for failed."""
        if self.phase() not in (*ENDING, *OVER):  # else an attempt whose answer was lost has got through
            with explained(self._endpoint):
                self._service.finalize()
        phase = self._await_end()
        if phase != SUCCEEDED:
            raise SourceError(f"the engine could not end the image transfer: it is {phase}", CONNECTION)

    def cancel(self) -> None:
        """End it whatever state it is in, and wait until the disk is free, as far as the engine can be reached; else it ends by itself."""
        with contextlib.suppress(SourceError):
            self.ask_to_cancel()
            self._await_end()

    def ask_to_cancel(self) -> None:
        """Without waiting. One that ends already is left to it."""
        if self.phase() in (*ENDING, *OVER):
            return
        try:
            with explained(self._endpoint):
                self._service.cancel()
        except SourceError:
            if self.phase() not in (*ENDING, *OVER):  # it may have begun to end by itself just now
                raise

    def _await_end(self) -> str:
        until = time.monotonic() + END_SECONDS
        while (phase := self.phase()) not in OVER:
            if time.monotonic() > until:
                raise SourceError(f"the engine did not end the image transfer within {END_SECONDS:.0f} s: it is {phase}", CONNECTION)
            time.sleep(LOOK_EVERY)
        return phase


def cancel_all(session: Session, disks: set[str]) -> list[str]:
    """Cancel the transfers of these disks that go on; returns their ids. Raises SourceError."""
    with explained(session.endpoint):
        found = session.system.image_transfers_service().list()
    ids = [
        transfer.id for transfer in found if transfer.disk is not None and transfer.disk.id in disks and transfer.phase.value not in OVER
    ]
    transfers = [Transfer(session, id) for id in ids]
    for transfer in transfers:  # all before one is waited for
        with contextlib.suppress(SourceError):
            transfer.ask_to_cancel()
    for transfer in transfers:
        transfer.cancel()
    return ids


class _Left:
    """What keeps a disk locked: a transfer that a program like this has begun and not ended."""

    def __init__(self, session: Session, disk: str) -> None:
        self._session, self._disk = session, disk
        self._seen: tuple[str, int] | None = None
        self._since = 0.0

    def canceled(self) -> bool:
        """Whether there was one, by which nobody has read for SILENCE seconds of looks. Raises SourceError."""
        found = self._find()
        seen = (found.id, found.transferred or 0) if found is not None and not found.active else None
        now = time.monotonic()
        if seen is None or seen != self._seen:
            self._seen, self._since = seen, now
            return False
        if now - self._since < SILENCE:
            return False
        Transfer(self._session, found.id).cancel()
        return True

    def _find(self) -> Any:
        with explained(self._session.endpoint):
            found = self._session.system.image_transfers_service().list()
        return next((transfer for transfer in found if self._is_like_ours(transfer)), None)

    def _is_like_ours(self, transfer: Any) -> bool:
        """Asked for as _ask_for does: other clients take the engine's own timeout, or one of theirs."""
        return (
            transfer.disk is not None
            and transfer.disk.id == self._disk
            and transfer.phase.value == GOING_ON
            and transfer.direction.value == "download"
            and transfer.timeout_policy is not None
            and (transfer.inactivity_timeout, transfer.timeout_policy.value) == (INACTIVITY, "cancel")
        )


class _Locked(Exception):
    """Somebody else uses the disk."""


def _ask_for(session: Session, image: Image) -> str:
    """The id of a new transfer."""
    with explained(session.endpoint):
        from ovirtsdk4 import Error, types

        what: dict[str, Any] = {"disk": types.Disk(id=image.disk)}
        if image.snapshot:
            what = {"snapshot": types.DiskSnapshot(id=image.snapshot), "shallow": image.shallow}
        wanted = types.ImageTransfer(
            direction=types.ImageTransferDirection.DOWNLOAD,
            format=types.DiskFormat.RAW,
            inactivity_timeout=INACTIVITY,
            timeout_policy=types.ImageTransferTimeoutPolicy.CANCEL,
            **what,
        )
        try:
            return str(session.system.image_transfers_service().add(wanted).id)
        except Error as error:
            if error.code == 409 and "locked" in str(error).lower():
                raise _Locked(_detail(error)) from None
            raise


def _detail(error: Any) -> str:
    return str(getattr(error.fault, "detail", None) or error).strip("[]")
