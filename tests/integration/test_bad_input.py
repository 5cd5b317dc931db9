"""What users get wrong, one case a line: the task fails with one sentence that names the place, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import re
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import quick_guests
from module_runs import run_module

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.certificates import write_certificates
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import connect
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import ensure_present, list_objects

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the source lies on this machine")

HERE = Path(__file__).parent
HOME = "konveyor-forklift"
KINDS = ("Provider", "Host", "Secret", "NetworkMap", "StorageMap", "Hook", "Plan", "Migration", "ConfigMap", "Namespace", "VirtualMachine")
#: What sentences for people do not have.
UGLY = re.compile(r"Traceback|object at 0x|\w+Error\(|Pool\(|<html|<class|\bNone\b|NoneType")
LONGEST = 900


class Case(NamedTuple):
    """`said`: parts of the sentence. `leaves`: what was asked for was made, and is waited for in vain: that one stays, as on a cluster."""

    module: str
    params: dict[str, Any]
    said: tuple[str, ...]
    leaves: bool = False


def case(module: str, *said: str, leaves: bool = False, **params: Any) -> Any:
    return pytest.param(Case(module, params, said, leaves), id=f"{module}: {said[0][:50]}")


SOURCE = {"source": "quick"}
MAPS = {"network_map": "quick", "storage_map": "quick"}
DISK1, DISK2 = quick_guests.disk_names("quick")
PLAN: dict[str, Any] = {"name": "new", **SOURCE, **MAPS, "target_namespace": "t", "vms": [{"name": "quick"}]}
VSPHERE: dict[str, Any] = {"name": "new", "type": "vsphere", "url": "https://vc.example/sdk"}
LOGIN = {"user": "u", "password": "not-so-short"}
POD = [{"source": "VM Network", "destination": "pod"}]
#: Nobody listens there. What stands in braces elsewhere only the test knows: an address, a path.
DEAD = "https://127.0.0.1:9"

CONNECTION = (
    case("provider_info", "The kubeconfig /no/such/file does not exist", kubeconfig="/no/such/file"),
    case("provider_info", "cannot be used", "{garbage}", kubeconfig="{garbage}"),
    case("provider_info", "cannot be used", "elsewhere", context="elsewhere"),
    case("provider_info", f"{DEAD} cannot be reached: ", "refused", kubeconfig="OMIT", host=DEAD, api_key="a-token"),
    case(
        "provider_info",
        "https://no-such-host.invalid cannot be reached",
        kubeconfig="OMIT",
        host="https://no-such-host.invalid",
        api_key="a-token",
    ),
    case("provider_info", "host: 'https://' is not the URL of an API server", kubeconfig="OMIT", host="https://", api_key="a-token"),
    case("provider_info", "{web} answered ", "check host", kubeconfig="OMIT", host="{web}", api_key="a-token"),
    case("provider_info", "Client sent an HTTP request to an HTTPS server", kubeconfig="OMIT", host="{plain}", api_key="a-token"),
    case("provider_info", "is not trusted", "give ca_cert", kubeconfig="OMIT", host="{server}", api_key="a-token"),
    case("provider_info", "is not trusted", kubeconfig="OMIT", host="{server}", api_key="a-token", ca_cert="{other_ca}"),
    case(
        "provider_info",
        "ca_cert: the file /no/such/ca.crt does not exist",
        kubeconfig="OMIT",
        host="{server}",
        api_key="a-token",
        ca_cert="/no/such/ca.crt",
    ),
    case(
        "provider_info",
        "does not accept the credentials (401",
        "api_key",
        kubeconfig="OMIT",
        host="{server}",
        api_key="a-token",
        ca_cert="{ca}",
    ),
    case("inventory_info", "The inventory service cannot be asked", DEAD, provider="quick", inventory_url=DEAD),
    case("inventory_info", "{web} answered 200", "check inventory_url", provider="quick", inventory_url="{web}"),
    case("inventory_info", "provider", "absent", provider="absent"),
)
PROVIDERS = (
    case("provider", "type: the provider konveyor-forklift/new does not exist yet; give one of", name="new"),
    case("provider", "value of type must be one of", "got: hypercard", name="new", type="hypercard"),
    case("provider", "url: a provider of type ova takes SERVER:/PATH of an NFS share", "/srv", name="new", type="ova", url="/srv"),
    case("provider", "url: ", "vsphere", name="new", type="vsphere", url="vc.example", secret=LOGIN),
    case("provider", "secret: a provider of type vsphere needs credentials: give secret (user, password", **VSPHERE),
    case("provider", "password", **VSPHERE, secret={"user": "u", "insecure_skip_verify": True}),
    case("provider", "ca_cert", **VSPHERE, secret=LOGIN),
    case("provider", "token", "vsphere", **VSPHERE, secret={"token": "some-long-token", "insecure_skip_verify": True}),
    case("provider", "secret_name: the Secret konveyor-forklift/absent does not exist", **VSPHERE, secret_name="absent"),
    case(
        "provider",
        "secret_name: the Secret konveyor-forklift/empty does not fit: a provider of type vsphere needs user, password",
        **VSPHERE,
        secret_name="empty",
    ),
    case("provider", "url: MTV does not let the url of an OVA provider change", name="quick", url="localhost:/elsewhere"),
    case("provider", 'namespaces "nowhere" not found', name="new", namespace="nowhere", type="ova", url="localhost:/srv"),
    case("provider", "metadata.name", "Ein Name", name="Ein Name", type="ova", url="localhost:/srv"),
    case("provider", "Unsupported parameters", "passwort", **VSPHERE, secret={"user": "u", "passwort": "not-so-short"}),
    case(
        "provider",
        "Connection test, failed: https://127.0.0.1:9 cannot be reached",
        leaves=True,
        name="gone",
        type="openshift",
        url=DEAD,
        secret={"token": "some-long-token", "insecure_skip_verify": True},
    ),
    case("provider", "/no/such/export", leaves=True, name="away", type="ova", url="localhost:/no/such/export"),
)
MAPPINGS = (
    case(
        "network_map",
        "source: the provider konveyor-forklift/absent does not exist; in the namespace",
        name="new",
        source="absent",
        pairs=POD,
    ),
    case(
        "network_map",
        "pairs[0].source",
        "VM Netwrk",
        "VM Network",
        name="new",
        **SOURCE,
        pairs=[{"source": "VM Netwrk", "destination": "pod"}],
    ),
    case(
        "network_map",
        "pairs[0].destination: 'team/absent-nad' does not exist there",
        name="new",
        **SOURCE,
        pairs=[{"source": "VM Network", "destination": "team/absent-nad"}],
    ),
    case("network_map", "as dictionary", name="new", **SOURCE, pairs="VM Network=pod"),
    case("network_map", "source", name="new", **SOURCE, pairs=[{"destination": "pod"}]),
    case("network_map", "destination", name="new", **SOURCE, pairs=[{"source": "VM Network"}]),
    case("network_map", "VM Network", name="new", **SOURCE, pairs=POD * 2),
    case("storage_map", "absent-class", "vmshift-local", name="new", **SOURCE, pairs=[{"source": DISK1, "destination": "absent-class"}]),
    case(
        "storage_map",
        "pairs[0].source",
        "no-disk.vmdk",
        name="new",
        **SOURCE,
        pairs=[{"source": "no-disk.vmdk", "destination": "vmshift-local"}],
    ),
    case(
        "storage_map",
        "access_mode",
        "Sometimes",
        name="new",
        **SOURCE,
        pairs=[{"source": DISK1, "destination": {"storage_class": "vmshift-local", "access_mode": "Sometimes"}}],
    ),
)
PLANS = (
    case("plan", "there is no VM 'quik' (did you mean 'quick'?)", **{**PLAN, "vms": [{"name": "quik"}]}),
    case("plan", "'twin' matches 2 VMs: id ", "choose by id", **{**PLAN, "source": "twins", "vms": [{"name": "twin"}]}),
    case("plan", "The maps do not cover the VMs", "VM Network", **{**PLAN, "network_map": "hollow"}),
    case("plan", "The maps do not cover the VMs", DISK2, **{**PLAN, "storage_map": "hollow"}),
    case("plan", "name: 'Ein Plan' cannot be a name in Kubernetes", **{**PLAN, "name": "Ein Plan"}),
    case("plan", "vms: the list is empty; name at least one VM", **{**PLAN, "vms": []}),
    case("plan", "folder", "ova", **{**PLAN, "vms": [{"folder": "/DC/vm"}]}),
    case("plan", "regex", "qui(", **{**PLAN, "vms": [{"regex": "qui("}]}),
    case("plan", "query", "[?name", **{**PLAN, "vms": [{"query": "[?name"}]}),
    case(
        "plan",
        "absent-hook",
        "does not exist",
        **{**PLAN, "vms": [{"name": "quick", "hooks": [{"step": "PreHook", "hook": "absent-hook"}]}]},
    ),
    case("plan", "absent-luks", "does not exist", **{**PLAN, "vms": [{"name": "quick", "luks": "absent-luks"}]}),
    case(
        "plan", "The plan needs the NetworkAttachmentDefinition t/absent-nad, which does not exist", **PLAN, transfer_network="absent-nad"
    ),
    case("plan", "network_map: the NetworkMap konveyor-forklift/absent does not exist", **{**PLAN, "network_map": "absent"}),
    case("plan", "source: the provider konveyor-forklift/absent does not exist", **{**PLAN, "source": "absent"}),
    case("plan", "destination: ", "absent", **PLAN, destination="absent"),
    case("plan", "pvc_name_template: '{{.VmName' is no template", "unclosed action", **PLAN, pvc_name_template="{{.VmName"),
    case(
        "plan",
        "pvc_name_template: '{{.Nonsense}}' is no",
        "can't evaluate field Nonsense; known: ",
        **PLAN,
        pvc_name_template="{{.Nonsense}}",
    ),
    case(
        "plan",
        "pvc_name_template: 'Disk {{.DiskIndex}}' gives names like 'Disk 0'; a name",
        **PLAN,
        pvc_name_template="Disk {{.DiskIndex}}",
    ),
    case("plan", "volume_name_template: ", 'function "shout" not defined', **PLAN, volume_name_template="{{shout .PVCName}}"),
    case("plan", "network_name_template: ", "gives names like 'Multus'", **PLAN, network_name_template="{{.NetworkType}}"),
    case("plan", "vms[0]: pvc_name_template: ", "'{{if}}'", **{**PLAN, "vms": [{"name": "quick", "pvc_name_template": "{{if}}"}]}),
    case("plan", "target_namespace", **{**PLAN, "target_namespace": "OMIT"}),
    case("plan", "vms[0]: unknown option 'nmae'; accepted are name", **{**PLAN, "vms": [{"nmae": "quick"}]}),
    case("plan", "target_power_state", "sideways", **PLAN, target_power_state="sideways"),
    case("plan", "there is no VM '7'", **{**PLAN, "vms": 7}),
)
RUNS = (
    case("migration", "The plan konveyor-forklift/absent does not exist", plan="absent"),
    case("migration", "cutover: 2020-01-01T00:00:00Z is over", plan="ready", cutover="2020-01-01T00:00:00Z"),
    case("migration", "cutover: 'tomorrow' is not a time", plan="ready", cutover="tomorrow"),
    case("migration", "vms: which VMs a run migrates is said in the plan", plan="ready", vms=["quick"]),
    case("migration", "archived", plan="archived"),
    case("migration", "state", "restarted", plan="ready", state="restarted"),
    case("migration", "metadata.name: Invalid value", "Ein Lauf", plan="ready", name="Ein Lauf"),
)
OTHERS = (
    case("hook", "image: this hook has none", name="new"),
    case("hook", "mutually exclusive", name="new", image="a/b:c", aap={"job_template_id": 1}),
    case("hook", "playbook_file: /no/such/playbook.yml cannot be read", name="new", image="a/b:c", playbook_file="/no/such/playbook.yml"),
    case("hook", "playbook: this is not YAML in line 1", name="new", image="a/b:c", playbook="hosts: [unclosed"),
    case("hook", "deadline: -1", name="new", image="a/b:c", deadline=-1),
    case("hook", "aap.job_template_id: 0", name="new", aap={"job_template_id": 0}),
    case("settings", "controller_max_vm_inflight", "many", controller_max_vm_inflight="many"),
    case("settings", "ForkliftController", "absent", name="absent"),
    case("migration_report", "The directory of /no/such/folder/report.html does not exist", html="/no/such/folder/report.html"),
    case("migration_report", "one of the following is required: html, json, csv"),
    case("host", "only providers of type vsphere have hosts", provider="quick", hosts=[{"name": "esx"}], secret=LOGIN),
)


class World:
    def __init__(self, state: State, folder: Path) -> None:
        self.state, self.folder = state, folder
        self.cluster = connect({"kubeconfig": str(state.kubeconfig)})
        server = lifetime.read_endpoints(state)["server"]
        write_certificates(folder, "lab vCenter")
        (folder / "garbage").write_text("users: [{name: u\n")
        self.known = {
            "garbage": str(folder / "garbage"),
            "server": server,
            "plain": server.replace("https:", "http:"),
            "ca": str(state.pki / "ca.crt"),
            "other_ca": str(folder / "ca.crt"),
        }

    def filled(self, value: Any) -> Any:
        text = json.dumps(value)
        for name, known in self.known.items():
            text = text.replace("{" + name + "}", known)
        return json.loads(text)

    def task(self, module: str, **params: Any) -> dict[str, Any]:
        waits = {} if module.endswith(("_info", "_report")) or module == "settings" else {"wait_timeout": 20}
        given = {"kubeconfig": str(self.state.kubeconfig), "namespace": HOME, **waits, **self.filled(params)}
        return run_module(module, {key: value for key, value in given.items() if value != "OMIT"})

    def made(self, module: str, **params: Any) -> dict[str, Any]:
        result = self.task(module, **params)
        assert not result.get("failed"), result
        return result

    def names(self) -> set[tuple[str, ...]]:
        """All that lies there."""
        return {(k, o["metadata"].get("namespace", ""), o["metadata"]["name"]) for k in KINDS for o in list_objects(self.cluster, k)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, serve_state: Callable[..., Any]) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("bad")
    quick_guests.export(folder / "export", "quick")
    for number in (1, 2):
        quick_guests.export(folder / "twins", "twin", seed=number)
        (folder / "twins/twin.ova").rename(folder / f"twins/twin{number}.ova")
    state = State(folder / "state")
    serve_state(state, **quick_guests.quick_path())
    found = World(state, folder)
    ensure_present(found.cluster, {"kind": "Secret", "metadata": {"name": "empty", "namespace": HOME}, "data": {}})
    for name in ("quick", "twins"):
        found.made("provider", name=name, type="ova", url=f"localhost:{folder}/{'export' if name == 'quick' else name}")
    found.made("network_map", name="quick", **SOURCE, pairs=POD)
    found.made("network_map", name="hollow", **SOURCE, pairs=[])
    found.made("storage_map", name="quick", **SOURCE, pairs=[{"source": d, "destination": "vmshift-local"} for d in (DISK1, DISK2)])
    found.made("storage_map", name="hollow", **SOURCE, pairs=[{"source": DISK1, "destination": "vmshift-local"}])
    found.made("plan", **{**PLAN, "name": "ready"})
    found.made("plan", **{**PLAN, "name": "archived"})
    found.made("plan", name="archived", archived=True)
    try:
        with web_page() as url:
            found.known["web"] = url
            yield found
    finally:
        lifetime.stop(state)


@contextlib.contextmanager
def web_page() -> Iterator[str]:
    """The URL of a web server that knows nothing of Kubernetes."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")

        def log_message(self, *_unused: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def assert_sentence(message: str, said: tuple[str, ...]) -> None:
    for part in said:
        assert any(choice in message for choice in part.split("|")), f"{part!r} is not said: {message}"
    assert not UGLY.search(message), message
    assert len(message) < LONGEST, message


@pytest.mark.parametrize("bad", [*CONNECTION, *PROVIDERS, *MAPPINGS, *PLANS, *RUNS, *OTHERS])
def test_a_task_says_what_is_wrong_and_leaves_nothing(bad: Case, world: World) -> None:
    before = world.names()
    result = world.task(bad.module, **bad.params)
    assert result.get("failed"), result
    assert_sentence(result["msg"], world.filled(bad.said))
    assert result["stderr"] == ""
    if not bad.leaves:
        assert world.names() == before


# Files of an OVA export


def archive(*members: tuple[str, bytes | tarfile.TarInfo]) -> bytes:
    """A tar archive; a member is a file of that content, or a whole header."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in members:
            if isinstance(content, bytes):
                header = tarfile.TarInfo(name)
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
            else:
                tar.addfile(content)
    return out.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = tarfile.SYMTYPE, target
    return header


def huge(name: str) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = 1 << 60
    return header


@pytest.fixture(scope="module")
def incomplete(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What Providers say of exports that hold the files of BAD_FILES beside a good one."""
    folder = tmp_path_factory.mktemp("files")
    quick_guests.export(folder / "0", "good")
    good = (folder / "0/good.ova").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(good)) as tar:
        descriptor = tar.extractfile("good.ovf").read()  # type: ignore[union-attr]
    told = []
    for number in range(0, len(BAD_FILES), NAMED_FILES):
        export = folder / str(number)
        export.mkdir(exist_ok=True)
        (export / "good.ova").write_bytes(good)
        for name, make, _said in BAD_FILES[number : number + NAMED_FILES]:
            with open(os.fsencode(export) + b"/" + (name if isinstance(name, bytes) else name.encode()), "wb") as file:
                file.write(make(good, descriptor))
        result = world.made("provider", name=f"files{number}", type="ova", url=f"localhost:{export}")
        told += [c["message"] for c in result["provider"]["status"]["conditions"] if c["type"] == "InventoryIncomplete"]
        assert [vm["name"] for vm in world.made("inventory_info", provider=f"files{number}")["resources"]] == ["good"]
    return "\n".join(told)


