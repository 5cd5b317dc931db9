# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # A module that writes.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict what would change, without changing anything.
    support: full
    details:
      - The API server is asked with C(dryRun=All), so that its validation and admission speak too.
  diff_mode:
    description: Returns what has changed (or would change in C(check_mode)) when it runs in diff mode.
    support: full
    details:
      - The diff holds only what the task owns. Of a Secret it holds the keys, never a value.
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
  action_group:
    description: Use C(group/vmshift.mtv.mtv) in C(module_defaults) to set the connection options of all modules at once.
    support: full
    membership:
      - vmshift.mtv.mtv
"""

    # A module that only reads.
    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode); it reads only.
    support: full
  diff_mode:
    description: Returns what has changed (or would change in C(check_mode)) when it runs in diff mode.
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
  action_group:
    description: Use C(group/vmshift.mtv.mtv) in C(module_defaults) to set the connection options of all modules at once.
    support: full
    membership:
      - vmshift.mtv.mtv
"""
