"""Which of the documented workflows a plan goes by, and that their steps are numbered as there."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.plugins.module_utils import workflows
from ansible_collections.vmshift.mtv.plugins.module_utils.workflows import WORKFLOWS, as_run, choose, steps_for


@pytest.mark.parametrize(
    ("spec", "source", "where", "name"),
    [
        ({}, "vsphere", {}, "cold"),
        ({}, "ova", {}, "cold"),
        ({}, "hyperv", {}, "cold"),
        ({"migrateSharedDisks": True}, "vsphere", {}, "cold"),
        ({"migrateSharedDisks": False}, "vsphere", {}, "copy_and_convert"),
        ({"migrateSharedDisks": False}, "ova", {}, "cold"),
        ({}, "vsphere", {"offload": True}, "offload"),
        ({}, "vsphere", {"local": False}, "remote"),
        ({"skipGuestConversion": True}, "vsphere", {}, "raw_copy"),
        ({"skipGuestConversion": True}, "vsphere", {"local": False}, "raw_copy"),
        ({"warm": True}, "vsphere", {}, "warm"),
        ({"type": "warm"}, "ovirt", {"local": False}, "warm"),
        ({}, "ovirt", {}, "populator"),
        ({"type": "cold"}, "openstack", {}, "populator"),
        ({}, "openstack", {"local": False}, "remote"),
        ({}, "openshift", {}, "openshift"),
        ({"type": "live"}, "openshift", {}, None),
        ({"type": "conversion"}, "vsphere", {}, "conversion"),
        ({}, "ec2", {}, None),
        ({}, "", {}, None),
    ],
)
def test_the_workflow_of_a_plan(spec: dict[str, Any], source: str, where: dict[str, Any], name: str | None) -> None:
    choice = choose(spec, source, **{"local": True, **where})
    assert (choice.workflow.name if choice else None) == name
    assert choice is None or choice.why


@pytest.mark.parametrize(
    ("names", "planned", "name", "converts"),
    [
        ("Initialize DiskAllocation ImageConversion DiskTransferV2v VirtualMachineCreation", "vsphere", "cold", True),
        ("Initialize DiskTransfer ImageConversion VirtualMachineCreation", "vsphere", "copy_and_convert", True),
        ("Initialize DiskTransfer Cutover ImageConversion VirtualMachineCreation", "vsphere", "warm", True),
        ("Initialize DiskAllocation ImageConversion DiskTransferV2v VirtualMachineCreation", "", "cold", True),
        ("Initialize DiskTransfer Cutover VirtualMachineCreation", "", "warm", False),
        ("Initialize DiskTransfer VirtualMachineCreation", "openstack", "populator", False),
        ("Initialize DiskTransfer VirtualMachineCreation", "", "pipeline", True),
        ("Initialize PrepareTarget Synchronization", "", "pipeline", True),
        ("", "vsphere", "cold", True),
        ("", "", "pipeline", True),
    ],
)
def test_the_pipeline_of_a_vm_has_the_last_word(names: str, planned: str, name: str, converts: bool) -> None:
    pipeline = [{"name": step, "description": f"{step}!"} for step in names.split()]
    choice = as_run(choose({}, planned, local=True), pipeline)
    assert (choice.workflow.name, choice.converts) == (name, converts)
    if name == "pipeline":
        assert [(step.name, step.number) for step in choice.workflow.steps] == [(step, None) for step in names.split()]


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_steps_are_numbered_one_after_the_other_up_to_the_start_of_the_vm(name: str) -> None:
    steps = WORKFLOWS[name].steps
    numbers = [step.number for step in steps if step.number is not None]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 9))
    assert next(step.name for step in steps if step.number == 8) == "power_on"
    assert len({step.name for step in steps}) == len(steps)


@pytest.mark.parametrize(
    ("name", "traits"),
    [
        ("cold", {"source": "vsphere", "converts": True, "virt_v2v_copies": True}),
        ("remote", {"source": "vsphere", "converts": True, "virt_v2v_copies": False}),
        ("raw_copy", {"source": "vsphere", "converts": False, "virt_v2v_copies": False}),
        ("populator", {"source": "openstack", "converts": False, "virt_v2v_copies": False}),
        ("warm", {"source": "vsphere", "converts": True, "virt_v2v_copies": False, "warm": True}),
        ("conversion", {"source": "vsphere", "converts": True, "virt_v2v_copies": False}),
    ],
)
def test_every_phase_of_a_way_is_one_of_a_step_in_the_same_order(name: str, traits: dict[str, Any]) -> None:
    extras = {"pre_hook": True, "post_hook": True, "awaits_reboots": True}
    if name == "warm":
        extras |= {"inspected": True, "awaits_consolidation": True}
    rows = {"warm": itineraries.WARM, "conversion": itineraries.CONVERSION}.get(name, itineraries.COLD)
    workflow = {**WORKFLOWS, "conversion": workflows.CONVERSION_ONLY}[name]
    way = itineraries.itinerary(rows, itineraries.Traits(**traits, **extras))
    phases = [phase for step in workflow.steps for phase in step.phases]
    known = list(dict.fromkeys(phases))
    on_the_way = [row.phase for row in way if row.phase != itineraries.STARTED]
    assert [phase for phase in known if phase in on_the_way] == on_the_way
    steps = {step.name for step in itineraries.steps(way)}
    assert {step.pipeline for step in workflow.steps if step.pipeline in steps} == steps


def test_hooks_are_steps_of_the_vms_that_have_them() -> None:
    def names(*args: Any) -> list[str]:
        return [step.name for step in steps_for(workflows.COLD, *args) if step.optional]

    assert names([]) == []
    assert names([], [{"step": "PostHook"}]) == ["post_hook"]
    assert names([{"name": "PreHook"}, {"name": "WaitForGuestReboots"}]) == ["pre_hook", "reboots"]
