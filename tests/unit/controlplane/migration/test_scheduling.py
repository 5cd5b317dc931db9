"""The in-flight limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.migration import scheduling

WAITING, RUNNING, DONE = {}, {"started": "t"}, {"started": "t", "completed": "t"}


def plan(uid, source, vms, conditions=()):
    history = [{"conditions": [{"type": t, "status": "True"} for t in conditions]}]
    return {
        "metadata": {"uid": uid},
        "spec": {"provider": {"source": {"namespace": "ns", "name": source}}},
        "status": {"migration": {"history": history, "vms": vms}},
    }


def test_vms_begin_in_the_order_of_the_plan_as_far_as_there_is_room():
    vms = [dict(DONE), dict(RUNNING), dict(WAITING), dict(WAITING), dict(WAITING)]
    assert scheduling.choose(vms, 0, 3) == vms[2:4]
    assert scheduling.choose(vms, 1, 3) == vms[2:3]
    assert scheduling.choose(vms, 5, 3) == []


@given(st.lists(st.sampled_from([WAITING, RUNNING, DONE])), st.integers(0, 9), st.integers(1, 9))
def test_never_more_than_the_limit_and_never_idle_below_it(states, elsewhere, limit):
    vms = [dict(state) for state in states]
    running = sum(vm == RUNNING for vm in vms)
    waiting = sum(vm == WAITING for vm in vms)
    chosen = scheduling.choose(vms, elsewhere, limit)
    room = max(limit - elsewhere - running, 0)
    assert len(chosen) == min(room, waiting)


def test_only_running_vms_of_executing_plans_with_the_same_source_count():
    mine = plan("1", "src", [dict(RUNNING)])
    others = [
        mine,
        plan("2", "src", [dict(RUNNING), dict(DONE), dict(WAITING)], ["Executing"]),
        plan("3", "src", [dict(RUNNING)], ["Failed"]),
        plan("4", "elsewhere", [dict(RUNNING)], ["Executing"]),
        {"metadata": {"uid": "5"}, "spec": {"provider": {"source": {"namespace": "ns", "name": "src"}}}},
    ]
    assert scheduling.in_other_plans(others, mine) == 1


def test_a_waiting_vm_says_so_until_it_begins():
    vms = [dict(RUNNING), dict(WAITING)]
    scheduling.mark(vms, [], 1)
    assert vms[1]["conditions"][0]["message"] == "Waiting to start migration: in-flight limit reached (max 1)."
    assert vms[1]["conditions"][0]["type"] == "Pending"
    assert "conditions" not in vms[0]
    scheduling.mark(vms, [vms[1]], 1)
    assert "conditions" not in vms[1]


def test_a_vm_that_waits_on_keeps_its_conditions_as_they_are():
    vms = [dict(WAITING), dict(WAITING)]
    scheduling.mark(vms, [], 1)
    before = [vm["conditions"] for vm in vms]
    scheduling.mark(vms, [], 1)
    assert all(vm["conditions"] is conditions for vm, conditions in zip(vms, before, strict=True))
    scheduling.mark(vms, [], 2)
    assert [vm["conditions"][0]["message"][-8:] for vm in vms] == ["(max 2)."] * 2


def test_only_the_very_vms_that_begin_wait_no_more():
    """Two that look alike are two."""
    vms = [dict(WAITING), dict(WAITING)]
    scheduling.mark(vms, [vms[0]], 1)
    assert "conditions" not in vms[0]
    assert "conditions" in vms[1]
