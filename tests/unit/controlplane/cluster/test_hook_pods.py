"""Pods of hooks: ansible-runner in a namespace of its own, with the ConfigMap where MTV puts it."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ansible_collections.vmshift.mtv.controlplane.apiserver import pki
from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
from ansible_collections.vmshift.mtv.controlplane.cluster import pods
from ansible_collections.vmshift.mtv.controlplane.context import Context
from ansible_collections.vmshift.mtv.controlplane.datapath import hook_runner
from ansible_collections.vmshift.mtv.controlplane.lifetime import write_endpoints
from ansible_collections.vmshift.mtv.plugins.module_utils.hook_job import COMMAND

ISOLATES = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0 or (
    subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode == 0
)
pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ansible_runner") is None, reason="ansible-runner is not installed"),
    pytest.mark.skipif(not ISOLATES, reason="this machine gives no mount namespaces"),
]

LOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_vars:
        file: workload.yml
        name: workload
    - ansible.builtin.debug:
        msg: "name={{ workload.vm.vm1.vm0.name }}"
    - ansible.builtin.file:
        path: ~/.ssh
        state: directory
        mode: "0700"
    - ansible.builtin.copy:
        dest: ~/.ssh/id_rsa
        content: a key
        mode: "0600"
      register: key
    - ansible.builtin.shell: |
        ls -A /tmp; echo; ls -A ~; echo; cat ~/.ssh/id_rsa; echo; env; echo; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace
        touch /tmp/hook/x 2>&1 || true
      register: seen
    - ansible.builtin.debug:
        var: seen.stdout_lines
"""


def hook(cluster: Any, playbook: str, *, command: Any = None, account: str = "", **spec: Any) -> Any:
    name = f"hook-{len(cluster.api.list('ConfigMap'))}"
    data = {"playbook.yml": playbook, "workload.yml": "vm: {vm1: {vm0: {name: app}}}\n", "plan.yml": "vms: []\n"}
    cluster.make("v1", "ConfigMap", name, data=data)
    container = {"name": "hook", "image": "quay.io/konveyor/hook-runner:latest", "command": command or COMMAND}
    container["volumeMounts"] = [{"name": "hook", "mountPath": "/tmp/hook"}]
    volumes = [{"name": "hook", "configMap": {"name": name}}]
    more = {"serviceAccountName": account} if account else {}
    return cluster.make("v1", "Pod", name, spec={"restartPolicy": "Never", "containers": [container], "volumes": volumes, **more, **spec})


@pytest_asyncio.fixture
async def cluster_with_tokens(cluster: Any) -> Any:
    pki.ensure_pki(cluster.state)
    tokens = Tokens(cluster.api, cluster.state)
    cluster.context = Context(cluster.api, cluster.state, None, tokens=tokens)  # type: ignore[arg-type]
    write_endpoints(cluster.state, {"server": "https://127.0.0.1:6443"})
    cluster.run()
    return cluster


def before() -> set[str]:
    return {name for name in os.listdir("/tmp") if name in ("hook", "runner")}


async def ended(cluster: Any, pod: Any) -> str:
    await cluster.until(lambda: cluster.phase(pod) in ("Succeeded", "Failed"), 90)
    return cluster.log(pod)


