"""The way of a VM, as data: which phases, in which order, accounted to which step of its pipeline (facts 3.3 to 3.5).

A new workflow is a new tuple of rows here and a function in `phases` for each phase that has none yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

STARTED = "Started"
STORE_POWER_STATE = "StorePowerState"
POWER_OFF_SOURCE = "PowerOffSource"
WAIT_FOR_POWER_OFF = "WaitForPowerOff"
CREATE_DATA_VOLUMES = "CreateDataVolumes"
ALLOCATE_DISKS = "AllocateDisks"
CREATE_GUEST_CONVERSION_POD = "CreateGuestConversionPod"
CONVERT_GUEST = "ConvertGuest"
COPY_DISKS_VIRT_V2V = "CopyDisksVirtV2V"
CREATE_VM = "CreateVM"
COMPLETED = "Completed"


@dataclass(frozen=True)
class Step:
    """One step of a pipeline. It is there when the phase it is made `for_phase` is in the itinerary.

    `per_disk`: has a task for each disk and counts MiB; otherwise it counts to 1.
    """

    name: str
    description: str
    for_phase: str
    per_disk: bool = False


INITIALIZE = Step("Initialize", "Initialize migration.", STARTED)
DISK_ALLOCATION = Step("DiskAllocation", "Allocate disks.", ALLOCATE_DISKS, per_disk=True)
IMAGE_CONVERSION = Step("ImageConversion", "Convert image to kubevirt.", CONVERT_GUEST)
DISK_TRANSFER_V2V = Step("DiskTransferV2v", "Copy disks.", COPY_DISKS_VIRT_V2V, per_disk=True)
VIRTUAL_MACHINE_CREATION = Step("VirtualMachineCreation", "Create VM.", CREATE_VM)


@dataclass(frozen=True)
class Traits:
    """What decides the way of a VM."""

    converts: bool  # the guest is changed to run on KubeVirt
    virt_v2v_copies: bool  # by the process that also copies its disks


def always(_traits: Traits) -> bool:
    return True


def converts(traits: Traits) -> bool:
    return traits.converts


def virt_v2v_copies(traits: Traits) -> bool:
    return traits.virt_v2v_copies


def converts_while_copying(traits: Traits) -> bool:
    return traits.converts and traits.virt_v2v_copies


@dataclass(frozen=True)
class Row:
    """One phase, the step it is accounted to, and for which VMs it is."""

    phase: str
    step: Step
    when: Callable[[Traits], bool] = always


COLD = (
    Row(STARTED, INITIALIZE),
    Row(STORE_POWER_STATE, INITIALIZE),
    Row(POWER_OFF_SOURCE, INITIALIZE),
    Row(WAIT_FOR_POWER_OFF, INITIALIZE),
    Row(CREATE_DATA_VOLUMES, INITIALIZE),
    Row(ALLOCATE_DISKS, DISK_ALLOCATION, virt_v2v_copies),
    Row(CREATE_GUEST_CONVERSION_POD, IMAGE_CONVERSION, converts),
    Row(CONVERT_GUEST, IMAGE_CONVERSION, converts),
    Row(COPY_DISKS_VIRT_V2V, DISK_TRANSFER_V2V, converts_while_copying),
    Row(CREATE_VM, VIRTUAL_MACHINE_CREATION),
)

Itinerary = tuple[Row, ...]


def itinerary(rows: Itinerary, traits: Traits) -> Itinerary:
    """The rows that apply."""
    return tuple(row for row in rows if row.when(traits))


def steps(way: Itinerary) -> list[Step]:
    """The steps of an itinerary's pipeline, in the order of the phases that call for them."""
    return [row.step for row in way if row.step.for_phase == row.phase]


def row_of(way: Itinerary, phase: str) -> Row | None:
    """The row of `phase`; None for Completed, which belongs to no step."""
    return next((row for row in way if row.phase == phase), None)


def after(way: Itinerary, phase: str) -> str:
    """The phase that follows `phase`; Completed after the last one."""
    phases = [row.phase for row in way]
    return (*phases, COMPLETED)[phases.index(phase) + 1]
