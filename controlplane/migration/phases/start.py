"""Started: a clean slate, and the name of the target."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from ansible_collections.vmshift.mtv.controlplane.migration import (
    children,
    cleanup,
    given_claims,
    labels,
    pipeline,
    plan_configuration,
)
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError
from ansible_collections.vmshift.mtv.plugins.module_utils import naming

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun


def begin(work: VmRun) -> bool:
    pipeline.begin_step(work.step)
    _refuse(work)
    if not cleanup.of_vm(work.api, work.target, work.plan, work.vm, keeps_target=work.run.resumes):
        return False
    work.run.source.release(work.vm)
    name = target_name(work)
    if name != work.source_vm["name"]:
        work.vm["newName"] = name
    return True


def _refuse(work: VmRun) -> None:
    """Rather now than after the disks were copied. Raises PhaseError."""
    children.instance_type(work)
    refusal = plan_configuration.missing(work.run) or work.run.source.refusal(work)
    if not refusal and work.run.finds_disks_copied:
        refusal = given_claims.problem(work)
    if refusal:
        raise PhaseError(refusal)


def target_name(work: VmRun) -> str:
    """The name the target VM will have (facts 3.11). Raises PhaseError when the name asked for is taken."""
    taken = _Taken(work)
    wanted = work.vm.get("targetName")
    if wanted:
        if wanted in taken:
            raise PhaseError(f'The targetName "{wanted}" is taken by another VirtualMachine in namespace {work.namespace}.')
        return wanted
    return work.vm.get("newName") or naming.vm_name(work.source_vm["name"], taken)


class _Taken(Container[str]):
    """Names in the target namespace, and those that other VMs of the plan are going to have."""

    def __init__(self, work: VmRun) -> None:
        self._work = work
        self._claimed = _claimed_in_plan(work)

    def __contains__(self, name: object) -> bool:
        # One look for one name: there may be thousands of VMs, and the target may be another cluster.
        return name in self._claimed or self._is_there(str(name))

    def _is_there(self, name: str) -> bool:
        work = self._work
        found = work.target.find("VirtualMachine", work.namespace, name)
        own = labels.of_vm(work.plan, work.vm["id"])
        return found is not None and not own.items() <= found["metadata"].get("labels", {}).items()


def _claimed_in_plan(work: VmRun) -> set[str]:
    place = next(index for index, vm in enumerate(work.run.vms) if vm is work.vm)
    claims = [vm.get("newName") or vm.get("targetName") or vm["name"] for vm in work.run.vms]
    # Of several VMs of one name, the first in the plan keeps it.
    later = {name for name in claims[place + 1 :] if name != work.source_vm["name"]}
    return set(claims[:place]) | later
