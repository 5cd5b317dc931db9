"""The modules that speak with a vCenter, through a proxy that breaks connections or says what no vCenter says, at each of their requests.

They end well, or with one sentence that names the vCenter; run again they end well, and nothing was done twice.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

import pytest

pytest.importorskip("pyVmomi")
import fault_proxy
from fault_proxy import FaultProxy

from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.vsphere.binary import vcenter_program
from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import machine, session

FAULTS = {
    "connection dropped": fault_proxy.reset_before,
    "503": fault_proxy.unavailable_page,
    "TLS cut": fault_proxy.garbled,
    "answer cut": fault_proxy.reset_midway,
    "done, but 502": fault_proxy.gateway_page_after,
    "done, but dropped": fault_proxy.reset_after,
    "no answer": fault_proxy.stall_before,
}
SENTENCE = re.compile(
    r"(cannot connect to {url}: |{url} does not answer like vSphere: |the session with {url} has ended|\S+ cannot .*: |"
    r"{url} is not the SDK endpoint of vCenter or ESXi \(HTTP status 50[23]\)).*\."
)
UGLY = re.compile(r"Traceback|object at 0x|Error\(|<html|<h1|\bNone\b|\n")


#: Requests until a session is open.
LOGIN = 4


class Task(NamedTuple):
    """before: what is done to the VM `app` directly; params: of the task; method: what the task may call once."""

    module: str
    params: dict[str, Any]
    before: str = ""
    method: str = ""


TASKS = {
    "read": Task("source_vm_info", {"type": "vsphere", "vms": ["app"]}),
    "track": Task("source_vm", {"vms": ["app"], "change_tracking": True}, "untracked", "ReconfigVM_Task"),
    "remove a snapshot": Task("source_vm", {"vms": ["app"], "remove_snapshots": "mtv"}, "snapshot", "RemoveSnapshot_Task"),
    "power off": Task("source_vm", {"vms": ["app"], "power_state": "off", "force": True}, "on", "PowerOffVM_Task"),
}


class Source:
    """A vCenter with one VM, and the proxy before it."""

    def __init__(self, lab: VSphere, proxy: FaultProxy, run: Any) -> None:
        self.lab, self.proxy, self._run = lab, proxy, run

    def task(self, task: Task) -> dict[str, Any]:
        login = {"url": f"{self.proxy.url}/sdk", "user": self.lab.user, "password": self.lab.password, "ca_cert": self.lab.ca}
        return self._run(task.module, kubeconfig="OMIT", timeout=1, **login, **task.params)

    def prepare(self, before: str) -> None:
        with self.lab.session() as opened:  # not through the proxy
            vm = machine.Machine(opened, self.lab.vm("app")["id"])
            if before == "on":
                vm.power_on()
            elif before == "untracked":
                vm.set_change_tracking(False)
            elif before == "snapshot" and not vm.snapshots():
                vm.wait(vm.create_snapshot(machine.PRECOPY_NAME))

    def reading(self) -> int:
        """How many requests it takes to read the vCenter, which all tasks begin with."""
        self.proxy.disarm()
        self.task(TASKS["read"])
        return len(self.proxy.seen)

    def calls(self, method: str) -> int:
        return self.lab.statistics()["calls"].get(method, 0)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    try:
        vcenter_program()
    except LabError as error:
        pytest.skip(str(error))
    found = VSphere.start(
        tmp_path_factory.mktemp("vcenter"), [Machine("app", disks=(Disk(size=1 << 20),), nics=(Nic(),))], while_process=os.getpid()
    )
    yield found
    found.stop()


@pytest.fixture
def source(lab: VSphere, run: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(session.time, "sleep", lambda seconds: None)
    with FaultProxy(lab.url.removesuffix("/sdk"), lab.folder) as proxy:
        yield Source(lab, proxy, run)


@pytest.mark.parametrize("name", TASKS)
def test_a_vcenter_in_trouble_is_told_of_and_nothing_is_done_twice(source: Source, name: str) -> None:
    task, faults = TASKS[name], list(FAULTS.items())
    source.prepare(task.before)
    source.proxy.disarm()
    undisturbed = source.task(task)
    assert not undisturbed.get("failed"), undisturbed
    requests, said = len(source.proxy.seen), set()
    for at in range(0 if name == "read" else source.reading() + LOGIN, requests):
        fault, act = faults[(at + list(TASKS).index(name)) % len(faults)]
        source.prepare(task.before)
        before = source.calls(task.method)
        source.proxy.arm(act, at)
        first = source.task(task)
        told = (fault, at, requests, first)
        assert source.proxy.faulted, told
        source.proxy.disarm()
        if first.get("failed"):
            said.add(first["msg"])
            url = re.escape(f"{source.proxy.url}/sdk")
            assert re.fullmatch(SENTENCE.pattern.replace("{url}", url), first["msg"]), told
            assert not UGLY.search(first["msg"]), told
        again = source.task(task)
        assert not again.get("failed"), (told, again)
        assert again["vms"] == undisturbed["vms"], (told, again)
        assert source.calls(task.method) - before == (1 if task.method else 0), told
        if task.method:
            assert first.get("changed", False) or again["changed"], told
    print("\n".join(sorted(said)))
    assert len(said) > 2


@pytest.mark.parametrize("name", TASKS)
def test_a_slow_vcenter_is_waited_for(source: Source, name: str) -> None:
    task = TASKS[name]
    source.prepare(task.before)
    for at in (0, 3):
        source.proxy.arm(fault_proxy.late, at)
        assert not source.task(task).get("failed")


def test_a_vcenter_that_stays_silent_or_away_is_not_waited_for_long(source: Source) -> None:
    for act, said in (
        (fault_proxy.stall_before, "it did not answer in time"),
        (fault_proxy.reset_before, "cannot connect to"),
        (fault_proxy.unavailable_page, r"\(HTTP status 503\)"),
    ):
        source.proxy.arm(act, lasting=True)
        assert re.search(said, source.task(TASKS["read"])["msg"])
