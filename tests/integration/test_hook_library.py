"""Hooks of the library around the migration of a Debian guest that really runs, without an agent and without a route out.

Their account has what docs/hook_library_rbac.yml gives it. Each test finds the migrated guest and needs nothing of the others.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab import openshift
from ansible_collections.vmshift.mtv.plugins.module_utils import hook_context, hook_vars
from ansible_collections.vmshift.mtv.tests.integration.accounts import make_account, make_key_secret
from ansible_collections.vmshift.mtv.tests.integration.conftest import ANSIBLE_PLAYBOOK, ROOT, Plane, environment
from ansible_collections.vmshift.mtv.tests.integration.guest import Guest
from ansible_collections.vmshift.mtv.tests.integration.site import URL, Site, serving

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the guest's disk lies on this machine")

NAMESPACE, TARGET, PLAN, VM, MAC = "library", "library-target", "library", "lab-bare", "00:50:56:8a:0a:02"
FORKLIFT = ("forklift.konveyor.io", "v1beta1")
BUNDLE, ACCOUNT, IMAGE = "debian-agent", "hook-library", "quay.io/konveyor/hook-runner:latest"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhYg it's another"
BEFORE = "guest_facts static_network disk_check vmware_tools_prepare ssh_key database_dump quiesce_services notify".split()
AFTER = "guest_agent vmware_tools_remove network_restore cloud_init start_services verify_guest register_webhook notify".split()
#: Without guests.
SMALL = [
    openshift.Machine(name, (openshift.Disk(f"{name}-data"),), namespace="lab-guests", mac=f"02:00:00:00:21:0{number}")
    for number, name in enumerate(("strict", "lenient"))
]
#: What goes with VMware Tools is not missed afterwards.
IGNORED = ["open-vm-tools", "needs-tools"]
# Two packages, as the real ones call themselves and depend.
TOOLS = """
set -e
cd "$(mktemp -d)"
for name in open-vm-tools needs-tools; do
  mkdir -p $name/DEBIAN
  printf 'Package: %s\\nVersion: 2:12.2\\nArchitecture: all\\nMaintainer: lab\\nDescription: lab\\n' $name > $name/DEBIAN/control
done
echo 'Depends: open-vm-tools' >> needs-tools/DEBIAN/control
for name in open-vm-tools needs-tools; do dpkg-deb -b $name >/dev/null; dpkg -i $name.deb >/dev/null; done
"""
# A service that does not start when the guest boots, and the folder that cloud-init has.
APP = """
printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/app.service
mkdir -p /etc/cloud
systemctl daemon-reload
systemctl start app
"""
FSTAB = """
cp /etc/fstab /root/fstab
echo '/dev/sdb1 /data ext4 defaults 0 2' >> /etc/fstab
echo 'UUID=0-0 /x ext4 defaults 0 2' >> /etc/fstab
"""
# What it needs stays: that this comes along is seen in the migration.
PURGE = "dpkg --purge qemu-guest-agent"
HOOKS = """
- hosts: localhost
  gather_facts: false
  tasks:
    - vmshift.mtv.hook:
        kubeconfig: "{{ kubeconfig }}"
        name: "{{ item.name }}"
        namespace: "{{ namespace }}"
        image: quay.io/konveyor/hook-runner:latest
        library: "{{ item.library }}"
        vars: "{{ item.vars }}"
        service_account: hook-library
      loop: "{{ hooks }}"
