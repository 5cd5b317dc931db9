"""Validation of plans for VMs from OpenStack and oVirt: each rule breaks a plan that is otherwise fit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.controllers import conversion_tools
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.network_map import NetworkMapReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import validate
from ansible_collections.vmshift.mtv.controlplane.controllers.storage_map import StorageMapReconciler

Object = dict[str, Any]

WEB = " id:vm-1 name:'web' "
MAC = "fa:16:3e:00:00:01"


@pytest.fixture(autouse=True)
def all_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion_tools.tools, "missing", lambda names: [])


def _openstack() -> dict[str, list[Object]]:
    address = {"addr": "192.0.2.1", "version": 4, "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": MAC}
    vm = {
        "id": "vm-1",
        "name": "web",
        "imageID": "",
        "addresses": {"lan": [address]},
        "attachedVolumes": [{"ID": "vol-1"}, {"ID": "vol-2"}],
        "concerns": [],
    }
    volumes = [{"id": f"vol-{n}", "name": "", "size": 1, "status": "in-use", "volumeType": name} for n, name in ((1, "fast"), (2, "slow"))]
    return {
        "vms": [vm],
        "volumes": volumes,
        "volumetypes": [{"id": "type-1", "name": "fast"}, {"id": "type-2", "name": "slow"}],
        "networks": [{"id": "net-1", "name": "lan"}, {"id": "net-2", "name": "backup"}],
    }


def _ovirt() -> dict[str, list[Object]]:
    vm = {
        "id": "vm-1",
        "name": "web",
        "nics": [{"id": "nic-1", "name": "nic1", "profile": "profile-1", "mac": MAC}],
        "diskAttachments": [{"id": "disk-1", "disk": "disk-1"}, {"id": "disk-2", "disk": "disk-2"}],
        "concerns": [],
    }
    disks = [
        {"id": f"disk-{n}", "name": "", "storageDomain": f"domain-{n}", "storageType": "image", "provisionedSize": 1 << 30} for n in (1, 2)
    ]
    return {
        "vms": [vm],
        "disks": disks,
        "nicprofiles": [{"id": "profile-1", "name": "p", "network": "net-1"}, {"id": "profile-2", "name": "q", "network": "net-2"}],
        "storagedomains": [{"id": "domain-1", "name": "fast"}, {"id": "domain-2", "name": "slow"}],
        "networks": [{"id": "net-1", "name": "lan"}, {"id": "net-2", "name": "backup"}],
    }


class Bench:
    """A plan that is fit to run, and what tests change about it."""

    def __init__(self, plane: Any, new_items: Any, type: str) -> None:
        self.plane = plane
        self.known = _openstack() if type == "openstack" else _ovirt()
        self.vm = self.known["vms"][0]
        plane.namespace("target")
        plane.create("StorageClass", "", "block", provisioner="local.example")
        plane.host()
        plane.provider("mig", "src", type, new_items(self.known), url="https://source.example/v3")
        self.ends = {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": plane.context.namespace}}
        self.map("NetworkMap", "net", [("lan", {"type": "pod"})])
        self.map("StorageMap", "sto", [(name, {"storageClass": "block"}) for name in ("fast", "slow")])
        self.plan: Object = {
            "apiVersion": "forklift.konveyor.io/v1beta1",
            "kind": "Plan",
            "metadata": {"name": "batch", "namespace": "mig", "uid": "plan-uid"},
            "spec": {
                "provider": self.ends,
                "map": {"network": {"name": "net", "namespace": "mig"}, "storage": {"name": "sto", "namespace": "mig"}},
                "targetNamespace": "target",
                "vms": [{"name": "web"}],
            },
        }

    def map(self, kind: str, name: str, pairs: list[tuple[str, Object]]) -> None:
        listed = [{"source": {"name": source}, "destination": destination} for source, destination in pairs]
        self.plane.create(kind, "mig", name, spec={"provider": self.ends, "map": listed})
        reconciler = NetworkMapReconciler if kind == "NetworkMap" else StorageMapReconciler
        asyncio.run(reconciler(self.plane.context).reconcile("mig", name))

    def found(self) -> list[tuple[str, str, str, Any]]:
        conditions = Conditions([])
        validate(self.plane.context, self.plan, conditions)
        return [(c["type"], c["category"], c["message"], c.get("items")) for c in conditions.finish()]

    def set(self, **spec: Any) -> None:
        self.plan["spec"].update(spec)


@pytest.fixture(params=["openstack", "ovirt"])
def bench(plane: Any, new_items: Any, request: pytest.FixtureRequest) -> Bench:
    return Bench(plane, new_items, request.param)


@pytest.fixture
def openstack(plane: Any, new_items: Any) -> Bench:
    return Bench(plane, new_items, "openstack")


@pytest.fixture
def ovirt(plane: Any, new_items: Any) -> Bench:
    return Bench(plane, new_items, "ovirt")


def test_plan_that_is_fit_gets_no_condition(bench: Bench) -> None:
    assert bench.found() == []
    bench.set(type="cold", pvcNameTemplate="{{.VmName}}-{{.DiskIndex}}")
    assert bench.found() == []


def test_warm_migrations_are_refused_in_the_words_of_mtv(bench: Bench) -> None:
    bench.set(type="warm")
    refused = ("Warm migration from the source provider is not supported.", "`warm` migration from the source provider is not supported.")
    assert [(type, message) for type, _category, message, _items in bench.found()] == [
        ("WarmMigrationNotReady", refused[0]),
        ("MigrationTypeNotValid", refused[1]),
    ]


def test_openstack_is_not_even_let_in_as_a_warm_plan(openstack: Bench) -> None:
    openstack.set(type="warm")
    with pytest.raises(ApiError, match="warm migration is not supported by the provider"):
        openstack.plane.create("Plan", "mig", "warm", spec=openstack.plan["spec"])


def test_a_storage_that_is_not_mapped_is_told(bench: Bench) -> None:
    bench.map("StorageMap", "half", [("fast", {"storageClass": "block"})])
    bench.set(map={**bench.plan["spec"]["map"], "storage": {"name": "half", "namespace": "mig"}})
    assert bench.found() == [("VMStorageNotMapped", "Critical", "VM has unmapped storage.", [WEB])]


def test_a_network_that_is_not_mapped_is_told(bench: Bench) -> None:
    bench.map("NetworkMap", "other", [("backup", {"type": "pod"})])
    bench.set(map={**bench.plan["spec"]["map"], "network": {"name": "other", "namespace": "mig"}})
    assert bench.found() == [("VMNetworksNotMapped", "Critical", "VM has unmapped networks.", [WEB])]


def test_the_image_of_a_server_is_a_storage_of_its_own(openstack: Bench) -> None:
    openstack.vm["imageID"] = "image-1"
    assert openstack.found() == [("VMStorageNotMapped", "Critical", "VM has unmapped storage.", [WEB])]
    pairs = [(name, {"storageClass": "block"}) for name in ("fast", "slow", "glance")]
    openstack.map("StorageMap", "all", pairs)
    openstack.set(map={**openstack.plan["spec"]["map"], "storage": {"name": "all", "namespace": "mig"}})
    assert openstack.found() == []
    assert openstack.plane.types("StorageMap", "mig", "all") == ["Ready"]


def test_two_nics_on_the_pod_network_are_one_too_many(ovirt: Bench) -> None:
    ovirt.vm["nics"].append({"id": "nic-2", "name": "nic2", "profile": "profile-1", "mac": "fa:16:3e:00:00:02"})
    assert [found[0] for found in ovirt.found()] == ["VMMultiplePodNetworkMappings"]


def test_a_mac_address_of_a_target_vm_is_a_conflict(bench: Bench) -> None:
    interfaces = [{"name": "net-0", "bridge": {}, "macAddress": MAC}]
    spec = {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {"interfaces": interfaces}}}}}
    bench.plane.create("VirtualMachine", "target", "other", spec=spec)
    assert [(type, items) for type, _category, _message, items in bench.found()] == [("MacConflicts", [WEB])]


def test_disks_of_no_size_are_no_disks(bench: Bench) -> None:
    key = "size" if "volumes" in bench.known else "provisionedSize"
    bench.known["volumes" if "volumes" in bench.known else "disks"][1][key] = 0
    assert [(type, items) for type, _category, _message, items in bench.found()] == [("InvalidDiskSizes", [WEB])]


def test_a_direct_lun_is_not_migrated(ovirt: Bench) -> None:
    ovirt.known["disks"][1].update(storageType="lun", storageDomain="", provisionedSize=0)
    assert [(type, items) for type, _category, _message, items in ovirt.found()] == [("VMStorageNotSupported", [WEB])]


def test_disks_can_be_fetched_to_this_cluster_only(bench: Bench, new_items: Any) -> None:
    bench.plane.provider("mig", "away", "openshift", new_items({"storageclasses": [{"id": "1", "name": "block", "object": {}}]}))
    bench.ends["destination"] = {"name": "away", "namespace": "mig"}
    refused = [found for found in bench.found() if found[0] == "MigrationTypeNotValid"]
    assert len(refused) == 1 and "the destination must be the provider `host`" in refused[0][2]


def test_keys_of_encrypted_disks_are_refused(bench: Bench) -> None:
    with pytest.raises(ApiError, match="migration of encrypted disks from source provider of type"):
        bench.set(vms=[{"name": "web", "luks": {"name": "keys"}}])
        bench.plane.create("Plan", "mig", "luks", spec=bench.plan["spec"])
