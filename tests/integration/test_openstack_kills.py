"""A control plane that is killed at each step of a migration from real OpenStack services: right bytes, and nothing left anywhere."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lives import Lives

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack
from ansible_collections.vmshift.mtv.tests.integration.cloud_plans import PATIENCE, CloudPlans, in_order
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import PLANS, TARGET

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="nobody kills a cluster")

PLAN, SERVER = "killed", "app-1"  # it boots from an image that is converted afterwards, and has a volume
#: Each is a write that the control plane does not outlive; what is made in the cloud before disks are fetched takes some seconds.
DEATHS: tuple[dict[str, Any], ...] = (
    {"made": "Migration", "when": "after"},
    {"phase": "CreateDataVolumes", "when": "before"},
    {"phase": "CreateDataVolumes", "when": "after", "delay": 1.0},
    {"made": "OpenstackVolumePopulator", "when": "after"},
    {"made": "Pod", "when": "before"},
    {"phase": "CopyDisks", "when": "after"},
    {"rebound": True, "when": "before"},
    {"rebound": True, "when": "after"},
    {"gone": "PersistentVolumeClaim", "when": "after"},  # a temporary one
    {"phase": "ConvertOpenstackSnapshot", "when": "after"},
    {"made": "Job", "when": "after"},
    {"phase": "CreateVM", "when": "before"},
    {"made": "VirtualMachine", "when": "after"},
    {"phase": "Completed", "when": "before"},
)


@pytest.fixture
def plans(openstack: OpenStack, tmp_path_factory: pytest.TempPathFactory, serve_state: Callable[..., Any]) -> Iterator[CloudPlans]:
    """With a plan that is ready to be run; their control plane has been stopped."""
    state = State(tmp_path_factory.mktemp("mortal") / "state")
    serve_state(state)
    made = CloudPlans(state, openstack)
    made.furnish()
    made.plan(PLAN, SERVER)
    lifetime.stop(state)
    yield made
    for folder in state.pods.iterdir():
        supervisor.end_processes(folder)


def test_killed_at_each_step(plans: CloudPlans, openstack: OpenStack, environment: dict[str, str]) -> None:
    disks = in_order(openstack.server(SERVER))
    sums, sizes = [disk["sha256"] for disk in disks], [disk["size"] for disk in disks]
    lives = Lives(plans.state, sums, PLAN, PLANS, random.Random(0), environment, sizes=sizes, target=TARGET)
    try:
        for death in DEATHS:
            assert lives.live(death, PATIENCE), death
            lives.assert_whole()
        assert not lives.live({}, PATIENCE)
        assert lives.outcome() == ("Succeeded", []), lives.deaths
        lives.assert_whole()
        assert len(lives.machines()) == 1
        assert lives.left() == []
        assert "Traceback" not in lives.log()
        assert plans.left() == []
    finally:
        lives.end()
