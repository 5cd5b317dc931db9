"""OVA files as a source: virt-v2v reads the file and writes the disks itself; there is no hypervisor and no power."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration import children, itineraries
from ansible_collections.vmshift.mtv.controlplane.migration.builders import ova as builder
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import Itinerary, Traits
from ansible_collections.vmshift.mtv.controlplane.migration.sources import ova_store
from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Conversion, Disk, InventorySource
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ova import capacity_bytes

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]


class OvaSource(InventorySource):
    _destinations: tuple[Object, dict[str, Object]] = ({}, {})  # of the storage map that was asked for last

    def itinerary(self, plan: Object) -> Itinerary:
        return itineraries.COLD

    def traits(self, work: VmRun) -> Traits:
        return Traits("ova", converts=not work.run.spec.get("skipGuestConversion"), virt_v2v_copies=True)

    def refusal(self, work: VmRun) -> str:
        if work.run.spec.get("skipGuestConversion"):
            return "skipGuestConversion is not possible with an OVA source: its disks are copied by virt-v2v, which converts the guest."
        if work.run.spec.get("customizationScripts"):
            return (
                "customizationScripts are not run in guests from OVA files; take them out of the plan, or run them in the migrated guest."
            )
        return ""

    def disks(self, work: VmRun) -> list[Disk]:
        destinations = self._storage_destinations(work.run.storage_map)
        return [self._disk(disk, destinations) for disk in work.source_vm["disks"] or ()]

    def content(self, work: VmRun, disk: Disk, secret: str) -> Object:
        return {"blank": {}}

    def _disk(self, disk: Object, destinations: dict[str, Object]) -> Disk:
        source = builder.disk_source(disk)
        if disk["ID"] not in destinations:
            raise ValueError(f'The storage map has no entry for disk "{disk["Name"]}" ({disk["ID"]}).')
        try:
            size = capacity_bytes(disk)
        except ValueError as error:
            raise ValueError(f"The size of disk {source} is not known: {error}.") from None
        return Disk(source, size, destinations[disk["ID"]])

    def _storage_destinations(self, storage_map: Object) -> dict[str, Object]:
        """Disk ID -> destination of the map. OVA inventories have one storage per disk, with the disk's id.

        So a map may have as many pairs as there are VMs, all of which ask for it in one pass.
        """
        if self._destinations[0] is not storage_map:
            pairs = storage_map["spec"].get("map") or ()
            found = {item["id"]: pair["destination"] for pair in pairs for item in self._inventory.find("storages", pair["source"])}
            self._destinations = storage_map, found
        return self._destinations[1]

    def power_state(self, vm: Object) -> str:
        return ""

    def power_off(self, vm: Object) -> None:
        pass

    def is_off(self, vm: Object) -> bool:
        return True

    def power_on(self, vm: Object) -> None:
        pass

    def secret_data(self, work: VmRun, purpose: str) -> dict[str, str]:
        return {}

    def conversion(self, work: VmRun) -> Conversion | None:
        claim = ova_store.ensure(work, self._provider)
        if claim is None:
            return None
        return Conversion(
            settings=self._conversion_settings(work),
            volumes=[{"name": ova_store.VOLUME, "persistentVolumeClaim": {"claimName": claim}}],
            mounts=[{"name": ova_store.VOLUME, "mountPath": ova_store.MOUNT_PATH}],
        )

    def _conversion_settings(self, work: VmRun) -> dict[str, str]:
        path = work.source_vm["ovfPath"]
        if not path.lower().endswith(".ova"):
            path = posixpath.dirname(path)  # virt-v2v takes an unpacked appliance as its folder
        found = {"V2V_source": "ova", "V2V_diskPath": path, "V2V_vmName": work.source_vm["name"]}
        if work.vm.get("newName"):
            found["V2V_NewName"] = work.vm["newName"]
        return found

    def virtual_machine(self, work: VmRun, claims: dict[str, str]) -> Object:
        return builder.virtual_machine(
            work.source_vm,
            work.plan,
            work.vm,
            networks=self._network_pairs(work.run.network_map),
            claims=claims,
            labels=work.labels,
            instance_type=children.instance_type(work),
        )

    def _network_pairs(self, network_map: Object) -> list[NetworkPair]:
        pairs = network_map["spec"].get("map") or ()
        return [
            NetworkPair(found["name"], pair["destination"]) for pair in pairs for found in self._inventory.find("networks", pair["source"])
        ]
