from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.maps import (
    NETWORK,
    STORAGE,
    check_destinations,
    check_sources,
    network_pairs,
    storage_pairs,
)


def pairs(*given):
    return [{"source": source, "destination": destination} for source, destination in given]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("pod", {"type": "pod"}),
        ("ignored", {"type": "ignored"}),
        ("crm/vlan-17", {"type": "multus", "namespace": "crm", "name": "vlan-17"}),
        ({"namespace": "crm", "name": "vlan-17"}, {"type": "multus", "namespace": "crm", "name": "vlan-17"}),
        ({"type": "multus", "namespace": "crm", "name": "vlan-17"}, {"type": "multus", "namespace": "crm", "name": "vlan-17"}),
        ({"type": "pod", "namespace": None}, {"type": "pod"}),
    ],
)
def test_network_destinations(given, written):
    assert network_pairs(pairs(("a", given)))[0].destination == written


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("vlan-17", "multus needs its namespace"),
        ({"type": "multus", "name": "x"}, "multus needs its namespace"),
        ({"type": "bridge"}, "give pod, ignored"),
        ({"type": "pod", "name": "x"}, "only type multus"),
        ({"typ": "pod"}, "give pod, ignored"),
        (None, "give pod, ignored"),
        ("", "multus needs"),
    ],
)
def test_network_destinations_that_are_none(given, said):
    with pytest.raises(TalkError) as caught:
        network_pairs(pairs(("a", "pod"), ("b", given)))
    assert str(caught.value).startswith("pairs[1].destination: ")
    assert said in str(caught.value)


def test_storage_destinations():
    full = {"storage_class": "fast", "volume_mode": "Block", "access_mode": "ReadWriteMany"}
    found = storage_pairs(pairs(("a", "fast"), ({"id": "d-1"}, full)))
    assert found[0].destination == {"storageClass": "fast"}
    assert found[1].destination == {"storageClass": "fast", "volumeMode": "Block", "accessMode": "ReadWriteMany"}
    assert [p.source for p in found] == [{"name": "a"}, {"id": "d-1"}]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "pairs[0].destination: give the name of a storage class"),
        ({"storageClass": "fast"}, "pairs[0].destination: give the name of a storage class"),
        ({"storage_class": "fast", "volume_mode": "Blok"}, "pairs[0].destination.volume_mode: 'Blok' is not one of Filesystem, Block"),
        ({"storage_class": "fast", "access_mode": "RWX"}, "ReadWriteMany"),
        (["fast"], "pairs[0].destination"),
    ],
)
def test_storage_destinations_that_are_none(given, said):
    with pytest.raises(TalkError) as caught:
        storage_pairs(pairs(("a", given)))
    assert said in str(caught.value)


def test_sources_of_an_openshift_provider():
    found = network_pairs(pairs(("pod", "pod"), ("old/net", "new/net")), "openshift")
    assert [p.source for p in found] == [{"type": "pod"}, {"namespace": "old", "name": "net"}]
    with pytest.raises(TalkError, match="pod or NAMESPACE/NAME"):
        network_pairs(pairs(("net", "pod")), "openshift")


@pytest.mark.parametrize("source", [None, {}, {"nmae": "x"}, 5, ""])
def test_sources_that_are_none(source):
    with pytest.raises(TalkError, match=r"pairs\[0\].source: give a name"):
        network_pairs(pairs((source, "pod")))


def test_a_source_is_mapped_once_but_for_a_pool_of_networks():
    with pytest.raises(TalkError, match=r"pairs\[1\]: its source 'a' is mapped by pairs\[0\] already"):
        network_pairs(pairs(("a", "pod"), ("a", "crm/one")))
    with pytest.raises(TalkError, match="already"):
        network_pairs(pairs(("a", "crm/one"), ("a", "crm/one")))
    assert len(network_pairs(pairs(("a", "crm/one"), ("a", "crm/two")))) == 2
    with pytest.raises(TalkError, match="already"):
        storage_pairs(pairs(("a", "fast"), ("a", "slow")))


NETWORKS = [{"id": "n-1", "name": "VM Network"}, {"id": "n-2", "name": "twice"}, {"id": "n-3", "name": "twice"}]


def test_sources_are_looked_for_by_id_and_name():
    check_sources(network_pairs(pairs(("VM Network", "pod"), ({"id": "n-2"}, "ignored"))), "ova", NETWORKS)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nope", "pairs[0].source: 'nope' does not exist there; there are: VM Network (id n-1), twice (id n-2)"),
        ({"id": "n-9"}, "'n-9' does not exist"),
        ("twice", "'twice' is not unique: twice (id n-2), twice (id n-3); give the id."),
    ],
)
def test_sources_that_are_not_clear(source, said):
    with pytest.raises(TalkError) as caught:
        check_sources(network_pairs(pairs((source, "pod"))), "ova", NETWORKS)
    assert said in str(caught.value)


def test_one_source_under_two_names():
    with pytest.raises(TalkError, match="is the same as 'VM Network' of pairs"):
        check_sources(network_pairs(pairs(("VM Network", "pod"), ({"id": "n-1"}, "ignored"))), "ova", NETWORKS)


def test_sources_no_inventory_lists():
    check_sources(storage_pairs(pairs(("glance", "fast"))), "openstack", [])
    check_sources(network_pairs(pairs(("pod", "pod")), "openshift"), "openshift", [])


def test_destinations_are_looked_for():
    attachments = [{"id": "u", "name": "net", "namespace": "crm"}]
    check_destinations(NETWORK, network_pairs(pairs(("a", "pod"), ("b", "crm/net"), ("c", "ignored"))), attachments)
    with pytest.raises(TalkError, match=r"pairs\[0\].destination: 'hr/net' does not exist there; there are: crm/net"):
        check_destinations(NETWORK, network_pairs(pairs(("a", "hr/net"))), attachments)
    with pytest.raises(TalkError, match="'slow' does not exist there; there are: fast"):
        check_destinations(STORAGE, storage_pairs(pairs(("a", "slow"))), [{"name": "fast"}])
