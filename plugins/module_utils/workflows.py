# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workflows of MTV's documentation ("Detailed migration workflows") as numbered steps, and which of them a plan goes by. Pure.

A step has the number that the documentation gives it. What happens on the way and has no number there, such as hooks, snapshots and
the shutdown of the source, stands between them without one. `phases` are those of a VM (facts 3.4) in which the step is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

INITIALIZE, PRE_HOOK, POST_HOOK = "Initialize", "PreHook", "PostHook"
INSPECTION, TRANSFER, CUTOVER = "PreflightInspection", "DiskTransfer", "Cutover"
ALLOCATION, CONVERSION, V2V_TRANSFER = "DiskAllocation", "ImageConversion", "DiskTransferV2v"
SNAPSHOT_CONVERSION, CREATION = "ConvertOpenstackSnapshot", "VirtualMachineCreation"
REBOOTS, CONSOLIDATION = "WaitForGuestReboots", "WaitForFinalSnapshotConsolidation"


class Step(NamedTuple):
    """`pipeline`: the step of a VM's pipeline that it is accounted to. `optional`: is there only for VMs whose pipeline has that."""

    name: str
    number: int | None
    text: str
    pipeline: str
    phases: tuple[str, ...] = ()
    per_disk: bool = False
    optional: bool = False


class Workflow(NamedTuple):
    name: str
    title: str
    steps: tuple[Step, ...]


class Choice(NamedTuple):
    """`converts`: the guest is changed to run on KubeVirt; the steps for that are there in any case, because the documentation has them."""

    workflow: Workflow
    why: str
    converts: bool = True


# --- steps ----------------------------------------------------------------------------------------------------------

_BEFORE_COPY = ("CreateDataVolumes",)
_COPYING = ("CopyDisks",)
_CONVERTING = ("CreateGuestConversionPod", "ConvertGuest")

_HOOK_BEFORE = Step("pre_hook", None, "The hook of the plan runs before the VM is touched.", PRE_HOOK, ("PreHook",), optional=True)
_HOOK_AFTER = Step("post_hook", None, "The hook of the plan runs after the VM was made.", POST_HOOK, ("PostHook",), optional=True)
_REBOOTS = Step("reboots", None, "A Windows guest restarts until it is set up.", REBOOTS, ("WaitForGuestReboots",), optional=True)
_POWER_OFF = ("StorePowerState", "PowerOffSource", "WaitForPowerOff")
_SOURCE_OFF = Step("source_off", None, "The source VM is shut down.", INITIALIZE, _POWER_OFF)


def _claim(number: int, text: str, pipeline: str, phases: tuple[str, ...]) -> Step:
    return Step("claim", number, text, pipeline, phases, per_disk=True)


def _ending(number: int) -> tuple[Step, ...]:
    """The last two numbered steps of every workflow, with what may follow."""
    return (
        Step("virtual_machine", number, "MTV makes the VirtualMachine, with the claims as its disks.", CREATION, ("CreateVM",)),
        Step("power_on", number + 1, "A VM that ran at the source is started: KubeVirt makes its instance.", CREATION, ("CreateVM",)),
        _REBOOTS,
        _HOOK_AFTER,
    )


_DATA_VOLUMES = Step("data_volume", 1, "MTV makes a DataVolume for the disk.", INITIALIZE, _BEFORE_COPY, per_disk=True)
_VOLUME = "The provisioner of the storage class makes the volume behind the claim."

COLD = Workflow(
    "cold",
    "cold migration with virt-v2v to the local cluster",
    (
        _HOOK_BEFORE,
        _SOURCE_OFF,
        _DATA_VOLUMES,
        _claim(2, "CDI makes a blank claim (PVC) from the DataVolume.", ALLOCATION, ("AllocateDisks",)),
        Step("volume", 3, _VOLUME, ALLOCATION, ("AllocateDisks",), per_disk=True),
        Step("consumer", 4, "A pod that does nothing (pvcinit) has all claims bound.", ALLOCATION, ("AllocateDisks",)),
        Step("conversion_pod", 5, "MTV makes one conversion pod with all claims.", CONVERSION, ("CreateGuestConversionPod",)),
        Step("conversion", 6, "virt-v2v in that pod converts the guest for KVM …", CONVERSION, ("ConvertGuest",)),
        Step("v2v_transfer", 6, "… and writes the disk into its volume.", V2V_TRANSFER, ("CopyDisksVirtV2V",), per_disk=True),
        *_ending(7),
    ),
)

#: A disk that an importer copies.
_IMPORT = (
    _claim(2, "CDI makes a claim (PVC) from the DataVolume.", TRANSFER, _COPYING),
    Step("volume", 3, _VOLUME, TRANSFER, _COPYING, per_disk=True),
    Step("importer", 4, "CDI makes an importer pod.", TRANSFER, _COPYING, per_disk=True),
    Step("transfer", 5, "The importer pod copies the disk into the volume.", TRANSFER, _COPYING, per_disk=True),
)
_IN_PLACE = (
    Step("conversion_pod", 6, "MTV makes a conversion pod with all claims …", CONVERSION, ("CreateGuestConversionPod",)),
    Step("conversion", 6, "… in which virt-v2v puts KVM's drivers into the copied disks.", CONVERSION, ("ConvertGuest",)),
)
_COPY_AND_CONVERT = (_HOOK_BEFORE, _SOURCE_OFF, _DATA_VOLUMES, *_IMPORT, *_IN_PLACE, *_ending(7))

