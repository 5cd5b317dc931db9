#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: network_map
short_description: A network map of MTV, which network of the source becomes which network of the cluster
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Makes, changes or removes a C(NetworkMap) of the Migration Toolkit for Virtualization (MTV, Forklift).
  - Before anything is written, the pairs are checked against the inventories of both providers, because MTV only warns about networks that
    do not exist, or says nothing before a plan uses the map.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes
  - vmshift.mtv.options
  - vmshift.mtv.options.wait
  - vmshift.mtv.options.inventory
options:
  source:
    description:
      - The provider that is migrated from, by name, or as a dictionary of C(name) and C(namespace).
      - Without a namespace the provider is looked for in O(namespace). Required with O(state=present).
    type: raw
  destination:
    description:
      - The provider that is migrated to, like O(source). Without it the cluster that MTV runs on, the provider V(host).
    type: raw
  pairs:
    description:
      - All pairs of the map; pairs of the existing map that are not given here go away. Required with O(state=present).
    type: list
    elements: dict
    suboptions:
      source:
        description:
          - A network of the source, by its name in the inventory, or as a dictionary with C(id) or C(name).
          - If the source is an OpenShift cluster, C(NAMESPACE/NAME) of a NetworkAttachmentDefinition, or V(pod).
          - A network may be given several times if each destination is a NetworkAttachmentDefinition; its interfaces are then spread over
            them (MTV 2.11.7 and newer).
        type: raw
        required: true
      destination:
        description:
          - V(pod) for the pod network, V(ignored) to leave the interface out, or C(NAMESPACE/NAME) of a NetworkAttachmentDefinition.
          - Also as a dictionary of C(type) (V(pod), V(multus) or V(ignored)), C(namespace) and C(name).
        type: raw
        required: true
seealso:
  - module: vmshift.mtv.storage_map
  - module: vmshift.mtv.inventory_info
"""

EXAMPLES = r"""
- name: Map the networks of OVA files
  vmshift.mtv.network_map:
    name: appliances
    namespace: openshift-mtv
    source: appliances
    pairs:
      - source: VM Network
        destination: pod
      - source: Storage Network
        destination: crm/storage-net

- name: Map networks by id, leave one out, and migrate to another cluster
  vmshift.mtv.network_map:
    name: datacenter-1
    namespace: openshift-mtv
    source: vcenter
    destination:
      name: new-cluster
      namespace: openshift-mtv
    pairs:
      - source:
          id: dvportgroup-5
        destination:
          type: multus
          namespace: crm
          name: vlan-17
      - source:
          id: network-12
        destination: ignored

- name: Remove a network map
  vmshift.mtv.network_map:
    name: appliances
    namespace: openshift-mtv
    state: absent
"""

RETURN = r"""
network_map:
  description: The C(NetworkMap) as the API server has it, null when it is absent.
  returned: success
  type: dict
  sample:
    apiVersion: forklift.konveyor.io/v1beta1
    kind: NetworkMap
    metadata:
      name: appliances
      namespace: openshift-mtv
    spec:
      provider:
        source:
          name: appliances
          namespace: openshift-mtv
        destination:
          name: host
          namespace: openshift-mtv
      map:
        - source:
            name: VM Network
          destination:
            type: pod
    status:
      conditions:
        - type: Ready
          status: "True"
          category: Required
          message: The network map is ready.
conditions:
  description: Conditions of the map when the wait for it ended.
  returned: when the wait fails
  type: list
  elements: dict
  sample:
    - type: DestinationNetworkNotValid
      status: "True"
      category: Critical
      reason: NotFound
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.maps import NETWORK, absent, present
from ansible_collections.vmshift.mtv.plugins.module_utils.options import MAP


def main() -> None:
    module = AnsibleModule(
        argument_spec=MAP,
        required_if=[("state", "present", ("source", "pairs"))],
        supports_check_mode=True,
    )
    work = absent if module.params["state"] == "absent" else present
    run_module(module, lambda cluster: work(module, cluster, NETWORK, "network_map"))


if __name__ == "__main__":
    main()
