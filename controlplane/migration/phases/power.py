"""The power of the source VM: remembered, switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun


def store_state(work: VmRun) -> bool:
    state = work.run.source.power_state(work.source_vm)
    if state:
        work.vm["restorePowerState"] = state
    return True


def turn_off(work: VmRun) -> bool:
    work.run.source.power_off(work.source_vm)
    return True


def is_off(work: VmRun) -> bool:
    return work.run.source.is_off(work.source_vm)
