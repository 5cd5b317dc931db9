"""Red Hat Virtualization and oVirt as a source: what phases get to hear, with the lab's engine behind it."""

from __future__ import annotations

import time
from base64 import b64encode
from types import SimpleNamespace

import pytest

pytest.importorskip("ovirtsdk4")

from ansible_collections.vmshift.mtv.controlplane.inventory.items import ProviderInventory
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError, VmRun
from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings
from ansible_collections.vmshift.mtv.controlplane.migration.sources.ovirt import OVirtSource
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.inventory import OVirtInventory
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.session import Endpoint, connect
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.transfers import Image, Transfer

STORAGE = {"data-nfs": {"storageClass": "a"}, "data-block": {"storageClass": "b"}}
POD = {"type": "pod"}


class Inventory(ProviderInventory):
    def __init__(self, provider, collections):
        super().__init__(provider)
        self.collections = collections
        self.ready.set()

    def collection(self, name):
        return self.collections[name]


class Secrets:
    """As much of the API as is asked."""

    def __init__(self, lab, **other):
        login = {"user": lab.user, "password": lab.password, "ca.crt": lab.ca, **other}
        self.secret = {"data": {key: b64encode(value.encode()).decode() for key, value in login.items()}}

    def find(self, kind, namespace, name):
        return self.secret if (kind, namespace, name) == ("Secret", "mig", "engine") else None


@pytest.fixture(scope="module")
def collections(own_ovirt):
    return OVirtInventory(Endpoint(own_ovirt.url, own_ovirt.user, own_ovirt.password, own_ovirt.ca)).read_once().resources


class Situation:
    """A run of a plan with one VM of the lab."""

    def __init__(self, lab, collections, vm, *, storage=None, networks=("ovirtmgmt", "storage-net"), changes=None):
        spec = {"type": "ovirt", "url": lab.url, "secret": {"namespace": "mig", "name": "engine"}}
        provider = {"metadata": {"uid": "p", "namespace": "mig", "name": "engine"}, "spec": spec}
        self.api = Secrets(lab)
        collections = {**collections, **(changes or {})}
        self.source = OVirtSource(self.api, provider, Inventory(provider, collections))
        self.vm = next(found for found in collections["vms"] if found["name"] == vm)
        body = {"targetNamespace": "tgt", "vms": [{"id": self.vm["id"]}]}
        run = SimpleNamespace(
            plan={"metadata": {"uid": "plan", "namespace": "mig", "name": "p"}, "spec": body},
            migration={"metadata": {"uid": "run"}},
            spec=body,
            source=self.source,
            storage_map={"spec": {"map": [{"source": {"name": name}, "destination": to} for name, to in (storage or STORAGE).items()]}},
            network_map={"spec": {"map": [{"source": {"name": name}, "destination": POD} for name in networks]}},
            target=SimpleNamespace(is_host=True),
            settings=Settings(),
            resumes=False,
            finds_disks_copied=False,
        )
        self.work = VmRun(run, {"id": self.vm["id"], "name": vm}, self.vm)


@pytest.fixture
def situation(own_ovirt, collections):
    return lambda vm="web-1", **other: Situation(own_ovirt, collections, vm, **other)


def test_disks_go_where_the_map_sends_their_storage_domain(situation, own_ovirt):
    here = situation()
    disks = here.source.disks(here.work)
    assert [(disk.source, disk.size, disk.storage["storageClass"]) for disk in disks] == [
        (facts["id"], facts["size"], to) for facts, to in zip(own_ovirt.vm("web-1")["disks"], "ab", strict=True)
    ]
    assert here.source.refusal(here.work) == ""


def test_a_populator_names_the_disk_and_the_engine(situation, own_ovirt):
    here = situation()
    disk = here.source.disks(here.work)[1]
    populator = here.source.populator(here.work, disk, "creds")
    assert (populator.kind, populator.name, populator.labels) == ("OvirtVolumePopulator", f"{disk.source}-", {"diskID": disk.source})
    assert populator.spec == {"engineUrl": own_ovirt.url, "engineSecretName": "creds", "diskId": disk.source}


@pytest.mark.parametrize(
    ("vm", "other", "said"),
    [
        ("web-1", {"storage": {"data-nfs": {}}}, "no entry for the storage domain of disk web-1_Disk2"),
        ("web-1", {"networks": ("ovirtmgmt",)}, "The network map has no entry for network"),
        ("strange", {"networks": ("mirrored",)}, "is of the type lun, which cannot be copied"),
        ("web-1", {"changes": {"disks": []}}, "The inventory does not know a disk of the VM"),
    ],
)
def test_what_would_fail_at_the_end_is_refused_at_the_begin(situation, vm, other, said):
    here = situation(vm, **other)
    assert said in here.source.refusal(here.work)


def test_power_is_that_of_the_engine_now(situation, own_ovirt):
    here = situation("db-1")
    assert here.source.power_state(here.vm) == "On"
    here.source.power_off(here.vm)
    here.source.power_off(here.vm)  # it is on its way
    until(lambda: here.source.is_off(here.vm))
    here.source.power_off(here.vm)
    here.source.power_on(here.vm)
    until(lambda: here.source.power_state(here.vm) == "On")
    own_ovirt.change("db-1", status="paused")
    assert here.source.power_state(here.vm) == "Unknown"
    own_ovirt.change("db-1", status="up")


def until(look):
    for _unused in range(500):
        if look():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come")


def test_what_the_engine_refuses_fails_the_phase_and_what_may_pass_does_not(situation, own_ovirt):
    here = situation("web-2")
    own_ovirt.faults({"method": "POST", "path": "vms/[^/]+/start", "status": 409, "detail": "no host fits"})
    with pytest.raises(PhaseError, match="refuses it: no host fits"):
        here.source.power_on(here.vm)
    own_ovirt.faults({"path": "vms/[^/]+", "status": 503, "detail": "soon"})
    with pytest.raises(SourceError, match="soon"):
        here.source.power_state(here.vm)
    own_ovirt.faults()
    here.api.secret = {}
    with pytest.raises(PhaseError, match="Secret of the source provider is gone"):
        here.source.power_state(here.vm)


def test_transfers_that_were_left_behind_are_canceled(situation, own_ovirt):
    here = situation("web-2")
    with connect(Endpoint(own_ovirt.url, own_ovirt.user, own_ovirt.password, own_ovirt.ca)) as session:
        left = Transfer.begin(session, Image(own_ovirt.vm("web-2")["disks"][0]["id"]))
        others = Transfer.begin(session, Image(own_ovirt.vm("uefi")["disks"][0]["id"]))
        here.source.release({"id": here.vm["id"]})
        here.source.release({"id": "nobody"})
        assert (left.phase(), others.phase()) == ("finished_cleanup", "transferring")
        others.cancel()
