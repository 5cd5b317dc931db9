#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_info
short_description: Migrations of MTV, the runs of migration plans
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Reads C(Migration) objects of the Migration Toolkit for Virtualization (MTV, Forklift).
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes.info
  - vmshift.mtv.options.info
options:
  plan:
    description:
      - Only migrations of the plan of this name, and of the follow-up plans that a retry of M(vmshift.mtv.migration) has made for it.
    type: str
seealso:
  - module: vmshift.mtv.migration
  - module: vmshift.mtv.plan_info
"""

EXAMPLES = r"""
- name: Read all runs of a plan
  vmshift.mtv.migration_info:
    namespace: openshift-mtv
    plan: crm
  register: runs

- name: Show when each run began and ended
  ansible.builtin.debug:
    msg: "{{ item.metadata.name }}: {{ item.status.started | default('-') }} to {{ item.status.completed | default('-') }}"
  loop: "{{ runs.migrations }}"
  loop_control:
    label: "{{ item.metadata.name }}"
"""

RETURN = r"""
migrations:
  description: The C(Migration) objects as the API server has them, oldest first.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: forklift.konveyor.io/v1beta1
      kind: Migration
      metadata:
        name: crm-x7k2p
        namespace: openshift-mtv
      spec:
        plan:
          name: crm
          namespace: openshift-mtv
      status:
        started: "2026-11-22T23:38:06Z"
        completed: "2026-11-22T23:38:40Z"
        conditions:
          - type: Succeeded
            status: "True"
            category: Advisory
            message: The migration has SUCCEEDED.
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.follow_ups import follow_ups_in
from ansible_collections.vmshift.mtv.plugins.module_utils.info import objects_asked_for
from ansible_collections.vmshift.mtv.plugins.module_utils.options import INFO


def migrations(cluster: Cluster, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those asked for, oldest first."""
    found = objects_asked_for(cluster, "Migration", params)
    if params["plan"]:
        later = {(p["metadata"]["namespace"], p["metadata"]["name"]) for p in follow_ups_in(cluster, params["namespace"], params["plan"])}
        refs = [(m, (m.get("spec") or {}).get("plan") or {}) for m in found]
        found = [m for m, ref in refs if ref.get("name") == params["plan"] or (ref.get("namespace"), ref.get("name")) in later]
    return sorted(found, key=lambda m: (m["metadata"].get("creationTimestamp", ""), m["metadata"]["name"]))


def main() -> None:
    module = AnsibleModule(argument_spec={**INFO, "plan": {"type": "str"}}, supports_check_mode=True)
    run_module(module, lambda cluster: {"changed": False, "migrations": migrations(cluster, module.params)})


if __name__ == "__main__":
    main()
