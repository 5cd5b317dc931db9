"""A hook run through a proxy that loses answers and breaks connections, at each of its requests: it runs once, and nothing of it stays."""

from __future__ import annotations

from pathlib import Path

import fault_proxy
import pytest
from fault_proxy import WRITES, PlaneProxy

from ansible_collections.vmshift.mtv.plugins.module_utils import connection, resources

VM = {"id": "vm-1", "name": "web01"}
GIVEN = {"plan": "web", "namespace": "mig", "vm": "web01", "playbook": "- hosts: localhost\n  tasks: []\n"}
FAULTS = {
    "429": fault_proxy.busy,
    "500": fault_proxy.internal_error,
    "reset": fault_proxy.reset_before,
    "500 after acting": fault_proxy.internal_error_after,
    "reset after acting": fault_proxy.reset_after,
    "reset in the answer": fault_proxy.reset_midway,
}


@pytest.fixture
def proxy(plane, tmp_path, monkeypatch):
    for room in (connection, resources):
        monkeypatch.setattr(room.time, "sleep", lambda seconds: None)
    kubeconfig = Path(plane.kubeconfig)
    with PlaneProxy(kubeconfig, kubeconfig.parent / "pki", tmp_path) as found:
        yield found


@pytest.fixture
def jobs(plane):
    """Every Job that was ever made; each completes at once."""
    made = []

    def complete(job):
        made.append(job["metadata"]["name"])
        return {"conditions": [{"type": "Complete", "status": "True"}]}

    plane.controller("Job", complete)
    return made


@pytest.fixture
def planned(plane):
    plane.provider("src", type="vsphere")
    uid = plane.do("get", "Provider", "mig", "src")["metadata"]["uid"]
    reference = {"name": "src", "namespace": "mig"}
    maps = {kind: {"name": "m", "namespace": "mig"} for kind in ("network", "storage")}
    plane.make(
        "Plan",
        "web",
        spec={"provider": {"source": reference, "destination": reference}, "targetNamespace": "prod", "map": maps, "vms": [VM]},
    )
    plane.inventory[f"providers/vsphere/{uid}/vms"] = [VM]
    plane.inventory[f"providers/vsphere/{uid}/vms/vm-1"] = VM
    plane.inventory[f"providers/vsphere/{uid}/workloads/vm-1"] = {**VM, "selfLink": ""}
    plane.inventory["providers"] = {"vsphere": [{"uid": uid, **reference}]}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_request_is_weathered(fault, plane, planned, run, proxy, jobs):
    def task():
        jobs.clear()
        return run("hook_run", kubeconfig=str(proxy.kubeconfig), **GIVEN)

    proxy.disarm()
    assert task()["changed"]
    requests = proxy.seen
    assert [request.path.rsplit("/", 1)[1] for request in requests if request.method == "POST"] == ["configmaps", "jobs"]
    assert any(request.method in WRITES for request in requests)
    for at in range(len(requests)):
        proxy.arm(FAULTS[fault], at)
        result = task()
        assert proxy.faulted
        assert result.get("changed"), (at, requests, result)
        assert len(set(jobs)) == 1, (at, requests)
        assert plane.do("list", "Job", "mig") == []
        assert [config["metadata"]["ownerReferences"][0]["kind"] for config in plane.do("list", "ConfigMap", "mig")] in ([], ["Job"])
        for config in plane.do("list", "ConfigMap", "mig"):  # the garbage collector's, which is not here
            plane.do("delete", "ConfigMap", "mig", config["metadata"]["name"])
        proxy.disarm()
