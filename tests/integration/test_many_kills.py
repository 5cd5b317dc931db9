"""SIGKILL ten times in each phase of a migration, at random writes and side effects, and losses of power.

Nothing half-done is taken for done: the disks hold random bytes and are compared after each death that leaves a VirtualMachine. Their
conversion is a copy (rig/quick_v2v.py), so that it can be done a hundred times; test_kills.py kills the real one. The seed of the dice is
printed; KILLS_SEED repeats it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import quick_guests
from lives import Lives, copies, into
from module_runs import run_module

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="nobody kills a cluster")

NAMESPACE, PLAN, GUEST, TARGET = "konveyor-forklift", "killed", "quick", "killed-target"
PHASES = (
    "Started",
    "StorePowerState",
    "PowerOffSource",
    "WaitForPowerOff",
    "CreateDataVolumes",
    "AllocateDisks",
    "CreateGuestConversionPod",
    "ConvertGuest",
    "CopyDisksVirtV2V",
    "CreateVM",
    "Completed",
)
TIMES = int(os.environ.get("KILLS", "10"))  # in each phase
RANDOM_RUNS, POWER_RUNS = TIMES // 2, TIMES // 2
LATEST = {"AllocateDisks": 0.2, "ConvertGuest": 0.5, "CopyDisksVirtV2V": 0.5}  # seconds into a phase; others are over in a moment
SIDES = ("allocate", "launch", "remove")
CONVERSION_SECONDS = "0.8"  # beside the copying: time enough to die in it
SEED = int(os.environ.get("KILLS_SEED", "7"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, serve_state: Callable[..., Any]) -> tuple[State, list[str]]:
    """The folder of a control plane that has a plan ready to run, and the checksums of the VM's disks."""
    print(f"KILLS_SEED={SEED}")
    folder = tmp_path_factory.mktemp("kills")
    checksums = quick_guests.export(folder / "export", GUEST, seed=SEED)
    state = State(folder / "base")
    serve_state(state, **quick_guests.quick_path())
    maps: dict[str, Any] = {"name": PLAN, "source": "source"}
    tasks: list[tuple[str, dict[str, Any]]] = [
        ("provider", {"name": "source", "type": "ova", "url": f"localhost:{folder}/export"}),
        ("network_map", {**maps, "pairs": [{"source": "VM Network", "destination": "pod"}]}),
        ("storage_map", {**maps, "pairs": [{"source": d, "destination": "vmshift-local"} for d in quick_guests.disk_names(GUEST)]}),
        ("plan", {**maps, "network_map": PLAN, "storage_map": PLAN, "target_namespace": TARGET, "vms": [{"name": GUEST}]}),
    ]
    for module, params in tasks:
        result = run_module(module, {"kubeconfig": str(state.kubeconfig), "namespace": NAMESPACE, **params})
        assert not result.get("failed"), result
    lifetime.stop(state)
    return state, checksums


@pytest.fixture(scope="module")
def begin(base: tuple[State, list[str]], environment: dict[str, str]) -> Iterator[Callable[[State, object], Lives]]:
    state, checksums = base
    begun: list[Lives] = []

    def start(copy: State, seed: object) -> Lives:
        variables = {**environment, **quick_guests.quick_path(VMSHIFT_QUICK_V2V_SECONDS=CONVERSION_SECONDS)}
        begun.append(Lives(copy, checksums, PLAN, NAMESPACE, random.Random(f"{SEED} {seed}"), variables))
        return begun[-1]

    yield start
    for lives in begun:
        lives.end()


def every(work: Callable[[State], Any], base: State, folder: Path, count: int) -> list[Any]:
    """`work` on so many copies, two at a time."""
    folder.mkdir(exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, copies(base, folder, count)))


def finish(lives: Lives) -> None:
    """The last life, which may end in peace: right bytes, one VirtualMachine, nothing left over."""
    assert not lives.live({})
    outcome, reasons = lives.outcome()
    assert outcome == "Succeeded", (outcome, reasons, lives.deaths)
    lives.assert_whole()
    assert len(lives.machines()) == 1
    assert lives.left() == []
    assert "Traceback" not in lives.log()


def test_killed_in_each_phase(base: Any, begin: Any, tmp_path: Path) -> None:
    """Before the write that begins the phase, after it, or in the midst of what is done in it."""

    def work(copy: State) -> list[str]:
        lives = begin(copy, f"phases {copy.root.name}")
        lives.die_in_each(PHASES, LATEST)
        finish(lives)
        pods = [pod for pod in lives.stored().of("Pod") if pod["metadata"]["labels"].get("forklift.app") == "virt-v2v"]
        assert len(pods) == 1, "a conversion that outlived the control plane was started again"
        return [fate.get("phase", "Started") for fate in lives.deaths]

    died: Counter[str] = Counter()
    for found in every(work, base[0], tmp_path, TIMES):
        died.update(found)
    print(dict(died))
    assert {phase: died[phase] for phase in PHASES if died[phase] < TIMES} == {}


def test_killed_at_random_writes_and_side_effects(base: Any, begin: Any, tmp_path: Path) -> None:
    def work(copy: State) -> int:
        lives = begin(copy, f"writes {copy.root.name}")
        for side in SIDES[:2]:
            lives.live({"side": side, "when": lives.dice.choice(("before", "after"))})
            lives.assert_whole()
        while len(lives.deaths) < 12:
            fate = {"commit": lives.dice.randrange(1, 14), "when": lives.dice.choice(("before", "after"))}
            if not lives.live(fate):
                break
            lives.assert_whole()
        finish(lives)
        return len(lives.deaths)

    deaths = every(work, base[0], tmp_path, RANDOM_RUNS)
    print(deaths)
    assert sum(deaths) >= 4 * RANDOM_RUNS


def test_power_is_lost(base: Any, begin: Any, tmp_path: Path) -> None:
    """All processes die, and of each file the disk holds what was synced, mixed with some of what was not."""

    def work(copy: State) -> str:
        lives = begin(copy, f"power {copy.root.name}")
        failures = 0
        for phase in sorted(lives.dice.sample(PHASES, 5), key=PHASES.index):
            delay = lives.dice.choice((0.0, lives.dice.uniform(0.01, LATEST.get(phase, 0.03))))
            fate = {**into(phase), "when": lives.dice.choice(("before", "after")), "delay": delay, "ledger": str(lives.ledger)}
            if lives.live(fate):
                lives.lose_power()
                assert lives.stored().revision >= lives.acknowledged(), "an acknowledged write is lost"
                lives.assert_whole()
            elif lives.outcome()[0] == "Succeeded":
                break
            else:
                failures += lives.retry_what_was_lost()
        while not lives.live({}) and lives.outcome()[0] != "Succeeded":
            failures += lives.retry_what_was_lost()
        finish(lives)
        return f"{len(lives.deaths)} losses of power, {failures} runs lost"

    print(every(work, base[0], tmp_path, POWER_RUNS))