NAMED_FILES = 5  # so many does a condition name
#: (name, content from a good archive and its descriptor, what is said of it)
BAD_FILES: tuple[tuple[Any, Callable[[bytes, bytes], bytes], str], ...] = (
    ("text.ova", lambda good, ovf: b"not an archive" * 100, "is not an uncompressed tar archive"),
    ("empty.ova", lambda good, ovf: b"", "tar archive"),
    ("short.ova", lambda good, ovf: good[: len(good) // 2], "is not complete"),
    ("bare.ova", lambda good, ovf: archive(("a.vmdk", b"x")), "holds no .ovf descriptor"),
    ("up.ova", lambda good, ovf: archive(("good.ovf", ovf), ("../up", b"x")), "leads out of the archive: '../up'"),
    ("root.ova", lambda good, ovf: archive(("good.ovf", ovf), ("/etc/cron.d/x", b"x")), "leads out of the archive: '/etc/cron.d/x'"),
    ("link.ova", lambda good, ovf: archive(("good.ovf", ovf), ("x", link("x", "/etc/shadow"))), "neither a file nor a folder: 'x'"),
    ("huge.ova", lambda good, ovf: archive(("x", huge("good-disk1.vmdk")), ("good.ovf", ovf)), "is not complete"),
    ("diskless.ova", lambda good, ovf: archive(("good.ovf", ovf)), "names the disk file 'good-disk1.vmdk', which it does not hold"),
    ("xml.ova", lambda good, ovf: archive(("good.ovf", ovf[: len(ovf) // 2])), "XML"),
    (
        "sum.ova",
        lambda good, ovf: archive(("good.ovf", ovf), ("good.mf", b"SHA256(good.ovf)= 00")),
        "has the descriptor 'good.ovf' with the checksum ",
    ),
    (
        "entity.ova",
        lambda good, ovf: archive(("good.ovf", b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>')),
        "entit|DOCTYPE|DTD",
    ),
    ("outside.ovf", lambda good, ovf: ovf.replace(b"good-disk1.vmdk", b"../good-disk1.vmdk"), "names a disk file outside its own folder"),
    ("lonely.ovf", lambda good, ovf: ovf, "which does not lie beside it"),
    (b"caf\xe9.ova", lambda good, ovf: good, "has a name that is not UTF-8"),
)


@pytest.mark.parametrize(("name", "said"), [pytest.param(name, said, id=str(name)) for name, _make, said in BAD_FILES])
def test_a_file_that_cannot_be_used_is_named_with_the_reason(name: Any, said: str, incomplete: str) -> None:
    shown = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    assert f"{shown} " in incomplete, incomplete
    about = incomplete.split(f"{shown} ", 1)[1][:200]
    assert any(part in about for part in said.split("|")), about
    assert not UGLY.search(incomplete)


# What only a run finds out


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("disk", "qemu-img: .*"),
        ("manifest", r"the file \S+-disk1.vmdk of the appliance \S+ has the checksum \w{64}, but the manifest says SHA256 0{8}\w{56}: "),
        ("room", "ProvisioningFailed|cannot be made into one file|are asked for"),
        ("taken", "already exists|AlreadyExists|taken"),
    ],
)
def test_a_run_that_cannot_succeed_says_why(spoil: str, said: str, world: World, tmp_path: Path) -> None:
    name, target = f"run-{spoil}", f"run-{spoil}-target"
    quick_guests.export(tmp_path, name)
    if spoil != "taken":
        spoiled(tmp_path / f"{name}.ova", name, spoil)
    world.made("provider", name=name, type="ova", url=f"localhost:{tmp_path}")
    maps = {"name": name, "source": name}
    world.made("network_map", **maps, pairs=POD)
    disks = quick_guests.disk_names(name)
    world.made("storage_map", **maps, pairs=[{"source": disk, "destination": "vmshift-local"} for disk in disks])
    if spoil == "taken":
        ensure_present(world.cluster, {"kind": "Namespace", "metadata": {"name": target}})
        machine = {"running": False, "template": {"spec": {"domain": {"devices": {}}}}}
        ensure_present(world.cluster, {"kind": "VirtualMachine", "metadata": {"name": name, "namespace": target}, "spec": machine})
    before = {n for n in world.names() if n[0] == "VirtualMachine"}
    plan = {"name": name, "source": name, "network_map": name, "storage_map": name, "target_namespace": target, "vms": [{"name": name}]}
    result = world.task("plan", **plan)
    if not result.get("failed"):
        result = run_module(
            "migration", {"kubeconfig": str(world.state.kubeconfig), "namespace": HOME, "plan": name, "progress": False, "wait_timeout": 8}
        )
    assert result.get("failed"), result
    assert re.search(said, result["msg"]), result["msg"]
    assert not UGLY.search(result["msg"]), result["msg"]
    assert {n for n in world.names() if n[0] == "VirtualMachine"} == before
    world.task("migration", plan=name, state="canceled")


def spoiled(path: Path, name: str, how: str) -> None:
    """The archive with a disk cut off in the middle, or with one that is larger than any room."""
    with tarfile.open(path) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    disk, ovf = f"{name}-disk1.vmdk", f"{name}.ovf"
    if how == "disk":
        members[disk] = members[disk][: len(members[disk]) // 3]
    elif how == "manifest":
        told = members[f"{name}.mf"]
        members[f"{name}.mf"] = re.sub(rb"(disk1.vmdk\)= )[0-9a-f]{8}", rb"\g<1>00000000", told)
    else:
        members[ovf] = re.sub(rb'ovf:capacity="\d+"', b'ovf:capacity="%d"' % (1 << 52), members[ovf], count=1)
        known = hashlib.sha256(members[ovf]).hexdigest().encode()
        members[f"{name}.mf"] = re.sub(rb"(\.ovf\)= )\w+", rb"\g<1>" + known, members[f"{name}.mf"])
    path.write_bytes(archive(*members.items()))


@pytest.fixture
def prepared(world: World, tmp_path: Path) -> Callable[[str], str]:
    """A provider, maps and a plan of a name, ready to run; returns the namespace that its VM goes to."""

    def prepare(name: str, storage_class: str = "vmshift-local") -> str:
        quick_guests.export(tmp_path / name, name)
        world.made("provider", name=name, type="ova", url=f"localhost:{tmp_path / name}")
        world.made("network_map", name=name, source=name, pairs=POD)
        pairs = [{"source": disk, "destination": storage_class} for disk in quick_guests.disk_names(name)]
        world.made("storage_map", name=name, source=name, pairs=pairs)
        target = f"{name}-target"
        ensure_present(world.cluster, {"kind": "Namespace", "metadata": {"name": target}})
        maps = {"network_map": name, "storage_map": name}
        world.made("plan", name=name, source=name, **maps, target_namespace=target, vms=[{"name": name}])
        return target

    return prepare


def limit(world: World, namespace: str, **hard: str) -> None:
    spec = {"hard": {name.replace("__", "/").replace("_", "."): value for name, value in hard.items()}}
    ensure_present(world.cluster, {"kind": "ResourceQuota", "metadata": {"name": "small", "namespace": namespace}, "spec": spec})


def left(world: World, namespace: str) -> list[str]:
    kinds = ("VirtualMachine", "DataVolume", "PersistentVolumeClaim", "Pod", "Secret", "ConfigMap")
    return [f"{kind}/{obj['metadata']['name']}" for kind in kinds for obj in list_objects(world.cluster, kind, namespace)]


#: (quota of the target namespace, what is said, whether the run waits for room)
QUOTAS: tuple[tuple[dict[str, str], str, bool], ...] = (
    (
        {"requests_storage": "4Mi"},
        r"ErrExceededQuota; .*exceeded quota: small, requested: requests.storage=\S+, used: requests.storage=\S+, limited: \S+=4Mi",
        True,
    ),
    (
        {"vmshift-local_storageclass_storage_k8s_io__requests_storage": "1Mi"},
        r"exceeded quota: small, requested: vmshift-local.storageclass.storage.k8s.io/requests.storage=",
        True,
    ),
    (
        {"limits_memory": "2Gi"},
        r"The conversion pod cannot be made: pods \S+-\S+ is forbidden: exceeded quota: small, .* limited: \S+=2Gi",
        True,
    ),
    ({"pods": "0"}, r'pods "\S+" is forbidden: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0', False),
    ({"count__virtualmachines_kubevirt_io": "0"}, r"exceeded quota: small, requested: count/virtualmachines.kubevirt.io=1", False),
)


@pytest.mark.parametrize("number", range(len(QUOTAS)), ids=[next(iter(hard)) for hard, _said, _waits in QUOTAS])
def test_a_quota_is_told_and_once_it_is_raised_the_run_succeeds(number: int, world: World, prepared: Callable[[str], str]) -> None:
    hard, said, waits = QUOTAS[number]
    name = f"quota{number}"
    # Disks that wait for a consumer get a pod for that: where the pod of the conversion is to be the first one, they do not wait.
    target = prepared(name, "vmshift-immediate" if "limits_memory" in hard else "vmshift-local")
    limit(world, target, **hard)
    run = {"plan": name, "progress": False}
    refused = told(world, said, run, waits)
    assert ("it goes on" in refused) == waits
    if "storage" in next(iter(hard)):
        conditions = [c for v in list_objects(world.cluster, "DataVolume", target) for c in v["status"]["conditions"]]
        assert any("exceeded quota: small" in c["message"] for c in conditions if c["reason"] == "ErrExceededQuota"), conditions
    assert not list_objects(world.cluster, "VirtualMachine", target)
    limit(world, target, **dict.fromkeys(hard, "64Gi"))
    again = world.made("migration", **run, wait_timeout=120, **({} if waits else {"retry": True}))
    assert [vm["outcome"] for vm in again["vms"]] == ["Succeeded"]


def told(world: World, said: str, run: dict[str, Any], waits: bool) -> str:
    """What the task says, once it says that; a run that waits is looked at with little patience."""
    deadline = time.monotonic() + 60
    while True:
        result = world.task("migration", **run, wait_timeout=2 if waits else 60)
        assert result.get("failed"), result
        assert not UGLY.search(result["msg"]), result["msg"]
        if re.search(said, result["msg"]):
            return str(result["msg"])
        assert waits and time.monotonic() < deadline, result["msg"]


def test_a_run_that_waits_for_a_quota_is_canceled_without_a_trace(world: World, prepared: Callable[[str], str]) -> None:
    target = prepared("quotacancel")
    limit(world, target, requests_storage="4Mi")
    told(world, "exceeded quota: small", {"plan": "quotacancel", "progress": False}, waits=True)
    world.made("migration", plan="quotacancel", state="canceled")
    deadline = time.monotonic() + 30
    while left(world, target) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left(world, target) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_midway_is_told_and_with_room_the_retry_succeeds(tmp_path: Path, serve_state: Callable[..., Any]) -> None:
    name, state = "full", State(tmp_path / "state")
    state.prepare()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(state.volumes)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.decode()}")
    try:
        serve_state(state, **quick_guests.quick_path(VMSHIFT_QUICK_V2V_SECONDS="2"))
        world, filler = World(state, tmp_path), state.volumes / "filler"
        quick_guests.export(tmp_path / "export", name)
        world.made("provider", name=name, type="ova", url=f"localhost:{tmp_path}/export")
        world.made("network_map", name=name, source=name, pairs=POD)
        pairs = [{"source": disk, "destination": "vmshift-local"} for disk in quick_guests.disk_names(name)]
        world.made("storage_map", name=name, source=name, pairs=pairs)
        world.made("plan", name=name, source=name, network_map=name, storage_map=name, target_namespace="t", vms=[{"name": name}])
        world.made("migration", plan=name, wait=False)
        deadline = time.monotonic() + 60
        while not any(p["metadata"].get("labels", {}).get("forklift.app") == "virt-v2v" for p in list_objects(world.cluster, "Pod", "t")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        failed = world.task("migration", plan=name, progress=False, wait_timeout=90)
        assert failed.get("failed"), failed
        said = (
            rf"no space left in {state.volumes}: (disk \d needs \d+ more bytes, )+\d+ bytes are free; make room and run the migration again"
        )
        assert re.search(said, failed["msg"]), failed["msg"]
        assert not UGLY.search(failed["msg"].split("pod")[0]), failed["msg"]
        assert not list_objects(world.cluster, "VirtualMachine", "t")
        filler.unlink()
        again = world.made("migration", plan=name, progress=False, wait_timeout=90, retry=True)
        assert [vm["outcome"] for vm in again["vms"]] == ["Succeeded"]
    finally:
        lifetime.stop(state)
        subprocess.run(["umount", str(state.volumes)], check=False)


# Request documents

REQUEST: dict[str, Any] = {
    "name": "bad",
    "namespace": HOME,
    "source_provider": {"name": "bad-source", "type": "ova", "url": "localhost:{export}"},
    "target_namespace": "bad-target",
    "network_map": {"pairs": POD},
    "storage_map": {"pairs": [{"source": d, "destination": "vmshift-local"} for d in (DISK1, DISK2)]},
    "vms": [{"name": "quick"}],
}
#: (what is changed in a good request; None takes a key away; what is said; kinds that were made before it could be found out)
REQUESTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"vms": []}, "migration_plan_request.vms: the list is empty"),
    ({"vms": None}, "missing required arguments: vms"),
    ({"name": None}, "missing required arguments: name"),
    ({"source_provider": None}, "missing required arguments: source_provider"),
    ({"target_namespace": None}, "missing required arguments: target_namespace"),
    ({"name": "Ein Plan"}, "migration_plan_request: name: this cannot be a name in Kubernetes"),
    ({"target_namespace": "no_underscores"}, "migration_plan_request: target_namespace: this cannot be a name"),
    ({"nmae": "x"}, "nmae"),
    ({"source_provider": {"name": "s", "typ": "ova"}}, "source_provider.typ"),
    ({"source_provider": {"name": "s", "type": "hypercard"}}, "hypercard"),
    ({"source_provider": "s"}, "source_provider"),
    ({"vms": "quick"}, "vms"),
    ({"vms": [{"target_name": "x"}]}, "one of the following is required: name, id, path"),
    ({"vms": [{"name": "quick", "colour": "red"}]}, "vms.colour"),
    ({"on_failure": "pray"}, "value of on_failure must be one of"),
    ({"migration_timeout": "soon"}, "migration_timeout"),
    ({"network_map": {"pairs": [{"source": "VM Network", "target": "pod"}]}}, "network_map.pairs.target"),
    ({"plan": {"target_power_state": "sideways"}}, "target_power_state"),
    ({"plan": {"type": "warm"}}, "plan: MTV copies VMs of VMware vSphere and oVirt while they run, and the source is of type ova"),
    ({"plan": {"type": "lukewarm"}}, "lukewarm"),
    ({"cutover": "now"}, "cutover: this goes with plan.type warm only"),
    ({"source_provider": {"name": "s", "type": "vsphere"}, "plan": {"type": "warm"}}, "this is a warm migration, and cold is wanted here"),
    ({"source_provider": {"name": "s", "type": "vsphere"}, "plan": {"warm": True}, "cutover": "tonight"}, "'tonight' is not a time"),
)


@pytest.fixture(scope="module")
def refused(world: World, play: Callable[..., Any]) -> tuple[list[str], set[tuple[str, ...]]]:
    """What the role says to each of REQUESTS, all in one play, and what has been made by that."""
    before = world.names()
    requests = []
    for change, _said in REQUESTS:
        changed = {**REQUEST, **change}
        text = json.dumps({key: value for key, value in changed.items() if value is not None})
        requests.append(json.loads(text.replace("{export}", f"{world.folder}/export")))
    answers, given = world.folder / "answers.json", world.folder / "requests.json"
    given.write_text(json.dumps({"requests": requests, "answers": str(answers)}))
    play(str(HERE / "bad_requests.yml"), {"kubeconfig": str(world.state.kubeconfig)}, "-e", f"@{given}")
    return json.loads(answers.read_text()), world.names() - before


@pytest.mark.parametrize("number", range(len(REQUESTS)), ids=[said[:60] for _change, said in REQUESTS])
def test_a_request_that_cannot_be_is_refused(number: int, refused: tuple[list[str], Any]) -> None:
    assert_sentence(refused[0][number].replace("None", ""), (REQUESTS[number][1],))


def test_refused_requests_have_made_nothing(refused: tuple[list[str], set[tuple[str, ...]]]) -> None:
    assert refused[1] == set()


def test_there_are_enough_cases() -> None:
    assert len([*CONNECTION, *PROVIDERS, *MAPPINGS, *PLANS, *RUNS, *OTHERS, *BAD_FILES, *REQUESTS]) >= 100
