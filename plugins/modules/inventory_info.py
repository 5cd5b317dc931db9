#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inventory_info
short_description: What a provider holds, as MTV sees it
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Reads virtual machines, networks, storages and other things of a provider from the Inventory service of the Migration Toolkit for
    Virtualization (MTV, Forklift).
  - Virtual machines come with the concerns that MTV has about them.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes.info
  - vmshift.mtv.options.inventory
options:
  provider:
    description:
      - The provider, by name, or as a dictionary of C(name) and C(namespace).
    type: raw
    required: true
  namespace:
    description:
      - Namespace of the provider, if O(provider) does not say it.
    type: str
  resource:
    description:
      - What to read, in the words of the service. Each type of provider has its own, for example V(vms), V(networks) and V(storages) for
        OVA files, V(datastores), V(hosts) and V(clusters) for vSphere, V(storagedomains) for oVirt, V(volumetypes) for OpenStack,
        V(networkattachmentdefinitions), V(storageclasses) and V(namespaces) for OpenShift.
    type: str
    default: vms
  id:
    description:
      - Id of one thing. Mutually exclusive with O(name).
    type: str
  name:
    description:
      - Only things of this name. For vSphere, oVirt and OpenStack also the end of a path, such as V(folder/name).
    type: str
  detail:
    description:
      - How much to return of each thing, from V(0) (id and name) on. Without it everything.
    type: int
  query:
    description:
      - A JMESPath expression over the list that was read. What it yields is returned; a single value as a list of one.
    type: str
requirements:
  - kubernetes >= 29.0.0
  - jmespath (for O(query))
seealso:
  - module: vmshift.mtv.provider
"""

EXAMPLES = r"""
- name: Read all virtual machines of a provider
  vmshift.mtv.inventory_info:
    provider: appliances
    namespace: openshift-mtv
  register: inventory

- name: Show what MTV has to say against each of them
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.concerns | map(attribute='label') | join(', ') }}"
  loop: "{{ inventory.resources }}"
  loop_control:
    label: "{{ item.name }}"

- name: Read the names of virtual machines that cannot be migrated as they are
  vmshift.mtv.inventory_info:
    provider: appliances
    namespace: openshift-mtv
    query: "[?concerns[?category=='Critical']].name"

- name: Read the storage classes of the cluster that MTV runs on
  vmshift.mtv.inventory_info:
    provider: host
    namespace: openshift-mtv
    resource: storageclasses
    detail: 0
"""

RETURN = r"""
resources:
  description: What was read, or what O(query) yields.
  returned: success
  type: list
  elements: raw
  sample:
    - id: 796051fce57ca1d00b2bc0ec8c895c524e29
      name: web
      concerns: []
      disks:
        - ID: 2bda8999665b3e15f3e7631e9893e4196723
          Name: web-disk1.vmdk
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import ALL, InventoryError, InventoryService
from ansible_collections.vmshift.mtv.plugins.module_utils.options import INVENTORY
from ansible_collections.vmshift.mtv.plugins.module_utils.references import parse, source_provider


def compiled(query: str) -> Any:
    """The JMESPath expression. Raises TalkError when it is none, or when the library is missing."""
    try:
        import jmespath
    except ImportError as error:
        raise TalkError(missing_required_lib("jmespath")) from error
    try:
        return jmespath.compile(query)
    except jmespath.exceptions.JMESPathError as error:
        raise TalkError(f"query: {query!r} is not a JMESPath expression: {error}") from error


def as_list(value: Any) -> list[Any]:
    """The result of a query as a list: nothing is [], one value a list of one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def read(cluster: Cluster, params: Mapping[str, Any]) -> list[Any]:
    """What the options ask for."""
    query = compiled(params["query"]) if params["query"] else None
    name, namespace = parse(params["provider"], "provider")
    namespace = namespace or params["namespace"]
    if not namespace:
        raise TalkError(f"namespace: give the namespace of the provider {name}, here or in provider.")
    provider = source_provider(cluster, params["provider"], namespace, option="provider")
    service = InventoryService(cluster, params["inventory_url"], namespace)
    try:
        if params["id"]:
            found = service.find(provider, params["resource"], {"id": params["id"]})
        else:
            detail = ALL if params["detail"] is None else params["detail"]
            found = service.get(provider, params["resource"], detail=detail, name=params["name"])
    except InventoryError as error:
        if error.not_ready:
            raise TalkError(f"{error} Wait for the provider with vmshift.mtv.provider first.", **error.details) from error
        if error.status == 404:
            type = provider["spec"].get("type")
            raise TalkError(
                f"resource: the inventory of a provider of type {type} has no {params['resource']!r}.", **error.details
            ) from error
        raise
    return as_list(query.search(found)) if query else found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **AUTH_ARGUMENT_SPEC,
            **INVENTORY,
            "provider": {"type": "raw", "required": True},
            "namespace": {"type": "str"},
            "resource": {"type": "str", "default": "vms"},
            "id": {"type": "str"},
            "name": {"type": "str"},
            "detail": {"type": "int"},
            "query": {"type": "str"},
        },
        mutually_exclusive=[("id", "name")],
        supports_check_mode=True,
    )
    run_module(module, lambda cluster: {"changed": False, "resources": read(cluster, module.params)})


if __name__ == "__main__":
    main()