REMOTE = Workflow("remote", "cold migration to a remote cluster", _COPY_AND_CONVERT)
COPY_AND_CONVERT = Workflow("copy_and_convert", "cold migration that copies the disks and then converts them", _COPY_AND_CONVERT)
RAW_COPY = Workflow("raw_copy", "raw copy, without conversion of the guest", _COPY_AND_CONVERT)
OPENSHIFT = Workflow("openshift", "cold migration from OpenShift Virtualization", _COPY_AND_CONVERT)

_FINAL = (
    "RemovePenultimateSnapshot",
    "WaitForPenultimateSnapshotRemoval",
    "CreateFinalSnapshot",
    "WaitForFinalSnapshot",
    "AddFinalCheckpoint",
    "Finalize",
    "RemoveFinalSnapshot",
)
WARM = Workflow(
    "warm",
    "warm migration",
    (
        _HOOK_BEFORE,
        Step(
            "first_snapshot",
            None,
            "The source makes a snapshot of the running VM.",
            INITIALIZE,
            ("CreateInitialSnapshot", "WaitForInitialSnapshot", "StoreInitialSnapshotDeltas"),
        ),
        Step(
            "inspection", None, "The guest is looked at before its disks are copied.", INSPECTION, ("PreflightInspection",), optional=True
        ),
        _DATA_VOLUMES,
        *_IMPORT,
        Step(
            "precopies",
            None,
            "Until the cutover, what has changed is copied again and again.",
            TRANSFER,
            (
                "CopyingPaused",
                "RemovePreviousSnapshot",
                "WaitForPreviousSnapshotRemoval",
                "CreateSnapshot",
                "WaitForSnapshot",
                "StoreSnapshotDeltas",
                "AddCheckpoint",
            ),
        ),
        _SOURCE_OFF._replace(text="At the cutover the source VM is shut down.", pipeline=CUTOVER),
        Step("final_copy", None, "What changed last is copied.", CUTOVER, _FINAL, per_disk=True),
        *_IN_PLACE,
        *_ending(7),
        Step(
            "consolidation",
            None,
            "The source merges its last snapshot into the disks.",
            CONSOLIDATION,
            ("WaitForFinalSnapshotRemoval",),
            optional=True,
        ),
    ),
)

_POPULATE = (
    Step("populator", 1, "MTV makes a claim (PVC) for the disk, and a populator.", INITIALIZE, _BEFORE_COPY, per_disk=True),
    Step("temporary_claim", 2, "The populator controller makes a temporary claim.", TRANSFER, _COPYING, per_disk=True),
    Step("temporary_volume", 3, _VOLUME, TRANSFER, _COPYING, per_disk=True),
    Step("consumer", None, "A pod that does nothing (pvcinit) has all claims bound.", TRANSFER, _COPYING),
    Step("populator_pod", 4, "The populator controller makes a populator pod.", TRANSFER, _COPYING, per_disk=True),
    Step("transfer", 5, "The populator pod copies the disk into the volume.", TRANSFER, _COPYING, per_disk=True),
    Step("rebinding", 6, "The volume goes to the first claim; the temporary one is deleted.", TRANSFER, _COPYING, per_disk=True),
)
_SNAPSHOT_CONVERSION = Step(
    "snapshot_conversion", None, "Disks that came as qcow2 are made raw.", SNAPSHOT_CONVERSION, ("ConvertOpenstackSnapshot",), optional=True
)
POPULATOR = Workflow(
    "populator",
    "cold migration with volume populators to the local cluster",
    (_HOOK_BEFORE, _SOURCE_OFF, *_POPULATE, _SNAPSHOT_CONVERSION, *_ending(7)),
)
OFFLOAD = Workflow(
    "offload",
    "cold migration in which the storage array copies the disks",
    (_HOOK_BEFORE, _SOURCE_OFF, *_POPULATE, *(step._replace(number=None) for step in _IN_PLACE), *_ending(7)),
)
#: The documentation numbers no steps for it.
CONVERSION_ONLY = Workflow(
    "conversion",
    "conversion of disks that are copied already",
    (
        _HOOK_BEFORE,
        _SOURCE_OFF,
        Step("filled_claim", None, "Somebody else has made a claim (PVC) and copied the disk into it.", INITIALIZE, per_disk=True),
        *(step._replace(number=None) for step in (*_IN_PLACE, *_ending(7))),
    ),
)

#: Those whose steps have numbers, by name.
WORKFLOWS = {w.name: w for w in (COLD, REMOTE, COPY_AND_CONVERT, RAW_COPY, OPENSHIFT, WARM, POPULATOR, OFFLOAD)}