async def test_a_hook_sees_what_mtv_gives_it_and_writes_into_a_home_of_its_own(cluster_with_tokens: Any) -> None:
    cluster, left = cluster_with_tokens, before()
    home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    keys = {path.name: path.stat().st_mtime for path in (home / ".ssh").glob("*")} if (home / ".ssh").is_dir() else {}
    pod = hook(cluster, LOOK)
    written = cluster.folder(pod) / "serviceaccount/token"
    await cluster.until(written.exists)
    token = written.read_text()
    log = await ended(cluster, pod)
    assert cluster.phase(pod) == "Succeeded", log
    assert "name=app" in log
    lines = json.loads(log[log.index("[", log.index("seen.stdout_lines")) : log.index("]", log.index("seen.stdout_lines")) + 1])
    assert "hook" in lines and "runner" in lines and "a key" in lines and lines[-1].startswith(("tgt", "touch"))
    assert any("Read-only" in line for line in lines) and "tgt" in " ".join(lines[-2:])
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    assert (variables["KUBERNETES_SERVICE_HOST"], variables["KUBERNETES_SERVICE_PORT"]) == ("127.0.0.1", "6443")
    assert not [name for name in variables if name.startswith(("VMSHIFT_CACHE", "K8S_AUTH", "VIRT_"))]
    assert before() == left
    assert keys == ({path.name: path.stat().st_mtime for path in (home / ".ssh").glob("*")} if (home / ".ssh").is_dir() else {})
    assert not written.exists()  # it ends with the pod
    assert cluster.context.tokens.authenticate(token).name == "system:serviceaccount:tgt:default"
    assert token not in log


async def test_only_the_collections_of_the_image_are_there(cluster_with_tokens: Any) -> None:
    cluster = cluster_with_tokens
    missing = hook(cluster, "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - community.general.ping_pong:\n")
    log = await ended(cluster, missing)
    assert cluster.phase(missing) == "Failed" and "community.general.ping_pong" in log
    own = hook(cluster, "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - vmshift.mtv.plan_info: {namespace: x}\n")
    assert "vmshift.mtv.plan_info" in await ended(cluster, own) and cluster.phase(own) == "Failed"


async def test_a_playbook_that_fails_fails_its_pod(cluster_with_tokens: Any) -> None:
    cluster = cluster_with_tokens
    pod = hook(cluster, "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.fail: {msg: not today}\n")
    log = await ended(cluster, pod)
    assert (cluster.phase(pod), "not today" in log) == ("Failed", True)
    assert cluster.get(pod)["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 2


async def test_a_hook_that_takes_too_long_is_ended_with_all_that_it_runs(cluster_with_tokens: Any) -> None:
    cluster = cluster_with_tokens
    pod = hook(
        cluster, "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: sleep 600\n", activeDeadlineSeconds=3
    )
    await ended(cluster, pod)
    assert cluster.get(pod)["status"]["reason"] == "DeadlineExceeded"
    from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor

    assert supervisor.processes_of(cluster.folder(pod)) == []


async def test_an_account_that_is_not_there_is_told(cluster_with_tokens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "RETRY", 0.1)
    cluster = cluster_with_tokens
    pod = hook(cluster, LOOK, account="operator")
    await cluster.until(lambda: cluster.get(pod).get("status", {}).get("containerStatuses"))
    waiting = cluster.get(pod)["status"]["containerStatuses"][0]["state"]["waiting"]
    assert 'serviceaccount "operator" not found' in waiting["message"]


async def test_the_deadline_counts_for_a_pod_that_cannot_start_too(cluster_with_tokens: Any) -> None:
    cluster = cluster_with_tokens
    pod = hook(cluster, LOOK, command=["/bin/mine"], activeDeadlineSeconds=1)
    await cluster.until(lambda: cluster.phase(pod) == "Failed")
    assert cluster.get(pod)["status"]["reason"] == "DeadlineExceeded"


@pytest.mark.parametrize("missing", ["ansible_runner", "ansible"])
def test_a_missing_ansible_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(hook_runner.importlib.util, "find_spec", lambda name: None if name == missing else real(name))
    with pytest.raises(hook_runner.NotPossible, match=f"{sys.executable} -m pip install ansible"):
        hook_runner._ansible_runner()


def test_where_namespaces_are_refused_it_is_said_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def unshare(self, _flags: int) -> int:
            return -1

    monkeypatch.setattr(hook_runner, "_libc", Refusing())
    with pytest.raises(hook_runner.NotPossible, match="run the control plane as root, or allow user namespaces"):
        hook_runner._enter()
