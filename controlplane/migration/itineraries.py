"""The way of a VM, as data: which phases, in which order, accounted to which step of its pipeline (facts 3.3 to 3.5).

A new workflow is a new tuple of rows here and a function in `phases` for each phase that has none yet. A plan with a VM whose way
has a phase without a function does not pass validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

STARTED = "Started"
PRE_HOOK = "PreHook"
STORE_POWER_STATE = "StorePowerState"
POWER_OFF_SOURCE = "PowerOffSource"
WAIT_FOR_POWER_OFF = "WaitForPowerOff"
CREATE_INITIAL_SNAPSHOT = "CreateInitialSnapshot"
WAIT_FOR_INITIAL_SNAPSHOT = "WaitForInitialSnapshot"
STORE_INITIAL_SNAPSHOT_DELTAS = "StoreInitialSnapshotDeltas"
PREFLIGHT_INSPECTION = "PreflightInspection"
CREATE_DATA_VOLUMES = "CreateDataVolumes"
ALLOCATE_DISKS = "AllocateDisks"
COPY_DISKS = "CopyDisks"
COPYING_PAUSED = "CopyingPaused"
REMOVE_PREVIOUS_SNAPSHOT = "RemovePreviousSnapshot"
WAIT_FOR_PREVIOUS_SNAPSHOT_REMOVAL = "WaitForPreviousSnapshotRemoval"
CREATE_SNAPSHOT = "CreateSnapshot"
WAIT_FOR_SNAPSHOT = "WaitForSnapshot"
STORE_SNAPSHOT_DELTAS = "StoreSnapshotDeltas"
ADD_CHECKPOINT = "AddCheckpoint"
REMOVE_PENULTIMATE_SNAPSHOT = "RemovePenultimateSnapshot"
WAIT_FOR_PENULTIMATE_SNAPSHOT_REMOVAL = "WaitForPenultimateSnapshotRemoval"
CREATE_FINAL_SNAPSHOT = "CreateFinalSnapshot"
WAIT_FOR_FINAL_SNAPSHOT = "WaitForFinalSnapshot"
ADD_FINAL_CHECKPOINT = "AddFinalCheckpoint"
FINALIZE = "Finalize"
REMOVE_FINAL_SNAPSHOT = "RemoveFinalSnapshot"
CREATE_GUEST_CONVERSION_POD = "CreateGuestConversionPod"
CONVERT_GUEST = "ConvertGuest"
COPY_DISKS_VIRT_V2V = "CopyDisksVirtV2V"
CONVERT_OPENSTACK_SNAPSHOT = "ConvertOpenstackSnapshot"
CREATE_VM = "CreateVM"
WAIT_FOR_GUEST_REBOOTS = "WaitForGuestReboots"
POST_HOOK = "PostHook"
WAIT_FOR_FINAL_SNAPSHOT_REMOVAL = "WaitForFinalSnapshotRemoval"
COMPLETED = "Completed"


@dataclass(frozen=True)
class Step:
    """One step of a pipeline. It is there when the phase it is made `for_phase` is in the itinerary.

    `per_disk`: has a task for each disk and counts MiB; otherwise it counts to 1. `phaseless`: has no phase until it begins.
    """

    name: str
    description: str
    for_phase: str
    per_disk: bool = False
    phaseless: bool = False


INITIALIZE = Step("Initialize", "Initialize migration.", STARTED)
PRE_HOOK_STEP = Step("PreHook", "Run pre-migration hook.", PRE_HOOK)
INSPECTION = Step("PreflightInspection", "Inspect VM before migration.", PREFLIGHT_INSPECTION)
DISK_TRANSFER = Step("DiskTransfer", "Transfer disks.", COPY_DISKS, per_disk=True)
DISK_ALLOCATION = Step("DiskAllocation", "Allocate disks.", ALLOCATE_DISKS, per_disk=True)
CUTOVER = Step("Cutover", "Finalize disk transfer.", FINALIZE, per_disk=True, phaseless=True)
IMAGE_CONVERSION = Step("ImageConversion", "Convert image to kubevirt.", CONVERT_GUEST)
DISK_TRANSFER_V2V = Step("DiskTransferV2v", "Copy disks.", COPY_DISKS_VIRT_V2V, per_disk=True)
OPENSTACK_SNAPSHOT = Step("ConvertOpenstackSnapshot", "Convert OpenStack snapshot.", CONVERT_OPENSTACK_SNAPSHOT, per_disk=True)
VIRTUAL_MACHINE_CREATION = Step("VirtualMachineCreation", "Create VM.", CREATE_VM)
GUEST_REBOOTS = Step("WaitForGuestReboots", "Wait for Windows guest reboot after conversion.", WAIT_FOR_GUEST_REBOOTS)
POST_HOOK_STEP = Step("PostHook", "Run post-migration hook.", POST_HOOK)
CONSOLIDATION = Step(
    "WaitForFinalSnapshotConsolidation", "Waiting for final snapshot removal and consolidation", WAIT_FOR_FINAL_SNAPSHOT_REMOVAL
)

STEPS = {
    step.for_phase: step
    for step in (
        INITIALIZE,
        PRE_HOOK_STEP,
        INSPECTION,
        DISK_TRANSFER,
        DISK_ALLOCATION,
        CUTOVER,
        IMAGE_CONVERSION,
        DISK_TRANSFER_V2V,
        OPENSTACK_SNAPSHOT,
        VIRTUAL_MACHINE_CREATION,
        GUEST_REBOOTS,
        POST_HOOK_STEP,
        CONSOLIDATION,
    )
}


@dataclass(frozen=True)
class Traits:
    """What decides the way of a VM. `source`: type of its provider."""

    source: str
    converts: bool  # the guest is changed to run on KubeVirt
    virt_v2v_copies: bool  # by the process that also copies its disks
    warm: bool = False  # disks are copied while the VM runs
    pre_hook: bool = False
    post_hook: bool = False
    inspected: bool = False  # before its disks are copied
    awaits_reboots: bool = False  # of a Windows guest after its conversion
    awaits_consolidation: bool = False  # of the source's disks, at the end of a warm migration
    populated: bool = False  # volume populators fetch the disks


def always(_traits: Traits) -> bool:
    return True


def converts(traits: Traits) -> bool:
    return traits.converts


def virt_v2v_copies(traits: Traits) -> bool:
    return traits.virt_v2v_copies


def copied_by_others(traits: Traits) -> bool:
    return not traits.virt_v2v_copies


def converts_while_copying(traits: Traits) -> bool:
    return traits.converts and traits.virt_v2v_copies


def pre_hook(traits: Traits) -> bool:
    return traits.pre_hook


def post_hook(traits: Traits) -> bool:
    return traits.post_hook


def inspected(traits: Traits) -> bool:
    return traits.inspected


def not_inspected(traits: Traits) -> bool:
    return not traits.inspected


def awaits_reboots(traits: Traits) -> bool:
    return traits.awaits_reboots


def awaits_consolidation(traits: Traits) -> bool:
    return traits.awaits_consolidation


def from_vsphere(traits: Traits) -> bool:
    return traits.source == "vsphere"


def from_openshift(traits: Traits) -> bool:
    return traits.source == "openshift"


def from_openstack(traits: Traits) -> bool:
    return traits.source == "openstack"


@dataclass(frozen=True)
class Row:
    """One phase, the step it is accounted to, and for which VMs it is. `then`: the phase that follows, where that is not the next row's."""

    phase: str
    step: Step
    when: Callable[[Traits], bool] = always
    then: str = ""


