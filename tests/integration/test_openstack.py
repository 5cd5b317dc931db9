"""Migrations from real OpenStack services: which bytes arrive, and that nothing is left of them in the cloud, however they end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import InventoryService
from ansible_collections.vmshift.mtv.tests.integration.cloud_plans import MADE, PATIENCE, CloudPlans, in_order, sha256
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import PLANS, TARGET

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the cloud's end points are on this machine")

STEPS = ["Initialize", "DiskTransfer", "ConvertOpenstackSnapshot", "VirtualMachineCreation"]


@pytest.fixture(scope="module")
def plans(openstack: OpenStack, serve_state: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudPlans]:
    state = State(tmp_path_factory.mktemp("cloudplane") / "state")
    serve_state(state)
    made = CloudPlans(state, openstack)
    made.furnish()
    yield made
    lifetime.stop(state)
    with openstack.connect() as cloud:  # as it was
        for server in openstack.servers:
            if server["on"] and cloud.compute.get_server(server["id"]).status == "SHUTOFF":
                cloud.compute.start_server(server["id"])


def test_a_canceled_migration_leaves_nothing_in_the_cloud(plans: CloudPlans) -> None:
    plans.plan("given-up", "app-1")
    plans.run("given-up")
    plans.until(plans.left, PATIENCE)  # it has begun to make images
    server = plans.cloud.server("app-1")["id"]
    plans.apply("Migration", "given-up", spec={"plan": {"name": "given-up", "namespace": PLANS}, "cancel": [{"id": server}]})
    plans.until(lambda: plans.ended("given-up"), PATIENCE)
    assert plans.is_true("Plan", "given-up", "Canceled")
    plans.until(lambda: not plans.left(), PATIENCE)


def test_the_playbook_migrates_a_server_that_boots_from_a_volume(plans: CloudPlans, play: Callable[..., Any]) -> None:
    """Its volumes go to the storage classes of their types; it runs again where it went; a second play changes nothing."""
    cloud = plans.cloud
    request = {
        "name": "web",
        "namespace": PLANS,
        "source_provider": {"name": "cloud"},
        "target_namespace": TARGET,
        "network_map": {"pairs": [{"source": "internal", "destination": "pod"}, {"source": "vlan-120", "destination": "ignored"}]},
        "storage_map": {
            "pairs": [{"source": "fast", "destination": "vmshift-local"}, {"source": "slow", "destination": "vmshift-immediate"}]
        },
        "vms": [{"name": "web-1"}],
    }
    variables = {"kubeconfig": str(plans.state.kubeconfig), "migration_request": request}
    play("playbooks/migrate.yml", variables)
    vm = plans.vm("web")
    assert [step["name"] for step in vm["pipeline"]] == STEPS
    transfer = next(step for step in vm["pipeline"] if step["name"] == "DiskTransfer")
    server = cloud.server("web-1")
    assert [task["name"] for task in transfer["tasks"]] == [f"{MADE}{server['id']}-volume-{disk['id']}" for disk in server["disks"]]
    assert all(task["phase"] == "Completed" and task["progress"]["completed"] == 1024 for task in transfer["tasks"])
    assert plans.sums_of("web", "web-1") == [disk["sha256"] for disk in server["disks"]]
    machine = plans.get("VirtualMachine", "web-1", TARGET)["spec"]
    assert machine["runStrategy"] == "Always"
    assert [disk.get("bootOrder") for disk in machine["template"]["spec"]["domain"]["devices"]["disks"]] == [1, None]
    claims = {claim["metadata"]["annotations"]["forklift.konveyor.io/disk-source"]: claim for claim in plans.list("PersistentVolumeClaim")}
    assert [claims[disk["id"]]["spec"]["storageClassName"] for disk in server["disks"]] == ["vmshift-local", "vmshift-immediate"]
    assert plans.left() == []
    assert plans.status("web-1") == "SHUTOFF"
    assert play("playbooks/migrate.yml", variables).changed == 0


def test_servers_that_boot_from_images(plans: CloudPlans) -> None:
    """The image of one is raw; that of the other is not, and is unpacked in a step of its own. What is sparse stays so."""
    plans.plan("images", "cache-1", "app-1")
    plans.run("images")
    plans.until(lambda: plans.ended("images"), PATIENCE)
    assert plans.is_true("Plan", "images", "Succeeded"), plans.get("Plan", "images")["status"]
    for name in ("cache-1", "app-1"):
        machine = plans.get("VirtualMachine", name, TARGET)["spec"]["template"]["spec"]
        names = [volume["persistentVolumeClaim"]["claimName"] for volume in machine["volumes"]]
        claims = [plans.get("PersistentVolumeClaim", claim, TARGET) for claim in names]
        files = [plans.state.volume(claim["spec"]["volumeName"]) for claim in claims]
        disks = in_order(plans.cloud.server(name))
        assert [sha256(file, disk["size"]) for file, disk in zip(files, disks, strict=True)] == [disk["sha256"] for disk in disks]
        assert all(file.stat().st_blocks * 512 < disk["size"] for file, disk in zip(files, disks, strict=True))
    assert plans.left() == []


def test_an_unmapped_volume_type_is_told_before_anything_is_done(plans: CloudPlans) -> None:
    storage = [{"source": {"name": "fast"}, "destination": {"storageClass": "vmshift-local"}}]
    plans.apply("StorageMap", "half", spec={"provider": plans.pair, "map": storage})
    maps = {"network": {"name": "net", "namespace": PLANS}, "storage": {"name": "half", "namespace": PLANS}}
    plans.apply("Plan", "half", spec={"provider": plans.pair, "map": maps, "targetNamespace": TARGET, "vms": [{"name": "web-1"}]})
    plans.until(lambda: plans.is_true("Plan", "half", "VMStorageNotMapped"))
    assert plans.left() == []


def test_refused_credentials_are_not_tried_again_until_the_secret_changes(plans: CloudPlans) -> None:
    secret, cloud = {"name": "rotated", "namespace": PLANS}, plans.cloud
    plans.apply("Secret", "rotated", stringData={**cloud.secret(), "password": "of-last-month"})
    plans.apply("Provider", "rotated", spec={"type": "openstack", "url": cloud.url, "secret": secret})
    plans.until(lambda: plans.is_true("Provider", "rotated", "ConnectionAuthFailed"))
    refused = plans.get("Provider", "rotated")["status"]
    assert refused["phase"] == "ConnectionFailed" and "of-last-month" not in str(refused)
    plans.apply("Secret", "rotated", stringData=cloud.secret())
    plans.until(lambda: plans.is_true("Provider", "rotated", "Ready"))
    plans.delete("Provider", "rotated", PLANS)


def test_a_cloud_that_is_not_there_is_tried_again(plans: CloudPlans) -> None:
    plans.apply(
        "Provider", "away", spec={"type": "openstack", "url": "https://127.0.0.1:1/v3", "secret": {"name": "cloud", "namespace": PLANS}}
    )
    plans.until(lambda: plans.is_true("Provider", "away", "ConnectionTestFailed"))
    plans.apply("Provider", "away", spec={"url": plans.cloud.url})
    plans.until(lambda: plans.is_true("Provider", "away", "Ready"))
    plans.delete("Provider", "away", PLANS)


def test_the_inventory_service_shows_the_cloud(plans: CloudPlans) -> None:
    """Over its routes, as a module reads it: levels of detail, a workload, the tree of projects."""
    service, provider = InventoryService(plans.cluster), plans.get("Provider", "cloud")
    brief, some, whole = (service.get(provider, "vms", detail=detail, name="shop/web-1")[0] for detail in (0, 1, 2))
    assert set(brief) == {"id", "revision", "path", "name", "selfLink"}
    assert set(some) - set(brief) == {
        "tenantID",
        "status",
        "hostID",
        "revisionValidated",
        "flavorID",
        "addresses",
        "attachedVolumes",
        "concerns",
    }
    assert {"userID", "created", "fault", "metadata"} <= set(whole)
    workload = service.get(provider, f"workloads/{whole['id']}")[0]
    assert {type["name"] for type in workload["volumeTypes"]} == {"fast", "slow"}
    assert workload["image"]["name"] == "guest" and workload["flavor"]["name"] == "tiny"
    tree = service.get(provider, "tree/project")[0]
    assert tree["children"][0]["object"]["name"] == "shop" and len(tree["children"][0]["children"]) == 6
    concerns = {vm["name"]: {concern["id"] for concern in vm["concerns"]} for vm in service.get(provider, "vms", detail=1)}
    assert concerns["pinned-1"] >= {"openstack.cpu.shares.defined", "openstack.watchdog.detected", "openstack.bios.boot_menu.enabled"}
    assert concerns["web-1"] == set()
