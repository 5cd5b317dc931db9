# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a hook of the library for the module, as that of `hook` does."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.plugins.action.hook import ActionModule as HookActionModule


class ActionModule(HookActionModule):
    """The options that name a playbook are the same."""
