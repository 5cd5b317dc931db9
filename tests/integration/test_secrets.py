"""Canary values in every secret option; then everything that anybody but the store could have kept is searched for them."""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import quick_guests
import yaml
from automation_platform import AutomationPlatform

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.vsphere.binary import vcenter_program
from ansible_collections.vmshift.mtv.lab.vsphere.machines import Disk, Machine, Nic
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import connect

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the files of the embedded control plane are searched")

HERE = Path(__file__).parent
LOUD = ("-vvv", "--diff")
GUEST = "quick"
#: What may hold secrets: the store, keys and tokens, and the kubeconfig, for their owner's eyes only.
KEPT = ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "kubeconfig")


class Canaries:
    """Values that occur nowhere else, by what they are."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def __call__(self, what: str) -> str:
        return self.values.setdefault(what, f"canary-{what}-{base64.b32encode(os.urandom(10)).decode().lower()}")

    def found_in(self, text: bytes) -> list[str]:
        """Which of them stand there, plainly or in base64 (at any of its three offsets)."""
        return [what for what, value in self.values.items() if any(form in text for form in _forms(value))]


def _forms(value: str) -> Iterator[bytes]:
    yield value.encode()
    for offset in range(3):
        encoded = base64.b64encode(b"x" * offset + value.encode())
        yield encoded[4 if offset else 0 : -4]


class Listener:
    """Collects the command lines of all processes while it listens."""

    def __init__(self) -> None:
        self.lines: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _listen(self) -> None:
        while not self._stop.wait(0.02):
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        self.lines.add(Path("/proc", entry, "cmdline").read_bytes())
                    except OSError:
                        continue


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets")


@pytest.fixture(scope="module")
def state(folder: Path, serve_state: Callable[..., Any]) -> Iterator[State]:
    quick_guests.export(folder / "export", GUEST)
    found = State(folder / "state")
    serve_state(found, **quick_guests.quick_path())
    yield found
    lifetime.stop(found)


@pytest.fixture(scope="module")
def canaries(state: State) -> Canaries:
    found = Canaries()
    found.values["admin-token"] = (state.pki / "admin.token").read_text()
    found.values["service-accounts-key"] = (state.pki / "service-accounts.key").read_text()
    return found


@pytest.fixture(scope="module")
def variables(state: State, canaries: Canaries, folder: Path) -> Path:
    """A file, because arguments can be read by everybody."""

    def secret(option: str) -> dict[str, str]:
        return {option: canaries(option.replace("_", "-"))}

    skip = {"insecure_skip_verify": True}
    user = {"user": "u", "password": canaries("password"), **skip}
    keystone = {"auth_type": "token", "token": canaries("keystone"), "project_name": "p", "domain_name": "d", "region": "r"}
    application = {"auth_type": "applicationcredential", "application_credential_id": "i"}
    accounts = {"region": "r", "access_key_id": "a", "target_access_key_id": "t"}
    share = {**user, "smb_url": "smb://s/vms", "smb_user": "v"}
    providers = {
        "v": {"type": "vsphere", "url": "https://vc.example/sdk", "secret": user},
        "r": {"type": "ovirt", "url": "https://e.example/ovirt-engine/api", "secret": user},
        "o": {"type": "openstack", "url": "https://k.example/v3", "secret": keystone},
        "k": {"type": "openshift", "url": "https://other.example:6443", "secret": {"token": canaries("cluster"), **skip}},
        "a": {"type": "openstack", "url": "https://k.example/v3", "secret": {**application, **secret("application_credential_secret")}},
        "e": {"type": "ec2", "secret": {**accounts, **secret("secret_access_key"), **secret("target_secret_access_key")}},
        "h": {"type": "hyperv", "url": "hv.example", "secret": {**share, **secret("smb_password")}},
    }
    changed = {
        "v": {"password": canaries("new-password")},
        "r": {"password": canaries("new-ovirt-password")},
        "o": {"token": canaries("new-keystone")},
        "k": {"token": canaries("new-cluster")},
    }
    ways = {"username": "u", "password": canaries("basic"), "proxy": "http://127.0.0.1:9"}
    proxy = {"basic_auth": f"u:{canaries('proxy-basic')}", "proxy_basic_auth": f"u:{canaries('proxy')}"}
    target = folder / "canaries.json"
    target.touch(0o600)
    given = {
        "providers": providers,
        "changed": changed,
        "unreachable": {**providers["k"], "name": "u", "url": "https://127.0.0.1:9", "secret": {"token": canaries("unreachable")}},
        "others": {"luks": canaries("luks"), "aap": canaries("aap")},
        "host": lifetime.read_endpoints(state)["server"],
        "api_key": canaries("api-key"),
        "through_a_proxy": {**ways, "proxy_headers": proxy},
        "application": canaries("application"),
        "whole_kubeconfig": yaml.safe_load(state.kubeconfig.read_text()),
    }
    target.write_text(json.dumps(given))
    return target


@pytest.fixture(scope="module")
def migrated(play: Callable[..., Any], state: State, canaries: Canaries, folder: Path) -> bytes | None:
    """What was said by a play that migrates from a vCenter, with keys of disks, a hook with a token, a host, and a password that changes.

    None where there can be no vCenter.
    """
    try:
        vcenter_program()
    except (LabError, ImportError):
        return None
    machine = Machine("secret-vm", on=False, disks=(Disk(size=1 << 20),), nics=(Nic(),))
    lab = VSphere.start(folder / "vcenter", [machine], while_process=os.getpid())
    canaries.values["vcenter"] = lab.password
    secrets = folder / "live.json"
    secrets.touch(0o600)
    try:
        with AutomationPlatform(lab.folder, canaries("live-aap")) as platform:
            given = {
                "vcenter": {"url": lab.url, "user": lab.user, "password": lab.password, "ca": lab.ca},
                "live": {"live-luks": canaries("live-luks"), "live-aap": canaries("live-aap")},
                "host_password": canaries("host"),
                "wrong_source_password": canaries("wrong-source"),
                "rotated_password": canaries("rotated"),
                "aap_url": platform.url,
                "whole_kubeconfig": yaml.safe_load(state.kubeconfig.read_text()),
            }
            secrets.write_text(json.dumps(given))
            options = ("-e", f"@{secrets}", "-e", f"ansible_remote_tmp={folder / 'tmp'}")
            said = play(str(HERE / "secrets_migration.yml"), {"kubeconfig": str(state.kubeconfig)}, *LOUD, *options).output
            assert len(platform.launched) == 1
    finally:
        lab.stop()
    return said.encode()


@pytest.fixture(scope="module")
def heard(
    play: Callable[..., Any], state: State, variables: Path, canaries: Canaries, folder: Path, request: Any
) -> Iterator[dict[str, bytes]]:
    """What was said by plays, loud, in check mode and with failures, and what processes were called with."""
    said: dict[str, bytes] = {}
    with pytest.MonkeyPatch.context() as patch, Listener() as listener:
        patch.setenv("TMPDIR", str(folder / "tmp"))
        (folder / "tmp").mkdir()
        given = ("-e", f"@{variables}", "-e", f"ansible_remote_tmp={folder / 'tmp'}")
        kubeconfig = {"kubeconfig": str(state.kubeconfig)}
        said["check"] = play(str(HERE / "secrets.yml"), kubeconfig, *LOUD, "--check", *given).output.encode()
        said["loud"] = play(str(HERE / "secrets.yml"), kubeconfig, *LOUD, *given).output.encode()
        said["again"] = play(str(HERE / "secrets.yml"), kubeconfig, *LOUD, *given).output.encode()
        said["migration"] = request.getfixturevalue("migrated")
        for name, change, fails in (("request", {}, False), ("bad request", {"vms": [{"name": "absent"}]}, True)):
            request = folder / "request.json"
            request.write_text(json.dumps({"migration_request": {**migration_request(folder, canaries), **change}}))
            said[name] = play("playbooks/migrate.yml", kubeconfig, *LOUD, "-e", f"@{request}", fails=fails).output.encode()
            request.unlink()
    said["arguments"] = b"\n".join(listener.lines)
    assert b"ansible-playbook" in said["arguments"]
    yield said


def migration_request(folder: Path, canaries: Canaries) -> dict[str, Any]:
    """Of an OVA provider, which takes credentials and has no use for them."""
    return {
        "name": "secret",
        "namespace": "konveyor-forklift",
        "source_provider": {"name": "ova", "type": "ova", "url": f"localhost:{folder}/export", "secret": {}},
        "target_namespace": "secret-target",
        "network_map": {"pairs": [{"source": "VM Network", "destination": "pod"}]},
        "storage_map": {"pairs": [{"source": d, "destination": "vmshift-local"} for d in quick_guests.disk_names(GUEST)]},
        "vms": [{"name": GUEST}],
    }


@pytest.mark.parametrize("where", ["check", "loud", "again", "migration", "request", "bad request", "arguments"])
def test_no_secret_is_said(where: str, heard: dict[str, bytes], canaries: Canaries) -> None:
    if heard[where] is None:
        pytest.skip("there can be no vCenter here")
    assert canaries.found_in(heard[where]) == []


def test_the_canaries_would_be_heard(heard: dict[str, bytes], canaries: Canaries, state: State) -> None:
    """They did get where they belong, and the search finds them there."""
    store = b"".join(path.read_bytes() for path in state.root.glob("store.sqlite*"))
    found = set(canaries.found_in(store))
    assert found >= {"new-password", "new-ovirt-password", "new-keystone", "new-cluster", "unreachable", "luks", "aap"}
    assert found >= {"application-credential-secret", "secret-access-key", "target-secret-access-key", "smb-password"}
    assert b"<hidden, changed>" in heard["loud"]
    if heard["migration"]:
        assert found >= {"live-luks", "live-aap", "host", "rotated"}
        assert b"--key\0/dev/sda1:file:" in heard["arguments"], "virt-v2v was given the keys, by file"


def test_no_file_but_the_store_holds_a_secret(heard: dict[str, bytes], canaries: Canaries, state: State) -> None:
    searched = 0
    for path in state.root.rglob("*"):
        if path.is_file() and path.relative_to(state.root).parts[0] not in (*KEPT, "pki", "volumes"):
            searched += 1
            assert canaries.found_in(path.read_bytes()) == [], path
    assert searched > 5


def test_what_holds_secrets_is_private(heard: dict[str, bytes], state: State) -> None:
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o700
    kept = [state.root / name for name in KEPT if (state.root / name).exists()]
    for path in [*kept, *state.pki.iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_nothing_is_left_in_temporary_folders(heard: dict[str, bytes], canaries: Canaries, folder: Path) -> None:
    for path in (folder / "tmp").rglob("*"):
        if path.is_file():
            assert canaries.found_in(path.read_bytes()) == [], path


def test_no_object_but_a_secret_tells_it(heard: dict[str, bytes], canaries: Canaries, state: State) -> None:
    cluster = connect({"kubeconfig": str(state.kubeconfig)})
    paths = ["/api/v1/events", "/api/v1/pods", "/api/v1/configmaps", "/apis/batch/v1/jobs"]
    kinds = ("providers", "plans", "migrations", "hooks", "hosts", "conversions", "networkmaps", "storagemaps")
    paths += [f"/apis/forklift.konveyor.io/v1beta1/{kind}" for kind in kinds]
    for path in paths:
        assert canaries.found_in(json.dumps(cluster.request("GET", path)).encode()) == [], path


def test_no_report_tells_it(heard: dict[str, bytes], play: Callable[..., Any], canaries: Canaries, state: State, folder: Path) -> None:
    files = {form: str(folder / f"report.{form}") for form in ("html", "json", "csv")}
    task = {"vmshift.mtv.migration_report": {"kubeconfig": str(state.kubeconfig), "namespace": "konveyor-forklift", **files}}
    book = folder / "report.yml"
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [{"name": "Report", **task}]}]))
    play(str(book), {}, *LOUD)
    for path in files.values():
        assert canaries.found_in(Path(path).read_bytes()) == []
