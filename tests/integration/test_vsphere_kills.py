"""SIGKILL in each phase of migrations from a vCenter: cold, warm with its rounds, and warm to another cluster.

The disks hold random bytes and are compared after each death that leaves a VirtualMachine; at the end they are those of the source, which
is off and without snapshots. Conversions are stand-ins (rig/quick_v2v.py), all else is real. KILLS_SEED repeats the dice.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("pyVmomi")
import quick_guests
import yaml
from lives import Lives, copies

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import COLD, WARM, Traits, itinerary
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import Machine as SourceVm
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import PLANS, Plans

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="nobody kills a cluster")

MIB = 1 << 20
SIZES = (3 * MIB, 2 * MIB)
SEED = int(os.environ.get("KILLS_SEED", "7"))
#: Seconds into a phase that takes some.
LATEST = {"AllocateDisks": 0.2, "CopyDisks": 0.4, "ConvertGuest": 0.5, "CopyDisksVirtV2V": 0.5, "Finalize": 0.3}
CONVERSION_SECONDS = "0.8"
MINUTE = {"VMSHIFT_PRECOPY_MINUTE": "0.5"}
OVER = "2020-01-01T00:00:00Z"
#: The phases of one round after the first, which come again and again until the cutover.
ROUND = (
    itineraries.REMOVE_PREVIOUS_SNAPSHOT,
    itineraries.WAIT_FOR_PREVIOUS_SNAPSHOT_REMOVAL,
    itineraries.CREATE_SNAPSHOT,
    itineraries.WAIT_FOR_SNAPSHOT,
    itineraries.STORE_SNAPSHOT_DELTAS,
    itineraries.ADD_CHECKPOINT,
)


class Way(NamedTuple):
    """name: of plan, VM and target namespace; rounds: killed in the phases of a round, too; elsewhere: to another cluster."""

    name: str
    warm: bool
    rounds: bool = False
    elsewhere: bool = False

    def phases(self) -> list[str]:
        traits = Traits("vsphere", converts=True, virt_v2v_copies=not self.warm, warm=self.warm, awaits_consolidation=self.warm)
        way = [row.phase for row in itinerary(WARM if self.warm else COLD, traits)]
        return [phase for phase in (*way, itineraries.COMPLETED) if phase not in ROUND]


ALL = (Way("cold", warm=False), Way("warm", warm=True, rounds=True), Way("remote", warm=True, elsewhere=True))
WAYS = [way for way in ALL if way.name in os.environ.get("KILLS_WAYS", "cold warm remote").split()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VSphere]:
    disks = (Disk(size=SIZES[0]), Disk(size=SIZES[1], datastore="LocalDS_1"))
    machines = [Machine(way.name, disks=disks, nics=(Nic(),), tracked=True) for way in WAYS]
    lab = VSphere.start(tmp_path_factory.mktemp("vcenter"), machines, while_process=os.getpid())
    dice = random.Random(SEED)
    for way in WAYS:
        for disk, size in enumerate(SIZES):
            lab.write(way.name, disk, 0, dice.randbytes(size))
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def there(lab: VSphere, serve_state: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plans]:
    """The other cluster, which lives."""
    state = State(tmp_path_factory.mktemp("there") / "state")
    serve_state(state, **quick_guests.quick_path(VMSHIFT_QUICK_V2V_SECONDS=CONVERSION_SECONDS))
    yield Plans(state, lab)
    lifetime.stop(state)


@pytest.fixture(scope="module")
def base(lab: VSphere, there: Plans, serve_state: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> State:
    """The folder of a control plane that has a plan for each way, ready to run."""
    print(f"KILLS_SEED={SEED}")
    state = State(tmp_path_factory.mktemp("vsphere-kills") / "base")
    serve_state(state)
    plans = Plans(state, lab, there)
    plans.apply("ForkliftController", "forklift-controller", "konveyor-forklift", spec={"controller_precopy_interval": 1})
    given = yaml.safe_load(there.state.kubeconfig.read_text())
    plans.apply("Namespace", PLANS, "")
    access = {"token": given["users"][0]["user"]["token"], "ca.crt": (there.state.pki / "ca.crt").read_text()}
    plans.apply("Secret", "there", stringData=access)
    reference = {"name": "there", "namespace": PLANS}
    plans.apply("Provider", "there", spec={"type": "openshift", "url": given["clusters"][0]["cluster"]["server"], "secret": reference})
    plans.until(lambda: plans.is_true("Provider", "there", "Ready"))
    for elsewhere in (False, True):
        plans.furnish(*([reference] if elsewhere else []), suffix="-there" if elsewhere else "")
        for way in WAYS:
            if way.elsewhere == elsewhere:
                spec = {"type": "warm"} if way.warm else {}
                plans.plan(way.name, way.name, targetNamespace=way.name, runPreflightInspection=False, **spec)
    lifetime.stop(state)
    return state


def test_killed_in_each_phase(base: State, lab: VSphere, there: Plans, environment: dict[str, str], tmp_path: Path) -> None:
    variables = {**environment, **quick_guests.quick_path(VMSHIFT_QUICK_V2V_SECONDS=CONVERSION_SECONDS, **MINUTE)}

    def work(given: tuple[Way, State]) -> list[str]:
        way, copy = given
        sums = [lab.sha256(way.name, disk) for disk in (0, 1)]
        lives = Lives(copy, sums, way.name, PLANS, random.Random(f"{SEED} {way.name}"), variables, sizes=SIZES, target=way.name)
        lives.there = there.state if way.elsewhere else None
        lives.spec = {"cutover": OVER} if way.warm and not way.rounds else {}
        try:
            phases = way.phases()
            if way.rounds:
                begin = phases.index(itineraries.COPYING_PAUSED)
                lives.die_in_each(phases[: begin + 1], LATEST)
                for phase in ROUND:
                    assert lives.die_in(phase), phase
                lives.cut_over(OVER)
                assert lives.die_in(phases[begin + 1])
            lives.die_in_each(phases, LATEST)
            assert not lives.live({})
            assert lives.outcome()[0] == "Succeeded", (lives.outcome(), lives.deaths)
            lives.assert_whole()
            assert len(lives.machines()) == 1
            assert lives.left() == []
            assert "Traceback" not in lives.log()
        finally:
            lives.end()
        with lab.session() as session:
            source = SourceVm(session, lab.vm(way.name)["id"])
            assert (source.power_state(), source.snapshots()) == ("poweredOff", []), way
        return [fate.get("phase", "Started") for fate in lives.deaths]

    with ThreadPoolExecutor(2) as pool:
        died = dict(zip((way.name for way in WAYS), pool.map(work, zip(WAYS, copies(base, tmp_path, len(WAYS)))), strict=True))
    print(died)
    for way in WAYS:
        wanted = {*way.phases(), *(ROUND if way.rounds else ())}
        assert wanted - {*died[way.name]} == set(), way
