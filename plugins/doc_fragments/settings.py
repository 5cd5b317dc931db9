# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

from ansible_collections.vmshift.mtv.plugins.module_utils.controller_settings import documentation


class ModuleDocFragment:
    # The settings of ForkliftController, from the table that the module takes its options from (JSON is YAML, too).
    # (ansible-test's yamllint reads unannotated ones, and only literals.)
    DOCUMENTATION: str = json.dumps({"options": documentation()})
