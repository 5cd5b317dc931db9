"""A converted Windows guest reboots by itself in its first boots, which MTV's pod follows on the guest's console (facts 3.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import WARN, Conditions

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

UNSEEN = (
    "Nobody has waited for the reboots of the Windows guest after its conversion: this control plane does not follow them. "
    "Leave the VM alone until it has ended them."
)


def wait(work: VmRun) -> bool:
    """Goes on at once and says so, as MTV goes on with a warning where its pod has not seen the reboots."""
    conditions = Conditions(work.vm.get("conditions", ()))
    conditions.set("WaitForGuestReboots", WARN, UNSEEN, reason="NotSupported", durable=True)
    work.vm["conditions"] = conditions.finish()
    return True
