#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_map
short_description: A storage map of MTV, which storage of the source becomes which storage class
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Makes, changes or removes a C(StorageMap) of the Migration Toolkit for Virtualization (MTV, Forklift).
  - Before anything is written, the pairs are checked against the inventories of both providers, because MTV only warns about storages that
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
          - A storage of the source, by its name in the inventory, or as a dictionary with C(id) or C(name).
          - This is a datastore of vSphere, a storage domain of oVirt, a volume type of OpenStack (V(glance) for images), a storage class
            of OpenShift, and with OVA files a disk, such as V(web-disk1.vmdk).
        type: raw
        required: true
      destination:
        description:
          - Name of a storage class of the destination.
          - Also as a dictionary of C(storage_class), C(volume_mode) (V(Filesystem) or V(Block)) and C(access_mode) (V(ReadWriteOnce),
            V(ReadWriteMany) or V(ReadOnlyMany)). Modes not given come from the storage profile of the class.
          - Required, unless O(pairs[].state=absent).
        type: raw
      state:
        description: V(absent) removes the pair from the map, which makes sense with O(purge_pairs=false).
        type: str
        choices: [present, absent]
        default: present
      offload_plugin:
        description:
          - How a storage array copies the disks itself, so that they need not pass through the network (vSphere; MTV 2.8.2 and newer).
          - Exactly one of the two ways.
        type: dict
        suboptions:
          vsphere_xcopy_config:
            description: The array copies volumes of ESXi hosts (XCOPY).
            type: dict
            suboptions:
              secret_ref:
                description:
                  - Name of the C(Secret) with the address and credentials of the array (keys C(STORAGE_HOSTNAME), C(STORAGE_USERNAME),
                    C(STORAGE_PASSWORD) and more).
                  - MTV reads it from the namespace of the source provider.
                type: str
                required: true
              storage_vendor_product:
                description: The array, such as V(ontap) or V(pureFlashArray); which there are depends on the release of MTV.
                type: str
                required: true
              dedicated_migration_hosts:
                description: Ids of the ESXi hosts that do the copying (MTV 5.0 and newer).
                type: list
                elements: str
          csi_volume_import:
            description: The CSI driver takes over the array's volume as it is (MTV 2.12.2 and newer).
            type: dict
            suboptions:
              secret_ref:
                description: Like O(pairs[].offload_plugin.vsphere_xcopy_config.secret_ref).
                type: str
                required: true
              storage_vendor_product:
                description: The array, V(ontap) or V(primera3par).
                type: str
                required: true
seealso:
  - module: vmshift.mtv.network_map
  - module: vmshift.mtv.inventory_info
"""

EXAMPLES = r"""
- name: Map the disks of OVA files
  vmshift.mtv.storage_map:
    name: appliances
    namespace: openshift-mtv
    source: appliances
    pairs:
      - source: web-disk1.vmdk
        destination: ceph-rbd
      - source: web-disk2.vmdk
        destination:
          storage_class: ceph-rbd
          volume_mode: Block
          access_mode: ReadWriteMany

- name: Map a datastore by its id
  vmshift.mtv.storage_map:
    name: datacenter-1
    namespace: openshift-mtv
    source: vcenter
    pairs:
      - source:
          id: datastore-11
        destination: ceph-rbd

- name: Let the storage array copy the disks of one more datastore, and leave all other pairs of the map as they are
  vmshift.mtv.storage_map:
    name: datacenter-1
    namespace: openshift-mtv
    purge_pairs: false
    pairs:
      - source: array-17
        destination:
          storage_class: netapp-san
          volume_mode: Block
        offload_plugin:
          vsphere_xcopy_config:
            secret_ref: netapp-credentials
            storage_vendor_product: ontap

- name: Map whatever the web servers use
  vmshift.mtv.storage_map:
    name: web
    namespace: openshift-mtv
    source: vcenter
    auto: true
    vms:
      - folder: /DC1/vm/prod
        regex: web-[0-9]+

- name: Remove a storage map
  vmshift.mtv.storage_map:
    name: appliances
    namespace: openshift-mtv
    state: absent
"""

RETURN = r"""
storage_map:
  description: The C(StorageMap) as the API server has it, null when it is absent.
  returned: success
  type: dict
  sample:
    apiVersion: forklift.konveyor.io/v1beta1
    kind: StorageMap
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
            name: web-disk1.vmdk
          destination:
            storageClass: ceph-rbd
    status:
      conditions:
        - type: Ready
          status: "True"
          category: Required
          message: The storage map is ready.
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
        id: datastore-11
        name: ssd-1
      destination:
        storageClass: ceph-rbd
      rule: default
      reason: it is the default storage class (storageclass.kubevirt.io/is-default-virt-class)
      vms: [web-01]
conditions:
  description: Conditions of the map when the wait for it ended.
  returned: when the wait fails
  type: list
  elements: dict
  sample:
    - type: DestinationStorageNotValid
      status: "True"
      category: Critical
      reason: NotFound
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils import maps
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.options import MAP, PAIR

# Which storage arrays there are depends on the release of MTV; the API server knows.
# secret_ref is the name of a Secret, which is no secret.
_ARRAY: dict[str, Any] = {
    "secret_ref": {"type": "str", "required": True, "no_log": False},
    "storage_vendor_product": {"type": "str", "required": True},
}
_PLUGINS: dict[str, Any] = {
    "vsphere_xcopy_config": {
        "type": "dict",
        "options": {**_ARRAY, "dedicated_migration_hosts": {"type": "list", "elements": "str"}},
    },
    "csi_volume_import": {"type": "dict", "options": _ARRAY},
}
_OFFLOAD: dict[str, Any] = {
    "type": "dict",
    "options": _PLUGINS,
    "mutually_exclusive": [tuple(_PLUGINS)],
    "required_one_of": [tuple(_PLUGINS)],
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**MAP, "pairs": {"type": "list", "elements": "dict", "options": {**PAIR, "offload_plugin": _OFFLOAD}}},
        supports_check_mode=True,
    )
    run_module(module, lambda cluster: maps.run(module, cluster, maps.STORAGE))


if __name__ == "__main__":
    main()
