# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the module where the collection is installed: a module runs from an archive of its own and cannot know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC


def collections_path() -> str:
    """The folder that holds `ansible_collections/vmshift/mtv`. Links are not resolved: a checkout may be linked in."""
    return str(Path(__file__).absolute().parents[5])


def without_connection(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`module_defaults` of the action group give every module the connection options; this one makes the cluster they would name."""
    names = set(AUTH_ARGUMENT_SPEC).union(*(option.get("aliases", ()) for option in AUTH_ARGUMENT_SPEC.values()))
    return {name: value for name, value in arguments.items() if name not in names}


class ActionModule(ActionBase):
    supports_raw_params = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = {"collections_path": collections_path(), **without_connection(self._task.args)}
        return self._execute_module(module_args=arguments, task_vars=task_vars)
