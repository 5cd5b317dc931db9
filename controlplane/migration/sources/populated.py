"""Sources whose disks are fetched by volume populators: OpenStack and oVirt (facts 3.15). What both must answer, and what both have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import Itinerary, Traits
from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import InventorySource, Source

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Conversion, Disk

Object = dict[str, Any]


@dataclass(frozen=True)
class Populator:
    """The volume populator of one disk (facts 1.7), as its source wants it.

    `kind` and `spec` of the object, but for the transfer network; `name`: its generateName; `labels`: of it and of its PVC, beside those
    that all children have; `annotations`: of the PVC; `format`: of what it writes, which is converted afterwards unless that is "raw".
    """

    kind: str
    name: str
    spec: Object
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    format: str = "raw"


class PopulatedSource(Source, Protocol):
    """A source whose disks are fetched by volume populators.

    Whatever is made at the source for that is known again by the id of the VM: nothing else is left after a crash.
    """

    def prepare(self, work: VmRun) -> bool:
        """Go on with what must be there before the disks can be fetched (snapshots, images), without waiting; True when it all is.

        Asked again and again, also after a crash in the middle. Raises PhaseError when it cannot be had.
        """

    def populator(self, work: VmRun, disk: Disk, secret: str) -> Populator:
        """Of a disk of a VM that is prepared. `secret`: name of the Secret "isPopulator" in the target namespace."""


class PopulatedInventorySource(InventorySource):
    """What adapters have in common whose disks are fetched by volume populators: a cold migration without conversion.

    They are to be complete by what PopulatedSource asks for: prepare, populator, release, and of a Source disks, power and the target VM.
    """

    type: ClassVar[str]  # of the provider
    storages: ClassVar[str]  # the inventory's collection that storage maps of this source speak of

    def itinerary(self, plan: Object) -> Itinerary:
        return itineraries.COLD

    def traits(self, work: VmRun) -> Traits:
        return Traits(self.type, converts=False, virt_v2v_copies=False, populated=True)

    def content(self, work: VmRun, disk: Disk, secret: str) -> Object:
        raise NotImplementedError("disks of this source are no DataVolumes")

    def conversion(self, work: VmRun) -> Conversion | None:
        raise NotImplementedError("guests of this source are not converted")

    def secret_data(self, work: VmRun, purpose: str) -> dict[str, str]:
        """A copy of the provider's Secret, whichever it is for."""
        return self.provider_secret().get("data") or {}

    def provider_secret(self) -> Object:
        """{} when it is gone."""
        reference = self._provider["spec"].get("secret") or {}
        return self._api.find("Secret", reference.get("namespace"), reference.get("name", "")) or {}

    def storage_destinations(self, storage_map: Object) -> dict[str, Object]:
        """Id of a storage -> destination of the map; by its name too, for those that the inventory does not list ("glance")."""
        found: dict[str, Object] = {}
        for pair in storage_map["spec"].get("map") or ():
            items = self._inventory.find(self.storages, pair["source"])
            for key in [item["id"] for item in items] or [pair["source"].get("name") or pair["source"].get("id", "")]:
                found.setdefault(key, pair["destination"])
        return found

    def network_pairs(self, network_map: Object) -> list[NetworkPair]:
        """Of the network map; a NIC is on the network of that id."""
        pairs = network_map["spec"].get("map") or ()
        return [
            NetworkPair(found["id"], pair["destination"]) for pair in pairs for found in self._inventory.find("networks", pair["source"])
        ]
