#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: provider_info
short_description: Providers of MTV and their state
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Reads C(Provider) objects of the Migration Toolkit for Virtualization (MTV, Forklift). Credentials are not part of them.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes.info
  - vmshift.mtv.options.info
seealso:
  - module: vmshift.mtv.provider
  - module: vmshift.mtv.inventory_info
"""

EXAMPLES = r"""
- name: Read all providers
  vmshift.mtv.provider_info:
    namespace: openshift-mtv
  register: known

- name: Show the providers that are not ready
  ansible.builtin.debug:
    msg: "{{ known.providers | rejectattr('status.phase', 'equalto', 'Ready') | map(attribute='metadata.name') }}"
"""

RETURN = r"""
providers:
  description: The C(Provider) objects as the API server has them.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: forklift.konveyor.io/v1beta1
      kind: Provider
      metadata:
        name: appliances
        namespace: openshift-mtv
      spec:
        type: ova
        url: nfs.example.com:/exports/appliances
        secret:
          name: appliances
          namespace: openshift-mtv
      status:
        phase: Ready
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.info import objects_asked_for
from ansible_collections.vmshift.mtv.plugins.module_utils.options import INFO


def main() -> None:
    module = AnsibleModule(argument_spec=INFO, supports_check_mode=True)
    run_module(module, lambda cluster: {"changed": False, "providers": objects_asked_for(cluster, "Provider", module.params)})


if __name__ == "__main__":
    main()
