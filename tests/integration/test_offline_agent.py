"""The agent of Debian guests that nobody can enter: put into the disk before the first start, or installed by a script of a first boot."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

pytest.importorskip("pyVmomi")

from ansible_collections.vmshift.mtv.lab import booted
from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.tests.integration.accounts import make_account
from ansible_collections.vmshift.mtv.tests.integration.guest import Guest, until
from ansible_collections.vmshift.mtv.tests.integration.site import URL, Site, serving

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
    for name in (NAMESPACE, TARGET):
        core.create_namespace({"metadata": {"name": name}})
    make_account(core, "hook_library_rbac.yml", NAMESPACE, TARGET)
    return {"kubeconfig": str(plane.kubeconfig)}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[VSphere]:
    machines = [Machine(f"full-{n}", disks=(Disk("debian"),), nics=(Nic(),)) for n in (3, 4)]
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
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site") / "packages") as site:
        yield site


@pytest.fixture(scope="module")
def bundle(play: Callable[..., Any], known: dict[str, str], site: Site) -> str:
    """The name of a bundle in the namespace of the plans. The site has its packages, too."""
    given = {
        "bundle_folder": str(site.folder.parent),
        "bundle_name": BUNDLE,
        "bundle_namespace": NAMESPACE,
        "bundle_kubeconfig": known["kubeconfig"],
    }
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


MIRROR = {"guest_agent_mirror": URL, "guest_agent_suite": "./", "guest_agent_unsigned": True}


def test_a_script_of_the_first_boot_installs_it_in_a_converted_guest(
    role: Callable[..., Any], play: Callable[..., Any], request_for: Request, bundle: str, site: Site, plane: Any, key: Path
) -> None:
    first, second = (role(**MIRROR, guest_agent_name="at-first-boot") for _run in range(2))
    assert "way=firstboot scripts=at-first-boot hooks=0 power=on" in first.output and (first.changed, second.changed) == (1, 0)
    converted = request_for(4, {}, target_power_state="off", customization_scripts="at-first-boot")
    play("playbooks/migrate.yml", converted)
    guest = Guest(plane.kubeconfig, TARGET, "full-4", key)
    ((name, script),) = guest.core.read_namespaced_config_map("at-first-boot", NAMESPACE).data.items()
    assert re.fullmatch(r"[0-9]+_linux_(run|firstboot)(([\w\-]*).sh)", name)  # what MTV takes
    guest.annotate(site.services)
    guest.switch("start")
    until(lambda: guest.conditions().get("AgentConnected") == "True", told=lambda: (guest.conditions(), guest.console()[-3000:]))
    assert pings(guest)


def test_the_role_chooses_what_the_site_has(role: Callable[..., Any]) -> None:
    entered = {**MIRROR, "guest_agent_bundle": BUNDLE, "guest_agent_key_secret": "guest-ssh-key"}
    assert "way=bundle scripts= hooks=1" in role(**entered).output.replace("None", "")
    refused = role(guest_agent_bundle=BUNDLE, guest_agent_way="bundle", fails=True)
    assert "bundle needs guest_agent_bundle and guest_agent_key_secret" in " ".join(refused.output.split())
