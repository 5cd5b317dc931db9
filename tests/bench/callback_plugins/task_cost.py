"""Writes what each task of a play cost to the file VMSHIFT_BENCH_COSTS.

One JSON object {"name", "begun", "wall", "cpu"} a line; `begun` is the time since the epoch, all are seconds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_cost
type: aggregate
short_description: Wall and CPU seconds of each task, for the benches of this collection
description: With its worker process, its module process and what ansible-playbook itself does for it.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_cost"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._task = None
        self._ended = 0.0

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._finish()
        self._task = task.get_name()
        self._cpu, self._begun = _cpu_seconds(), time.time()

    def v2_runner_on_ok(self, result):
        self._ended = time.time()

    def v2_playbook_on_stats(self, stats):
        self._finish()

    def _finish(self):
        while multiprocessing.active_children():  # collects the worker, without which its CPU time would count for the next task
            time.sleep(0.002)
        if self._task:
            cost = {"name": self._task, "begun": self._begun, "wall": self._ended - self._begun, "cpu": _cpu_seconds() - self._cpu}
            with open(os.environ["VMSHIFT_BENCH_COSTS"], "a") as file:
                file.write(json.dumps(cost) + "\n")


def _cpu_seconds():
    return sum(os.times()[:4])
