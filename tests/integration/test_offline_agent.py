"""The guest agent put into the disk of a Debian guest between its migration and its first start, without network, SSH or mirror."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

pytest.importorskip("pyVmomi")

from ansible_collections.vmshift.mtv.lab import booted
from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.tests.integration.conftest import ROOT
from ansible_collections.vmshift.mtv.tests.integration.guest import Guest

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the guest's disk lies on this machine")

NAMESPACE, TARGET, BUNDLE, ACCOUNT = "offline", "offline-target", "debian-agent", "hook-library"
AUTH = """module_defaults:
    group/vmshift.mtv.mtv: {kubeconfig: "{{ kubeconfig }}"}
    group/kubernetes.core.k8s: {kubeconfig: "{{ kubeconfig }}"}"""
ROLE = f"""
- hosts: localhost
  gather_facts: false
  {AUTH}
  tasks:
    - ansible.builtin.import_role: {{name: vmshift.mtv.guest_agent}}
    - ansible.builtin.debug:
        msg: >-
          way={{{{ guest_agent_chosen }}}} scripts={{{{ guest_agent_customization_scripts }}}} hooks={{{{ guest_agent_hooks | length }}}}
          power={{{{ guest_agent_power_state }}}}
"""


@pytest.fixture(scope="module")
def core(plane: Any) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(plane.kubeconfig)))


@pytest.fixture(scope="module")
def key() -> Path:
    """Of root in the guests."""
    if os.geteuid() != 0:
        pytest.skip("the full Debian guest is built by mmdebstrap, which needs root")
    found = booted.debian_guest(agent=False).key
    assert found
    return found


@pytest.fixture(scope="module")
def known(plane: Any, core: client.CoreV1Api) -> dict[str, str]:
    """Variables of every play. The namespaces are there, with the account in docs."""
    manifest = (ROOT / "docs/hook_library_rbac.yml").read_text()
    manifest = manifest.replace("namespace: migrations", f"namespace: {NAMESPACE}").replace("namespace: production", f"namespace: {TARGET}")
    for name in (NAMESPACE, TARGET):
        core.create_namespace({"metadata": {"name": name}})
    rbac = client.RbacAuthorizationV1Api(core.api_client)
    creates: dict[str, Callable[..., Any]] = {
        "ServiceAccount": core.create_namespaced_service_account,
        "Role": rbac.create_namespaced_role,
        "RoleBinding": rbac.create_namespaced_role_binding,
    }
    for part in yaml.safe_load(manifest)["items"]:
        creates[part["kind"]](part["metadata"]["namespace"], part)
    return {"kubeconfig": str(plane.kubeconfig)}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[VSphere]:
    machines = [Machine(f"full-{n}", disks=(Disk("debian"),), nics=(Nic(),)) for n in (3,)]
    lab = VSphere.start(tmp_path_factory.mktemp("full"), machines, while_process=os.getpid())
    yield lab
    lab.stop()


Request = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def request_for(lab: VSphere, known: dict[str, str]) -> Request:
    """Variables of migrate.yml for one of the VMs: number, its `hooks`, options of the plan."""

    def of(number: int, hooks: dict[str, str], **plan: Any) -> dict[str, Any]:
        document = {
            "name": f"full-{number}",
            "namespace": NAMESPACE,
            "source_provider": {
                "name": "vcenter",
                "type": "vsphere",
                "url": lab.url,
                "settings": {"vddkInitImage": "registry.example/vddk:8"},  # a copy without conversion asks for it; nothing pulls it here
                "secret": {"user": lab.user, "password": lab.password, "ca_cert": lab.ca},
            },
            "target_namespace": TARGET,
            "network_map": {"pairs": [{"source": "VM Network", "destination": "pod"}]},
            "storage_map": {"pairs": [{"source": "LocalDS_0", "destination": "vmshift-local"}]},
            "vms": [{"name": f"full-{number}", "hooks": [{"step": step, "hook": name} for step, name in hooks.items()]}],
            "plan": {"preserve_static_ips": False, **plan},
        }
        return {**known, "migration_request": document}

    return of


RAW = {"skip_guest_conversion": True, "use_compatibility_mode": False}


@pytest.fixture(scope="module")
def role(play: Callable[..., Any], known: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Run the role guest_agent, with what the site has."""
    playbook = tmp_path_factory.mktemp("role") / "role.yml"
    playbook.write_text(ROLE)
    return lambda fails=False, **given: play(str(playbook), {**known, "guest_agent_namespace": NAMESPACE, **given}, fails=fails)


@pytest.fixture(scope="module")
def bundle(play: Callable[..., Any], known: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a bundle in the namespace of the plans."""
    folder = str(tmp_path_factory.mktemp("bundle"))
    given = {"bundle_folder": folder, "bundle_name": BUNDLE, "bundle_namespace": NAMESPACE, "bundle_kubeconfig": known["kubeconfig"]}
    play("playbooks/guest_agent_bundle.yml", given)
    return BUNDLE


@pytest.fixture(scope="module")
def hook_run(play: Callable[..., Any], known: dict[str, str]) -> Callable[..., str]:
    """Run hooks of the library with hook_run, for one of the VMs by its number; what that told."""

    def run(number: int, *names: str, fails: bool = False, **given: Any) -> str:
        plan = {**known, "hook_plan": f"full-{number}", "hook_namespace": NAMESPACE, "hook_vm": f"full-{number}", "hook_step": "PostHook"}
        more = {"hook_library": list(names), "hook_vars": given, "hook_service_account": ACCOUNT}
        return play("playbooks/hook_dry_run.yml", {**plan, **more}, fails=fails).output

    return run


def pings(guest: Guest) -> bool:
    return "guest-ping" in [c["name"] for c in guest.ask("guestosinfo")["supportedCommands"] if c["enabled"]]


def test_an_agent_is_put_into_the_disk_before_the_guest_is_started(
    role: Callable[..., Any],
    play: Callable[..., Any],
    request_for: Request,
    hook_run: Callable[..., str],
    bundle: str,
    plane: Any,
    key: Path,
) -> None:
    given = {"guest_agent_bundle": bundle, "guest_agent_name": "offline", "guest_agent_service_account": ACCOUNT}
    given |= {"guest_agent_vars": {"agent_timeout": 1800}}
    assert "way=offline scripts= hooks=1 power=off" in role(**given).output.replace("None", "")
    play("playbooks/migrate.yml", request_for(3, {"PostHook": "offline"}, target_power_state="off", **RAW))
    guest = Guest(plane.kubeconfig, TARGET, "full-3", key)
    assert guest.conditions()["AgentConnected"] == "True" and pings(guest)
    assert guest.ssh("ls -A /root | grep vmshift || true") == ""
    labels = "vmshift.io/guest-agent-offline"
    assert guest.core.list_namespaced_config_map(TARGET, label_selector=labels).items == []
    refused = hook_run(3, "guest_agent_offline", agent_bundle=bundle, fails=True)
    assert "full-3 runs: its disk can only be changed while it is off" in " ".join(refused.split())
