# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells how the VMs get on while the migration module waits: runs it slice by slice and prints lines in between (module_utils/progress)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible import constants
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.vmshift.mtv.plugins.module_utils.progress import SHORTEST, Slice, Teller

display = Display()
#: Callbacks whose output a program reads: a line in between would break it.
FOR_PROGRAMS = ("json", "jsonl")


def waits(arguments: Mapping[str, Any]) -> bool:
    """Whether a task with these arguments waits for the end of a run and may speak. What is no boolean is the module's to refuse."""
    wanted = all(boolean(arguments.get(name, True), strict=False) for name in ("wait", "progress"))
    return wanted and arguments.get("state", "started") == "started"


def read_by_a_program() -> bool:
    return str(constants.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2] in FOR_PROGRAMS


def joined(first: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a wait in slices, as a single one would have it: the first tells what was written, the last how the run ended."""
    result = {**last, **{key: first[key] for key in ("changed", "diff") if key in first}}
    for key in ("warnings", "deprecations"):
        texts = [*(first.get(key) or []), *(last.get(key) or [])]
        unique = [text for place, text in enumerate(texts) if text not in texts[:place]]
        if unique:
            result[key] = unique
    if "invocation" in last:
        arguments = {**(last["invocation"].get("module_args") or {}), "progress_slice": None}
        result["invocation"] = {**last["invocation"], "module_args": arguments}
    return result


class ActionModule(ActionBase):
    supports_raw_params = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task = self._task
        if task.check_mode or task.async_val or task.no_log or not waits(task.args) or read_by_a_program():
            wrap_async = bool(task.async_val) and not self._connection.has_native_async
            return self._execute_module(task_vars=task_vars, wrap_async=wrap_async)
        return self._wait(task_vars)

    def _wait(self, task_vars: Any) -> dict[str, Any]:
        begin = time.monotonic()
        part = Slice(SHORTEST)
        first: dict[str, Any] | None = None
        teller: Teller | None = None
        while True:
            result = self._execute_module(module_args={**self._task.args, "progress_slice": part._asdict()}, task_vars=task_vars)
            first = first or result
            waited = time.monotonic() - begin
            ongoing = result.get("ongoing")
            if not ongoing:
                if teller:
                    self._say(teller.lines(result.get("vms") or [], waited))
                return joined(first, result)
            teller = teller or Teller(ongoing["migration"])
            self._say(teller.lines(ongoing["vms"], waited))
            part = Slice(part.longer(), ongoing["plan"], ongoing["migration"], ongoing["uid"], ongoing["seen"], waited)

    @staticmethod
    def _say(lines: list[str]) -> None:
        if lines:
            display.display("\n".join(lines))