#: Sources whose guests are converted, unless a plan says otherwise.
_FOREIGN = ("vsphere", "ova", "hyperv")
_UNNUMBERED = "the documentation numbers no steps for such a plan"
_SAYS = {"ovirt": "RHV (oVirt)", "openstack": "OpenStack", "vsphere": "VMware vSphere", "ova": "OVA files", "hyperv": "Hyper-V"}


# --- choosing -------------------------------------------------------------------------------------------------------


def choose(spec: Mapping[str, Any], source: str, *, local: bool, offload: bool = False) -> Choice | None:
    """The workflow of a plan's spec (facts 3.3), and why; None where the documentation has none.

    source: type of the source provider, "" where that is gone; local: the VMs go to the cluster of MTV; offload: the storage map has a
    storage array copy disks.
    """
    says, kind = _SAYS.get(source, source), spec.get("type") or ""
    if kind == "live" or source in ("ec2", ""):
        return None
    if kind == "conversion":
        return Choice(CONVERSION_ONLY, "the plan has type: conversion", converts=not spec.get("skipGuestConversion"))
    if kind == "warm" or spec.get("warm"):
        return Choice(WARM, "the plan is warm", converts=source in _FOREIGN and not spec.get("skipGuestConversion"))
    if source == "openshift":
        return Choice(OPENSHIFT, "the source is OpenShift Virtualization, and the plan is cold", converts=False)
    if source in ("ovirt", "openstack"):
        if local:
            return Choice(POPULATOR, f"the source is {says}, the plan is cold, and the VMs go to the cluster of MTV", converts=False)
        return Choice(REMOTE, f"the source is {says}, and the VMs go to another cluster than that of MTV", converts=False)
    if source in _FOREIGN and spec.get("skipGuestConversion"):
        return Choice(RAW_COPY, "the plan has skipGuestConversion", converts=False)
    if source == "vsphere" and not local:
        return Choice(REMOTE, "the VMs go to another cluster than that of MTV")
    if source == "vsphere" and offload:
        return Choice(OFFLOAD, "the storage map has an offload plugin")
    if source == "vsphere" and spec.get("migrateSharedDisks") is False:
        return Choice(COPY_AND_CONVERT, "the plan has migrateSharedDisks: false, which virt-v2v cannot do while it copies")
    return Choice(COLD, f"the source is {says}, the plan is cold, and the VMs go to the cluster of MTV") if source in _FOREIGN else None


def as_run(choice: Choice | None, pipeline: Sequence[Mapping[str, Any]]) -> Choice:
    """What a VM really goes by: its pipeline has the last word, and its steps stand for themselves where there is no other workflow."""
    there = {step.get("name") for step in pipeline}
    if not there:
        return choice or Choice(Workflow("pipeline", "steps of the VM's pipeline", ()), _UNNUMBERED)
    found = _seen(there)
    # The same pipeline is that of several workflows.
    taken = choice if choice and (found is None or _fits(choice.workflow, there)) else found
    return taken._replace(converts=CONVERSION in there) if taken else _own_steps(pipeline)


def _fits(workflow: Workflow, there: set[Any]) -> bool:
    if workflow is CONVERSION_ONLY:
        return not {ALLOCATION, CUTOVER, TRANSFER} & there
    return (ALLOCATION in there) == (workflow is COLD) and (CUTOVER in there) == (workflow is WARM) and bool({ALLOCATION, TRANSFER} & there)


def _seen(there: set[Any]) -> Choice | None:
    if ALLOCATION in there:
        return Choice(COLD, f"the VM's pipeline has the step {ALLOCATION}")
    if CUTOVER in there:
        return Choice(WARM, f"the VM's pipeline has the step {CUTOVER}")
    if {TRANSFER, CONVERSION, CREATION} <= there:
        return Choice(COPY_AND_CONVERT, f"the VM's pipeline has the steps {TRANSFER} and {CONVERSION}")
    if {CONVERSION, CREATION} <= there and TRANSFER not in there:
        return Choice(CONVERSION_ONLY, f"the VM's pipeline has the step {CONVERSION}, and none that copies")
    return None


def _own_steps(pipeline: Sequence[Mapping[str, Any]]) -> Choice:
    steps = tuple(
        Step(step["name"], None, step.get("description") or step["name"], step["name"], per_disk=bool(step.get("tasks")))
        for step in pipeline
    )
    return Choice(Workflow("pipeline", "steps of the VM's pipeline", steps), _UNNUMBERED)


def steps_for(workflow: Workflow, pipeline: Sequence[Mapping[str, Any]], hooks: Sequence[Mapping[str, Any]] = ()) -> list[Step]:
    """The steps of one VM. hooks: those of the VM in the plan, which count while there is no pipeline."""
    there = {step.get("name") for step in pipeline} if pipeline else {hook.get("step") for hook in hooks}
    return [step for step in workflow.steps if not step.optional or step.pipeline in there]
