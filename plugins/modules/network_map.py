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
  - vmshift.mtv.options.map
options:
  pairs:
    description:
      - The pairs of the map. Required with O(state=present), unless O(auto=true).
    type: list
    elements: dict
    suboptions:
      source:
        description:
          - A network of the source, by its name in the inventory, or as a dictionary with C(id) or C(name).
          - If the source is an OpenShift cluster, C(NAMESPACE/NAME) of a NetworkAttachmentDefinition, or V(pod).
          - If the source is Hyper-V, the dictionary may have C(vlan), a number from 1 to 4094, to map the interfaces of one VLAN of a
            network (MTV 2.12.1 and newer).
          - A network may be given several times if each destination is a NetworkAttachmentDefinition; its interfaces are then spread over
            them (MTV 2.11.7 and newer).
        type: raw
        required: true
      destination:
        description:
          - V(pod) for the pod network, V(ignored) to leave the interface out, or C(NAMESPACE/NAME) of a NetworkAttachmentDefinition.
          - Also as a dictionary of C(type) (V(pod), V(multus) or V(ignored)), C(namespace) and C(name).
          - Required, unless O(pairs[].state=absent). A pair that is removed need only be given with its destination if it is one of several
            of its source.
        type: raw
      state:
        description: V(absent) removes the pair from the map, which makes sense with O(purge_pairs=false).
        type: str
        choices: [present, absent]
        default: present
  target_namespace:
    description:
      - With O(auto=true), the namespace that the VMs go to. A VM can use NetworkAttachmentDefinitions of its own namespace and of the
        namespace V(default) only, so others are not considered then, and those of this namespace are preferred.
    type: str
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

- name: Send the interfaces of one more network elsewhere, and leave all other pairs of the map as they are
  vmshift.mtv.network_map:
    name: datacenter-1
    namespace: openshift-mtv
    purge_pairs: false
    pairs:
      - source: Backup
        destination: ignored
      - source: Old DMZ
        state: absent

- name: Map whatever the web servers use, and tell which pairs were found by which rule
  vmshift.mtv.network_map:
    name: web
    namespace: openshift-mtv
    source: vcenter
    auto: true
    target_namespace: web
    vms:
      - folder: /DC1/vm/prod
        regex: web-[0-9]+
    pairs:
      - source: Backup
        destination: ignored
  register: web_networks

- name: Show the pairs that were found
  ansible.builtin.debug:
    msg: "{{ item.source.name }} -> {{ item.destination }} ({{ item.rule }}: {{ item.reason }})"
  loop: "{{ web_networks.guesses }}"

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
vms:
  description: The virtual machines that O(vms) means without those of O(exclude).
  returned: with O(auto=true)
  type: list
  elements: dict
  sample:
    - id: vm-17
      name: web-01
      overrides: {}
guesses:
  description: The pairs of the map that were found for these VMs because nobody has given them.
  returned: with O(auto=true)
  type: list
  elements: dict
  contains:
    source:
      description: What is mapped, as it stands in the map.
      type: dict
    destination:
      description: Where it goes, as it stands in the map.
      type: dict
    rule:
      description: Which rule has found the destination, C(annotation), C(same_name) or C(default).
      type: str
    reason:
      description: The rule as it applied, in words.
      type: str
    vms:
      description: Names of the VMs that use the source.
      type: list
      elements: str
  sample:
    - source:
        id: network-12
        name: VM Network
      destination:
        type: pod
      rule: default
      reason: the pod network is the default
      vms: [web-01]
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

from ansible_collections.vmshift.mtv.plugins.module_utils import maps
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.options import MAP, PAIR


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **MAP,
            "pairs": {"type": "list", "elements": "dict", "options": PAIR},
            "target_namespace": {"type": "str"},
        },
        supports_check_mode=True,
    )
    run_module(module, lambda cluster: maps.run(module, cluster, maps.NETWORK))


if __name__ == "__main__":
    main()
