"""Migrations from real OpenStack services, held up while images are downloaded: the cloud goes, or a populator is killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from gate import Gate, region

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.openstack.configuration import CATALOG
from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack
from ansible_collections.vmshift.mtv.tests.integration.cloud_plans import PATIENCE, CloudPlans, in_order
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import HOST

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the cloud's end points are on this machine")

MIDWAY = 6 << 20  # bytes; the images are of 20 MiB and more


class Cloud:
    """All services of the lab's OpenStack behind gates."""

    def __init__(self, openstack: OpenStack) -> None:
        self.gates = {CATALOG[service][0]: Gate(url) for service, url in openstack.endpoints.items()}
        self.images = self.gates["image"]

    def goes(self, *but: Gate) -> None:
        """All services that stand behind gates, other than those."""
        for gate in self.gates.values():
            if gate not in but:
                gate.shut()

    def comes_back(self) -> None:
        for gate in self.gates.values():
            gate.open()

    def missed(self) -> int:
        """How often somebody has wanted to talk to a service in vain."""
        return sum(gate.refused for gate in self.gates.values())


@pytest.fixture(scope="module")
def cloud(openstack: OpenStack) -> Iterator[Cloud]:
    made = Cloud(openstack)
    with region(openstack, made.gates):
        yield made


@pytest.fixture(scope="module")
def plans(
    openstack: OpenStack, cloud: Cloud, serve_state: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CloudPlans]:
    state = State(tmp_path_factory.mktemp("awayplane") / "state")
    serve_state(state)
    made = CloudPlans(state, replace(openstack, url=cloud.gates["identity"].url, region="Gated"))
    made.furnish()
    yield made
    lifetime.stop(state)
    with openstack.connect() as direct:  # as it was
        for server in openstack.servers:
            if server["on"] and direct.compute.get_server(server["id"]).status == "SHUTOFF":
                direct.compute.start_server(server["id"])


def fetching(plans: CloudPlans, cloud: Cloud, plan: str, server: str) -> None:
    """A migration that goes on in this moment, with images half downloaded."""
    cloud.images.hold(MIDWAY)
    plans.plan(plan, server)
    plans.run(plan)
    assert cloud.images.held.wait(PATIENCE), plans.get("Plan", plan)["status"]
    plans.until(lambda: plans.vm(plan)["phase"] == "CopyDisks")


def nothing_is_left(plans: CloudPlans) -> None:
    """No image, snapshot or volume in the cloud, no temporary PVC and no populator pod here."""
    plans.until(lambda: not plans.left())
    plans.until(lambda: not [name for name in names(plans, "PersistentVolumeClaim") if name.startswith("prime-")])
    plans.until(lambda: not [name for name in names(plans, "Pod") if name.startswith("populate-")])


def names(plans: CloudPlans, kind: str) -> list[str]:
    return [found["metadata"]["name"] for found in plans.list(kind)]


def test_a_cloud_that_comes_back_is_gone_on_with(plans: CloudPlans, cloud: Cloud) -> None:
    """It goes when the first image or snapshot is there, comes back, and goes once more while images are downloaded."""
    cloud.images.hold(MIDWAY)
    plans.plan("back", "web-1")
    plans.run("back")
    plans.until(plans.left, PATIENCE)
    cloud.goes()
    plans.until(lambda: cloud.missed() > 1)
    cloud.comes_back()
    cloud.images.hold(MIDWAY)
    assert cloud.images.held.wait(PATIENCE), plans.get("Plan", "back")["status"]
    cloud.goes()
    plans.until(lambda: cloud.images.refused > 1)
    cloud.comes_back()
    plans.succeeded("back", PATIENCE)
    assert plans.sums_of("back", "web-1") == [disk["sha256"] for disk in in_order(plans.cloud.server("web-1"))]
    nothing_is_left(plans)


def test_killed_populators_are_begun_anew(plans: CloudPlans, cloud: Cloud) -> None:
    fetching(plans, cloud, "killed", "cache-1")
    (pod,) = [pod for pod in plans.list("Pod") if pod["metadata"]["name"].startswith("populate-")]
    for process in supervisor.processes_of(plans.state.pods / pod["metadata"]["uid"]):
        with contextlib.suppress(ProcessLookupError):  # it went with another one
            os.kill(process, signal.SIGKILL)
    plans.until(lambda: any("recreations" in (claim["metadata"].get("annotations") or {}) for claim in plans.list("PersistentVolumeClaim")))
    cloud.comes_back()
    plans.succeeded("killed", PATIENCE)
    assert plans.sums_of("killed", "cache-1") == [disk["sha256"] for disk in plans.cloud.server("cache-1")["disks"]]
    nothing_is_left(plans)


def test_a_cloud_that_stays_away_is_the_reason_of_a_failure_that_can_be_tried_again(plans: CloudPlans, cloud: Cloud) -> None:
    """The plan stands still as soon as its Provider is not Ready, and fails when that stays so."""
    plans.apply("ForkliftController", "forklift-controller", HOST["namespace"], spec={"controller_blocker_grace_period_minutes": 1})
    fetching(plans, cloud, "away", "pinned-1")
    cloud.goes(cloud.images)  # which holds the one populator up: it is not to fail earlier
    plans.until(lambda: plans.is_true("Plan", "away", "SourceProviderNotReady"))
    cloud.goes()
    plans.until(lambda: plans.ended("away"), PATIENCE)
    assert plans.is_true("Plan", "away", "Failed")
    (reason,) = plans.vm("away")["error"]["reasons"]
    assert re.fullmatch(r"The migration has FAILED due to a validation blocker: SourceProviderNotReady: .+", reason)
    cloud.comes_back()
    plans.until(lambda: plans.is_true("Plan", "away", "Ready"))
    plans.run("again", plan="away")
    plans.until(lambda: plans.is_true("Migration", "again", "Succeeded"), PATIENCE)
    assert plans.sums_of("away", "pinned-1") == [disk["sha256"] for disk in plans.cloud.server("pinned-1")["disks"]]
    nothing_is_left(plans)
