"""What is done in each phase of an itinerary. A function returns True when its phase is over, False to be called again later,
or the phase to go on with where that is not the next one of the itinerary.

It may be entered any number of times, also after a restart in the middle, and raises PhaseError when the VM cannot be migrated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.controlplane.migration.phases import (
    conversion,
    disks,
    hooks,
    inspection,
    power,
    reboots,
    snapshots,
    start,
    target,
    warm,
)

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Phase = Callable[["VmRun"], bool | str]

PHASES: dict[str, Phase] = {
    itineraries.STARTED: start.begin,
    itineraries.PRE_HOOK: hooks.run,
    itineraries.STORE_POWER_STATE: power.store_state,
    itineraries.POWER_OFF_SOURCE: power.turn_off,
    itineraries.WAIT_FOR_POWER_OFF: power.is_off,
    itineraries.CREATE_INITIAL_SNAPSHOT: warm.create_snapshot,
    itineraries.WAIT_FOR_INITIAL_SNAPSHOT: warm.wait_for_snapshot,
    itineraries.STORE_INITIAL_SNAPSHOT_DELTAS: warm.store_deltas,
    itineraries.PREFLIGHT_INSPECTION: inspection.inspect,
    itineraries.CREATE_DATA_VOLUMES: disks.create,
    itineraries.ALLOCATE_DISKS: disks.allocate,
    itineraries.COPY_DISKS: warm.copy,
    itineraries.COPYING_PAUSED: warm.pause,
    itineraries.REMOVE_PREVIOUS_SNAPSHOT: warm.remove_snapshot,
    itineraries.WAIT_FOR_PREVIOUS_SNAPSHOT_REMOVAL: warm.wait_for_removal,
    itineraries.CREATE_SNAPSHOT: warm.create_snapshot,
    itineraries.WAIT_FOR_SNAPSHOT: warm.wait_for_snapshot,
    itineraries.STORE_SNAPSHOT_DELTAS: warm.store_deltas,
    itineraries.ADD_CHECKPOINT: warm.add_checkpoint,
    itineraries.REMOVE_PENULTIMATE_SNAPSHOT: warm.remove_snapshot,
    itineraries.WAIT_FOR_PENULTIMATE_SNAPSHOT_REMOVAL: warm.wait_for_removal,
    itineraries.CREATE_FINAL_SNAPSHOT: warm.create_snapshot,
    itineraries.WAIT_FOR_FINAL_SNAPSHOT: warm.wait_for_snapshot,
    itineraries.ADD_FINAL_CHECKPOINT: warm.add_final_checkpoint,
    itineraries.FINALIZE: disks.copy,
    itineraries.REMOVE_FINAL_SNAPSHOT: warm.remove_final_snapshot,
    itineraries.WAIT_FOR_FINAL_SNAPSHOT_REMOVAL: warm.wait_for_final_removal,
    itineraries.CREATE_GUEST_CONVERSION_POD: conversion.create,
    itineraries.CONVERT_GUEST: conversion.convert,
    itineraries.COPY_DISKS_VIRT_V2V: conversion.copy,
    itineraries.CONVERT_OPENSTACK_SNAPSHOT: snapshots.convert,
    itineraries.CREATE_VM: target.create,
    itineraries.WAIT_FOR_GUEST_REBOOTS: reboots.wait,
    itineraries.POST_HOOK: hooks.run,
}
