"""Hooks of the library in a Debian guest that has no agent and no route out, run as their pods run them."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from ansible_collections.vmshift.mtv.plugins.module_utils import hook_context, hook_vars
from ansible_collections.vmshift.mtv.tests.integration.conftest import ANSIBLE_PLAYBOOK, ROOT, environment
from ansible_collections.vmshift.mtv.tests.integration.guest import Guest, until

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the guest's disk lies on this machine")

MAC, NAMESPACE, SITE = "00:50:56:8a:0a:02", "lab-guests", "http://10.0.2.100/"
BUNDLE = "debian-agent"
AGENT = "qemu-guest-agent"
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
APP = """
printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/app.service
systemctl daemon-reload
systemctl start app
"""
FSTAB = """
cp /etc/fstab /root/fstab
echo '/dev/sdb1 /data ext4 defaults 0 2' >> /etc/fstab
echo 'UUID=0-0 /x ext4 defaults 0 2' >> /etc/fstab
"""
# What it needs stays: that this comes along is seen at the first time here, and with a bundle in test_offline_agent.py.
PURGE = "dpkg --purge qemu-guest-agent"
ROLE = """
- hosts: localhost
  gather_facts: false
  module_defaults: {group/vmshift.mtv.mtv: {kubeconfig: "{{ kubeconfig }}"}, group/kubernetes.core.k8s: {kubeconfig: "{{ kubeconfig }}"}}
  tasks:
    - ansible.builtin.import_role: {name: vmshift.mtv.guest_agent}
    - ansible.builtin.debug:
        msg: "way={{ guest_agent_chosen }} scripts={{ guest_agent_customization_scripts }} hooks={{ guest_agent_hooks | length }}"
