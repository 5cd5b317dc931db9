"""Every module through a proxy that does what goes wrong before an API server, at each of the module's requests.

Once, the fault is weathered: the result is that of an undisturbed run, and no object is there twice. When it lasts, the task fails with
one sentence, and run again without it, it ends as it should.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fault_proxy
import pytest
import quick_guests
from fault_proxy import WRITES, Fault, PlaneProxy, Seen
from module_runs import run_module

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.plugins.module_utils import connection, waiting
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import ensure_absent, ensure_present, list_objects
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import Target, wait_gone

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the faults are put before the embedded control plane")

ROOT = Path(__file__).resolve().parents[2]
HOME = "konveyor-forklift"
GUEST = "quick"
KINDS = ("Provider", "Secret", "NetworkMap", "StorageMap", "Hook", "Plan", "Migration", "ForkliftController")

Params = dict[str, Any]

SOURCE: Params = {"source": {"name": "source", "namespace": HOME}}
OVA: Params = {"name": "one", "type": "ova", "url": "localhost:{export}"}
NETWORKS: Params = {"name": "one", **SOURCE, "pairs": [{"source": "VM Network", "destination": "pod"}]}
STORAGE: Params = {
    "name": "one",
    **SOURCE,
    "pairs": [{"source": d, "destination": "vmshift-local"} for d in quick_guests.disk_names(GUEST)],
}
MAPS: Params = {which: {"name": "shared", "namespace": HOME} for which in ("network_map", "storage_map")}
PLAN: Params = {"name": "one", **SOURCE, **MAPS, "target_namespace": "{ns}", "vms": [{"name": GUEST}]}
RUN: Params = {"plan": "one", "progress": False, "wait": False}
HOOK: Params = {"name": "one", "image": "quay.io/some/runner:1", "playbook": "- hosts: localhost\n"}
MIGRATED: tuple[tuple[str, Params], ...] = (("plan", PLAN), ("migration", {**RUN, "wait": True}))
GONE: Params = {"name": "one", "state": "absent"}


@dataclass(frozen=True)
class Scenario:
    """One task. `before`: tasks that make ready for it, undisturbed."""

    name: str
    module: str
    params: Params
    before: tuple[tuple[str, Params], ...] = ()

    @property
    def reads(self) -> bool:
        """The task writes nothing, so what lies there serves the next one as well."""
        return self.module.endswith(("_info", "_report", "_trace"))


SCENARIOS = (
    Scenario("make a provider", "provider", OVA),
    Scenario("change a provider", "provider", {**OVA, "labels": {"a": "b"}}, (("provider", OVA),)),
    Scenario("remove a provider", "provider", GONE, (("provider", OVA),)),
    Scenario("read providers", "provider_info", {}, (("provider", OVA),)),
    Scenario("map networks", "network_map", NETWORKS),
    Scenario("remove a network map", "network_map", GONE, (("network_map", NETWORKS),)),
    Scenario("map storage", "storage_map", STORAGE),
    Scenario("remove a storage map", "storage_map", GONE, (("storage_map", STORAGE),)),
    Scenario("make a hook", "hook", HOOK),
    Scenario("remove a hook", "hook", GONE, (("hook", HOOK),)),
    Scenario("change settings", "settings", {"controller_max_vm_inflight": 7}),
    Scenario("make a plan", "plan", PLAN),
    Scenario("change a plan", "plan", {**PLAN, "description": "another"}, (("plan", PLAN),)),
    Scenario("remove a plan", "plan", GONE, (("plan", PLAN),)),
    Scenario("read plans", "plan_info", {}, (("plan", PLAN),)),
    Scenario("read an inventory", "inventory_info", {"provider": {"name": "source", "namespace": HOME}}),
    Scenario("start a migration", "migration", RUN, (("plan", PLAN),)),
    Scenario("wait for a migration", "migration", {**RUN, "wait": True}, (("plan", PLAN),)),
    Scenario("read migrations", "migration_info", {}, MIGRATED),
    Scenario("trace a migration", "migration_trace", {"plan": "one"}, MIGRATED),
    Scenario("remove migrations", "migration", {**RUN, "wait": True, "state": "absent"}, MIGRATED),
    Scenario("report", "migration_report", {"json": "{files}/{run}.json"}, MIGRATED),
)
#: Tried elsewhere: control_plane talks to the process that it has started and to nobody else; host needs ESXi hosts
#: (tests/unit/plugins/modules/test_host_faults.py), hook_run hooks that end at once (test_hook_run_faults.py there); the others speak with
#: vCenters, not with an API server (test_source_vm_faults.py there).
ELSEWHERE = {"control_plane", "host", "hook_run", "source_vm", "source_vm_info"}

#: What a client may meet at any request, at a watch, at a write to an object that exists; and after the control plane has acted.
ANYWHERE: dict[str, Fault] = {
    "429": fault_proxy.busy,
    "503": fault_proxy.unavailable,
    "500": fault_proxy.internal_error,
    "reset": fault_proxy.reset_before,
    "reset in the answer": fault_proxy.reset_midway,
}
WATCHING: dict[str, Fault] = {
    "410": fault_proxy.gone,
    "410 in a watch": fault_proxy.gone_in_watch,
    "a silent watch": fault_proxy.silent_watch,
    "reset in a watch": fault_proxy.reset_midway,
}
ACTED: dict[str, Fault] = {
    "500 after acting": fault_proxy.internal_error_after,
    "502 page after acting": fault_proxy.gateway_page_after,
    "504 after acting": fault_proxy.gateway_timeout_after,
    "reset after acting": fault_proxy.reset_after,
    "stall after acting": fault_proxy.stall_after,
}
#: Faults that last, and what the task says then.
LASTING: dict[str, tuple[Fault, str]] = {
    "429": (fault_proxy.busy, "too many requests"),
    "503": (fault_proxy.unavailable, "currently unable to handle the request"),
    "500": (fault_proxy.internal_error, "etcdserver: leader changed"),
    "500 after acting": (fault_proxy.internal_error_after, "etcdserver: request timed out"),
    "502 page after acting": (fault_proxy.gateway_page_after, r"\w+ /\S+ answered 502|inventory service answered 502"),
    "409": (fault_proxy.conflict, "the object has been modified"),
    "reset": (fault_proxy.reset_before, "cannot be reached: "),
    "reset after acting": (fault_proxy.reset_after, "cannot be reached: "),
    "reset in the answer": (fault_proxy.reset_midway, "cannot be reached: |broke off: "),
    "stall": (fault_proxy.stall_before, "cannot be reached: Read timed out"),
    "expired token": (fault_proxy.expired_token, r"does not accept the credentials \(401 Unauthorized\)|wants a bearer token"),
}
UGLY = re.compile(r"Traceback|object at 0x|Error\(|Pool\(|<html|<h1|\bNone\b")
LONGEST_SENTENCE = 600
IMPATIENT_SECONDS = 0.3


class World:
    """A control plane, the proxy before it, and a namespace for each run."""

    def __init__(self, state: State, proxy: PlaneProxy, folder: Path) -> None:
        self.proxy, self.folder = proxy, folder
        self.cluster = connection.connect({"kubeconfig": str(state.kubeconfig)})
        self._numbers = itertools.count()
        self._kept = ("", "")  # a scenario that reads, and its namespace
        self.direct, self.faulty = str(state.kubeconfig), str(proxy.kubeconfig)

    def namespace(self) -> str:
        name = f"n{next(self._numbers)}"
        ensure_present(self.cluster, {"kind": "Namespace", "metadata": {"name": name}})
        controller = {"name": "forklift-controller", "namespace": name}
        ensure_present(self.cluster, {"kind": "ForkliftController", "metadata": controller, "spec": {}})
        return name

    def task(self, module: str, params: Params, namespace: str, kubeconfig: str, timeout: int = 60) -> dict[str, Any]:
        known = {"ns": namespace, "run": f"run{next(self._numbers)}", "export": f"{self.folder}/export", "files": str(self.folder)}
        text = json.dumps(params)
        for name, value in known.items():
            text = text.replace(f"{{{name}}}", value)
        waits = {} if module.endswith(("_info", "_report", "_trace")) or module == "settings" else {"wait_timeout": timeout}
        return run_module(module, {"kubeconfig": kubeconfig, "namespace": namespace, **waits, **json.loads(text)})

    @contextlib.contextmanager
    def ready(self, scenario: Scenario) -> Iterator[str]:
        """A namespace in which the task can be run. However that ends, nothing of it is in the way of the next one."""
        if self._kept[0] != scenario.name:
            self.clear()
        (prepared, namespace), self._kept = self._kept, ("", "")
        namespace = namespace or self.namespace()
        try:
            for module, params in scenario.before if not prepared else ():
                result = self.task(module, params, namespace, self.direct)
                assert not result.get("failed"), result
            yield namespace
            self._kept = (scenario.name, namespace) if scenario.reads else ("", "")
        finally:
            self.proxy.disarm()
            if not self._kept[1]:
                self.remove(namespace)

    def clear(self) -> None:
        """Remove what was kept for tasks that only read."""
        if self._kept[1]:
            self.remove(self._kept[1])
        self._kept = ("", "")

    def state_of(self, namespace: str) -> list[Any]:
        """What lies in a namespace, without what differs from run to run."""
        found = []
        for kind in KINDS:
            for obj in list_objects(self.cluster, kind, namespace):
                if not (obj["metadata"].get("labels") or {}).get("plan"):  # children of a run, which the controllers make
                    found.append(
                        json.dumps([kind, obj["metadata"]["name"], obj.get("spec"), obj.get("data")]).replace(f'"{namespace}"', '"ns"')
                    )
        return found

    def remove(self, namespace: str) -> None:
        """Also the VM that was migrated, which would conflict with the next one."""
        ensure_absent(self.cluster, "Namespace", None, namespace)
        wait_gone(self.cluster, [Target("Namespace", "", namespace)], timeout=60)


def hasten(patch: pytest.MonkeyPatch, proxy: PlaneProxy) -> None:
    """No pauses between attempts, and little patience for an answer of which the proxy knows that it will not come."""
    send = connection.Cluster._send

    def impatient(self: Any, method: str, path: str, query: Any, body: Any, content_type: Any, timeout: float, *accept: str) -> Any:
        # Two threads may read at a time, and who comes first is not known yet.
        soon = proxy.stalls_within(2 if method == "GET" else 1)
        return send(self, method, path, query, body, content_type, IMPATIENT_SECONDS if soon else timeout, *accept)

    patch.setattr(connection.Cluster, "_send", impatient)
    patch.setattr(connection.time, "sleep", lambda seconds: None)
    patch.setattr(waiting, "_FIRST_PAUSE", 0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, serve_state: Callable[..., Any]) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    quick_guests.export(folder / "export", GUEST)
    state = State(folder / "state")
    serve_state(state, **quick_guests.quick_path())
    with PlaneProxy(state.kubeconfig, state.pki, folder) as proxy, pytest.MonkeyPatch.context() as patch:
        hasten(patch, proxy)
        found = World(state, proxy, folder)
        for module, params in (("provider", {**OVA, "name": "source"}), ("network_map", NETWORKS), ("storage_map", STORAGE)):
            given = {**params, "name": "shared"} if module != "provider" else params
            result = found.task(module, given, HOME, found.direct)
            assert not result.get("failed"), result
        yield found
    lifetime.stop(state)


@dataclass(frozen=True)
class Undisturbed:
    """What a run without faults does: its requests, whether something changed, what lies there afterwards."""

    requests: list[Seen]
    changed: bool
    state: list[Any]

    @property
    def writes(self) -> list[int]:
        return [at for at, request in enumerate(self.requests) if request.method in WRITES]

    @property
    def watches(self) -> list[int]:
        return [at for at, request in enumerate(self.requests) if request.watch]


@pytest.fixture(scope="module")
def undisturbed(world: World) -> Callable[[Scenario], Undisturbed]:
    known: dict[str, Undisturbed] = {}

    def look(scenario: Scenario) -> Undisturbed:
        if scenario.name not in known:
            with world.ready(scenario) as namespace:
                world.proxy.disarm()
                result = world.task(scenario.module, scenario.params, namespace, world.faulty)
                assert not result.get("failed"), result
                known[scenario.name] = Undisturbed(world.proxy.seen, result.get("changed", False), world.state_of(namespace))
            assert not (scenario.reads and known[scenario.name].writes)
        return known[scenario.name]

    return look


def weathered(world: World, scenario: Scenario, expected: Undisturbed, fault: Fault, at: int) -> bool:
    """The task with a fault at one request ends like an undisturbed one. Whether the fault was met."""
    with world.ready(scenario) as namespace:
        world.proxy.arm(fault, at)
        result = world.task(scenario.module, scenario.params, namespace, world.faulty)
        met = bool(world.proxy.faulted)
        told = (scenario.name, at, result.get("msg"), world.proxy.seen, result)
        world.proxy.disarm()
        assert not result.get("failed"), told
        assert result.get("changed", False) == expected.changed, told
        assert world.state_of(namespace) == expected.state, told
        assert result["stderr"] == "", told
    return met


each = pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name.replace(" ", "-") for scenario in SCENARIOS])


def test_every_module_has_a_scenario() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    assert modules - ELSEWHERE - {scenario.module for scenario in SCENARIOS} == set(), "give these a scenario in SCENARIOS"


@each
def test_a_lost_answer_makes_nothing_twice(scenario: Scenario, world: World, undisturbed: Callable[[Scenario], Undisturbed]) -> None:
    expected = undisturbed(scenario)
    for name, fault in ACTED.items():
        for at in expected.writes or [0]:
            assert weathered(world, scenario, expected, fault, at), f"{name} at {at} was never met"


@each
def test_a_fault_at_any_request_is_weathered(scenario: Scenario, world: World, undisturbed: Callable[[Scenario], Undisturbed]) -> None:
    """The faults take turns at the requests, so that all of them come to pass at all kinds of requests."""
    expected, turn = undisturbed(scenario), SCENARIOS.index(scenario)
    faults = list(ANYWHERE.values())
    for at in range(len(expected.requests)):
        weathered(world, scenario, expected, faults[(turn + at) % len(faults)], at)
    for at in expected.writes:
        weathered(world, scenario, expected, fault_proxy.conflict, at)


@each
def test_a_watch_that_breaks_is_taken_up_again(scenario: Scenario, world: World, undisturbed: Callable[[Scenario], Undisturbed]) -> None:
    expected = undisturbed(scenario)
    for at in expected.watches[-2:]:
        for fault in WATCHING.values():
            weathered(world, scenario, expected, fault, at)


def turns() -> list[Any]:
    """Each scenario with some of the faults that last, so that each fault comes to all kinds of tasks; EVERY_FAULT=1 for all with all."""
    pairs = itertools.product(enumerate(SCENARIOS), enumerate(LASTING))
    chosen = [(s, f) for (m, s), (n, f) in pairs if "EVERY_FAULT" in os.environ or (m + n) % 3 == 0]
    return [pytest.param(s, f, id=f"{s.name}: {f}") for s, f in chosen]


@pytest.mark.parametrize(("scenario", "fault"), turns())
def test_a_fault_that_lasts_is_told_in_a_sentence(
    scenario: Scenario, fault: str, world: World, undisturbed: Callable[[Scenario], Undisturbed]
) -> None:
    """From the first request on, and from the first write on; then the task is run again, as a user would do it."""
    expected = undisturbed(scenario)
    do, sentence = LASTING[fault]
    for at in sorted({0, *expected.writes[:1]}):
        with world.ready(scenario) as namespace:
            world.proxy.arm(do, at, lasting=True)
            result = world.task(scenario.module, scenario.params, namespace, world.faulty, timeout=2)
            told = (at, world.proxy.seen, result)
            world.proxy.disarm()
            if fault != "409":  # reading does not meet it
                assert result.get("failed"), told
            if result.get("failed"):
                assert re.search(sentence, result["msg"]), told
                assert not UGLY.search(result["msg"]), told
                assert len(result["msg"]) < LONGEST_SENTENCE, told
            assert result["stderr"] == "", told
            again = world.task(scenario.module, scenario.params, namespace, world.faulty)
            assert not again.get("failed"), (told, again)
            assert world.state_of(namespace) == expected.state, (told, again)


def test_a_whole_play_weathers_a_storm(world: World, play: Callable[..., Any]) -> None:
    faults = [*ANYWHERE.values(), *WATCHING.values(), fault_proxy.conflict, fault_proxy.reset_after, fault_proxy.internal_error_after]
    world.clear()
    faults.remove(fault_proxy.silent_watch)  # a minute each, outside of this process
    seed = int(os.environ.get("STORM", "20"))
    request = {
        "name": "storm",
        "namespace": HOME,
        "source_provider": json.loads(json.dumps(OVA).replace("{export}", f"{world.folder}/export")) | {"name": "storm"},
        "target_namespace": "storm-target",
        "network_map": {"pairs": NETWORKS["pairs"]},
        "storage_map": {"pairs": STORAGE["pairs"]},
        "vms": PLAN["vms"],
    }
    variables = {"kubeconfig": world.faulty, "migration_request": request}
    world.proxy.storm(faults, seed)
    stormy = play("playbooks/migrate.yml", variables)
    met = len(world.proxy.faulted)
    world.proxy.disarm()
    print(f"seed {seed}: {met} faults")
    assert met > 10
    assert re.search(r"quick +Succeeded", stormy.output), stormy.output
    assert len([m for m in list_objects(world.cluster, "Migration", HOME) if m["spec"]["plan"]["name"] == "storm"]) == 1
    assert play("playbooks/migrate.yml", variables).changed == 0
