"""The wait in slices: which tasks are cut, what is told, what they return."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.vmshift.mtv.plugins.action import migration

APP = {"id": "id-app", "name": "app", "outcome": "Running", "step": "ImageConversion", "waiting_for": None}
ENDED = {**APP, "outcome": "Succeeded", "step": None, "duration": 64}
#: What the module returns: two slices, then the end.
REPLIES = [
    {
        "changed": True,
        "diff": {"before": {}, "after": {"x": 1}},
        "warnings": ["TLS is not verified"],
        "ongoing": {"plan": "demo", "migration": "demo-1", "uid": "u1", "seen": "s1", "vms": [APP]},
    },
    {"changed": False, "ongoing": {"plan": "demo", "migration": "demo-1", "uid": "u1", "seen": "s2", "vms": [APP]}},
    {
        "changed": False,
        "outcome": "Succeeded",
        "vms": [ENDED],
        "warnings": ["TLS is not verified", "VM app: late"],
        "invocation": {"module_args": {"plan": "demo", "progress_slice": {"seconds": 5}}},
    },
]


@pytest.fixture
def action(monkeypatch):
    """An action plugin whose module answers with REPLIES; `calls` are the arguments it was started with, `said` the lines."""

    class Spoken(migration.ActionModule):
        def __init__(self, arguments, **task):
            self._task = SimpleNamespace(args=arguments, **{"check_mode": False, "async_val": 0, "no_log": False, **task})
            self._connection = SimpleNamespace(has_native_async=False)
            self.calls, self.said, self.replies = [], [], list(REPLIES)

        def _execute_module(self, module_args=None, task_vars=None, wrap_async=False):
            self.calls.append((module_args, wrap_async))
            return self.replies.pop(0)

        def _say(self, lines):
            self.said += lines

    monkeypatch.setattr(migration.ActionBase, "run", lambda self, tmp, task_vars: {})
    return Spoken


def test_the_result_is_that_of_one_module_that_waited_to_the_end(action):
    result = action({"plan": "demo"}).run()
    assert result == {
        "changed": True,
        "diff": {"before": {}, "after": {"x": 1}},
        "outcome": "Succeeded",
        "vms": [ENDED],
        "warnings": ["TLS is not verified", "VM app: late"],
        "invocation": {"module_args": {"plan": "demo", "progress_slice": None}},
    }


def test_each_slice_goes_on_where_the_last_one_ended(action):
    task = action({"plan": "demo"})
    task.run()
    parts = [arguments["progress_slice"] for arguments, _wrap in task.calls]
    assert [(p["plan"], p["migration"], p["uid"], p["seen"]) for p in parts] == [
        (None, None, None, ""),
        ("demo", "demo-1", "u1", "s1"),
        ("demo", "demo-1", "u1", "s2"),
    ]
    assert parts[0]["seconds"] < parts[1]["seconds"] < parts[2]["seconds"]


def test_lines_are_told_in_between_and_at_the_end(action):
    task = action({"plan": "demo"})
    task.run()
    assert task.said == ["[demo-1 0:00:00] app: ImageConversion", "[demo-1 0:00:00] app: Succeeded after 0:01:04"]


def test_a_failure_keeps_what_was_written_before(action):
    task = action({"plan": "demo"})
    task.replies[2] = {"failed": True, "msg": "Migration mig/demo-1 of plan demo has failed.", "changed": False}
    result = task.run()
    assert result["failed"] and result["changed"] and result["diff"]["after"] == {"x": 1}


@pytest.mark.parametrize(
    "arguments", [{"progress": False}, {"progress": "no"}, {"wait": "false"}, {"state": "canceled"}, {"state": "absent"}]
)
def test_a_task_that_does_not_wait_or_shall_be_silent_is_one_module(action, arguments):
    task = action(arguments)
    assert task.run() == REPLIES[0]
    assert task.calls == [(None, False)] and not task.said


@pytest.mark.parametrize("task", [{"check_mode": True}, {"no_log": True}, {"async_val": 60}])
def test_check_mode_secrecy_and_async_are_left_alone(action, task):
    plain = action({"plan": "demo"}, **task)
    plain.run()
    assert plain.calls == [(None, "async_val" in task)] and not plain.said


@pytest.mark.parametrize(("callback", "speaks"), [("default", True), ("ansible.posix.json", False), ("ansible.posix.jsonl", False)])
def test_output_for_programs_has_no_lines_in_between(action, monkeypatch, callback, speaks):
    monkeypatch.setattr(migration.constants, "DEFAULT_STDOUT_CALLBACK", callback, raising=False)
    task = action({"plan": "demo"})
    task.run()
    assert bool(task.said) == speaks and len(task.calls) == (3 if speaks else 1)
