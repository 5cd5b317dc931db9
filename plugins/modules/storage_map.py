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
        type: raw
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.maps import STORAGE, absent, present
from ansible_collections.vmshift.mtv.plugins.module_utils.options import MAP


def main() -> None:
    module = AnsibleModule(
        argument_spec=MAP,
        required_if=[("state", "present", ("source", "pairs"))],
        supports_check_mode=True,
    )
    work = absent if module.params["state"] == "absent" else present
    run_module(module, lambda cluster: work(module, cluster, STORAGE, "storage_map"))


if __name__ == "__main__":
    main()
