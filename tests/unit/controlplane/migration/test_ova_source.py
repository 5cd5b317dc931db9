"""OVA files as a source."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError
from ansible_collections.vmshift.mtv.controlplane.migration.sources.ova import OvaSource
from ansible_collections.vmshift.mtv.controlplane.migration.sources.ova_store import export
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import Appliances, source_vm

PROVIDER = {"metadata": {"uid": "u", "name": "src", "namespace": "mig"}, "spec": {"type": "ova", "url": "nfs.example:/exports/ova"}}


def source(*vms):
    return OvaSource(None, PROVIDER, Appliances(PROVIDER, list(vms)))


def work(vm, *pairs):
    mapping = [{"source": ref, "destination": {"storageClass": name}} for ref, name in pairs]
    return SimpleNamespace(source_vm=vm, run=SimpleNamespace(storage_map={"spec": {"map": mapping}}))


def test_disks_go_where_the_map_sends_them_by_name_or_id():
    vm = source_vm("app1", disks=2)
    found = source(vm).disks(work(vm, ({"name": "app1-disk1.vmdk"}, "slow"), ({"id": "app1-disk2"}, "fast")))
    assert [(d.source, d.size, d.storage["storageClass"]) for d in found] == [
        ("/ova/app1.ova::app1-disk1.vmdk", 2 << 30, "slow"),
        ("/ova/app1.ova::app1-disk2.vmdk", 2 << 30, "fast"),
    ]


def test_a_disk_without_destination_is_named():
    vm = source_vm("app1")
    with pytest.raises(ValueError, match='no entry for disk "app1-disk1.vmdk"'):
        source(vm).disks(work(vm))


def test_a_disk_of_unknown_size_is_named():
    vm = source_vm("app1")
    vm["disks"][0]["CapacityAllocationUnits"] = "blocks"
    with pytest.raises(ValueError, match="The size of disk /ova/app1.ova::app1-disk1.vmdk is not known"):
        source(vm).disks(work(vm, ({"name": "app1-disk1.vmdk"}, "slow")))


def test_vms_are_found_by_id_before_name_and_only_when_there_is_one():
    first, second = source_vm("app1"), {**source_vm("app1"), "id": "other"}
    assert source(first, second).find({"id": "other", "name": "whatever"}) is second
    assert source(first, second).find({"name": "app1"}) is None
    assert source(first).find({"name": "app1"}) is first
    assert source(first).find({"name": "gone"}) is None


@pytest.mark.parametrize(
    ("path", "given"), [("/ova/app1.ova", "/ova/app1.ova"), ("/ova/App1.OVA", "/ova/App1.OVA"), ("/ova/app1/app1.ovf", "/ova/app1")]
)
def test_virt_v2v_gets_the_file_or_the_folder_of_an_unpacked_appliance(path, given):
    settings = source()._conversion_settings(SimpleNamespace(source_vm=source_vm("app1", ovfPath=path), vm={}))
    assert settings == {"V2V_source": "ova", "V2V_diskPath": given, "V2V_vmName": "app1"}


def test_appliances_have_no_power():
    vm = source_vm("app1")
    assert source(vm).power_state(vm) == ""
    assert source(vm).is_off(vm)


@pytest.mark.parametrize(
    ("spec", "said"),
    [({}, ""), ({"skipGuestConversion": True}, "skipGuestConversion"), ({"customizationScripts": {"name": "s"}}, "customizationScripts")],
)
def test_what_is_not_possible_is_refused(spec, said):
    refusal = source().refusal(SimpleNamespace(run=SimpleNamespace(spec=spec)))
    assert refusal.startswith(said)
    assert bool(refusal) is bool(said)


@pytest.mark.parametrize(
    ("url", "server", "path"),
    [
        ("nfs.example:/exports/ova", "nfs.example", "/exports/ova"),
        ("127.0.0.1:/", "127.0.0.1", "/"),
        ("[fd00::1]:/exports", "fd00::1", "/exports"),
        ("fd00::1:/exports", "fd00::1", "/exports"),
    ],
)
def test_exports(url, server, path):
    assert export(url) == (server, path)


def test_a_url_that_is_no_export_is_an_error():
    with pytest.raises(PhaseError, match='"nowhere" of the source provider is not an NFS export'):
        export("nowhere")
