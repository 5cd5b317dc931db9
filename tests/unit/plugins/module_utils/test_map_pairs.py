from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.map_pairs import (
    NETWORK,
    STORAGE,
    check_destinations,
    check_sources,
    network_pairs,
    patched,
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
        (None, "give the destination of this pair, or state absent"),
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


def test_one_that_goes_away_need_not_exist():
    gone = [{"source": "nope", "state": "absent"}, {"source": "twice", "state": "absent"}]
    check_sources(network_pairs(gone[:1]), "ova", NETWORKS)
    with pytest.raises(TalkError, match="'twice' is not unique"):
        check_sources(network_pairs(gone), "ova", NETWORKS)
    check_destinations(NETWORK, network_pairs([{"source": "a", "destination": "crm/gone", "state": "absent"}]), [])


@pytest.mark.parametrize("vlan", ["0", "4095", "x", "01", " 1"])
def test_vlans(vlan):
    assert network_pairs(pairs(({"name": "a", "vlan": 17}, "pod")), "hyperv")[0].source == {"name": "a", "vlan": "17"}
    with pytest.raises(TalkError, match=r"pairs\[0\].source.vlan: a VLAN is a number from 1 to 4094"):
        network_pairs(pairs(({"name": "a", "vlan": vlan}, "pod")), "hyperv")
    with pytest.raises(TalkError, match=r"pairs\[0\].source.vlan: only networks of a Hyper-V provider"):
        network_pairs(pairs(({"name": "a", "vlan": 17}, "pod")), "vsphere")


def test_vlans_of_one_network_are_sources_of_their_own():
    one, other = ({"name": "VM Network", "vlan": vlan} for vlan in (1, 2))
    check_sources(network_pairs(pairs((one, "pod"), (other, "ignored"), ("VM Network", "crm/a"))), "hyperv", NETWORKS)
    with pytest.raises(TalkError, match=r"its source 'VM Network' \(VLAN 1\) is mapped by pairs\[0\] already"):
        network_pairs(pairs((one, "pod"), (one, "ignored")))


def test_offload_plugins():
    plugin = {"vsphere_xcopy_config": {"secret_ref": "s", "storage_vendor_product": "ontap", "dedicated_migration_hosts": None}}
    (pair,) = storage_pairs([{"source": "a", "destination": "fast", "offload_plugin": {**plugin, "csi_volume_import": None}}], "vsphere")
    assert pair.entry() == {
        "source": {"name": "a"},
        "destination": {"storageClass": "fast"},
        "offloadPlugin": {"vsphereXcopyConfig": {"secretRef": "s", "storageVendorProduct": "ontap"}},
    }
    with pytest.raises(
        TalkError, match=r"pairs\[0\].offload_plugin: storage arrays copy disks of vSphere only; this provider is of type ova"
    ):
        storage_pairs([{"source": "a", "destination": "fast", "offload_plugin": plugin}], "ova")


# --- into an existing map -------------------------------------------------------------------------------------------


def entry(source, destination):
    return {"source": source, "destination": destination}


def multus(name):
    return {"type": "multus", "namespace": "crm", "name": name}


A, B = {"id": "n-1", "name": "VM Network"}, {"name": "Backup"}
POD, IGNORED = {"type": "pod"}, {"type": "ignored"}
CURRENT = [entry(A, POD), entry(B, IGNORED)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], CURRENT),
        ([{"source": "VM Network", "destination": "pod"}], CURRENT),
        ([{"source": "VM Network", "destination": "ignored"}], [entry(A, IGNORED), entry(B, IGNORED)]),
        ([{"source": {"id": "n-1"}, "destination": "crm/a"}], [entry(A, multus("a")), entry(B, IGNORED)]),
        ([{"source": "twice", "destination": "pod"}], [*CURRENT, entry({"name": "twice"}, POD)]),
        ([{"source": "Backup", "state": "absent"}], [entry(A, POD)]),
        ([{"source": "Backup", "destination": "pod", "state": "absent"}], CURRENT),
        ([{"source": "nope", "state": "absent"}], CURRENT),
        (
            [{"source": "Backup", "destination": "crm/a"}, {"source": "Backup", "destination": "crm/b"}],
            [entry(A, POD), entry(B, multus("a")), entry(B, multus("b"))],
        ),
        (
            [{"source": "VM Network", "state": "absent"}, {"source": "Backup", "destination": "pod"}],
            [entry(B, POD)],
        ),
    ],
)
def test_single_pairs_are_put_into_a_map_and_the_others_stay(given, expected):
    found = patched(CURRENT, network_pairs(given), NETWORKS)
    assert found == expected
    assert patched(found, network_pairs(given), NETWORKS) == expected


def test_a_pool_is_replaced_as_a_whole_and_loses_one_member():
    pool = [entry(B, multus("a")), entry(A, POD), entry(B, multus("b"))]
    lost = [{"source": "Backup", "destination": "crm/a", "state": "absent"}]
    assert patched(pool, network_pairs(lost), NETWORKS) == pool[1:]
    assert patched(pool, network_pairs(pairs(("Backup", "crm/c"))), NETWORKS) == [entry(B, multus("c")), entry(A, POD)]


def test_without_an_inventory_names_are_compared_with_names():
    assert patched(CURRENT, network_pairs(pairs(("Backup", "pod"))), []) == [entry(A, POD), entry(B, POD)]


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
