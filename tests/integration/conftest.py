"""A control plane for the session: the embedded one, or the cluster that KUBECONFIG names."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from kubernetes import client, config

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab import booted, guests
from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack
from ansible_collections.vmshift.mtv.lab.ovirt import machines as ovirt_machines
from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt
from ansible_collections.vmshift.mtv.lab.vsphere.binary import vcenter_program
from ansible_collections.vmshift.mtv.lab.vsphere.machines import MACHINES
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.tests.integration.guest import Guest, make_guest

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".build/collections"
ANSIBLE_PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
PACKAGE = "ansible_collections.vmshift.mtv.controlplane"
PLAY_SECONDS = 2400.0  # a conversion of a full guest takes minutes, and others may want the machine


@dataclass(frozen=True)
class Plane:
    """Where the tests' control plane is, and what it can migrate. `state` and `export` are None on a cluster."""

    kubeconfig: Path
    namespace: str
    state: State | None = None
    export: Path | None = None
    guest: guests.Facts | None = None

    def variables(self) -> dict[str, str]:
        given = {"kubeconfig": str(self.kubeconfig), "controller_namespace": self.namespace}
        return {**given, "export": str(self.export)} if self.export else given


def environment() -> dict[str, str]:
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("K8S_AUTH_", "ANSIBLE_"))},
        "PYTHONPATH": str(COLLECTIONS),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "1",
    }


@pytest.fixture(scope="session", name="environment")
def of_programs() -> dict[str, str]:
    """Of every program that the tests start."""
    return environment()


@pytest.fixture(scope="session")
def lab_guest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, guests.Facts]:
    """A folder with two guests' OVA files, and what is known of the one named lab-guest."""
    export = tmp_path_factory.mktemp("export")
    guests.guest_ova(export, name="second-guest")
    return export, guests.guest_ova(export)


@pytest.fixture(scope="session")
def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VSphere]:
    """A vCenter with VMs of all kinds. Skips where it cannot be built."""
    try:
        vcenter_program()
    except LabError as error:
        pytest.skip(str(error))
    lab = VSphere.start(tmp_path_factory.mktemp("vcenter"), MACHINES, while_process=os.getpid())
    yield lab
    lab.stop()


@pytest.fixture(scope="session")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStack]:
    """A cloud with servers, the same for all tests: what one changes in it, it puts back. Skips where it cannot be built."""
    try:
        lab = OpenStack.start(tmp_path_factory.mktemp("openstack"), while_process=os.getpid())
    except LabError as error:
        pytest.skip(str(error))
    yield lab
    lab.stop()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OVirt]:
    """An oVirt engine with VMs of all kinds. Skips where its packages are not installed."""
    pytest.importorskip("ovirtsdk4")
    lab = OVirt.start(tmp_path_factory.mktemp("engine"), ovirt_machines.MACHINES, while_process=os.getpid())
    yield lab
    lab.stop()


@pytest.fixture(scope="session")
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    cluster = os.environ.get("KUBECONFIG")
    if cluster:
        yield Plane(Path(cluster), os.environ.get("MTV_NAMESPACE", "openshift-mtv"))
        return
    export, guest = request.getfixturevalue("lab_guest")
    state = State(tmp_path_factory.mktemp("plane") / "state")
    serve(state, "--run-vms")
    yield Plane(state.kubeconfig, "konveyor-forklift", state, export, guest)
    lifetime.stop(state)


def serve(state: State, *options: str, **variables: str) -> subprocess.Popen[bytes]:
    """Start a control plane over `state`, with more options and environment variables, and wait until it serves."""
    state.prepare()
    (state.run / "endpoints.json").unlink(missing_ok=True)
    with (state.run / "controlplane.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", PACKAGE, "serve", "--state", str(state.root), *options],
            env={**environment(), **variables},
            stdout=log,
            stderr=log,
        )
    for _attempt in range(1200):
        if lifetime.read_endpoints(state):
            return process
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"the control plane did not start: {(state.run / 'controlplane.log').read_text()[-3000:]}")


@pytest.fixture(scope="session")
def debian(plane: Plane) -> Guest:
    """A full Debian guest that runs, with its agent and no route out; root's key is known. Nobody may switch it off for good."""
    return _debian("lab-debian", plane=plane, agent=True, mac="00:50:56:8a:0a:01")


@pytest.fixture(scope="session")
def start_debian(plane: Plane) -> Callable[..., Guest]:
    """Start another full Debian guest: name, `agent`, `mac`, `annotations`, and `plane` where it is not to be the session's."""
    return partial(_debian, plane=plane)


def _debian(name: str, *, plane: Plane, agent: bool, mac: str, annotations: dict[str, str] | None = None) -> Guest:
    if os.geteuid() != 0:
        pytest.skip("the full Debian guest is built by mmdebstrap, which needs root")
    assert plane.state
    disk = booted.debian_guest(agent=agent)
    with contextlib.suppress(client.ApiException):
        client.CoreV1Api(config.new_client_from_config(str(plane.kubeconfig))).create_namespace({"metadata": {"name": "lab-guests"}})
    more = {"size": disk.disk.stat().st_size, "mac": mac, "annotations": annotations or {}}
    make_guest(plane.kubeconfig, plane.state.volume, disk.copied_to, "lab-guests", name, **more)
    guest = Guest(plane.kubeconfig, "lab-guests", name, disk.key)
    guest.await_console("LAB-GUEST-UP")
    return guest


@pytest.fixture(scope="session")
def serve_state() -> Callable[..., subprocess.Popen[bytes]]:
    """For tests that need a control plane of their own."""
    return serve


@dataclass(frozen=True)
class Play:
    """One finished run of ansible-playbook."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        """The number of changed tasks in the recap."""
        return int(self.output.rsplit("changed=", 1)[1].split()[0])


@pytest.fixture(scope="session")
def launch() -> Callable[..., subprocess.Popen[str]]:
    """Start a playbook with extra variables, in a process group of its own."""

    def start(playbook: str, variables: dict[str, object], *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [ANSIBLE_PLAYBOOK, playbook, "-e", json.dumps(variables), *options],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def play(launch: Callable[..., subprocess.Popen[str]]) -> Callable[..., Play]:
    """Run a playbook to its end; the test fails with its output unless it ends as `fails` says."""

    def run(playbook: str, variables: dict[str, object], *options: str, fails: bool = False) -> Play:
        with launch(playbook, variables, *options) as process:
            try:
                output, _none = process.communicate(timeout=PLAY_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # leaving the block waits for it
                raise
        if bool(process.returncode) != fails:
            pytest.fail(f"{playbook} ended with {process.returncode}\n{output[-8000:]}", pytrace=False)
        return Play(process.returncode, output)

    return run
