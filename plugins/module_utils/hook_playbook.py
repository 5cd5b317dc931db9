# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook of a hook: checked as far as it can be without running it, and in the form the resource holds it in. Pure."""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError

#: A ConfigMap carries the playbook into the hook's pod; larger ones are refused by the API server when the migration runs.
MOST_BYTES = 1024 * 1024
_PLAY = ("hosts", "import_playbook", "ansible.builtin.import_playbook")


def encoded(playbook: str, option: str, vars: Mapping[str, Any] | None = None) -> str:
    """Base64 of a playbook with these variables in it. Raises TalkError, naming `option`, for what cannot be one."""
    _check(playbook, option)
    if vars:
        from ansible_collections.vmshift.mtv.plugins.module_utils.hook_vars import with_vars

        playbook = with_vars(playbook, vars)
    text = base64.b64encode(playbook.encode()).decode()
    if len(text) > MOST_BYTES:
        raise TalkError(f"{option}: the playbook has {len(text)} bytes in base64; a ConfigMap carries at most {MOST_BYTES} (1 MiB).")
    return text


def decoded(spec: Mapping[str, Any]) -> dict[str, Any]:
    """`spec` with the playbook as lines of text, as a diff compares them; what is no base64 stays as it is."""
    shown = dict(spec)
    if shown.get("playbook"):
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            shown["playbook"] = base64.b64decode(shown["playbook"], validate=True).decode().splitlines()
    return shown


def _check(playbook: str, option: str) -> None:
    import yaml

    class Loader(yaml.SafeLoader):
        """Tags such as !vault mean something to Ansible only."""

    Loader.add_multi_constructor("", lambda loader, suffix, node: None)
    try:
        plays = yaml.load(playbook, Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise TalkError(f"{option}: this is not YAML{where}: {getattr(error, 'problem', None) or error}.") from error
    if not isinstance(plays, list) or not plays:
        raise TalkError(f"{option}: a playbook is a list of plays; this is {_described(plays)}.")
    for number, play in enumerate(plays, 1):
        if not isinstance(play, Mapping) or not any(key in play for key in _PLAY):
            raise TalkError(f"{option}: item {number} is no play: a play is a dictionary with hosts (or import_playbook).")


def _described(value: Any) -> str:
    names = {type(None): "empty", dict: "a dictionary", list: "an empty list", str: "text"}
    return names.get(type(value), type(value).__name__)
