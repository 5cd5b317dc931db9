"""VMware vSphere as a source."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from ansible_collections.vmshift.mtv.controlplane.inventory.items import ProviderInventory
from ansible_collections.vmshift.mtv.controlplane.migration import children, given_claims, itineraries, labels, volumes
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError, VmRun
from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings
from ansible_collections.vmshift.mtv.controlplane.migration.sources import sessions, vsphere_sessions
from ansible_collections.vmshift.mtv.controlplane.migration.sources.vsphere import VsphereSource
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint

UUID = "6a56b5b6-5f9d-5e5f-8b65-c3c7b7dd9d01"
URL = "https://vcenter.example/sdk"
FINGERPRINT = "62:88:2F"
BUFFERS = "VixDiskLib.nfcAio.Session.BufSizeIn64KB=16\nVixDiskLib.nfcAio.Session.BufCount=4"
PLAN = {"metadata": {"uid": "plan", "namespace": "mig", "name": "p"}}


class Inventory(ProviderInventory):
    def __init__(self, provider, **collections):
        super().__init__(provider)
        self.collections = collections
        self.ready.set()

    def collection(self, name):
        return self.collections.get(name, [])


class Objects:
    """As much of the API as is asked: objects by kind and name, and none that is not there."""

    def __init__(self, *objects):
        self.objects = list(objects)

    def find(self, kind, namespace, name):
        found = [o for o in self.list(kind, namespace) if o["metadata"]["name"] == name]
        return found[0] if found else None

    def list(self, kind, namespace=None, labels=None):
        wanted = (labels or {}).items()
        own = [o for o in self.objects if o["kind"] == kind and namespace in (None, o["metadata"]["namespace"])]
        return [o for o in own if wanted <= (o["metadata"].get("labels") or {}).items()]


def secret(name="src", **data):
    return {
        "kind": "Secret",
        "metadata": {"namespace": "mig", "name": name},
        "data": {k: b64encode(v.encode()).decode() for k, v in data.items()},
    }


def provider(**settings):
    spec = {"type": "vsphere", "url": URL, "secret": {"namespace": "mig", "name": "src"}, "settings": settings}
    return {"metadata": {"uid": "p", "namespace": "mig", "name": "src"}, "spec": spec, "status": {"fingerprint": FINGERPRINT}}


HOST = {
    "id": "host-1",
    "name": "esx1",
    "path": "/DC0/host/Cluster 1/esx1",
    "parent": {"kind": "Cluster", "id": "domain-1"},
    "timezone": "UTC",
}
CLUSTER = {"id": "domain-1", "name": "Cluster 1", "path": "/DC0/host/Cluster 1", "variant": "ClusterComputeResource"}
USER = {"user": "admin@vsphere.local", "password": "pass word"}


def disk(number=0, **other):
    file = f"[fast] app/app_{number}.vmdk"
    own = {"key": 2000 + number, "file": file, "capacity": 2 << 30, "datastore": {"id": "ds-1"}, "shared": False, "rdm": False}
    return {**own, "bus": "scsi", "serial": f"serial-{number}", **other}


def machine(**other):
    nic = {"network": {"id": "network-1"}, "mac": "00:50:56:00:00:01", "order": 0, "deviceKey": 4000, "startConnected": True}
    own = {"id": "vm-1", "name": "app", "uuid": UUID, "host": "host-1", "powerState": "poweredOff", "connectionState": "connected"}
    hardware = {"firmware": "bios", "cpuCount": 2, "coresPerSocket": 1, "memoryMB": 1024, "disks": [disk()], "nics": [nic]}
    return {
        **own,
        **hardware,
        "guestId": "debian12_64Guest",
        "guestName": "Debian",
        "hostName": "app.example",
        "guestNetworks": [],
        **other,
    }


class Situation:
    """A source with one VM, and a run of a plan with it."""

    def __init__(self, vm=None, *, spec=None, status=None, objects=(), own=None, settings=None, host=True, **collections):
        vm = vm or machine()
        own = own or provider()
        stores = [{"id": "ds-1", "name": "fast"}, {"id": "ds-2", "name": "slow"}]
        networks = [{"id": "network-1", "name": "VM Network", "variant": "Standard"}]
        inventory = {"hosts": [HOST], "clusters": [CLUSTER], "datastores": stores, "networks": networks, "vms": [vm], **collections}
        self.api = Objects(*(objects or [secret(**USER)]))
        self.source = VsphereSource(self.api, own, Inventory(own, **inventory))
        body = {"targetNamespace": "tgt", "vms": [{"id": "vm-1"}], **(spec or {})}
        storage = [
            {"source": {"name": "fast"}, "destination": {"storageClass": "a"}},
            {"source": {"id": "ds-2"}, "destination": {"storageClass": "b"}},
        ]
        self.run = SimpleNamespace(
            api=self.api,
            plan={"metadata": {"uid": "plan", "namespace": "mig", "name": "p"}, "spec": body},
            migration={"metadata": {"uid": "run"}},
            spec=body,
            source=self.source,
            storage_map={"spec": {"map": storage}},
            network_map={"spec": {"map": [{"source": {"name": "VM Network"}, "destination": {"type": "pod"}}]}},
            target=SimpleNamespace(objects=self.api, is_host=host),
            target_namespace="tgt",
            settings=settings or Settings(),
            resumes=False,
            finds_disks_copied=body.get("type") == "conversion",
        )
        self.work = VmRun(self.run, {"id": "vm-1", "name": "app", **(status or {})}, vm)

    def content(self):
        return [self.source.content(self.work, disk, "creds") for disk in self.source.disks(self.work)]

    def settings(self):
        return self.source.conversion(self.work).settings


# Its turn


def test_a_vm_takes_room_on_its_host_for_each_disk():
    situation = Situation(machine(disks=[disk(0), disk(1)]))
    assert situation.source.load({"id": "vm-1", "phase": "Started", "pipeline": []}) == ("host-1", 2)
    assert situation.source.load({"id": "gone", "phase": "Started", "pipeline": []}) == ("", 0)


def sharing(*, claims=(), **creator):
    """Two VMs that share a disk; the first one waits for it to be brought by the other."""
    shared = disk(1, shared=True)
    one, other = machine(disks=[disk(0), shared]), machine(id="vm-2", name="db", disks=[disk(2), shared])
    situation = Situation(one, objects=(secret(**USER), *claims), vms=[one, other])
    situation.run.vms = [
        {"id": "vm-1", "name": "app", "migrateSharedDisks": False, "phase": "Started"},
        {"id": "vm-2", "name": "db", "migrateSharedDisks": True, "phase": "Started", **creator},
    ]
    return [situation.source.waits_for(situation.run, vm) for vm in situation.run.vms]


def test_who_brings_a_shared_disk_begins_before_those_that_have_it_attached():
    assert sharing() == ["VM db has yet to bring the disks that both share.", ""]
    assert sharing(completed="t") == ["", ""]
    assert sharing(migrateSharedDisks=False) == ["", ""]
    brought = {
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "namespace": "tgt",
            "name": "d",
            "labels": {"shareable": "true", "plan": "plan"},
            "annotations": {"forklift.konveyor.io/disk-source": "[fast] app/app_1.vmdk"},
        },
    }
    assert sharing(claims=[brought]) == ["", ""]


# The way


@pytest.mark.parametrize(
    ("spec", "host", "expected"),
    [
        ({}, True, {"converts", "virt_v2v_copies"}),
        ({}, False, {"converts"}),  # virt-v2v of this cluster does not write into volumes of another one
        ({"migrateSharedDisks": False}, True, {"converts"}),  # virt-v2v takes all disks of a VM or none
        ({"migrateSharedDisks": True}, True, {"converts", "virt_v2v_copies"}),
        ({"skipGuestConversion": True}, True, set()),
        ({"type": "warm"}, True, {"converts", "warm", "inspected", "awaits_consolidation"}),
        ({"warm": True}, True, {"converts", "warm", "inspected", "awaits_consolidation"}),
        ({"warm": True, "runPreflightInspection": False}, True, {"converts", "warm", "awaits_consolidation"}),
        ({"warm": True, "skipGuestConversion": True}, True, {"warm", "awaits_consolidation"}),
        ({"type": "conversion"}, True, {"converts"}),
    ],
)
def test_the_way_of_a_vm(spec, host, expected):
    traits = Situation(spec=spec, host=host).work.traits
    assert {name for name, value in vars(traits).items() if value is True} == expected


def test_warm_plans_go_the_warm_way():
    source = Situation().source
    assert source.itinerary({"spec": {"type": "warm"}}) is itineraries.WARM
    assert source.itinerary({"spec": {"type": "cold"}}) is itineraries.COLD
    assert source.itinerary({"spec": {"type": "conversion"}}) is itineraries.CONVERSION


@pytest.mark.parametrize(("spec", "awaits"), [({}, True), ({"targetPowerState": "off"}, False), ({"skipGuestConversion": True}, False)])
def test_windows_is_awaited_until_it_has_rebooted(spec, awaits):
    vm = machine(guestId="windows2019srv_64Guest", guestName="Microsoft Windows Server 2019")
    assert Situation(vm, spec=spec, settings=Settings(windows_wait_for_reboot=True)).work.traits.awaits_reboots is awaits


# Disks


def test_disks_go_where_the_map_sends_their_datastores():
    vm = machine(disks=[disk(0), disk(1, datastore={"id": "ds-2"}, capacity=5 << 30)])
    found = Situation(vm).source.disks(Situation(vm).work)
    assert [(d.source, d.size, d.storage["storageClass"]) for d in found] == [
        ("[fast] app/app_0.vmdk", 2 << 30, "a"),
        ("[fast] app/app_1.vmdk", 5 << 30, "b"),
    ]
    assert [d.annotations for d in found] == [{"forklift.konveyor.io/disk-index": "0"}, {"forklift.konveyor.io/disk-index": "1"}]


@pytest.mark.parametrize(
    ("vm", "spec", "sources"),
    [
        ({"disks": [disk(0, file="[fast] app/app-000002.vmdk")]}, {}, ["[fast] app/app-000002.vmdk"]),
        (
            {"disks": [disk(0, file="[fast] app/app-000002.vmdk")]},
            {"warm": True},
            ["[fast] app/app.vmdk"],
        ),  # stays while snapshots come and go
        ({"disks": [disk(0), disk(1, shared=True)]}, {}, ["[fast] app/app_0.vmdk", "[fast] app/app_1.vmdk"]),
        ({"disks": [disk(0), disk(1, shared=True)]}, {"migrateSharedDisks": False}, ["[fast] app/app_0.vmdk"]),
    ],
)
def test_which_disks_are_copied(vm, spec, sources):
    situation = Situation(machine(**vm), spec=spec)
    assert [d.source for d in situation.source.disks(situation.work)] == sources


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (disk(0, datastore={"id": "ds-9"}), r"no entry for the datastore of disk \[fast\] app/app_0.vmdk \(ds-9\)"),
        (disk(0, capacity=0), r"The size of disk \[fast\] app/app_0.vmdk is not known"),
    ],
)
def test_a_disk_that_cannot_be_placed_is_named_before_anything_is_done(broken, said):
    situation = Situation(machine(disks=[broken]))
    with pytest.raises(ValueError, match=said):
        situation.source.disks(situation.work)
    assert situation.source.refusal(situation.work)


def test_what_a_template_for_names_may_use_of_a_disk():
    vm = machine(disks=[disk(0), disk(1, shared=True, winDriveLetter="e", file="[fast] app/Data_1-000001.vmdk")])
    situation = Situation(vm, spec={"warm": True}, status={"rootDisk": "/dev/sdb"})
    assert [d.name_values for d in situation.source.disks(situation.work)] == [
        {"RootDiskIndex": 1, "Shared": False, "FileName": "app_0.vmdk", "WinDriveLetter": ""},
        {"RootDiskIndex": 1, "Shared": True, "FileName": "Data_1.vmdk", "WinDriveLetter": "e"},
    ]


def test_what_fills_the_volumes():
    assert Situation().content() == [{"blank": {}}]  # virt-v2v does
    assert Situation(spec={"skipGuestConversion": True}).content() == [
        {"vddk": {"backingFile": "[fast] app/app_0.vmdk", "secretRef": "creds", "thumbprint": FINGERPRINT, "url": URL, "uuid": UUID}}
    ]
    [own] = Situation(spec={"warm": True}, own=provider(vddkInitImage="reg/vddk:8"), settings=Settings(vddk_image="reg/vddk:7")).content()
    assert own["vddk"]["initImageURL"] == "reg/vddk:8"
    [settings] = Situation(spec={"warm": True}, settings=Settings(vddk_image="reg/vddk:7")).content()
    assert settings["vddk"]["initImageURL"] == "reg/vddk:7"


@pytest.mark.parametrize(
    ("settings", "spec", "data"),
    [
        ({}, {}, {}),
        ({"vddkConfig": "a=1"}, {}, {}),  # without the optimization it counts for nothing
        ({"useVddkAioOptimization": "true"}, {}, {"vddk-config-file": BUFFERS}),
        ({"useVddkAioOptimization": "true", "vddkConfig": "a=1"}, {}, {"vddk-config-file": "a=1"}),
        ({}, {"convertorNodeSelector": {"disk": "fast"}}, {"vddk-node-selector": '{"disk":"fast"}'}),
    ],
)
def test_settings_of_the_disk_library(settings, spec, data):
    situation = Situation(spec=spec, own=provider(**settings))
    assert situation.source.library_settings(situation.run.plan) == data


def test_a_conversion_mounts_the_settings_of_the_disk_library():
    config = {"kind": "ConfigMap", "metadata": {"namespace": "tgt", "name": "p-vddk-conf-x", "labels": labels.of_library(PLAN, "run")}}
    situation = Situation(own=provider(useVddkAioOptimization="true"), objects=(secret(**USER), config))
    found = situation.source.conversion(situation.work)
    assert found.volumes == [{"name": "vddk-conf", "configMap": {"name": "p-vddk-conf-x"}}]
    assert found.mounts == [{"name": "vddk-conf", "mountPath": "/mnt/vddk-conf"}]
    assert Situation().source.conversion(Situation().work).volumes == []


def test_volumes_that_are_imported_name_the_settings_of_the_disk_library(monkeypatch):
    made = []
    monkeypatch.setattr(children, "create", lambda _target, new: made.append(new))
    for spec in ({}, {"skipGuestConversion": True}):
        situation = Situation(spec=spec)
        situation.run.destination = {"spec": {"type": "openshift", "url": ""}}
        volumes.ensure_data_volumes(situation.work, "creds", "p-vddk-conf-x")
    key = "cdi.kubevirt.io/storage.pod.vddk.extraargs"
    assert [new["metadata"]["annotations"].get(key) for new in made] == [None, "p-vddk-conf-x"]


def test_volumes_that_are_imported_name_their_vm():
    assert "vmUUID" not in Situation().source.disks(Situation().work)[0].labels
    raw = Situation(spec={"skipGuestConversion": True})
    assert raw.source.disks(raw.work)[0].labels == {"vmUUID": UUID}


# Reaching the source


@pytest.mark.parametrize(
    ("situation", "url"),
    [
        ({}, "vpx://admin%40vsphere.local@vcenter.example/DC0/host/Cluster%201/esx1?cacert=/opt/ca-bundle.crt"),
        (
            {"objects": [secret(**USER, insecureSkipVerify="true")]},
            "vpx://admin%40vsphere.local@vcenter.example/DC0/host/Cluster%201/esx1?no_verify=1",
        ),
        (  # a host of its own is known by its compute resource
            {"clusters": [{**CLUSTER, "path": "/DC0/host/esx1", "variant": "ComputeResource"}]},
            "vpx://admin%40vsphere.local@vcenter.example/DC0/host/esx1?cacert=/opt/ca-bundle.crt",
        ),
        ({"own": provider(sdkEndpoint="esxi")}, "esx://admin%40vsphere.local@vcenter.example?cacert=/opt/ca-bundle.crt"),
    ],
)
def test_where_virt_v2v_finds_the_vm(situation, url):
    assert Situation(**situation).settings()["V2V_libvirtURL"] == url


FILE = "[fast] app/app_0.vmdk"


def filled(name="a", file=FILE, phase="Bound", size="2Gi"):
    """A claim that somebody else has copied a disk into."""
    meta = {"namespace": "tgt", "name": name, "labels": {"vmID": "vm-1", "vmUUID": UUID}}
    annotations = {"annotations": {"forklift.konveyor.io/disk-source": file}} if file else {}
    return {"kind": "PersistentVolumeClaim", "metadata": {**meta, **annotations}, "status": {"phase": phase, "capacity": {"storage": size}}}


def given(*claims):
    situation = Situation(spec={"type": "conversion"}, objects=(secret(**USER), *claims))
    situation.run.storage_map = {}
    return situation


def test_disks_that_others_have_copied_need_no_storage():
    situation = given(filled())
    assert [(disk.source, disk.storage) for disk in situation.work.disks] == [(FILE, {})]
    assert given_claims.problem(situation.work) == ""
    assert [claim["metadata"]["name"] for claim in children.claims_in_order(situation.work)] == ["a"]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ([filled(file="")], "PersistentVolumeClaim tgt/a has no annotation forklift.konveyor.io/disk-source; give it the file"),
        ([filled(file="[fast] app/other.vmdk")], f"Disk {FILE} needs one PersistentVolumeClaim in namespace tgt with the labels vmID=vm-1"),
        ([filled(), filled("b")], "there are 2."),
        ([filled(phase="Pending")], f"PersistentVolumeClaim tgt/a is not bound, so that nobody can have copied disk {FILE} into it."),
        ([filled(size="1Gi")], "PersistentVolumeClaim tgt/a has 1Gi, which is less than the 2147483648 bytes of disk"),
    ],
)
def test_claims_that_cannot_be_the_disks_are_refused_before_the_source_is_touched(claims, said):
    situation = given(*claims)
    assert said in given_claims.problem(situation.work)


def host_object(status="True", **spec):
    own = {
        "provider": {"namespace": "mig", "name": "src"},
        "id": "host-1",
        "ipAddress": "fd00::5",
        "secret": {"namespace": "mig", "name": "esx"},
    }
    ready = [{"type": "Ready", "status": status}]
    return {"kind": "Host", "metadata": {"namespace": "mig", "name": "h"}, "spec": {**own, **spec}, "status": {"conditions": ready}}


def test_a_host_of_its_own_is_gone_to_directly():
    objects = [secret(**USER), secret("esx", user="root", password="its own", insecureSkipVerify="true"), host_object()]
    situation = Situation(spec={"skipGuestConversion": True}, objects=objects, hosts=[{**HOST, "thumbprint": "AA:BB"}])
    [content] = situation.content()
    assert (content["vddk"]["url"], content["vddk"]["thumbprint"]) == ("https://[fd00::5]/sdk", "AA:BB")
    assert situation.settings()["V2V_libvirtURL"] == "esx://root@[fd00::5]?cacert=/opt/ca-bundle.crt"
    assert situation.source.secret_data(situation.work, "isV2V")["secretKey"] == b64encode(b"its own").decode()


@pytest.mark.parametrize(
    "other", [host_object("False"), host_object(id="host-2"), host_object(provider={"namespace": "mig", "name": "other"})]
)
def test_other_hosts_and_those_that_are_not_ready_are_not_gone_to(other):
    situation = Situation(spec={"skipGuestConversion": True}, objects=[secret(**USER), other])
    assert situation.content()[0]["vddk"]["url"] == URL


def test_credentials_as_cdi_and_virt_v2v_name_them():
    situation = Situation(objects=[secret(**USER, cacert="PEM", url="https://x")])
    data = situation.source.secret_data(situation.work, "isDV")
    assert data == secret(accessKeyId=USER["user"], secretKey=USER["password"], cacert="PEM")["data"]


def test_a_secret_that_is_gone_fails_the_vm_with_its_name():
    situation = Situation(objects=[host_object()])
    with pytest.raises(PhaseError, match='Secret "src" not found'):
        situation.source.secret_data(situation.work, "isDV")


# What the conversion is told


def test_settings_of_a_plain_conversion():
    assert Situation().settings() == {
        "V2V_source": "vSphere",
        "V2V_vmName": "app",
        "V2V_libvirtURL": "vpx://admin%40vsphere.local@vcenter.example/DC0/host/Cluster%201/esx1?cacert=/opt/ca-bundle.crt",
        "V2V_fingerprint": FINGERPRINT,
        "V2V_HOSTNAME": "app.example",
        "V2V_preserveStaticIPs": "true",
        "V2V_extra_args": "[]",
        "V2V_inspector_extra_args": "[]",
    }


@pytest.mark.parametrize(
    ("situation", "name", "value"),
    [
        ({"spec": {"preserveStaticIPs": False}}, "V2V_preserveStaticIPs", None),
        ({"vm": machine(hostName="")}, "V2V_HOSTNAME", None),
        ({"status": {"nbdeClevis": True}}, "V2V_NBDE_CLEVIS", "true"),
        ({"status": {"rootDisk": "/dev/sdb2"}}, "V2V_RootDisk", "/dev/sdb2"),
        ({"status": {"newName": "app-new"}}, "V2V_NewName", "app-new"),
        ({"spec": {"installLegacyDrivers": True}}, "VIRTIO_WIN", "/usr/local/virtio-win-legacy.iso"),
        ({"vm": machine(guestId="winXPProGuest", guestName="Microsoft Windows XP")}, "VIRTIO_WIN", "/usr/local/virtio-win-legacy.iso"),
        (
            {"vm": machine(guestId="winXPProGuest", guestName="Microsoft Windows XP"), "spec": {"installLegacyDrivers": False}},
            "VIRTIO_WIN",
            None,
        ),
        ({"settings": Settings(memsize="4096")}, "V2V_memSize", "4096"),
        ({"settings": Settings(smp="4")}, "V2V_smp", "4"),
        ({"settings": Settings(extra_args=json.dumps(["--root", "first"]))}, "V2V_extra_args", '["--root", "first"]'),
    ],
)
def test_settings_of_a_conversion(situation, name, value):
    assert Situation(**situation).settings().get(name) == value


def test_static_addresses_are_told_with_their_nics():
    address = {
        "deviceConfigId": 4000,
        "device": "0",
        "mac": "00:50:56:00:00:01",
        "ip": "192.0.2.7",
        "origin": "MANUAL",
        "prefix": 24,
        "dns": ["192.0.2.1"],
    }
    vm = machine(
        guestNetworks=[address], guestIpStacks=[{"device": "0", "gateway": "192.0.2.1", "network": "0.0.0.0", "prefix": 0, "dns": []}]
    )
    assert Situation(vm).settings()["V2V_staticIPs"] == "00:50:56:00:00:01:ip:192.0.2.7,192.0.2.1,24,192.0.2.1"


# The target


def test_the_target_has_the_claims_of_its_disks():
    vm = machine(disks=[disk(0), disk(1)])
    situation = Situation(vm)
    built = situation.source.virtual_machine(situation.work, {"[fast] app/app_0.vmdk": "pvc-a", "[fast] app/app_1.vmdk": "pvc-b"})
    volumes = built["spec"]["template"]["spec"]["volumes"]
    assert [v["persistentVolumeClaim"]["claimName"] for v in volumes] == ["pvc-a", "pvc-b"]


def test_a_shared_disk_that_another_vm_brought_is_attached():
    vm = machine(disks=[disk(0), disk(1, shared=True, file="[fast] other/shared.vmdk")])
    labels = {"shareable": "true", "plan": "plan"}
    meta = {"namespace": "tgt", "name": "shared-pvc", "labels": labels}
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": {**meta, "annotations": {"forklift.konveyor.io/disk-source": "[fast] other/shared.vmdk"}},
    }
    with_it = Situation(vm, spec={"migrateSharedDisks": False}, objects=[secret(**USER), claim])
    without = Situation(vm, spec={"migrateSharedDisks": False})
    claims = {"[fast] app/app_0.vmdk": "pvc-a"}
    found = with_it.source.virtual_machine(with_it.work, claims)["spec"]["template"]["spec"]
    assert [v["persistentVolumeClaim"]["claimName"] for v in found["volumes"]] == ["pvc-a", "shared-pvc"]
    assert [d.get("shareable") for d in found["domain"]["devices"]["disks"]] == [None, True]
    assert len(without.source.virtual_machine(without.work, claims)["spec"]["template"]["spec"]["volumes"]) == 1


@pytest.mark.parametrize(
    ("network", "nic_network"),
    [
        ({"id": "dvportgroup-1", "variant": "DvPortGroup", "key": "dvportgroup-key"}, "dvportgroup-key"),
        ({"id": "dvportgroup-1", "variant": "DvPortGroup", "key": "k"}, "dvportgroup-1"),
    ],
)
def test_nics_may_know_their_network_by_its_key(network, nic_network):
    nic = {"network": {"id": nic_network}, "mac": "00:50:56:00:00:01", "order": 0, "startConnected": True}
    situation = Situation(machine(nics=[nic]), networks=[{**network, "name": "VM Network"}])
    built = situation.source.virtual_machine(situation.work, {"[fast] app/app_0.vmdk": "pvc"})
    assert built["spec"]["template"]["spec"]["networks"] == [{"name": "net-0", "pod": {}}]


# Power


class Acted:
    def __init__(self, state="poweredOn", error=None):
        self.state, self.error, self.asked = state, error, []

    def power_state(self):
        if self.error:
            raise self.error
        return self.state

    def shut_down(self):
        self.asked.append("shut down")

    def power_on(self):
        self.asked.append("on")


@pytest.fixture
def acted(monkeypatch):
    found = Acted()

    @contextmanager
    def session(endpoint):
        assert (endpoint.url, endpoint.user, endpoint.password) == (URL, USER["user"], USER["password"])
        yield None

    monkeypatch.setattr(vsphere_sessions, "session", session)
    monkeypatch.setattr("ansible_collections.vmshift.mtv.controlplane.migration.sources.vsphere.Machine", lambda _session, _id: found)
    return found


@pytest.mark.parametrize(("state", "told"), [("poweredOn", "On"), ("poweredOff", "Off"), ("suspended", "Unknown")])
def test_power_is_asked_of_vsphere_itself(acted, state, told):
    acted.state = state
    situation = Situation()
    assert situation.source.power_state(situation.work.source_vm) == told
    assert situation.source.is_off(situation.work.source_vm) is (told == "Off")


def test_the_guest_is_asked_to_shut_down(acted):
    situation = Situation()
    situation.source.power_off(situation.work.source_vm)
    situation.source.power_on(situation.work.source_vm)
    assert acted.asked == ["shut down", "on"]


def test_what_vsphere_refuses_fails_the_vm_and_what_it_does_not_hear_waits(acted):
    situation = Situation()
    acted.error = SourceError("it has no VMware Tools", DATA)
    with pytest.raises(PhaseError, match="no VMware Tools"):
        situation.source.is_off(situation.work.source_vm)
    acted.error = SourceError("nobody there", CONNECTION)
    with pytest.raises(SourceError, match="nobody there"):
        situation.source.is_off(situation.work.source_vm)


# Sessions


class Session:
    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def logins(monkeypatch):
    found = []

    def connect(endpoint):
        found.append(Session())
        return found[-1]

    monkeypatch.setattr(vsphere_sessions._sessions, "_connect", connect)
    monkeypatch.setattr(vsphere_sessions._sessions, "_open", {})
    return found


ENDPOINT = Endpoint(URL, "u", "p")


def test_passes_share_a_login(logins):
    for _unused in range(3):
        with vsphere_sessions.session(ENDPOINT):
            pass
    assert len(logins) == 1
    assert not logins[0].closed
    with vsphere_sessions.session(Endpoint(URL, "u", "changed")):
        pass
    assert len(logins) == 2


def test_two_at_once_have_one_each_and_one_is_kept(logins):
    with vsphere_sessions.session(ENDPOINT) as one, vsphere_sessions.session(ENDPOINT) as two:
        assert one is not two
    assert [session.closed for session in logins] == [False, True]


@pytest.mark.parametrize(("kind", "kept"), [(DATA, True), (CONNECTION, False)])
def test_a_session_that_failed_is_left(logins, kind, kept):
    with pytest.raises(SourceError), vsphere_sessions.session(ENDPOINT):
        raise SourceError("no", kind)
    with vsphere_sessions.session(ENDPOINT):
        pass
    assert len(logins) == (1 if kept else 2)
    assert logins[0].closed is not kept


def test_sessions_that_nobody_uses_are_closed(logins, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(sessions.time, "monotonic", lambda: clock[0])
    with vsphere_sessions.session(ENDPOINT):
        pass
    clock[0] = sessions.IDLE + 1
    with vsphere_sessions.session(Endpoint(URL, "other", "p")):
        pass
    assert logins[0].closed