"""


class Site(http.server.SimpleHTTPRequestHandler):
    """Packages to fetch, and whatever was sent by POST."""

    told: list[tuple[str | None, Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.told.append((self.headers.get("Authorization"), json.loads(body)))
        self.send_response(201)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The folder of the bundle, whose packages a web server of the site has, and its port."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "packages").mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Site, directory=str(folder / "packages")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def bare(start_debian: Callable[..., Guest], site: tuple[Path, int]) -> Guest:
    services = {"guest.vmshift.io/services": f"10.0.2.100:80=127.0.0.1:{site[1]}"}
    guest = start_debian("lab-bare", agent=False, mac=MAC, annotations=services)
    assert guest.key
    data = {"key": base64.b64encode(guest.key.read_bytes()).decode()}
    guest.core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "guest-ssh-key"}, "data": data})
    return guest


Hook = Callable[..., str]


@pytest.fixture(scope="module")
def hook(bare: Guest) -> Hook:
    """Run a hook of the library for the guest; what it printed. `fails`: it must, or must not."""

    def run(name: str, *, fails: bool = False, **given: Any) -> str:
        known = {"guest_vm": bare.name, "hook_namespace": NAMESPACE}
        text = (ROOT / f"playbooks/hooks/{name}.yml").read_text()
        if "guest_where" in text:
            known["guest_where"] = "target"  # the only guest there is
        workload = {"id": "vm-17", "name": bare.name, "guestId": "debian12_64Guest", "ipAddress": "127.0.0.1"}
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            (context / "workload.yml").write_text(hook_context.workload_yaml("vsphere", workload))
            (context / "plan.yml").write_text(hook_context.plan_yaml({"targetNamespace": NAMESPACE, "vms": [{"id": "vm-17"}]}))
            (context / "playbook.yml").write_text(hook_vars.with_vars(text, {**known, **given}))
            done = subprocess.run(
                [ANSIBLE_PLAYBOOK, "playbook.yml"],
                cwd=context,
                env={**environment(), "K8S_AUTH_KUBECONFIG": str(bare.kubeconfig)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
        assert bool(done.returncode) == fails, f"{name}: {done.stdout[-6000:]}{done.stderr[-2000:]}"
        return done.stdout

    return run


def changes(output: str) -> int:
    return int(output.rsplit("changed=", 1)[1].split()[0])


def test_the_agent_comes_from_a_mirror_and_from_a_bundle(bare: Guest, hook: Hook, play: Callable[..., Any], site: tuple[Path, int]) -> None:
    built = {"bundle_folder": str(site[0]), "bundle_name": BUNDLE, "bundle_namespace": NAMESPACE, "bundle_kubeconfig": str(bare.kubeconfig)}
    play("playbooks/guest_agent_bundle.yml", built)
    assert "AgentConnected" not in bare.conditions()

    refused = hook("guest_agent", agent_mirror=SITE, agent_suite="./", fails=True)
    assert f"step 'read the packages of {SITE}' failed" in refused and "does not have a Release file" in refused

    assert changes(hook("guest_agent", agent_mirror=SITE, agent_suite="./", agent_unsigned=True)) == 1
    assert bare.conditions()["AgentConnected"] == "True"
    assert "guest-ping" in [c["name"] for c in bare.ask("guestosinfo")["supportedCommands"] if c["enabled"]]
    bare.ssh(PURGE, timeout=300)

    assert changes(hook("guest_agent", agent_bundle=BUNDLE)) == 2
    assert bare.conditions()["AgentConnected"] == "True"
    assert bare.ssh("ls -A /root /etc/apt/sources.list.d | grep -e vmshift -e tar || true") == ""
    assert changes(hook("guest_agent", agent_bundle=BUNDLE)) == 0


def test_the_role_chooses_and_its_script_of_the_first_boot_installs(bare: Guest, play: Callable[..., Any], tmp_path: Path) -> None:
    playbook = tmp_path / "role.yml"
    playbook.write_text(ROLE)
    site = {"guest_agent_mirror": SITE, "guest_agent_suite": "./", "guest_agent_unsigned": True}
    common = {"kubeconfig": str(bare.kubeconfig), "guest_agent_namespace": NAMESPACE}
    first, second = (play(str(playbook), {**common, **site}) for _run in range(2))
    assert "way=firstboot scripts=guest-agent hooks=0" in first.output and (first.changed, second.changed) == (1, 0)
    ((name, script),) = bare.core.read_namespaced_config_map("guest-agent", NAMESPACE).data.items()
    assert re.fullmatch(r"[0-9]+_linux_(run|firstboot)(([\w\-]*).sh)", name)  # what MTV takes
    bare.ssh(PURGE, timeout=300)
    encoded = base64.b64encode(script.encode()).decode()
    bare.ssh(f"echo {encoded} | base64 -d > /root/first.sh && sh /root/first.sh; code=$?; rm /root/first.sh; exit $code", timeout=300)
    until(lambda: bare.conditions().get("AgentConnected") == "True", told=bare.conditions)

    entered = {**common, **site, "guest_agent_bundle": BUNDLE, "guest_agent_key_secret": "guest-ssh-key"}
    assert "way=bundle scripts=None hooks=1" in play(str(playbook), entered).output.replace("scripts= ", "scripts=None ")
    nobody_enters = {**common, "guest_agent_bundle": BUNDLE}
    assert "way=offline" in play(str(playbook), nobody_enters).output
    refused = play(str(playbook), {**nobody_enters, "guest_agent_way": "bundle"}, fails=True)
    assert "bundle needs guest_agent_bundle and guest_agent_key_secret" in " ".join(refused.output.split())


def test_services_are_stopped_missed_and_started(bare: Guest, hook: Hook) -> None:
    bare.ssh(APP)
    assert changes(hook("guest_facts")) == 1
    facts = bare.core.read_namespaced_config_map(f"guest-facts-{bare.name}-vm-17", NAMESPACE).data["facts"].splitlines()
    assert {f"address {MAC} 10.0.2.15/24", "mount / ext4", "service app.service", "port tcp 22"} < set(facts)
    assert [changes(hook("quiesce_services", quiesce_services=["app"])) for _run in range(2)] == [1, 0]
    missed = hook("verify_guest", verify_timeout=1, fails=True)
    assert "After the migration the guest lacks: service app.service" in missed
    assert changes(hook("start_services", start_services=["app"])) == 1
    assert "Nothing is missing." in hook("verify_guest")


def test_what_would_hinder_a_conversion_is_told(bare: Guest, hook: Hook) -> None:
    # As a PreHook goes in, at the address that the inventory knows.
    assert "disks and fstab are fit" in hook("disk_check", guest_where="source", guest_port=bare.ssh_address()[1])
    bare.ssh(FSTAB)
    said = hook("disk_check", disk_free={"/": 99999}, fails=True)
    bare.ssh("mv /root/fstab /etc/fstab")
    for part in ("/ has ", "wanted are 99999", "/data from /dev/sdb1, a name that changes", "/x from UUID=0-0, which is not there"):
        assert part in said


def test_devices_get_their_names_back(bare: Guest, hook: Hook) -> None:
    hook("static_network")
    name = f"guest-network-{bare.name}-vm-17"
    network = bare.core.read_namespaced_config_map(name, NAMESPACE).data["network"]
    assert f"device {MAC} eth0" in network.splitlines()
    changed = {"data": {"network": network.replace(" eth0", " ens192")}}
    bare.core.patch_namespaced_config_map(name, NAMESPACE, changed)
    assert [changes(hook("network_restore", network_initramfs=False)) for _run in range(2)] == [1, 0]
    told = bare.ssh("udevadm test-builtin net_setup_link /sys/class/net/eth0 2>&1; rm /etc/systemd/network/10-vmshift-ens192.link")
    assert "ID_NET_NAME=ens192" in told and "10-vmshift-ens192.link" in told
    gone = {"data": {"network": f"device 00:50:56:00:00:99 ens192\n{network}"}}
    bare.core.patch_namespaced_config_map(name, NAMESPACE, gone)
    assert "no network device has the MAC address 00:50:56:00:00:99" in hook("network_restore", fails=True)


def test_the_rest_one_beside_the_other(bare: Guest, hook: Hook) -> None:
    bare.ssh(f"{TOOLS}\nmkdir -p /etc/cloud")
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhYg it's another"
    runs: dict[str, dict[str, Any]] = {
        "ssh_key": {"key_public": key},
        "database_dump": {"dump_engine": "command", "dump_command": "echo 'it is all'"},
        "cloud_init": {},
        "vmware_tools_prepare": {"fails": True},
    }
    with ThreadPoolExecutor(2) as pool:
        said = dict(zip(runs, pool.map(lambda item: hook(item[0], **item[1]), runs.items()), strict=True))
    assert "would remove needs-tools, too" in said.pop("vmware_tools_prepare")
    assert {name: changes(output) for name, output in said.items()} == {"ssh_key": 1, "database_dump": 1, "cloud_init": 1}
    assert key in bare.ssh("cat /root/.ssh/authorized_keys").splitlines()
    assert bare.ssh("zcat /var/backups/vmshift/command-*.gz; stat -c %a /var/backups/vmshift/command-*.gz") == "it is all\n600"
    assert "disabled" in bare.ssh("ls /etc/cloud/cloud-init.disabled")
    assert "the dump ended with 3" in hook("database_dump", dump_engine="command", dump_command="exit 3", fails=True)
    assert changes(hook("vmware_tools_remove", tools_allowed=["needs-tools"])) == 1
    assert bare.ssh("dpkg -l | grep -E '^ii +(open-vm-tools|needs-tools) ' || true") == ""


def test_services_of_the_site_are_told(bare: Guest, hook: Hook, site: tuple[Path, int]) -> None:
    token = client.V1Secret(metadata={"name": "site-token"}, string_data={"token": "canary-token"})
    bare.core.create_namespaced_secret(NAMESPACE, token)
    url = f"http://127.0.0.1:{site[1]}/"
    Site.told.clear()
    given = {"webhook_url": url, "webhook_token_secret_name": "site-token", "webhook_more": {"owner": "shop"}}
    assert "canary-token" not in hook("register_webhook", **given)
    ((authorization, told),) = Site.told
    assert authorization == "Bearer canary-token"
    assert (told["vm"], told["target_namespace"], told["owner"]) == (bare.name, NAMESPACE, "shop")
    assert told["addresses"] == {MAC: "10.0.2.15"}
    # This one does not enter the guest and knows no VM on the target.
    Site.told.clear()
    hook("notify", webhook_url=url)
    assert Site.told == [(None, {"text": f"{bare.name} was migrated to {NAMESPACE}."})]