"""


@dataclass(frozen=True)
class Library:
    """Where hooks run: the control plane of the plans, the cluster that the VMs come from, and a web server."""

    plane: Plane
    source: Plane
    site: Site
    play: Callable[..., Any]

    @property
    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(config.new_client_from_config(str(self.plane.kubeconfig)))

    def status(self, plan: str) -> dict[str, Any]:
        objects = client.CustomObjectsApi(config.new_client_from_config(str(self.plane.kubeconfig)))
        return objects.get_namespaced_custom_object(*FORKLIFT, NAMESPACE, "plans", plan)["status"]

    def make_hooks(self, folder: Path, **hooks: dict[str, Any]) -> None:
        """name={"library": [...], "vars": {...}}"""
        (folder / "hooks.yml").write_text(HOOKS)
        made = [{"name": name, **spec} for name, spec in hooks.items()]
        self.play(str(folder / "hooks.yml"), {"kubeconfig": str(self.plane.kubeconfig), "namespace": NAMESPACE, "hooks": made})

    def migrate(self, plan: str, vms: list[dict[str, Any]], **more: Any) -> str:
        facts = openshift.access(self.source.state)  # type: ignore[arg-type]
        document = {
            "name": plan,
            "namespace": NAMESPACE,
            "source_provider": {
                "name": "old-cluster",
                "type": "openshift",
                "url": facts["url"],
                "secret": {"token": facts["token"], "ca_cert": facts["ca"]},
            },
            "target_namespace": TARGET,
            "network_map": {"auto": True},
            "storage_map": {"pairs": [{"source": openshift.STORAGE_CLASS, "destination": "vmshift-local"}]},
            "vms": [{"namespace": "lab-guests", **vm} for vm in vms],
            **more.pop("request", {}),
        }
        return self.play("playbooks/migrate.yml", {"kubeconfig": str(self.plane.kubeconfig), "migration_request": document}, **more).output


@pytest.fixture(scope="module")
def library(plane: Plane, play: Callable[..., Any], serve_state: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    state = State(tmp_path_factory.mktemp("source") / "state")
    with serving(tmp_path_factory.mktemp("site") / "packages") as site:
        serve_state(state, "--run-vms")
        openshift.furnish(state, SMALL)
        try:
            yield Library(plane, Plane(state.kubeconfig, "konveyor-forklift", state), site, play)
        finally:
            lifetime.stop(state)


@pytest.fixture(scope="module")
def bundle(library: Library, launch: Callable[..., subprocess.Popen[str]]) -> Iterator[Callable[[], str]]:
    """Begins to make it, while a guest boots; called, its name when it is there. The site has its packages, too."""
    library.core.create_namespace({"metadata": {"name": NAMESPACE}})
    given = {"bundle_folder": str(library.site.folder.parent), "bundle_name": BUNDLE, "bundle_namespace": NAMESPACE}
    with launch("playbooks/guest_agent_bundle.yml", {**given, "bundle_kubeconfig": str(library.plane.kubeconfig)}) as making:

        def made() -> str:
            output, _none = making.communicate(timeout=600)
            assert making.returncode == 0, output[-4000:]
            return BUNDLE

        yield made


@pytest.fixture(scope="module")
def migrated(
    library: Library, bundle: Callable[[], str], start_debian: Callable[..., Guest], tmp_path_factory: pytest.TempPathFactory
) -> Guest:
    """The guest on the target, after a migration with all of the library before and after it."""
    source = start_debian(VM, plane=library.source, agent=False, mac=MAC, annotations=library.site.services)
    library.core.create_namespace({"metadata": {"name": TARGET}})
    make_account(library.core, "hook_library_rbac.yml", NAMESPACE, TARGET)
    assert source.key
    make_key_secret(library.core, NAMESPACE, source.key)
    token = client.V1Secret(metadata={"name": "webhook-token"}, string_data={"token": "canary-token"})
    library.core.create_namespaced_secret(NAMESPACE, token)
    source.ssh(f"{APP}\n{TOOLS}")
    host, port = source.ssh_address()
    webhook = {"webhook_url": library.site.url, "webhook_token_secret_name": "webhook-token"}
    before = {
        "guest_address": host,
        "guest_port": port,
        "tools_allowed": ["needs-tools"],
        "key_public": KEY,
        "dump_engine": "command",
        "dump_command": "echo 'it is all'",
        "quiesce_services": ["app"],
        "notify_text": "it is about to move",
        **webhook,
    }
    after = {
        "agent_bundle": bundle(),
        "tools_allowed": ["needs-tools"],
        "start_services": ["app"],
        "verify_ignore": IGNORED,
        "webhook_more": {"owner": "shop"},
        **webhook,
    }
    hooks = {"before": {"library": BEFORE, "vars": before}, "after": {"library": AFTER, "vars": after}}
    library.make_hooks(tmp_path_factory.mktemp("hooks"), **hooks)
    steps = [{"step": "PreHook", "hook": "before"}, {"step": "PostHook", "hook": "after"}]
    output = library.migrate(PLAN, [{"name": VM, "hooks": steps}])
    assert "canary-token" not in output
    return Guest(library.plane.kubeconfig, TARGET, VM, source.key)


@pytest.fixture(scope="module")
def hook_run(library: Library, migrated: Guest) -> Callable[..., str]:
    """Run hooks of the library for the migrated guest as MTV would; what that told."""

    def run(*names: str, step: str = "PostHook", **given: Any) -> str:
        known = {"kubeconfig": str(library.plane.kubeconfig), "hook_plan": PLAN, "hook_namespace": NAMESPACE, "hook_vm": VM}
        more = {"hook_step": step, "hook_library": names, "hook_vars": given, "hook_service_account": ACCOUNT}
        return library.play("playbooks/hook_dry_run.yml", {**known, **more}).output

    return run


def changes(output: str) -> int:
    """Of the hooks that a run tells of."""
    return int(output.split("changed=", 1)[1].split()[0])


@pytest.fixture(scope="module")
def refusal(migrated: Guest) -> Callable[..., str]:
    """What a hook says that fails for the migrated guest. Run without its Job, which would try it twice."""

    def run(name: str, **given: Any) -> str:
        text = (ROOT / f"playbooks/hooks/{name}.yml").read_text()
        known = {"guest_vm": migrated.name, "hook_namespace": NAMESPACE, "guest_where": "target"}
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            (context / "workload.yml").write_text(hook_context.workload_yaml("vsphere", {"id": "vm-17", "name": VM}))
            (context / "plan.yml").write_text(hook_context.plan_yaml({"targetNamespace": TARGET, "vms": [{"id": "vm-17"}]}))
            (context / "playbook.yml").write_text(hook_vars.with_vars(text, {**known, **given}))
            done = subprocess.run(
                [ANSIBLE_PLAYBOOK, "playbook.yml"],
                cwd=context,
                env={**environment(), "K8S_AUTH_KUBECONFIG": str(migrated.kubeconfig)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
        assert done.returncode, f"{name} did not fail: {done.stdout[-6000:]}"
        return done.stdout

    return run


def kept(library: Library, kind: str) -> tuple[str, list[str]]:
    """The name and the lines of the ConfigMap in which a hook of the migration has written down what it saw."""
    (vm,) = library.status(PLAN)["migration"]["vms"]
    name = f"guest-{kind}-{VM}-{vm['id']}"
    return name, library.core.read_namespaced_config_map(name, NAMESPACE).data[kind].splitlines()


def test_a_migration_runs_all_of_it_and_the_guest_is_what_it_was(library: Library, migrated: Guest) -> None:
    (vm,) = library.status(PLAN)["migration"]["vms"]
    ran = [(s["name"], s["phase"]) for s in vm["pipeline"] if s["name"].endswith("Hook")]
    assert ran == [("PreHook", "Completed"), ("PostHook", "Completed")]
    assert {f"address {MAC} 10.0.2.15/24", "mount / ext4", "service app.service", "port tcp 22"} < set(kept(library, "facts")[1])
    assert f"device {MAC} eth0" in kept(library, "network")[1]
    # The agent came with what it needs, and left nothing behind.
    assert migrated.conditions()["AgentConnected"] == "True"
    assert "guest-ping" in [c["name"] for c in migrated.ask("guestosinfo")["supportedCommands"] if c["enabled"]]
    assert migrated.ssh("ls -A /root /etc/apt/sources.list.d | grep -e vmshift -e tar || true") == ""
    # What was written on the source has come along.
    assert KEY in migrated.ssh("cat /root/.ssh/authorized_keys").splitlines()
    assert migrated.ssh("zcat /var/backups/vmshift/command-*.gz; stat -c %a /var/backups/vmshift/command-*.gz") == "it is all\n600"
    assert "disabled" in migrated.ssh("ls /etc/cloud/cloud-init.disabled")


def test_services_of_the_site_are_told(library: Library, migrated: Guest) -> None:
    (who, before), (_who, entry), (_same, after) = library.site.told[:3]
    assert who == "Bearer canary-token"
    assert (before["text"], after["text"]) == ("it is about to move", f"{VM} was migrated to {TARGET}.")
    assert (entry["vm"], entry["target_namespace"], entry["owner"]) == (VM, TARGET, "shop")
    assert entry["addresses"] == {MAC: "10.0.2.15"}


def test_a_mirror_gives_the_agent_too_and_a_guest_that_has_it_keeps_it(
    bundle: Callable[[], str], migrated: Guest, hook_run: Callable[..., str]
) -> None:
    migrated.ssh(PURGE)
    assert changes(hook_run("guest_agent", agent_mirror=URL, agent_suite="./", agent_unsigned=True)) == 1
    assert migrated.conditions()["AgentConnected"] == "True"
    assert changes(hook_run("guest_agent", agent_bundle=BUNDLE)) == 0


def test_the_outcome_of_a_migration_without_an_agent_is_what_the_user_chose(library: Library, migrated: Guest, tmp_path: Path) -> None:
    """Of two VMs whose hooks enter the migrated guest, because they have none: there the mirror is not trusted."""
    migrated.ssh(PURGE)
    host, port = migrated.ssh_address()
    given = {"guest_address": host, "guest_port": port, "agent_mirror": URL, "agent_suite": "./"}
    hooks = {name: {"library": ["guest_agent"], "vars": {**given, "agent_fail": name == "strict"}} for name in ("strict", "lenient")}
    library.make_hooks(tmp_path, **hooks)
    vms = [{"name": name, "target_power_state": "on", "hooks": [{"step": "PostHook", "hook": name}]} for name in hooks]
    told = " ".join(library.migrate("outcome", vms, fails=True).split())
    assert f"step 'read the packages of {URL}' failed" in told and "does not have a Release file" in told
    assert "The VM strict that it has made stays on the target" in told
    vms = library.status("outcome")["migration"]["vms"]
    ended = {vm["name"]: {c["type"] for c in vm["conditions"]} & {"Succeeded", "Failed"} for vm in vms}
    assert ended == {"strict": {"Failed"}, "lenient": {"Succeeded"}}
    assert Guest(library.plane.kubeconfig, TARGET, "strict").machine()["spec"]["runStrategy"] == "Always"


def test_services_are_stopped_missed_and_started(
    migrated: Guest, hook_run: Callable[..., str], refusal: Callable[..., str], library: Library
) -> None:
    migrated.ssh("systemctl start app")
    stopped = hook_run("quiesce_services", "quiesce_services", step="PreHook", guest_where="target", quiesce_services=["app"])
    assert changes(stopped) == 1
    name, _lines = kept(library, "facts")
    missed = refusal("verify_guest", verify_timeout=1, verify_ignore=IGNORED, facts_configmap=name)
    assert "After the migration the guest lacks: service app.service" in missed
    started = hook_run("start_services", "verify_guest", start_services=["app"], verify_ignore=IGNORED)
    assert changes(started) == 1 and "Nothing is missing." in started


def test_what_would_hinder_a_migration_is_told(migrated: Guest, hook_run: Callable[..., str], refusal: Callable[..., str]) -> None:
    migrated.ssh(f"{TOOLS}\n{FSTAB}")
    runs: dict[str, dict[str, Any]] = {
        "disk_check": {"disk_free": {"/": 99999}},
        "vmware_tools_prepare": {},
        "database_dump": {"dump_engine": "command", "dump_command": "exit 3"},
    }
    with ThreadPoolExecutor(2) as pool:
        said = dict(zip(runs, pool.map(lambda item: refusal(item[0], **item[1]), runs.items()), strict=True))
    migrated.ssh("mv /root/fstab /etc/fstab")
    for part in ("/ has ", "wanted are 99999", "/data from /dev/sdb1, a name that changes", "/x from UUID=0-0, which is not there"):
        assert part in said["disk_check"]
    assert "would remove needs-tools, too" in said["vmware_tools_prepare"]
    assert "the dump ended with 3" in said["database_dump"]
    assert changes(hook_run("vmware_tools_remove", tools_allowed=["needs-tools"])) == 1
    assert migrated.ssh("dpkg -l | grep -E '^ii +(open-vm-tools|needs-tools) ' || true") == ""


def test_devices_get_their_names_back(library: Library, migrated: Guest, hook_run: Callable[..., str], refusal: Callable[..., str]) -> None:
    renamed = {"as-it-was": f"device {MAC} ens192", "gone": f"device 00:50:56:00:00:99 ens192\ndevice {MAC} eth0"}
    for name, network in renamed.items():
        library.core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": name}, "data": {"network": network}})
    given = {"network_configmap": "as-it-was", "network_initramfs": False}
    assert changes(hook_run("network_restore", "network_restore", **given)) == 1
    told = migrated.ssh("udevadm test-builtin net_setup_link /sys/class/net/eth0 2>&1; rm /etc/systemd/network/10-vmshift-ens192.link")
    assert "ID_NET_NAME=ens192" in told and "10-vmshift-ens192.link" in told
    assert "no network device has the MAC address 00:50:56:00:00:99" in refusal("network_restore", network_configmap="gone")
