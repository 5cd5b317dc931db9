# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules share; their texts are in the doc fragment `vmshift.mtv.options`."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC

#: A module that makes or removes one object: fragments vmshift.mtv.auth, vmshift.mtv.options.
OBJECT: dict[str, Any] = {
    **AUTH_ARGUMENT_SPEC,
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "labels": {"type": "dict"},
    "annotations": {"type": "dict"},
}
#: A module that only reads objects: fragments vmshift.mtv.auth, vmshift.mtv.options.info.
INFO: dict[str, Any] = {
    **AUTH_ARGUMENT_SPEC,
    "name": {"type": "str"},
    "namespace": {"type": "str"},
    "label_selectors": {"type": "list", "elements": "str", "default": []},
}
#: Fragment vmshift.mtv.options.wait.
WAIT: dict[str, Any] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 300},
}
#: Fragment vmshift.mtv.options.inventory.
INVENTORY: dict[str, Any] = {"inventory_url": {"type": "str"}}
#: A NetworkMap or StorageMap: fragment vmshift.mtv.maps. What its sources and destinations may be, the module's documentation says.
MAP: dict[str, Any] = {
    **OBJECT,
    **WAIT,
    **INVENTORY,
    "source": {"type": "raw"},
    "destination": {"type": "raw"},
    "purge_pairs": {"type": "bool", "default": True},
    "auto": {"type": "bool", "default": False},
    "vms": {"type": "list", "elements": "raw"},
    "exclude": {"type": "list", "elements": "raw"},
}
#: One of its pairs.
PAIR: dict[str, Any] = {
    "source": {"type": "raw", "required": True},
    "destination": {"type": "raw"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
