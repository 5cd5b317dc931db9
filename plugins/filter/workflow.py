# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of the request document: which way it is carried out."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.workflow import workflow

DOCUMENTATION = r"""
name: workflow
short_description: Which way a request document is carried out, and why
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Tells from a request document, as C(docs/request.md) of the collection describes it, whether its VMs are migrated cold or warm, who
    copies their disks and who converts their guests.
  - The document must be valid; the role P(vmshift.mtv.migration_plan#role) checks it before.
positional: _input
options:
  _input:
    description: The request document.
    type: dict
    required: true
  source:
    description: The C(Provider) of the source, if it is there already. It counts for what the document does not say.
    type: dict
  target:
    description: The C(Provider) of the target, likewise.
    type: dict
  plan:
    description: The C(Plan), likewise.
    type: dict
"""

EXAMPLES = r"""
- name: Tell the workflow
  ansible.builtin.debug:
    msg: "{{ (migration_request | vmshift.mtv.workflow).why }}"
"""

RETURN = r"""
_value:
  description: The workflow.
  type: dict
  contains:
    way:
      description: C(cold) or C(warm).
      type: str
    role:
      description:
        - The role of the collection that carries it out, C(cold_migration), C(warm_migration), or C(populator_migration) for cold
          migrations in which volume populators fetch the disks.
      type: str
    why:
      description: What decides, in one line.
      type: str
    refusal:
      description: What keeps it from being carried out; empty if nothing does.
      type: str
  sample:
    way: cold
    role: cold_migration
    why: "cold migration: plan.type is cold; the disks are copied and converted by virt-v2v, because the target is the local cluster"
    refusal: ""
"""


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"workflow": workflow}