Itinerary = tuple[Row, ...]


COLD: Itinerary = (
    Row(STARTED, INITIALIZE),
    Row(PRE_HOOK, PRE_HOOK_STEP, pre_hook),
    Row(STORE_POWER_STATE, INITIALIZE),
    Row(POWER_OFF_SOURCE, INITIALIZE),
    Row(WAIT_FOR_POWER_OFF, INITIALIZE),
    Row(CREATE_DATA_VOLUMES, INITIALIZE),
    Row(COPY_DISKS, DISK_TRANSFER, copied_by_others),
    Row(ALLOCATE_DISKS, DISK_ALLOCATION, virt_v2v_copies),
    Row(CREATE_GUEST_CONVERSION_POD, IMAGE_CONVERSION, converts),
    Row(CONVERT_GUEST, IMAGE_CONVERSION, converts),
    Row(COPY_DISKS_VIRT_V2V, DISK_TRANSFER_V2V, converts_while_copying),
    Row(CONVERT_OPENSTACK_SNAPSHOT, DISK_TRANSFER, from_openstack),  # its own step stays pending, as with Forklift
    Row(CREATE_VM, VIRTUAL_MACHINE_CREATION),
    Row(WAIT_FOR_GUEST_REBOOTS, GUEST_REBOOTS, awaits_reboots),
    Row(POST_HOOK, POST_HOOK_STEP, post_hook),
)

