"""What a phase works with: the run of a plan, and one VM in it, during one pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import patching
from ansible_collections.vmshift.mtv.controlplane.migration import itineraries, labels, pipeline

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects, OwnObjects
    from ansible_collections.vmshift.mtv.controlplane.migration.destination import Destination
    from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import Itinerary, Traits
    from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Disk, Source

Object = dict[str, Any]


class PhaseError(Exception):
    """This VM cannot be migrated. `reasons` end up in its status: one sentence each. `ended`: its step gets the time of its end."""

    def __init__(self, *reasons: str, ended: bool = True) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons
        self.ended = ended


def only_converts(plan: Object) -> bool:
    """Somebody else has copied the disks of a plan's VMs into claims that are there already."""
    return plan["spec"].get("type") == "conversion"


def own(vms: list[Object], wanted: Callable[[Object], bool]) -> list[Object]:
    """Those of the VMs of a plan's status that are `wanted`, copied, in their places in the list: now they may be changed."""
    found = []
    for index, vm in enumerate(vms):
        if wanted(vm):
            vms[index] = patching.copy(vm)
            found.append(vms[index])
    return found


@dataclass
class Run:
    """One plan with its active Migration. `plan["status"]` is changed in place and stored at the end of the pass.

    But for its VMs, which are shared with whoever looks at the plan until they are this pass's `own`.

    Before there is a Migration, to see what a run would be like, `migration` and `snapshot` are empty.

    `api`: the objects of this cluster, which manages the migration; those that belong to VMs are the target's.
    """

    api: OwnObjects
    plan: Object
    migration: Object
    snapshot: Object  # the entry of this run in plan.status.migration.history
    destination: Object  # its Provider
    network_map: Object
    storage_map: Object  # empty where somebody else has copied the disks
    source: Source
    target: Destination
    settings: Settings

    @property
    def spec(self) -> Object:
        return self.plan["spec"]

    @property
    def status(self) -> Object:
        return self.plan["status"]["migration"]

    @property
    def vms(self) -> list[Object]:
        return self.status.setdefault("vms", [])

    @property
    def resumes(self) -> bool:
        """Only what failed after its disks were copied is migrated, and only converted."""
        return bool(self.migration and self.migration["spec"].get("resumeConversion"))

    @property
    def finds_disks_copied(self) -> bool:
        """They are in claims that are there before the run begins."""
        return only_converts(self.plan) or self.resumes

    @property
    def target_namespace(self) -> str:
        return self.spec["targetNamespace"]


@dataclass
class VmRun:
    """One VM of a run. `vm` is its status, or its entry in the plan before it has one; `source_vm` as the source's inventory has it."""

    run: Run
    vm: Object
    source_vm: Object

    @property
    def api(self) -> Objects:
        return self.run.api

    @property
    def target(self) -> Objects:
        """The objects of the cluster that the VM goes to."""
        return self.run.target.objects

    @property
    def plan(self) -> Object:
        return self.run.plan

    @property
    def namespace(self) -> str:
        return self.run.target_namespace

    @cached_property
    def labels(self) -> dict[str, str]:
        return labels.of_run(self.run.plan, self.run.migration["metadata"]["uid"], self.vm["id"])

    @property
    def claim_labels(self) -> dict[str, str]:
        """By which the PVCs of the VM are known: those of this run, or those that somebody else or an earlier run has filled."""
        if self.run.finds_disks_copied:
            return {labels.VM_ID: self.vm["id"], labels.VM_UUID: self.source_vm["uuid"]}
        return self.labels

    @cached_property
    def traits(self) -> Traits:
        hooked = {hook.get("step") for hook in self.vm.get("hooks") or ()}
        own = self.run.source.traits(self)
        return replace(own, pre_hook=itineraries.PRE_HOOK in hooked, post_hook=itineraries.POST_HOOK in hooked)

    @cached_property
    def itinerary(self) -> Itinerary:
        rows = itineraries.RESUMPTION if self.run.resumes else self.run.source.itinerary(self.plan)
        return itineraries.itinerary(rows, self.traits)

    @property
    def child_name(self) -> str:
        """generateName of most child objects."""
        return f"{self.run.plan['metadata']['name']}-{self.vm['id']}-"

    @property
    def target_name(self) -> str:
        return self.vm.get("newName") or self.source_vm["name"]

    @cached_property
    def disks(self) -> list[Disk]:
        """Raises PhaseError."""
        try:
            return self.run.source.disks(self)
        except ValueError as error:
            raise PhaseError(str(error)) from None

    @property
    def step(self) -> Object:
        """The step that the present phase is accounted to."""
        row = itineraries.row_of(self.itinerary, self.vm["phase"])
        assert row is not None
        return pipeline.step_of(self.vm, row.step)

    def option(self, name: str) -> Any:
        """A setting that a VM may have for itself, else the plan's; None when neither says."""
        own = self.vm.get(name)
        return self.run.spec.get(name) if own is None else own
