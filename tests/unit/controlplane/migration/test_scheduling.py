"""The in-flight limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.migration import scheduling
from ansible_collections.vmshift.mtv.controlplane.migration.scheduling import Load

WAITING, RUNNING, DONE = {}, {"started": "t"}, {"started": "t", "completed": "t"}


def plan(uid, source, vms, conditions=()):
    history = [{"conditions": [{"type": t, "status": "True"} for t in conditions]}]
    return {
        "metadata": {"uid": uid},
        "spec": {"provider": {"source": {"namespace": "ns", "name": source}}},
        "status": {"migration": {"history": history, "vms": vms}},
    }


def vm(name):
    return {"id": name}


def chosen(vms, busy, limit):
    """`vms`: (name, place, cost); `busy`: (place, cost)."""
    return [found["id"] for found in scheduling.choose([(vm(n), Load(p, c)) for n, p, c in vms], [Load(p, c) for p, c in busy], limit)]


def test_vms_begin_in_the_order_of_the_plan_as_far_as_there_is_room():
    three = [("a", "", 1), ("b", "", 1), ("c", "", 1)]
    assert chosen(three, [("", 1)], 3) == ["a", "b"]
    assert chosen(three, [("", 1), ("", 1)], 3) == ["a"]
    assert chosen(three, [("", 5)], 3) == []


def test_each_host_has_room_of_its_own():
    assert chosen([("a", "esx1", 1), ("b", "esx1", 1), ("c", "esx2", 1)], [("esx1", 1)], 2) == ["a", "c"]


def test_a_smaller_vm_goes_before_one_that_has_no_room():
    assert chosen([("a", "", 3), ("b", "", 1)], [("", 2)], 4) == ["b"]


def test_a_vm_with_more_disks_than_the_limit_goes_alone():
    assert chosen([("big", "", 9), ("b", "", 1)], [], 4) == ["big"]
    assert chosen([("big", "", 9), ("b", "", 1)], [("", 1)], 4) == ["b"]
    assert chosen([("big", "esx1", 9)], [("esx2", 4)], 4) == ["big"]


LOADS = st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 5)))


@given(LOADS, LOADS, st.integers(1, 9))
def test_never_more_than_the_limit_and_never_idle_below_it(vms, busy, limit):
    names = [(str(number), *load) for number, load in enumerate(vms)]
    begun = chosen(names, busy, limit)
    for place in "xy":
        before = sum(cost for where, cost in busy if where == place)
        costs = {name: cost for name, where, cost in names if where == place}
        taken = [cost for name, cost in costs.items() if name in begun]
        left = [cost for name, cost in costs.items() if name not in begun]
        after = before + sum(taken)
        assert not taken or after <= limit or (before == 0 and [cost for cost in taken if cost] == [after])
        assert all(after >= limit or after + cost > limit for cost in left)


@pytest.mark.parametrize(
    ("steps", "phase", "cost"),
    [
        ({"DiskAllocation": []}, "Started", 1),
        ({"DiskAllocation": []}, "CopyDisksVirtV2V", 1),
        ({"DiskAllocation": []}, "CreateVM", 0),
        ({"DiskTransfer": ["Pending"] * 3}, "Started", 3),
        ({"DiskTransfer": ["Completed", "Running", "Pending"]}, "CopyDisks", 2),
        ({"DiskTransfer": ["Completed", "Running", "Pending"]}, "CopyingPaused", 0),
        ({"DiskTransfer": ["Completed"] * 3}, "Finalize", 0),
        ({"DiskTransfer": ["Running"] * 3}, "ConvertGuest", 0),
        ({"DiskTransfer": ["Running"] * 3}, "PostHook", 0),
        ({}, "ConvertGuest", 0),
    ],
)
def test_what_a_vm_of_vsphere_costs_is_what_is_read_of_it(steps, phase, cost):
    pipeline = [{"name": name, "tasks": [{"phase": state} for state in tasks]} for name, tasks in steps.items()]
    assert scheduling.disk_cost({"phase": phase, "pipeline": pipeline}, 3) == cost


def test_only_running_vms_of_executing_plans_with_the_same_source_count():
    mine = plan("1", "src", [dict(RUNNING)])
    running = dict(RUNNING)
    others = [
        mine,
        plan("2", "src", [running, dict(DONE), dict(WAITING)], ["Executing"]),
        plan("3", "src", [dict(RUNNING)], ["Failed"]),
        plan("4", "elsewhere", [dict(RUNNING)], ["Executing"]),
        {"metadata": {"uid": "5"}, "spec": {"provider": {"source": {"namespace": "ns", "name": "src"}}}},
    ]
    assert scheduling.in_other_plans(others, mine) == [running]


def test_a_waiting_vm_says_so_until_it_begins():
    vms = [{"id": "a", **RUNNING}, {"id": "b"}, {"id": "c"}]
    scheduling.mark(vms, [], 1, {"c": "VM b has yet to bring the disks that both share."})
    assert vms[1]["conditions"][0]["message"] == "Waiting to start migration: in-flight limit reached (max 1)."
    assert vms[1]["conditions"][0]["type"] == "Pending"
    assert vms[2]["conditions"][0]["message"] == "Waiting to start migration: VM b has yet to bring the disks that both share."
    assert "conditions" not in vms[0]
    scheduling.mark(vms, [vms[1]], 1, {})
    assert "conditions" not in vms[1]


def test_a_vm_that_waits_on_keeps_its_conditions_as_they_are():
    vms = [dict(WAITING), dict(WAITING)]
    scheduling.mark(vms, [], 1, {})
    before = [vm["conditions"] for vm in vms]
    scheduling.mark(vms, [], 1, {})
    assert all(vm["conditions"] is conditions for vm, conditions in zip(vms, before, strict=True))
    scheduling.mark(vms, [], 2, {})
    assert [vm["conditions"][0]["message"][-8:] for vm in vms] == ["(max 2)."] * 2


def test_only_the_very_vms_that_begin_wait_no_more():
    """Two that look alike are two."""
    vms = [dict(WAITING), dict(WAITING)]
    scheduling.mark(vms, [vms[0]], 1, {})
    assert "conditions" not in vms[0]
    assert "conditions" in vms[1]
