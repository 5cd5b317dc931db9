"""Gaps between what VMs use and what maps map."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.mapping import gaps

OVA_VM = {
    "id": "1",
    "name": "app1",
    "networks": [{"ID": "net-1", "Name": "VM Network"}],
    "disks": [{"ID": "disk-1", "Name": "app1-disk1.vmdk"}, {"ID": "disk-2", "Name": "app1-disk2.vmdk"}],
}
BY_NAME = [{"source": {"name": "VM Network"}}], [{"source": {"name": "app1-disk1.vmdk"}}, {"source": {"name": "app1-disk2.vmdk"}}]
BY_ID = [{"source": {"id": "net-1"}}], [{"source": {"id": "disk-1"}}, {"source": {"id": "disk-2", "name": "whatever"}}]


@pytest.mark.parametrize("pairs", [BY_NAME, BY_ID], ids=["by name", "by id"])
def test_complete_maps_have_no_gap(pairs):
    assert gaps("ova", [OVA_VM], *pairs) == []


def test_each_gap_is_said_once_with_the_vms_and_what_is_mapped():
    twin = {**OVA_VM, "id": "2", "name": "app2"}
    assert gaps("ova", [OVA_VM, twin], [{"source": {"name": "Other"}}], BY_NAME[1][:1]) == [
        "network 'VM Network' (id net-1) of VM 'app1', 'app2' is not in the network map, which maps 'Other'",
        "storage 'app1-disk2.vmdk' (id disk-2) of VM 'app1', 'app2' is not in the storage map, which maps 'app1-disk1.vmdk'",
    ]


def test_id_wins_over_name():
    assert "network 'VM Network'" in gaps("ova", [OVA_VM], [{"source": {"id": "net-9", "name": "VM Network"}}], BY_ID[1])[0]


def openshift_vm(*networks):
    return {"id": "u", "name": "web", "namespace": "prod", "object": {"spec": {"template": {"spec": {"networks": list(networks)}}}}}


def test_openshift_pod_and_multus_networks():
    vm = openshift_vm(
        {"name": "default", "pod": {}},
        {"name": "a", "multus": {"networkName": "lan"}},
        {"name": "b", "multus": {"networkName": "infra/san"}},
    )
    pairs = [
        {"source": {"type": "pod"}},
        {"source": {"name": "lan", "namespace": "prod"}},
        {"source": {"name": "san", "namespace": "infra"}},
    ]
    assert gaps("openshift", [vm], pairs, []) == []
    assert gaps("openshift", [vm], pairs[:2], []) == [
        "network 'infra/san' of VM 'web' is not in the network map, which maps 'pod', 'prod/lan'"
    ]
    assert gaps("openshift", [vm], pairs[1:], []) == [
        "network 'pod' of VM 'web' is not in the network map, which maps 'prod/lan', 'infra/san'"
    ]


def test_other_types_are_left_to_the_controller():
    assert gaps("vsphere", [{"id": "vm-1", "name": "x", "networks": [{"id": "network-1"}]}], [], []) == []
