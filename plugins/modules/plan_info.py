#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_info
short_description: Migration plans of MTV, their conditions and the state of their virtual machines
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Reads C(Plan) objects of the Migration Toolkit for Virtualization (MTV, Forklift).
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes.info
  - vmshift.mtv.options.info
seealso:
  - module: vmshift.mtv.plan
  - module: vmshift.mtv.migration_info
"""

EXAMPLES = r"""
- name: Read one plan
  vmshift.mtv.plan_info:
    name: crm
    namespace: openshift-mtv
  register: crm

- name: Show how far each of its virtual machines is
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.phase }}"
  loop: "{{ crm.plans[0].status.migration.vms | default([]) }}"
  loop_control:
    label: "{{ item.name }}"

- name: Read the plans of the second wave in all namespaces
  vmshift.mtv.plan_info:
    label_selectors:
      - wave=2
"""

RETURN = r"""
plans:
  description: The C(Plan) objects as the API server has them.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: forklift.konveyor.io/v1beta1
      kind: Plan
      metadata:
        name: crm
        namespace: openshift-mtv
      spec:
        targetNamespace: crm
        vms:
          - id: 796051fce57ca1d00b2bc0ec8c895c524e29
            name: web
      status:
        conditions:
          - type: Succeeded
            status: "True"
            category: Advisory
            message: The plan execution has SUCCEEDED.
follow_ups:
  description:
    - The C(Plan) objects that go on with one of RV(plans) and are not among them, oldest first. A retry of M(vmshift.mtv.migration) has
      made them for VMs that the first plan has left.
    - The label C(vmshift.io/continues) names the first plan, and the annotation C(vmshift.io/continued-by) of a plan the next one.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.info import objects_asked_for, with_follow_ups
from ansible_collections.vmshift.mtv.plugins.module_utils.options import INFO


def plans(cluster: Cluster, params: Mapping[str, Any]) -> dict[str, Any]:
    found = objects_asked_for(cluster, "Plan", params)
    more = with_follow_ups(cluster, found, params["namespace"])[len(found) :]
    return {"changed": False, "plans": found, "follow_ups": sorted(more, key=lambda p: p["metadata"].get("creationTimestamp", ""))}


def main() -> None:
    module = AnsibleModule(argument_spec=INFO, supports_check_mode=True)
    run_module(module, lambda cluster: plans(cluster, module.params))


if __name__ == "__main__":
    main()
