# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # One object that is made or removed.
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the object.
    type: str
    required: true
  namespace:
    description:
      - Namespace of the object. Usually the one that MTV is installed in, V(openshift-mtv) or V(konveyor-forklift).
    type: str
    required: true
  state:
    description:
      - V(present) makes the object, or brings the given options into the existing one; options not given stay as they are.
      - V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  labels:
    description:
      - Labels to set. Other labels of the object stay; an empty value (V(null)) removes a label.
    type: dict
  annotations:
    description:
      - Annotations to set. Other annotations of the object stay; an empty value (V(null)) removes an annotation.
    type: dict
requirements:
  - kubernetes >= 29.0.0
"""

    # Objects that are read.
    INFO = r"""
options:
  name:
    description:
      - Name of one object. Without it all objects are returned.
      - An object that does not exist gives an empty list.
    type: str
  namespace:
    description:
      - Namespace to look in. Without it objects of all namespaces are returned, which the user must be allowed to list.
    type: str
  label_selectors:
    description:
      - Label selectors, such as V(app=crm) or V(stage in (test,prod\)), that must all match.
    type: list
    elements: str
    default: []
requirements:
  - kubernetes >= 29.0.0
"""

    # Waiting for what the controllers make of an object.
    WAIT = r"""
options:
  wait:
    description:
      - Whether to wait until the object is ready, or with O(state=absent) until it is gone.
      - The wait ends as soon as the object cannot become ready any more; the error names the conditions that say so.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait at most.
    type: int
    default: 300
"""

    # The Inventory service.
    INVENTORY = r"""
options:
  inventory_url:
    description:
      - URL of MTV's Inventory service, for example V(https://forklift-inventory-openshift-mtv.apps.example.com).
      - Without it the Route C(forklift-inventory) is used, or the API server's service proxy where there is no Route.
    type: str
"""

    # A network map or storage map.
    MAP = r"""
options:
  source:
    description:
      - The provider that is migrated from, by name, or as a dictionary of C(name) and C(namespace).
      - Without a namespace the provider is looked for in O(namespace). Required when the map does not exist yet.
    type: raw
  destination:
    description:
      - The provider that is migrated to, like O(source). Without it that of the existing map, else the cluster that MTV runs on, the
        provider V(host).
    type: raw
  purge_pairs:
    description:
      - Whether pairs of the existing map that O(pairs) does not give go away.
      - With V(false) the given pairs are added, or replace those of the same source, or with C(state=absent) are removed, and all others
        stay. With O(auto=true) pairs of the existing map then count as given.
    type: bool
    default: true
  auto:
    description:
      - Whether pairs are found for everything that the VMs in O(vms) use and that O(pairs) does not give. Nothing else is mapped.
      - The rules are, in this order, the annotation of a destination that names the source, the same name, and the default of the cluster.
        A source that a rule finds several destinations for is an error. The guide C(docs/maps.md) of the collection has the details.
      - RV(guesses) lists every pair that was found so, with the rule that made it.
    type: bool
    default: false
  vms:
    description:
      - With O(auto=true), the VMs that are going to be migrated, in the words of the option O(vmshift.mtv.plan#module:vms). Options for
        VMs that stand there beside the words are ignored here, so that one list serves for both.
    type: list
    elements: raw
  exclude:
    description: With O(auto=true), VMs to leave out of O(vms), like O(vmshift.mtv.plan#module:exclude).
    type: list
    elements: raw
requirements:
  - jmespath >= 1.0.0, for queries in O(vms)
"""
