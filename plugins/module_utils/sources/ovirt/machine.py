# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One VM of an oVirt engine: its power."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import Session, explained

UP, DOWN = "up", "down"
_ON_ITS_WAY_DOWN = ("powering_down", DOWN)
_ON_ITS_WAY_UP = ("wait_for_launch", "powering_up", "restoring_state", "reboot_in_progress", UP)


class Machine:
    """`id` of the VM. All verbs raise SourceError: of the kind DATA for what the engine refuses."""

    def __init__(self, session: Session, id: str) -> None:
        self.session = session
        self._service = session.system.vms_service().vm_service(id)

    def status(self) -> str:
        """As the API has it: "up", "down", "powering_down", …"""
        with explained(self.session.endpoint):
            return str(self._service.get().status.value)

    def shut_down(self) -> None:
        """Ask the guest to; one that does not listen stays up."""
        if self.status() not in _ON_ITS_WAY_DOWN:
            with explained(self.session.endpoint):
                self._service.shutdown()

    def start(self) -> None:
        if self.status() not in _ON_ITS_WAY_UP:
            with explained(self.session.endpoint):
                self._service.start()
