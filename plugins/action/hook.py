# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a hook of the library for the module: a module runs from an archive of its own, without the collection's playbooks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

#: `library: [NAME]` is the file NAME.yml here.
LIBRARY = Path(__file__).absolute().parents[2] / "playbooks" / "hooks"
#: What gives a playbook in another way, or takes none; the module refuses them beside `library`.
_OTHERS = ("playbook", "playbook_file", "aap")


def with_playbook(arguments: Mapping[str, Any], library: Path) -> dict[str, Any]:
    """The arguments with the text of the playbook that `library` names, or of several one after the other, instead of names."""
    names = arguments.get("library")
    if not names or any(arguments.get(other) for other in _OTHERS) or arguments.get("state") == "absent":
        return dict(arguments)
    known = sorted(file.stem for file in library.glob("*.yml"))
    texts = []
    for name in names if isinstance(names, list) else [names]:
        if not (isinstance(name, str) and re.fullmatch(r"\w+", name) and name in known):
            raise AnsibleActionFail(f"library: there is no hook {name!r} in the library; there are: {', '.join(known) or 'none'}.")
        texts.append((library / f"{name}.yml").read_text(encoding="utf-8"))
    rest = {key: value for key, value in arguments.items() if key != "library"}
    return {**rest, "playbook": texts[0] + "".join("\n" + text.removeprefix("---\n") for text in texts[1:])}


class ActionModule(ActionBase):
    supports_raw_params = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        arguments = with_playbook(self._task.args, LIBRARY)
        return self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=wrap_async)
