"""What a source adapter must answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ansible_collections.vmshift.mtv.controlplane.migration.scheduling import Load

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import ProviderInventory
    from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import Itinerary, Traits
    from ansible_collections.vmshift.mtv.controlplane.migration.run import Run, VmRun

Object = dict[str, Any]


@dataclass(frozen=True)
class Disk:
    """One disk of a source VM.

    `source` names it in tasks and annotations; `size` in bytes; `storage`: where its map pair sends it; `labels` and `annotations`: of
    its DataVolume, beside those that all have; `name_values`: what a PVC name template may use of it (naming.PVC_FIELDS); `task`: the
    name of its task, where that is another one.
    """

    source: str
    size: int
    storage: Object
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    name_values: Object = field(default_factory=dict)
    task: str = ""

    @property
    def task_name(self) -> str:
        return self.task or self.source


@dataclass(frozen=True)
class Conversion:
    """What the source adds to a conversion: settings (environment), volumes of the pod, the image with VMware's disk library."""

    settings: dict[str, str]
    volumes: list[Object] = field(default_factory=list)
    mounts: list[Object] = field(default_factory=list)
    vddk_image: str = ""


@dataclass(frozen=True)
class Inspection:
    """How an inspection reaches the source: data (base64) of its Secret, the image with VMware's disk library."""

    connection: dict[str, str]
    vddk_image: str = ""


class Source(Protocol):
    """A source provider during one pass over a plan. A VM is as its inventory knows it (facts 5.3)."""

    @property
    def ready(self) -> bool:
        """Its inventory is loaded."""

    def find(self, ref: Object) -> Object | None:
        """The VM of a reference {id, name}; None when there is none, or several."""

    def workload(self, vm: Object) -> Object:
        """A VM with all that it refers to, as the inventory service shows it."""

    def itinerary(self, plan: Object) -> Itinerary:
        """The rows of the workflow of `plan`, of which those stay that fit the traits of each VM."""

    def traits(self, work: VmRun) -> Traits:
        """What decides the way of one VM. Of hooks it knows nothing."""

    def refusal(self, work: VmRun) -> str:
        """Why this VM cannot go the way the plan asks for; "" when it can. Asked before anything is done."""

    def load(self, vm: Object) -> Load:
        """What a VM, by its status, takes of what its source can do at a time, and where (facts 3.15)."""

    def waits_for(self, run: Run, vm: Object) -> str:
        """What a VM that could begin waits for, beside room; "" for nothing."""

    def disks(self, work: VmRun) -> list[Disk]:
        """Those to be copied, in the order of the guest. Raises ValueError for a disk whose size or destination is not known."""

    def prepare(self, work: VmRun) -> bool:
        """Go on with what must be there before the disks can be fetched, without waiting; True when it all is.

        Asked again and again, also after a crash in the middle. Raises PhaseError when it cannot be had.
        """

    def lost(self, work: VmRun) -> str:
        """Why the disks cannot be fetched any more, whatever is tried; "" as long as they can. Asked when a transfer has failed."""

    def content(self, work: VmRun, disk: Disk, secret: str) -> Object:
        """`spec.source` of the DataVolume of a disk. `secret`: name of the Secret "isDV" in the target namespace."""

    def power_state(self, vm: Object) -> str:
        """ "On", "Off" or "Unknown"; "" for sources whose VMs never run."""

    def power_off(self, vm: Object) -> None: ...

    def is_off(self, vm: Object) -> bool: ...

    def power_on(self, vm: Object) -> None: ...

    def secret_data(self, work: VmRun, purpose: str) -> dict[str, str]:
        """Data (base64) of the Secret "isDV", "isV2V" or "isPopulator"."""

    def config_data(self, work: VmRun) -> dict[str, str]:
        """Data of the ConfigMap beside the Secret "isDV"."""

    def library_settings(self, plan: Object) -> dict[str, str]:
        """Content of the ConfigMap with settings of VMware's disk library; {} for none."""

    def conversion(self, work: VmRun) -> Conversion | None:
        """Make what the conversion needs beside disks; None while that is not there yet."""

    def virtual_machine(self, work: VmRun, claims: dict[str, str]) -> Object:
        """The target VM. `claims`: disk source -> PVC name. Raises ValueError for what cannot be built."""

    def release(self, vm: Object) -> None:
        """Take away what was made at the source so that disks could be fetched, as far as it goes without waiting. `vm`: its status.

        Asked when the disks are there, when the VM failed or was canceled, before it is tried again, and when its plan is archived; most
        often there is nothing (any more). Raises SourceError or PhaseError.
        """


class WarmSource(Source, Protocol):
    """A source whose VMs can be copied while they run."""

    def create_snapshot(self, vm: Object, description: str) -> tuple[str, str]:
        """(task, snapshot): the task that makes one; or the snapshot, where it was made before and nobody knows that any more."""

    def made_snapshot(self, vm: Object, task: str, description: str) -> str:
        """The snapshot that `task` has made, "" as long as it is at it. Raises PhaseError when it failed."""

    def change_ids(self, vm: Object, snapshot: str) -> dict[str, str]:
        """Disk source -> what identifies the disk's bytes at a snapshot."""

    def inspection(self, work: VmRun) -> Inspection:
        """Of a VM at a snapshot."""

    def remove_snapshot(self, vm: Object, snapshot: str) -> str:
        """The task that removes it; "" when it is gone."""

    def has_removed(self, vm: Object, task: str, snapshot: str) -> bool:
        """Raises PhaseError when it failed."""


class InventorySource:
    """What adapters have in common: a provider and its inventory. `api`: the objects of this cluster."""

    def __init__(self, api: Objects, provider: Object, inventory: ProviderInventory) -> None:
        self._api = api
        self._provider = provider
        self._inventory = inventory

    @property
    def ready(self) -> bool:
        return self._inventory.loaded

    def workload(self, vm: Object) -> Object:
        return self._inventory.workload(vm["id"])

    def load(self, _vm: Object) -> Load:
        """One VM is like another."""
        return Load("", 1)

    def waits_for(self, _run: Run, _vm: Object) -> str:
        return ""

    def library_settings(self, _plan: Object) -> dict[str, str]:
        return {}

    def find(self, ref: Object) -> Object | None:
        found = self._inventory.find("vms", ref)
        return found[0] if len(found) == 1 else None

    def prepare(self, work: VmRun) -> bool:
        """Nothing is needed."""
        return True

    def lost(self, work: VmRun) -> str:
        """As long as the source is there, its disks are."""
        return ""

    def config_data(self, work: VmRun) -> dict[str, str]:
        return {}

    def release(self, vm: Object) -> None:
        """Nothing is made there."""
