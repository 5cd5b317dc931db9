"""VMs chosen by where they lie, whether they run and what their names look like."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.plugins.module_utils.placement import Placement
from ansible_collections.vmshift.mtv.plugins.module_utils.selection import SelectionError, require_known_words, resolve


def place(id, name, parent="", path="", **more):
    return {"id": id, "name": name, "parent": {"kind": "Folder", "id": parent}, "path": path, **more}


def tag(id, name, category):
    return {"id": id, "name": name, "categoryID": category}


def vm(id, name, folder, host, datastores, power="poweredOn", tags=(), path=""):
    disks = [{"datastore": {"kind": "Datastore", "id": datastore}} for datastore in datastores]
    return place(id, name, folder, path, host=host, powerState=power, disks=disks, tags=list(tags))


TIER1, STAYS, OTHER_TIER1 = tag("t-1", "gold", "tier"), tag("t-2", "stays", "migration"), tag("t-3", "gold", "medal")
VSPHERE = [
    vm("vm-1", "web01", "f-web", "h-1", ["ds-1"], tags=[TIER1], path="/DC/vm/prod/web/web01"),
    vm("vm-2", "web02", "f-web", "h-2", ["ds-1", "ds-2"], "poweredOff", [TIER1, STAYS], "/DC/vm/prod/web/web02"),
    vm("vm-3", "db", "f-prod", "h-2", ["ds-2"], path="/DC/vm/prod/db"),
    vm("vm-4", "db", "f-test", "h-3", ["ds-3"], "suspended", [OTHER_TIER1], "/DC2/vm/test/db"),
    vm("vm-5", "loose", "f-root", "h-3", [], path="/DC/vm/loose"),
]
COLLECTIONS = {
    "folders": [
        place("f-top", "Datacenters", path="/Datacenters"),
        place("f-root", "vm", "dc-1", "/DC/vm"),
        place("f-root2", "vm", "dc-2", "/DC2/vm"),
        place("f-prod", "prod", "f-root", "/DC/vm/prod"),
        place("f-nets", "prod", "f-network", "/DC/network/prod"),
        place("f-web", "web", "f-prod", "/DC/vm/prod/web"),
        place("f-test", "test", "f-root2", "/DC2/vm/test"),
        place("f-empty", "empty", "f-root", "/DC/vm/empty"),
    ],
    "datacenters": [place("dc-1", "DC", "f-top", "/DC"), place("dc-2", "DC2", "f-top", "/DC2")],
    "hosts": [
        place("h-1", "esx1", cluster="c-1"),
        place("h-2", "esx2", cluster="c-1"),
        place("h-3", "esx3", cluster="c-2"),
    ],
    "clusters": [place("c-1", "main", path="/DC/host/main"), place("c-2", "lab", path="/DC2/host/lab")],
    "datastores": [place("ds-1", "ssd"), place("ds-2", "disk"), place("ds-3", "ssd")],
}


class Source:
    """An inventory that notes which collections were read."""

    def __init__(self, type="vsphere", vms=None, collections=None):
        self.vms = VSPHERE if vms is None else vms
        self.collections = COLLECTIONS if collections is None else collections
        self.reads, self.warnings = [], []
        self.placement = Placement(type, self.vms, self.read)

    def read(self, collection):
        self.reads.append(collection)
        return self.collections[collection]

    def ids(self, *selectors, exclude=()):
        chosen = resolve(selectors, self.vms, exclude=exclude, placement=self.placement, warn=self.warnings.append)
        return [vm["id"] for vm in chosen]

    def failure(self, *selectors, exclude=()):
        with pytest.raises(SelectionError) as caught:
            self.ids(*selectors, exclude=exclude)
        return str(caught.value)


@pytest.mark.parametrize(
    ("selector", "ids"),
    [
        ({"folder": "/DC/vm/prod"}, ["vm-1", "vm-2", "vm-3"]),
        ({"folder": "prod"}, ["vm-1", "vm-2", "vm-3"]),
        ({"folder": "vm/prod"}, ["vm-1", "vm-2", "vm-3"]),
        ({"folder": "f-web"}, ["vm-1", "vm-2"]),
        ({"folder": "DC2"}, ["vm-4"]),
        ({"folder": "Datacenters"}, ["vm-1", "vm-2", "vm-3", "vm-4", "vm-5"]),
        ({"cluster": "main"}, ["vm-1", "vm-2", "vm-3"]),
        ({"cluster": "/DC2/host/lab"}, ["vm-4", "vm-5"]),
        ({"host": "esx2"}, ["vm-2", "vm-3"]),
        ({"host": "h-1"}, ["vm-1"]),
        ({"datastore": "disk"}, ["vm-2", "vm-3"]),
        ({"datastore": "ds-3"}, ["vm-4"]),
        ({"tag": "stays"}, ["vm-2"]),
        ({"tag": "tier:gold"}, ["vm-1", "vm-2"]),
        ({"tag": "t-3"}, ["vm-4"]),
        ({"power_state": "on"}, ["vm-1", "vm-3", "vm-5"]),
        ({"power_state": "suspended"}, ["vm-4"]),
        ({"regex": "web[0-9]+"}, ["vm-1", "vm-2"]),
        ({"regex": "web0|db"}, ["vm-3", "vm-4"]),
        ({"path": "/DC/vm/prod/db"}, ["vm-3"]),
        ({"path": "test/db"}, ["vm-4"]),
        ({"name": "db", "cluster": "lab"}, ["vm-4"]),
        ({"folder": "prod", "power_state": "off", "datastore": "disk", "tag": "stays", "regex": "w.*", "query": "name!='x'"}, ["vm-2"]),
        ({"folder": "prod", "query": "[?powerState=='poweredOn']"}, ["vm-1", "vm-3"]),
    ],
)
def test_every_word_and_words_together(selector, ids):
    assert Source().ids(selector) == ids


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"folder": "prdo"}, "vms[0]: there is no folder 'prdo' (did you mean 'prod'"),
        ({"folder": "/DC/vm/prd"}, "there is no folder '/DC/vm/prd' (did you mean '/DC/vm/prod'"),
        ({"folder": "/prod"}, "there is no folder '/prod'"),
        ({"folder": "vm"}, "folder 'vm' is one of 2: id f-root (/DC/vm), id f-root2 (/DC2/vm); choose by id or path"),
        ({"folder": "empty"}, "there is no VM with folder 'empty'"),
        ({"datastore": "ssd"}, "datastore 'ssd' is one of 2: id ds-1, id ds-3; choose by id or path"),
        ({"tag": "gold"}, "tag 'gold' is one of 2: id t-1 (tier:gold), id t-3 (medal:gold); choose by id or path"),
        ({"cluster": "lab", "power_state": "off"}, "there is no VM with cluster 'lab' and power_state 'off'"),
        ({"folder": "prod", "regex": "x"}, "regex 'x' matches none of the 3 VMs"),
        ({"folder": "prod", "query": "name == `1`"}, "query 'name == `1`' matches none of the 3 VMs"),
        ({"regex": "web("}, "regex 'web(' is not usable: missing ), unterminated subpattern"),
        ({"name": "db", "datastore": ""}, "datastore is empty"),
        ({"name": "db", "power_state": "on", "query": "name=='db'", "namespace": "x"}, "'namespace' is not known here"),
        ({"path": "/DC/vm/prod/bd"}, "there is no VM with path '/DC/vm/prod/bd' (did you mean '/DC/vm/prod/db'"),
    ],
)
def test_what_is_unknown_ambiguous_or_empty_is_named(selector, text):
    assert text in Source().failure(selector)


def test_only_the_collections_asked_for_are_read_and_each_once():
    source = Source()
    source.ids("web01", {"tag": "stays"}, {"power_state": "on"}, {"regex": "web.*"})
    assert source.reads == []
    source.ids({"cluster": "main"}, {"cluster": "lab"}, {"host": "esx1"}, {"folder": "prod"}, {"folder": "test"})
    assert sorted(source.reads) == ["clusters", "datacenters", "folders", "hosts"]


def test_exclude_takes_away_also_what_is_named():
    source = Source()
    assert source.ids({"folder": "prod"}, exclude=[{"tag": "stays"}, "db"]) == ["vm-1"]
    assert source.ids("web01", "web02", exclude=["vm-2"]) == ["vm-1"]
    assert source.warnings == []


def test_an_exclude_that_means_no_vm_is_a_warning_and_an_unclear_one_an_error():
    source = Source()
    assert source.ids("web01", exclude=["wbe02", {"folder": "prdo"}]) == ["vm-1"]
    assert source.warnings[0].startswith("exclude[0] leaves no VM out: there is no VM 'wbe02' (did you mean 'web0")
    assert source.warnings[1].startswith("exclude[1] leaves no VM out: there is no folder 'prdo' (did you mean 'prod'")
    assert "exclude[0]: folder 'vm' is one of 2" in source.failure("web01", exclude=[{"folder": "vm"}])
    assert source.failure("web01", exclude=["web01"]) == "exclude leaves none of the 1 VMs"


def test_options_of_an_entry_go_to_all_its_vms():
    chosen = resolve([{"folder": "web", "luks": "key"}, {"name": "web02", "luks": "other"}], VSPHERE, placement=Source().placement)
    assert [vm["overrides"] for vm in chosen] == [{"luks": "key"}, {"luks": "other"}]


@pytest.mark.parametrize(
    ("type", "word", "known"),
    [
        ("ova", "folder", "name, id, path, regex, query"),
        ("openstack", "cluster", "name, id, path, regex, query, tag, power_state"),
        ("vsphere", "namespace", "name, id, path, regex, query, folder, cluster, host, datastore, tag, power_state"),
    ],
)
def test_a_word_that_the_source_does_not_have_is_named(type, word, known):
    with pytest.raises(SelectionError) as caught:
        require_known_words("vms", ["a", {"name": "b", word: "c"}], type)
    assert str(caught.value) == f"vms[1]: {word!r} is not known for providers of type {type}; known are {known}"


def test_the_words_of_other_sources():
    ovirt = Source(
        "ovirt",
        [
            {"id": "1", "name": "a", "cluster": "c", "host": "h", "status": "up", "diskAttachments": [{"disk": "d"}]},
            {"id": "2", "name": "b", "cluster": "c", "host": "", "status": "down", "diskAttachments": []},
        ],
        {
            "clusters": [place("c", "Default")],
            "hosts": [place("h", "node1")],
            "disks": [place("d", "a_Disk1", storageDomain="s")],
            "storagedomains": [place("s", "data")],
        },
    )
    assert ovirt.ids({"cluster": "Default"}) == ["1", "2"]
    assert ovirt.ids({"host": "node1"}) == ovirt.ids({"datastore": "data"}) == ovirt.ids({"power_state": "on"}) == ["1"]
    openstack = Source(
        "openstack", [{"id": "1", "name": "a", "status": "SHUTOFF", "tags": ["old"]}, {"id": "2", "name": "b", "status": "ACTIVE"}]
    )
    assert openstack.ids({"tag": "old", "power_state": "off"}) == ["1"]
    openshift = Source(
        "openshift",
        [
            {"id": "1", "name": "a", "namespace": "n", "object": {"status": {"printableStatus": "Running"}}},
            {"id": "2", "name": "b", "namespace": "n", "object": {"status": {"printableStatus": "Stopped"}}},
            {"id": "3", "name": "a", "namespace": "m", "object": {}},
        ],
    )
    assert openshift.ids({"namespace": "n"}) == ["1", "2"]
    assert openshift.ids({"namespace": "n", "power_state": "off"}) == ["2"]
    ova = Source(
        "ova", [{"id": "1", "name": "a", "path": "1", "ovfPath": "/ova/app/a.ova"}, {"id": "2", "name": "b", "ovfPath": "/ova/b.ova"}]
    )
    assert ova.ids({"path": "a.ova"}) == ova.ids({"path": "/ova/app/a.ova"}) == ["1"]


#: Word -> value -> what it says about a VM of VSPHERE, told in another way.
MEANINGS = {
    "name": {name: lambda vm, name=name: vm["name"] == name for name in ("web01", "web02", "db", "no")},
    "path": {path: lambda vm, path=path: vm["path"].endswith(path) for path in ("/DC/vm/prod/db", "web/web02", "test/db")},
    "folder": {path: lambda vm, path=path: vm["path"].startswith(path + "/") for path in ("/DC/vm", "/DC/vm/prod", "/DC2/vm", "/DC/vm/no")},
    "host": {"esx2": lambda vm: vm["host"] == "h-2", "h-3": lambda vm: vm["host"] == "h-3"},
    "cluster": {"main": lambda vm: vm["host"] in ("h-1", "h-2"), "lab": lambda vm: vm["host"] == "h-3"},
    "datastore": {"disk": lambda vm: "ds-2" in str(vm["disks"]), "ds-1": lambda vm: "ds-1" in str(vm["disks"])},
    "tag": {"stays": lambda vm: "stays" in str(vm["tags"]), "tier:gold": lambda vm: "tier" in str(vm["tags"])},
    "power_state": {"on": lambda vm: vm["powerState"] == "poweredOn", "off": lambda vm: vm["powerState"] == "poweredOff"},
    "regex": {"web0[12]": lambda vm: vm["name"].startswith("web"), "d.|l.*": lambda vm: vm["name"] in ("db", "loose")},
    "query": {"powerState=='suspended'": lambda vm: vm["id"] == "vm-4", "[?host!='h-3']": lambda vm: vm["host"] != "h-3"},
}
ENTRIES = st.fixed_dictionaries({}, optional={word: st.sampled_from(list(values)) for word, values in MEANINGS.items()}).filter(bool)


@given(ENTRIES, ENTRIES)
def test_an_entry_means_the_vms_that_all_its_words_hold_for(entry, exclude):
    def meant(by):
        return [vm["id"] for vm in VSPHERE if all(MEANINGS[word][value](vm) for word, value in by.items())]

    chosen, without = meant(entry), [vm_id for vm_id in meant(entry) if vm_id not in meant(exclude)]
    if not without or (len(chosen) > 1 and ("name" in entry or "path" in entry)):
        Source().failure(entry, exclude=[exclude])
    else:
        assert Source().ids(entry, exclude=[exclude]) == without


def test_ten_thousand_vms_and_five_hundred_entries_of_places_and_patterns_take_no_time_to_speak_of():
    folders = [place("root", "vm", "dc")] + [place(f"f-{n}", f"team{n}", "root", f"/DC/vm/team{n}") for n in range(500)]
    vms = [vm(f"vm-{n}", f"host{n:05d}", f"f-{n % 500}", "h-1", ["ds-1"], ("poweredOff", "poweredOn")[n // 500 % 2]) for n in range(10_000)]
    source = Source(vms=vms, collections={**COLLECTIONS, "folders": folders, "datacenters": [place("dc", "DC")]})
    entries = (
        [{"folder": f"/DC/vm/team{n}", "power_state": "on"} for n in range(200)]
        + [{"regex": f"host{n:04d}[0-4]", "datastore": "ds-1"} for n in range(100)]
        + [{"regex": rf"host{n:04d}\d"} for n in range(100, 200)]
        + [{"name": f"host{n:05d}", "cluster": "main"} for n in range(100)]
    )
    started = time.process_time()
    chosen = source.ids(*entries, exclude=[{"folder": "team7"}])
    assert time.process_time() - started < 8
    assert len(entries) == 500 and len(chosen) > 3000 and len(set(source.reads)) == len(source.reads)


def recorded(collection):
    """Recorded answers of a real inventory service, where they are at hand."""
    for parent in Path(__file__).resolve().parents:
        path = parent.parent / "shared/golden/inventory/vsphere" / f"{collection}-detail-{4 if collection == 'vms' else 1}.json"
        if path.exists():
            return json.loads(path.read_text())["body"]
    return pytest.skip("no recorded inventory here")


def test_words_against_a_recorded_vsphere_inventory():
    vms = recorded("vms")
    source = Source(vms=vms, collections={name: recorded(name) for name in COLLECTIONS})
    everything = [vm["id"] for vm in vms]
    assert source.ids({"folder": "/DC0/vm"}) == source.ids({"folder": "DC0"}) == source.ids({"folder": "Datacenters"}) == everything
    assert source.ids({"datastore": "LocalDS_0"}) == [vm["id"] for vm in vms if "datastore-51" in json.dumps(vm["disks"])]
    on_hosts = source.ids({"cluster": "DC0_C0"})
    assert on_hosts == [vm["id"] for vm in vms if vm["host"] in ("host-39", "host-49")]
    assert source.ids({"host": "DC0_H0"}) == [vm["id"] for vm in vms if vm["host"] == "host-23"]
    off = [vm["id"] for vm in vms if vm["powerState"] == "poweredOff"]
    assert source.ids({"folder": "DC0"}, exclude=[{"power_state": "on"}]) == off
    assert source.ids({"path": "vm/lab-vm-1"}) == source.ids({"regex": "lab-vm-1"}) == ["vm-56"]
    assert "there is no datastore 'LocalDS_9' (did you mean 'LocalDS_" in source.failure({"datastore": "LocalDS_9"})
