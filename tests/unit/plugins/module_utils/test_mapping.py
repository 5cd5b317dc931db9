"""Gaps between what VMs use and what maps map."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.plugins.module_utils.mapping import (
    Mapped,
    Source,
    Use,
    gaps,
    one_pod_network,
    pod_clashes,
    used_networks,
    used_storages,
)

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


def test_unknown_types_are_left_to_the_controller():
    assert gaps("nutanix", [{"id": "vm-1", "name": "x", "networks": [{"id": "network-1"}]}], [], []) == []


# --- what VMs of each type use --------------------------------------------------------------------------------------


def items_from(**collections):
    return lambda collection: {item["id"]: item for item in collections.get(collection, [])}


def ref(id):
    return {"kind": "x", "id": id}


NETWORKS = [{"id": "n-1", "name": "lan"}, {"id": "n-2", "name": "dmz"}]
VMS = {
    "vsphere": (
        {"networks": [ref("n-1")], "nics": [{"network": ref("n-1")}, {"network": ref("n-1")}], "disks": [{"datastore": ref("d-1")}]},
        {"datastores": [{"id": "d-1", "name": "ssd"}]},
    ),
    "ovirt": (
        {
            "nics": [{"profile": "p-1"}, {"profile": "p-1"}, {"profile": ""}],
            "diskAttachments": [{"disk": "disk-1"}, {"disk": "disk-lun"}],
        },
        {
            "nicprofiles": [{"id": "p-1", "network": "n-1"}],
            "disks": [{"id": "disk-1", "storageDomain": "d-1", "storageType": "image"}, {"id": "disk-lun", "storageType": "lun"}],
            "storagedomains": [{"id": "d-1", "name": "ssd"}],
        },
    ),
    "openstack": (
        {"addresses": {"lan": []}, "attachedVolumes": [{"ID": "v-1"}]},
        {"volumes": [{"id": "v-1", "volumeType": "ssd"}], "volumetypes": [{"id": "d-1", "name": "ssd"}]},
    ),
    "hyperv": (
        {"nics": [{"network": ref("n-1")}, {"network": ref("n-1")}], "disks": [{"datastore": ref("d-1")}]},
        {"storages": [{"id": "d-1", "name": "ssd"}]},
    ),
    "ec2": (
        {"object": {"NetworkInterfaces": [{"SubnetId": "n-1"}], "BlockDeviceMappings": [{"Ebs": {"VolumeId": "v-1"}}]}},
        {"volumes": [{"id": "v-1", "name": "v", "object": {"VolumeType": "d-1"}}], "storages": [{"id": "d-1", "name": "ssd"}]},
    ),
}


@pytest.mark.parametrize("type", VMS)
def test_networks_and_storages_of_each_type(type):
    vm, collections = VMS[type]
    vm, items = {"id": "vm-1", "name": "web", **vm}, items_from(networks=NETWORKS, **collections)
    assert used_networks(type, [vm], items) == [Use(Source("n-1", "lan"), ["web"])]
    assert used_storages(type, [vm], items) == [Use(Source("d-1", "ssd"), ["web"])]
    assert gaps(type, [vm], [{"source": {"name": "DC/network/lan"}}], [{"source": {"id": "d-1"}}], items) == []
    assert len(gaps(type, [vm], [{"source": {"id": "n-2", "name": "lan"}}], [{"source": {"name": "hdd"}}], items)) == 2


def test_openstack_images_and_names_that_several_networks_have():
    twins = items_from(networks=[*NETWORKS, {"id": "n-3", "name": "lan"}])
    vm = {"id": "vm-1", "name": "web", "addresses": {"lan": []}, "imageID": "i-1"}
    assert used_storages("openstack", [vm], twins) == [Use(Source(name="glance"), ["web"])]
    assert used_networks("openstack", [vm], twins) == [Use(Source(name="lan"), ["web"])]
    # Which of the two networks it is, only MTV can tell.
    assert gaps("openstack", [vm], [{"source": {"id": "n-3"}}], [{"source": {"name": "glance"}}], twins) == []
    assert "storage 'glance' of VM 'web' is not in the storage map" in gaps("openstack", [vm], [{"source": {"id": "n-3"}}], [], twins)[0]


def test_openshift_storage_classes_of_claims():
    vm = openshift_vm({"name": "default", "pod": {}})
    vm["object"]["spec"]["template"]["spec"]["volumes"] = [
        {"persistentVolumeClaim": {"claimName": "root"}},
        {"dataVolume": {"name": "data"}},
        {"cloudInitNoCloud": {}},
    ]

    def claim(id, namespace, name, storage):
        return {"id": id, "namespace": namespace, "name": name, "object": {"spec": {"storageClassName": storage}}}

    claims = [claim("1", "prod", "root", "fast"), claim("2", "prod", "data", "fast"), claim("3", "test", "root", "slow")]
    items = items_from(persistentvolumeclaims=claims, storageclasses=[{"id": "c-1", "name": "fast"}, {"id": "c-2", "name": "slow"}])
    assert used_storages("openshift", [vm], items) == [Use(Source("c-1", "fast"), ["web"])]


# --- one interface on the pod network -------------------------------------------------------------------------------


POD, NAD = {"type": "pod"}, {"type": "multus", "namespace": "crm", "name": "net"}


@pytest.mark.parametrize("by", ["id", "name"])
@pytest.mark.parametrize(
    ("nics", "destinations", "clash"),
    [
        (["n-1", "n-2"], [POD, NAD], None),
        (["n-1", "n-2"], [POD, POD], "VM 'web' has 2 interfaces ('lan', 'dmz') that are mapped to the pod network"),
        (["n-1", "n-1"], [POD, NAD], "VM 'web' has 2 interfaces ('lan', 'lan') that are mapped to the pod network"),
        (["n-1", "n-2"], [POD, {"type": "ignored"}], None),
        (["n-1", ""], [POD, POD], None),
    ],
)
def test_a_vm_has_one_interface_on_the_pod_network(by, nics, destinations, clash):
    vm = {"id": "vm-1", "name": "web", "nics": [{"network": ref(id)} for id in nics]}
    pairs = [{"source": {by: network[by]}, "destination": to} for network, to in zip(NETWORKS, destinations)]
    assert pod_clashes("vsphere", [vm], pairs, items_from(networks=NETWORKS)) == ([clash] if clash else [])


def test_an_ova_vm_names_networks_in_its_interfaces():
    vm = {**OVA_VM, "nics": [{"Network": "VM Network"}, {"Network": "VM Network"}]}
    assert len(pod_clashes("ova", [vm], [{"source": {"id": "net-1"}, "destination": POD}])) == 1
    text = one_pod_network([f"VM {n}" for n in range(9)])
    assert "VM 4; and 4 VMs more: map all but one" in text


TEXTS = st.sampled_from(["", "a", "b", "x/a", "b/a"])
SOURCES = st.fixed_dictionaries({}, optional={"id": TEXTS, "name": TEXTS, "namespace": TEXTS, "type": TEXTS})


def means(mapped, used):
    """What MTV understands by the source of a pair."""
    id, name, namespace, type = (mapped.get(field) or "" for field in ("id", "name", "namespace", "type"))
    if id and (used.id or not name):
        return id == used.id
    if name:
        return used.name in (name, name.rpartition("/")[2]) and namespace in ("", used.namespace)
    return bool(type) and type == used.type


@given(st.lists(SOURCES, max_size=6), SOURCES)
def test_the_first_pair_that_means_it_counts(sources, used):
    used = Source(**used)
    pairs = [{"source": source, "number": number} for number, source in enumerate(sources)]
    assert Mapped(pairs).pair_of(used) is next((pair for pair in pairs if means(pair["source"], used)), None)
