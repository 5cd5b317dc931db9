"""What a task that changes nothing costs: requests, and modules that are compiled from the archive each time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster

PACKAGE = "ansible_collections.vmshift.mtv.plugins"
TASKS = {
    "provider": ({"type": "ova", "url": "nfs.example.com:/exports"}, ("Ready", "InventoryCreated")),
    "hook": ({"image": "quay.io/konveyor/hook-runner", "playbook": "- hosts: localhost\n"}, ("Ready",)),
}
RARE = {
    "provider": ("certificates", "go_template", "job_templates"),
    "hook": ("certificates", "go_template", "hook_vars", "job_templates"),
}


@pytest.fixture
def asked(monkeypatch):
    """(method, path) of all requests."""
    found = []
    real = Cluster.exchange

    def exchange(self, method, path, **rest):
        found.append((method, path))
        return real(self, method, path, **rest)

    monkeypatch.setattr(Cluster, "exchange", exchange)
    return found


@pytest.mark.parametrize("module", TASKS)
def test_an_unchanged_object_is_read_once(plane, run, asked, conditions_of_status, module):
    given, conditions = TASKS[module]
    plane.controller(module.capitalize(), lambda obj: conditions_of_status(obj, *conditions))
    assert run(module, name="one", namespace="mig", **given)["changed"]
    asked.clear()
    assert not run(module, name="one", namespace="mig", **given)["changed"]
    assert asked == [("GET", f"/apis/forklift.konveyor.io/v1beta1/namespaces/mig/{module}s/one")]


@pytest.mark.parametrize("module", RARE)
def test_what_few_tasks_need_is_not_imported(module):
    parts = [f"{PACKAGE}.module_utils.{name}" for name in RARE[module]]
    program = f"import sys; import {PACKAGE}.modules.{module}; print([name for name in {parts!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
