"""Kubeconfigs with fewer rights, as a user gets them, and what happens to modules, kubectl's client and the refused."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import quick_guests
from kubernetes import client, config
from module_runs import run_module

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="these are the embedded control plane's own")

HOME, TEAM, GUEST = "konveyor-forklift", "team", "quick"
PACKAGE = "ansible_collections.vmshift.mtv.controlplane"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory, serve_state: Callable[..., Any]) -> Iterator[State]:
    folder = tmp_path_factory.mktemp("access")
    quick_guests.export(folder / "export", GUEST)
    found = State(folder / "state")
    serve_state(found, **quick_guests.quick_path())
    core = client.CoreV1Api(config.new_client_from_config(str(found.kubeconfig)))
    for name in (TEAM, "other"):
        core.create_namespace({"metadata": {"name": name}})
    yield found
    lifetime.stop(found)


@pytest.fixture(scope="module")
def give(state: State, environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", PACKAGE, "kubeconfig", "--state", str(state.root), *options]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture(scope="module")
def given(state: State, give: Callable[..., Any]) -> Callable[..., str]:
    """The path of a kubeconfig with these options."""
    known: dict[tuple[str, ...], str] = {}

    def path(*options: str) -> str:
        if options not in known:
            target = state.root.parent / f"kubeconfig{len(known)}"
            done = give(*options, "--output", str(target))
            assert done.returncode == 0, done.stderr
            assert stat.S_IMODE(target.stat().st_mode) == 0o600
            known[options] = str(target)
        return known[options]

    return path


def whole_migration(kubeconfig: str, folder: Path) -> list[dict[str, Any]]:
    source = {"name": "source", "namespace": TEAM}
    tasks: list[tuple[str, dict[str, Any]]] = [
        ("provider", {**source, "type": "ova", "url": f"localhost:{folder}/export"}),
        ("network_map", {"name": "m", "source": source, "pairs": [{"source": "VM Network", "destination": "pod"}]}),
        ("storage_map", {"name": "m", "source": source, "pairs": [{"source": d, "destination": "vmshift-local"} for d in DISKS]}),
        (
            "plan",
            {"name": "p", "source": source, "network_map": "m", "storage_map": "m", "target_namespace": TEAM, "vms": [{"name": GUEST}]},
        ),
        ("migration", {"plan": "p", "progress": False}),
    ]
    destination = {"destination": {"name": "host", "namespace": HOME}}
    return [
        run_module(
            m, {"kubeconfig": kubeconfig, "namespace": TEAM, **(destination if m in ("network_map", "storage_map", "plan") else {}), **p}
        )
        for m, p in tasks
    ]


DISKS = quick_guests.disk_names(GUEST)


def test_a_team_migrates_within_its_namespace(state: State, given: Callable[..., str]) -> None:
    for result in whole_migration(given("--namespace", TEAM), state.root.parent):
        assert not result.get("failed"), result
    assert result["outcome"] == "Succeeded"


@pytest.mark.parametrize(
    ("options", "task", "said"),
    [
        (
            ("--namespace", TEAM),
            ("plan", {"name": "p", "namespace": "other", "state": "absent"}),
            'plans.forklift.konveyor.io "p" is forbidden: User "system:serviceaccount:team:vmshift-edit" cannot get resource "plans" in '
            'API group "forklift.konveyor.io" in the namespace "other"',
        ),
        (
            ("--namespace", TEAM, "--read-only"),
            ("hook", {"name": "h", "namespace": TEAM, "image": "a/b:c"}),
            'hooks.forklift.konveyor.io is forbidden: User "system:serviceaccount:team:vmshift-view" cannot create resource "hooks" in API '
            'group "forklift.konveyor.io" in the namespace "team"',
        ),
        (
            ("--read-only",),
            ("provider", {"name": "x", "namespace": "other", "type": "ova", "url": "localhost:/srv"}),
            'cannot create resource "providers" in API group "forklift.konveyor.io" in the namespace "other"',
        ),
    ],
)
def test_what_is_forbidden_is_said_as_a_cluster_says_it(
    options: tuple[str, ...], task: tuple[str, dict[str, Any]], said: str, given: Callable[..., str]
) -> None:
    result = run_module(task[0], {"kubeconfig": given(*options), **task[1]})
    assert result["failed"] and said in result["msg"], result
    assert result["status"] == 403


def test_who_may_only_read_reads_all_but_secrets(given: Callable[..., str]) -> None:
    core = client.CoreV1Api(config.new_client_from_config(given("--read-only")))
    assert {n.metadata.name for n in core.list_namespace().items} >= {HOME, TEAM}
    result = run_module("provider_info", {"kubeconfig": given("--read-only"), "namespace": HOME})
    assert [p["metadata"]["name"] for p in result["providers"]] == ["host"]
    with pytest.raises(client.ApiException) as refused:
        core.list_namespaced_secret(HOME)
    assert refused.value.status == 403


def test_a_plan_needs_the_rights_of_what_it_does(given: Callable[..., str]) -> None:
    """The webhook's words, as the real one has them."""
    api = client.CustomObjectsApi(config.new_client_from_config(given("--namespace", TEAM)))
    host = {"name": "host", "namespace": HOME}
    maps = {"network": {"name": "m", "namespace": TEAM}, "storage": {"name": "m", "namespace": TEAM}}
    spec = {"provider": {"source": host, "destination": host}, "map": maps, "targetNamespace": "other", "vms": []}
    plan = {"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": {"name": "sly"}, "spec": spec}
    with pytest.raises(client.ApiException) as refused:
        api.create_namespaced_custom_object("forklift.konveyor.io", "v1beta1", TEAM, "plans", plan)
    assert refused.value.status == 400
    told = 'User \\"system:serviceaccount:team:vmshift-edit\\" cannot create resource \\"virtualmachines\\" in API group \\"kubevirt.io\\"'
    assert f'Action is forbidden: {told} in the namespace \\"other\\"' in refused.value.body


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give --read-only, or --namespace"),
        (("--namespace", "nowhere"), 'namespaces "nowhere" not found'),
    ],
)
def test_what_cannot_be_given_is_told_in_a_sentence(options: tuple[str, ...], said: str, give: Callable[..., Any]) -> None:
    done = give(*options)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_nobody_serves(tmp_path: Path, environment: dict[str, str]) -> None:
    argv = [sys.executable, "-m", PACKAGE, "kubeconfig", "--state", str(tmp_path / "none"), "--read-only"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, f"controlplane: no control plane serves {tmp_path / 'none'}: start it first\n")
    assert not (tmp_path / "none").exists()


def test_it_listens_on_loopback_alone(state: State) -> None:
    ports = {int(url.rpartition(":")[2]) for which, url in lifetime.read_endpoints(state).items() if which in ("server", "inventory")}
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"]
    ours = [address for address in listening if int(address.partition(":")[2], 16) in ports]
    assert sorted(ours) == sorted(f"0100007F:{port:04X}" for port in ports)
    assert not [
        line for line in Path("/proc/net/tcp6").read_text().splitlines()[1:] if int(line.split()[1].rpartition(":")[2], 16) in ports
    ]
    with socket.create_connection(("127.0.0.1", min(ports)), 10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"Client sent an HTTP request to an HTTPS server" in plain.recv(1000)
