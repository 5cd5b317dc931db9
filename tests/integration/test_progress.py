"""Progress lines of a migration whose module runs on another host, reached over SSH: as a terminal has them and as AAP shows them."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import quick_guests
import ssh_host
from module_runs import run_module

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State

ansible_runner = pytest.importorskip("ansible_runner")
pytestmark = [
    pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the conversions of the embedded control plane are made slow"),
    pytest.mark.skipif(not ssh_host.SSHD, reason="needs an sshd"),
]

NAMESPACE = "konveyor-forklift"
PLANS = ("terminal", "tower")
#: Seconds of a conversion: time for some slices of the wait.
SLOW = "16"
LINE = re.compile(r"^\[(?P<run>[\w-]+) \d:\d\d:\d\d\] (?P<vm>[\w-]+): (?P<news>.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory, serve_state: Callable[..., Any]) -> Iterator[Path]:
    """Of a control plane with a plan for each test, of a VM of its own."""
    folder = tmp_path_factory.mktemp("progress")
    state = State(folder / "state")
    serve_state(state, **quick_guests.quick_path(VMSHIFT_QUICK_V2V_SECONDS=SLOW))
    common = {"kubeconfig": str(state.kubeconfig), "namespace": NAMESPACE}
    for name in PLANS:
        quick_guests.export(folder / "export", name, sizes=(40 << 20, 2 << 20))
    disks = [disk for name in PLANS for disk in quick_guests.disk_names(name)]
    tasks: list[tuple[str, dict[str, Any]]] = [
        ("provider", {"name": "source", "type": "ova", "url": f"localhost:{folder}/export"}),
        ("network_map", {"name": "all", "source": "source", "pairs": [{"source": "VM Network", "destination": "pod"}]}),
        ("storage_map", {"name": "all", "source": "source", "pairs": [{"source": d, "destination": "vmshift-local"} for d in disks]}),
    ]
    maps = {"source": "source", "network_map": "all", "storage_map": "all", "target_namespace": "told"}
    tasks += [("plan", {"name": name, **maps, "vms": [name]}) for name in PLANS]
    for module, params in tasks:
        result = run_module(module, {**common, **params})
        assert not result.get("failed"), result
    yield state.kubeconfig
    lifetime.stop(state)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path) -> Iterator[Path]:
    """A project as AAP has it: an inventory with one host, which is reached over SSH, and a playbook for it."""
    folder = tmp_path_factory.mktemp("tower")
    with ssh_host.SshHost(folder / "ssh") as host:
        for name in ("inventory", "project"):
            (folder / name).mkdir()
        variables = {**host.variables(), "ansible_python_interpreter": sys.executable}
        (folder / "inventory/hosts.json").write_text(json.dumps({"all": {"hosts": {"bastion": variables}}}))
        task = {"plan": "{{ plan }}", "namespace": NAMESPACE, "kubeconfig": str(kubeconfig)}
        where = {"ansible.builtin.command": "printenv SSH_CONNECTION", "changed_when": False}
        tasks = [{"name": "Tell that it is reached over SSH", **where}, {"name": "Migrate", "vmshift.mtv.migration": task}]
        play = {"name": "Migrate from there", "hosts": "bastion", "gather_facts": False, "tasks": tasks}
        (folder / "project/run.yml").write_text(json.dumps([play]))
        yield folder


def assert_readable(text: str, vm: str) -> None:
    """A line when it begins, one with percent and sizes, one for the end, and few of them."""
    told = [match for match in LINE.finditer(text) if match["run"] == f"{vm}-1"]
    assert {match["vm"] for match in told} == {vm}, text
    news = [match["news"] for match in told]
    assert any(re.fullmatch(r"DiskTransferV2v, \d+ %, \d+ of 42 MiB(, .*)?", each) for each in news), news
    assert re.fullmatch(r"Succeeded after 0:00:\d\d", news[-1]), news
    assert 2 <= len(news) <= 8, news


@pytest.fixture(scope="module")
def terminal(project: Path, launch: Callable[..., Any]) -> Any:
    """The output of ansible-playbook without a terminal, to be waited for: the other run goes on meanwhile."""
    running = launch(str(project / "project/run.yml"), {"plan": "terminal"}, "-i", str(project / "inventory/hosts.json"))
    yield lambda: running.communicate(timeout=300)[0]
    running.kill()
    running.wait()


def test_in_the_output_of_aap(project: Path, terminal: Any, environment: dict[str, str]) -> None:
    """As AAP runs it: by ansible-runner, whose events are what its job page shows and its log aggregators get, as they come."""
    came: list[str] = []
    while_running: list[str] = []
    ended = threading.Event()

    def event(data: dict[str, Any]) -> bool:
        came.append(data.get("stdout") or "")
        if not ended.is_set() and LINE.search(came[-1]):
            while_running.append(came[-1])
        if data["event"] in ("runner_on_ok", "runner_on_failed") and data["event_data"].get("task") == "Migrate":
            ended.set()
        return True

    variables = {key: value for key, value in environment.items() if key != "ANSIBLE_NOCOLOR"}
    run = ansible_runner.run(
        private_data_dir=str(project), playbook="run.yml", extravars={"plan": "tower"}, envvars=variables, event_handler=event, quiet=True
    )
    text = "\n".join(came)
    assert run.status == "successful", text[-3000:]
    assert_readable(text, "tower")
    assert len(while_running) >= 2, "lines came only when the task had ended"
    assert all("\x1b" not in line and "\r" not in line for line in while_running)


def test_over_ssh_without_a_terminal(terminal: Callable[[], str]) -> None:
    output = terminal()
    assert len(re.findall(r"^changed: \[bastion\]|^ok: \[bastion\]", output, re.MULTILINE)) == 2, output
    assert_readable(output, "terminal")
    assert "\r" not in output and "\x1b" not in output
