"""Which VMs a selection means."""

from __future__ import annotations

import time

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.selection import SelectionError, resolve

INVENTORY = [
    {"id": "vm-1", "name": "web01", "path": "/DC/vm/prod/web01", "powerState": "poweredOn", "memoryMB": 4096},
    {"id": "vm-2", "name": "web02", "path": "/DC/vm/prod/web02", "powerState": "poweredOff", "memoryMB": 2048},
    {"id": "vm-3", "name": "db", "path": "/DC/vm/prod/db", "powerState": "poweredOff", "memoryMB": 8192},
    {"id": "vm-4", "name": "db", "path": "/DC/vm/test/db", "powerState": "poweredOff", "memoryMB": 1024},
    {"id": "vm-5", "name": "vm-1", "path": "/DC/vm/odd/vm-1"},
]
CLUSTER = [
    {"id": "u-1", "name": "web", "namespace": "prod"},
    {"id": "u-2", "name": "web", "namespace": "test"},
]


def ids(selectors, vms=None):
    return [vm["id"] for vm in resolve(selectors, vms or INVENTORY)]


def failure(selectors, vms=None):
    with pytest.raises(SelectionError) as caught:
        resolve(selectors, vms or INVENTORY)
    return str(caught.value)


def test_strings_are_names_or_ids_in_the_given_order():
    assert resolve(["web02", "vm-3"], INVENTORY) == [
        {"id": "vm-2", "name": "web02", "overrides": {}},
        {"id": "vm-3", "name": "db", "overrides": {}},
    ]


def test_namespace_chooses_between_equal_names_and_is_returned():
    assert resolve([{"name": "web", "namespace": "test"}], CLUSTER) == [{"id": "u-2", "name": "web", "namespace": "test", "overrides": {}}]
    assert "'web' matches 2 VMs: id u-1 (prod), id u-2 (test)" in failure(["web"], CLUSTER)
    assert "'web' in namespace 'dev'" in failure([{"name": "web", "namespace": "dev"}], CLUSTER)


def test_query_as_condition_and_as_filter_choose_the_same():
    assert ids([{"query": "starts_with(name, 'web') && memoryMB > `2048`"}]) == ["vm-1"]
    assert ids([{"query": "[?powerState=='poweredOff']"}]) == ids([{"query": "powerState == 'poweredOff'"}]) == ["vm-2", "vm-3", "vm-4"]


def test_zero_is_true_in_a_condition_as_in_jmespath():
    assert ids([{"query": "cpus"}], [{"id": "a", "name": "a", "cpus": 0}, {"id": "b", "name": "b"}]) == ["a"]


def test_query_keeps_to_the_namespace():
    assert ids([{"query": "name == 'web'", "namespace": "prod"}], CLUSTER) == ["u-1"]


def test_a_vm_is_listed_once_and_later_options_win():
    chosen = resolve(
        [
            {"query": "powerState == 'poweredOff'", "target_power_state": "off", "root_disk": "/dev/sda1"},
            {"id": "vm-3", "target_power_state": "on"},
        ],
        INVENTORY,
    )
    assert [vm["id"] for vm in chosen] == ["vm-2", "vm-3", "vm-4"]
    assert chosen[1]["overrides"] == {"target_power_state": "on", "root_disk": "/dev/sda1"}
    assert chosen[2]["overrides"] == {"target_power_state": "off", "root_disk": "/dev/sda1"}


def test_false_is_an_option_and_none_is_none():
    assert resolve([{"id": "vm-2", "name": None, "nbde_clevis": False, "luks": None}], INVENTORY)[0]["overrides"] == {"nbde_clevis": False}


def test_unknown_vm_lists_close_names():
    text = failure(["wbe01", "WEB01", {"id": "vm-9"}])
    assert "vms[0]: there is no VM 'wbe01' (did you mean" in text and "'web01'" in text
    assert "vms[1]: there is no VM 'WEB01' (did you mean 'web01'?)" in text
    assert "vms[2]: there is no VM with id 'vm-9'" in text


def test_ambiguous_name_lists_ids_and_paths():
    assert failure(["db"]) == "vms[0]: 'db' matches 2 VMs: id vm-3 (/DC/vm/prod/db), id vm-4 (/DC/vm/test/db); choose by id"


def test_a_string_that_is_one_vms_id_and_anothers_name_is_ambiguous():
    assert "'vm-1' matches 2 VMs: id vm-1 (/DC/vm/prod/web01), id vm-5" in failure(["vm-1"])
    assert ids([{"name": "vm-1"}]) == ["vm-5"]
    assert ids([{"id": "vm-1"}]) == ["vm-1"]


def test_id_and_name_must_agree():
    assert ids([{"id": "vm-3", "name": "db"}]) == ["vm-3"]
    assert "the VM with id 'vm-3' is named 'db', not 'web01'" in failure([{"id": "vm-3", "name": "web01"}])


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("name == 'nothing'", "matches none of the 5 VMs"),
        ("[?name=='nothing']", "matches none of the 5 VMs"),
        ("name ==", "is not usable"),
        ("contains(name)", "is not usable"),
        ("[].name", "must return VMs"),
        ("[0]", "must return VMs"),
    ],
)
def test_bad_queries(query, text):
    assert text in failure([{"query": query}])


def test_an_entry_must_say_which_vm():
    assert failure([{"target_name": "x"}]) == "vms[0]: give one or more of name, id, path, regex, query, namespace"
    assert failure([""]) == failure([{"name": ""}]) == "vms[0]: name is empty"


def test_many_problems_are_cut():
    text = failure([f"no-{number}" for number in range(40)])
    assert "vms[9]" in text and "vms[10]" not in text and text.endswith("and 30 more problems")


def test_ten_thousand_vms_and_five_hundred_selectors_take_no_time_to_speak_of():
    vms = [{"id": f"vm-{n}", "name": f"host{n:05d}", "powerState": "poweredOn" if n % 2 else "poweredOff"} for n in range(10_000)]
    selectors = (
        [f"host{n * 20:05d}" for n in range(250)]
        + [{"id": f"vm-{n * 20 + 1}"} for n in range(249)]
        + [{"query": "powerState=='poweredOff'"}]
    )
    started = time.process_time()
    assert len(resolve(selectors, vms)) == 5000 + 249
    assert time.process_time() - started < 8
