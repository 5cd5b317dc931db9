"""The inventory of an oVirt engine over HTTP, and how it follows what happens there."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt

BASE = {"id", "revision", "path", "name", "selfLink"}
SOME = BASE | {"cluster", "status", "host", "revisionValidated", "nics", "diskAttachments", "concerns"}
FULL = SOME | set(
    "policyVersion guestName cpuSockets cpuCores cpuThreads cpuShares cpuAffinity cpuPinningPolicy memory balloonedMemory ioThreads bios "
    "display hasIllegalImages numaNodeAffinity leaseStorageDomain storageErrorResumeBehaviour haEnabled usbEnabled bootMenuEnabled "
    "placementPolicyAffinity timezone stateless serialNumber hostDevices cdroms watchDogs properties snapshots guest osType "
    "customCpuModel".split()
)


@pytest.fixture
async def provider(inventory: Any, api: Any, ovirt: OVirt) -> Any:
    """A loaded provider."""
    login = {"user": ovirt.user, "password": ovirt.password, "ca.crt": ovirt.ca}
    secret = {"data": {key: base64.b64encode(value.encode()).decode() for key, value in login.items()}}
    provider = api.create(
        {
            "apiVersion": "forklift.konveyor.io/v1beta1",
            "kind": "Provider",
            "metadata": {"name": "engine", "namespace": "mig"},
            "spec": {"type": "ovirt", "url": ovirt.url, "secret": {"name": "engine", "namespace": "mig"}},
        }
    )
    await inventory.load(provider, secret)
    yield provider
    inventory.drop(provider["metadata"]["uid"])


@pytest.fixture
def ask(service: Any, provider: Any) -> Any:
    async def get(path: str) -> Any:
        status, body, _headers = await service.get(f"/providers/ovirt/{provider['metadata']['uid']}{path}")
        assert status == 200, path
        return body

    return get


@pytest.mark.parametrize(("detail", "keys"), [(0, BASE), (1, SOME), (2, FULL)])
async def test_vms_have_three_levels_of_detail(ask: Any, detail: int, keys: set[str]) -> None:
    (vm,) = await ask(f"/vms?name=web-2&detail={detail}")
    assert vm.keys() == keys


@pytest.mark.parametrize(
    ("collection", "keys"),
    [
        ("datacenters", set()),
        ("clusters", {"dataCenter", "haReservation", "ksmEnabled", "biosType", "cpu", "version"}),
        ("servercpus", {"systemOptionValue"}),
        (
            "hosts",
            {"cluster", "status", "productName", "productVersion", "inMaintenance", "cpuSockets", "cpuCores", "networkAttachments", "nics"},
        ),
        ("networks", {"dataCenter", "vlan", "usages", "nicProfiles"}),
        ("nicprofiles", {"network", "networkFilter", "portMirroring", "qos", "properties", "passThrough"}),
        ("storagedomains", {"dataCenter", "type", "capacity", "free", "storage"}),
        ("diskprofiles", {"storageDomain", "qos"}),
        ("disks", {"shared", "storageDomain", "profile", "provisionedSize", "actualSize", "storageType", "status", "lunStorage"}),
    ],
)
async def test_collections_have_the_keys_of_the_real_service(ask: Any, collection: str, keys: set[str]) -> None:
    listed, whole = await ask(f"/{collection}"), await ask(f"/{collection}?detail=1")
    assert listed and all(item.keys() == BASE for item in listed)
    assert all(item.keys() == BASE | keys for item in whole)
    assert await ask(f"/{collection}/{whole[0]['id']}") == whole[0]


async def test_a_workload_has_all_that_the_vm_refers_to(ask: Any, ovirt: OVirt) -> None:
    found = await ask(f"/workloads/{ovirt.vm('web-1')['id']}")
    assert [attached["disk"]["profile"]["name"] for attached in found["diskAttachments"]] == ["data-nfs", "data-block"]
    assert [nic["profile"]["name"] for nic in found["nics"]] == ["ovirtmgmt", "storage-net"]
    assert (found["host"]["name"], found["cluster"]["name"], found["dataCenter"]["name"]) == ("host-default", "Default", "Default")
    assert found["serverCpu"]["systemOptionValue"][0]["version"] == "4.7"


async def test_the_tree_has_clusters_hosts_and_vms(ask: Any) -> None:
    tree = await ask("/tree/cluster")
    default = next(node for node in tree["children"] if node["object"]["name"] == "Default")
    (cluster,) = default["children"]
    assert (default["kind"], cluster["kind"]) == ("DataCenter", "Cluster")
    host, *off = cluster["children"]
    assert host["kind"] == "Host" and {vm["object"]["name"] for vm in host["children"]} == {"web-1", "db-1", "deaf"}
    assert {node["kind"] for node in off} == {"VM"}


async def test_the_provider_counts(service: Any, provider: Any) -> None:
    _status, body, _headers = await service.get("/providers?detail=1")
    (found,) = body["ovirt"]
    counts = {key: found[key] for key in found if key.endswith("Count")}
    assert counts == {"datacenterCount": 2, "clusterCount": 2, "hostCount": 2, "vmCount": 12, "networkCount": 3, "storageDomainCount": 3}


async def test_vms_are_validated(ask: Any) -> None:
    found = {vm["name"]: {concern["id"].removeprefix("ovirt.") for concern in vm["concerns"]} for vm in await ask("/vms?detail=1")}
    assert found["web-2"] == set()
    assert found["broken"] == {"disk.illegal_images.detected", "disk.illegal_or_locked_status"}
    assert found["old_Linux (32 bit)"] == {"name.invalid", "os.unsupported", "disk.interface_type.unsupported"}
    assert found["strange"] >= {"watchdog.enabled", "host_devices.mapped", "nic.unplugged.detected", "nic.port_mirroring.detected"}


async def test_names_with_a_path_tell_twins_apart(ask: Any) -> None:
    assert len(await ask("/vms?name=twin")) == 2
    (vm,) = await ask("/vms?name=Edge/twin&detail=1")
    assert vm["path"] == "Edge/Edge/twin"


async def test_a_changed_vm_gets_a_new_revision(inventory: Any, provider: Any, ovirt: OVirt) -> None:
    known = inventory.get(provider["metadata"]["uid"])
    id = ovirt.vm("web-2")["id"]
    before = known.item("vms", id)["revision"]
    ovirt.change("web-2", description="new")
    changes = known.update(await known.collector.collect())
    assert [(name, vm and vm["id"]) for name, vm in changes] == [("vms", id)]
    assert known.item("vms", id)["revision"] == before + 1