#: CopyingPaused goes on with the next row for another precopy, and with StorePowerState at cutover.
WARM: Itinerary = (
    Row(STARTED, INITIALIZE),
    Row(PRE_HOOK, PRE_HOOK_STEP, pre_hook),
    Row(CREATE_INITIAL_SNAPSHOT, INITIALIZE),
    Row(WAIT_FOR_INITIAL_SNAPSHOT, INITIALIZE),
    Row(STORE_INITIAL_SNAPSHOT_DELTAS, INITIALIZE, from_vsphere),
    Row(PREFLIGHT_INSPECTION, INSPECTION, inspected),
    Row(CREATE_DATA_VOLUMES, INITIALIZE, not_inspected),
    Row(CREATE_DATA_VOLUMES, DISK_TRANSFER, inspected),
    Row(COPY_DISKS, DISK_TRANSFER),
    Row(COPYING_PAUSED, DISK_TRANSFER),
    Row(REMOVE_PREVIOUS_SNAPSHOT, DISK_TRANSFER, from_vsphere),
    Row(WAIT_FOR_PREVIOUS_SNAPSHOT_REMOVAL, DISK_TRANSFER, from_vsphere),
    Row(CREATE_SNAPSHOT, DISK_TRANSFER),
    Row(WAIT_FOR_SNAPSHOT, DISK_TRANSFER),
    Row(STORE_SNAPSHOT_DELTAS, DISK_TRANSFER, from_vsphere),
    Row(ADD_CHECKPOINT, DISK_TRANSFER, then=COPY_DISKS),
    Row(STORE_POWER_STATE, CUTOVER),
    Row(POWER_OFF_SOURCE, CUTOVER),
    Row(WAIT_FOR_POWER_OFF, CUTOVER),
    Row(REMOVE_PENULTIMATE_SNAPSHOT, CUTOVER, from_vsphere),
    Row(WAIT_FOR_PENULTIMATE_SNAPSHOT_REMOVAL, CUTOVER, from_vsphere),
    Row(CREATE_FINAL_SNAPSHOT, CUTOVER),
    Row(WAIT_FOR_FINAL_SNAPSHOT, CUTOVER),
    Row(ADD_FINAL_CHECKPOINT, CUTOVER),
    Row(FINALIZE, CUTOVER),
    Row(REMOVE_FINAL_SNAPSHOT, CUTOVER, from_vsphere),
    Row(CREATE_GUEST_CONVERSION_POD, IMAGE_CONVERSION, converts),
    Row(CONVERT_GUEST, IMAGE_CONVERSION, converts),
    Row(CREATE_VM, VIRTUAL_MACHINE_CREATION),
    Row(WAIT_FOR_GUEST_REBOOTS, GUEST_REBOOTS, awaits_reboots),
    Row(POST_HOOK, POST_HOOK_STEP, post_hook),
    Row(WAIT_FOR_FINAL_SNAPSHOT_REMOVAL, CONSOLIDATION, awaits_consolidation),
)

#: Of a plan that converts disks which somebody else has copied.
CONVERSION: Itinerary = (
    Row(STARTED, INITIALIZE),
    Row(PRE_HOOK, PRE_HOOK_STEP, pre_hook),
    Row(STORE_POWER_STATE, INITIALIZE),
    Row(POWER_OFF_SOURCE, INITIALIZE),
    Row(WAIT_FOR_POWER_OFF, INITIALIZE),
    Row(CREATE_GUEST_CONVERSION_POD, IMAGE_CONVERSION, converts),
    Row(CONVERT_GUEST, IMAGE_CONVERSION, converts),
    Row(CREATE_VM, VIRTUAL_MACHINE_CREATION),
    Row(WAIT_FOR_GUEST_REBOOTS, GUEST_REBOOTS, awaits_reboots),
    Row(POST_HOOK, POST_HOOK_STEP, post_hook),
)

_POWER = (STORE_POWER_STATE, POWER_OFF_SOURCE, WAIT_FOR_POWER_OFF)
#: Of a VM whose disks an earlier run has copied, and whose source has been off since.
RESUMPTION: Itinerary = tuple(row for row in CONVERSION if row.phase not in _POWER)


def itinerary(rows: Itinerary, traits: Traits) -> Itinerary:
    """The rows that apply."""
    return tuple(row for row in rows if row.when(traits))


def steps(way: Itinerary) -> list[Step]:
    """The steps of an itinerary's pipeline, in the order of the phases that call for them."""
    return [STEPS[row.phase] for row in way if row.phase in STEPS]


def row_of(way: Itinerary, phase: str) -> Row | None:
    """The row of `phase`; None for Completed, which belongs to no step."""
    return next((row for row in way if row.phase == phase), None)


def after(way: Itinerary, phase: str) -> str:
    """The phase that follows `phase`; Completed after the last one."""
    phases = [row.phase for row in way]
    place = phases.index(phase)
    return way[place].then or (*phases, COMPLETED)[place + 1]


def lacking(way: Itinerary, known: Iterable[str]) -> list[str]:
    """The phases of an itinerary that are not among those `known`."""
    there = set(known)
    return [row.phase for row in way if row.phase not in there]
