#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: source_vm_info
short_description: Virtual machines of a source and the concerns about them, read without MTV
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Reads virtual machines directly from where they run, with no cluster and no Migration Toolkit for Virtualization (MTV) anywhere, in the
    JSON that MTV's inventory has.
  - Judges them by the rules of MTV's validation service, so that what stands in the way of a migration is known before anything is set up.
extends_documentation_fragment:
  - vmshift.mtv.source
attributes:
  check_mode:
    support: full
    details:
      - This module reads only.
  diff_mode:
    description: Returns what has changed (or would change in C(check_mode)) when it runs in diff mode.
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
options:
  type:
    description: Type of the source.
    type: str
    choices: [vsphere, ovirt, openstack, ova]
    default: vsphere
  login:
    description:
      - What logs in to V(openstack) beside O(user) and O(password), or instead of them, in the words of
        O(vmshift.mtv.provider#module:secret).
      - Only the project that it names, or that an application credential belongs to, is read.
    type: dict
    suboptions:
      auth_type:
        description:
          - V(password) goes with O(user) or O(login.user_id), and O(password). V(token) goes with O(login.token).
          - V(applicationcredential) goes with O(login.application_credential_secret) and either O(login.application_credential_id), or
            O(login.application_credential_name) and O(user).
        type: str
        choices: [password, token, applicationcredential]
        default: password
      user_id:
        description: Id of the user, instead of O(user).
        type: str
      token:
        description: A token of Keystone.
        type: str
      application_credential_id:
        description: Id of an application credential.
        type: str
      application_credential_name:
        description: Name of an application credential of O(user).
        type: str
      application_credential_secret:
        description: Secret of the application credential.
        type: str
      project_name:
        description: Name of the project.
        type: str
      project_id:
        description: Id of the project.
        type: str
      user_domain_name:
        description: Name of the user's domain.
        type: str
      user_domain_id:
        description: Id of the user's domain.
        type: str
      project_domain_name:
        description: Name of the project's domain.
        type: str
      project_domain_id:
        description: Id of the project's domain.
        type: str
      domain_name:
        description: Name of the domain.
        type: str
      domain_id:
        description: Id of the domain.
        type: str
      default_domain:
        description: Domain to use where none is given.
        type: str
      region:
        description: Region of the service catalog.
        type: str
      availability:
        description: Which endpoints of the service catalog are used.
        type: str
        choices: [public, internal, admin]
        default: public
  vms:
    description:
      - The virtual machines to return, all when not given. The words are those of O(vmshift.mtv.plan#module:vms).
      - An entry that means no virtual machine is an error.
    type: list
    elements: raw
  exclude:
    description: Virtual machines to leave out, in the same words. An entry that means none is a warning.
    type: list
    elements: raw
  resources:
    description:
      - Other collections to return as well. For V(vsphere) these are V(networks), V(datastores), V(hosts), V(clusters), V(datacenters) and
        V(folders); for V(ovirt) V(networks), V(nicprofiles), V(storagedomains), V(disks), V(diskprofiles), V(hosts), V(clusters),
        V(datacenters) and V(servercpus); for V(openstack) V(projects), V(regions), V(images), V(flavors), V(snapshots), V(volumes),
        V(volumetypes), V(networks) and V(subnets); for V(ova) V(networks), V(disks) and V(storages).
    type: list
    elements: str
    default: []
requirements:
  - pyvmomi >= 8.0.3.0.1 (for vSphere)
  - ovirt-engine-sdk-python >= 4.6.3 (for Red Hat Virtualization and oVirt)
  - openstacksdk >= 4.0 (for OpenStack)
  - defusedxml (for OVA files)
  - jmespath (for C(query) in O(vms) and O(exclude))
seealso:
  - module: vmshift.mtv.inventory_info
  - module: vmshift.mtv.plan
"""

EXAMPLES = r"""
- name: Look at a folder's virtual machines before a migration is planned
  vmshift.mtv.source_vm_info:
    url: https://vcenter.example.com/sdk
    user: administrator@vsphere.local
    password: "{{ vcenter_password }}"
    ca_cert_file: /etc/pki/vcenter.pem
    vms:
      - folder: /DC1/vm/prod
    exclude:
      - tag: stays
  register: source

- name: Stop when one of them cannot be migrated as it is
  ansible.builtin.assert:
    that: source.concerns | selectattr('category', 'eq', 'Critical') | length == 0
    fail_msg: "{{ source.concerns | selectattr('category', 'eq', 'Critical') | map(attribute='label') | join('; ') }}"

- name: Read the virtual machines that are not ready for a warm migration, and what networks and datastores there are
  vmshift.mtv.source_vm_info:
    url: https://vcenter.example.com/sdk
    user: administrator@vsphere.local
    password: "{{ vcenter_password }}"
    thumbprint: 08:A2:B9:C1:F6:0C:A2:15:10:B3:5C:E9:E8:DD:B7:FB:BC:43:D5:A8
    vms:
      - query: changeTrackingEnabled == `false`
    resources: [networks, datastores]

- name: Look at a cluster of Red Hat Virtualization
  vmshift.mtv.source_vm_info:
    type: ovirt
    url: https://engine.example.com/ovirt-engine/api
    user: admin@internal
    password: "{{ engine_password }}"
    ca_cert_file: /etc/pki/engine.pem
    vms:
      - cluster: Default
    resources: [networks, storagedomains]

- name: Look at a project of OpenStack with an application credential
  vmshift.mtv.source_vm_info:
    type: openstack
    url: https://keystone.example.com:5000/v3
    ca_cert_file: /etc/pki/openstack-ca.pem
    login:
      auth_type: applicationcredential
      application_credential_id: "{{ credential_id }}"
      application_credential_secret: "{{ credential_secret }}"
      region: RegionOne
    resources: [networks, volumetypes]

- name: Look at appliances in a folder of this host
  vmshift.mtv.source_vm_info:
    type: ova
    url: localhost:/srv/appliances
"""

RETURN = r"""
vms:
  description: The virtual machines, each in full as the inventory of MTV has it, with C(concerns).
  returned: success
  type: list
  elements: dict
  sample:
    - id: vm-41
      name: web-1
      path: /DC1/vm/web/web-1
      powerState: poweredOn
      memoryMB: 512
      disks:
        - file: "[LocalDS_0] web-1/web-1.vmdk"
          capacity: 268435456
          bus: scsi
      concerns:
        - id: vmware.snapshot.detected
          category: Information
          label: VM snapshot detected
          assessment: The VM is migrated as it is now; its snapshots do not come along.
concerns:
  description: The concerns about all of them, in one list.
  returned: success
  type: list
  elements: dict
  contains:
    vm:
      description: Name of the virtual machine.
      type: str
    vm_id:
      description: Its id.
      type: str
    id:
      description: Id of the rule.
      type: str
    category:
      description: C(Critical), C(Warning) or C(Information).
      type: str
    label:
      description: What it is, in a few words.
      type: str
    assessment:
      description: What it means for a migration.
      type: str
  sample:
    - vm: web-1
      vm_id: vm-41
      id: vmware.snapshot.detected
      category: Information
      label: VM snapshot detected
      assessment: The VM is migrated as it is now; its snapshots do not come along.
resources:
  description: The collections of O(resources), by name.
  returned: success
  type: dict
  sample:
    networks:
      - id: network-7
        name: VM Network
        variant: Standard
source:
  description: What the source itself is; empty for OVA files, oVirt and OpenStack.
  returned: success
  type: dict
  sample:
    apiVersion: 8.0.2.0
    instanceUuid: dbed6e0c-bd88-4ef6-b594-21283e1c677f
    product: VMware vCenter Server
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils import selection
from ansible_collections.vmshift.mtv.plugins.module_utils.chosen_vms import require_jmespath
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.placement import Placement
from ansible_collections.vmshift.mtv.plugins.module_utils.plan_spec import words_only
from ansible_collections.vmshift.mtv.plugins.module_utils.source_reading import LOGIN, SOURCE, TRUST, read, run_module

COLLECTIONS = {
    "vsphere": ("networks", "datastores", "hosts", "clusters", "datacenters", "folders"),
    "ovirt": ("networks", "nicprofiles", "storagedomains", "disks", "diskprofiles", "hosts", "clusters", "datacenters", "servercpus"),
    "openstack": ("projects", "regions", "images", "flavors", "snapshots", "volumes", "volumetypes", "networks", "subnets"),
    "ova": ("networks", "disks", "storages"),
}


def work(module: AnsibleModule) -> dict[str, Any]:
    """Read the source and choose from it. Raises TalkError."""
    params, type = module.params, module.params["type"]
    vms, exclude = words_only("vms", params["vms"] or []), words_only("exclude", params["exclude"] or [])
    require_jmespath([*vms, *exclude])
    unknown = [name for name in params["resources"] if name not in COLLECTIONS[type]]
    if unknown:
        raise TalkError(f"resources: a source of type {type} has no {unknown[0]!r}; it has {', '.join(COLLECTIONS[type])}.")
    try:
        selection.require_known_words("vms", vms, type)
        selection.require_known_words("exclude", exclude, type)
    except selection.SelectionError as error:
        raise TalkError(f"{error}.") from error
    collected = read(type, params)
    for problem in collected.problems:
        module.warn(f"Not in the inventory: {problem}.")
    found = chosen(module, collected.resources, vms, exclude)
    return {
        "changed": False,
        "vms": found,
        "concerns": [{"vm": vm["name"], "vm_id": vm["id"], **concern} for vm in found for concern in vm["concerns"]],
        "resources": {name: collected.resources[name] for name in params["resources"]},
        "source": collected.about,
    }


def chosen(module: AnsibleModule, resources: dict[str, list[dict[str, Any]]], vms: list[Any], exclude: list[Any]) -> list[dict[str, Any]]:
    """The VMs that are meant, in the order of their entries; of all of them, when there are none, that of the source."""
    inventory = [vm for vm in resources["vms"] if not vm.get("isTemplate")]
    placement = Placement(module.params["type"], inventory, lambda collection: resources[collection])
    everything = vms or [{"regex": ".*"}]
    if not inventory and not vms:
        return []
    try:
        references = selection.resolve(everything, inventory, exclude=exclude, placement=placement, warn=module.warn)
    except selection.SelectionError as error:
        raise TalkError(f"The VMs are not clear. Inventory of {module.params['url']}: {error}.") from error
    by_id = {vm["id"]: vm for vm in inventory}
    return [by_id[reference["id"]] for reference in references]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SOURCE,
            "type": {"type": "str", "choices": ["vsphere", "ovirt", "openstack", "ova"], "default": "vsphere"},
            "login": {"type": "dict", "options": LOGIN},
            "vms": {"type": "list", "elements": "raw"},
            "exclude": {"type": "list", "elements": "raw"},
            "resources": {"type": "list", "elements": "str", "default": []},
        },
        mutually_exclusive=TRUST,
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
