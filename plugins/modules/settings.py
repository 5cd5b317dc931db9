#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: settings
short_description: The settings of MTV, the ForkliftController
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Changes settings of the Migration Toolkit for Virtualization (MTV, Forklift), which are the C(spec) of its C(ForkliftController), and
    returns all of them as they count.
  - Only settings that are given are written. One that is given empty (V(null)) is taken away, so that the default of MTV counts again.
  - A setting that the MTV of the cluster does not know is refused before anything is written.
  - The operator rolls its deployments out after a change; this module does not wait for that.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes
  - vmshift.mtv.settings
options:
  name:
    description:
      - Name of the C(ForkliftController). Without it the only one of the namespace, which is usually called C(forklift-controller).
      - It must exist; it is made when MTV is installed.
    type: str
  namespace:
    description:
      - Namespace that MTV is installed in, usually V(openshift-mtv) or V(konveyor-forklift).
    type: str
    required: true
requirements:
  - kubernetes >= 29.0.0
seealso:
  - module: vmshift.mtv.plan
"""

EXAMPLES = r"""
- name: Let more VMs migrate at the same time, and copy changes every half hour
  vmshift.mtv.settings:
    namespace: openshift-mtv
    controller_max_vm_inflight: 40
    controller_precopy_interval: 30

- name: Use one VDDK image for all vSphere providers, and leave the array out of copying
  vmshift.mtv.settings:
    namespace: openshift-mtv
    vddk_image: registry.example.com/vddk:8.0.3
    feature_copy_offload: false

- name: Go back to MTV's default
  vmshift.mtv.settings:
    namespace: openshift-mtv
    controller_max_vm_inflight:

- name: Only read
  vmshift.mtv.settings:
    namespace: openshift-mtv
  register: mtv
"""

RETURN = r"""
settings:
  description:
    - Every setting that the MTV of the cluster knows, as it counts, with the defaults; null where there is neither a value nor a default.
    - Values have the types of the options.
  returned: success
  type: dict
  sample:
    controller_max_vm_inflight: 40
    controller_precopy_interval: 60
    feature_copy_offload: false
    vddk_image: registry.example.com/vddk:8.0.3
forklift_controller:
  description: The C(ForkliftController) as the API server has it.
  returned: success
  type: dict
  sample:
    apiVersion: forklift.konveyor.io/v1beta1
    kind: ForkliftController
    metadata:
      name: forklift-controller
      namespace: openshift-mtv
    spec:
      controller_max_vm_inflight: 40
      feature_copy_offload: "false"
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule, _load_params

from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.controller_settings import (
    SETTINGS,
    InvalidSetting,
    argument_spec,
    effective,
    field_value,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import ensure_present, get, list_objects
from ansible_collections.vmshift.mtv.plugins.module_utils.served_schema import refuse_newer, spec_fields

KIND = "ForkliftController"
ARGUMENT_SPEC = {
    **AUTH_ARGUMENT_SPEC,
    **argument_spec(),
    "name": {"type": "str"},
    "namespace": {"type": "str", "required": True},
}


def controller(cluster: Cluster, namespace: str, name: str | None) -> dict[str, Any]:
    """The ForkliftController that the task means. Raises TalkError."""
    if name:
        found = get(cluster, KIND, namespace, name)
        if found is None:
            raise TalkError(f"name: there is no ForkliftController {namespace}/{name}; it is made when MTV is installed.")
        return found
    several = list_objects(cluster, KIND, namespace)
    if len(several) != 1:
        names = ", ".join(sorted(c["metadata"]["name"] for c in several))
        advice = f"there are several ({names}): give name" if several else "is MTV installed in this namespace?"
        raise TalkError(f"namespace: {namespace} has {len(several)} ForkliftControllers; {advice}.")
    return several[0]


def apply(module: AnsibleModule, cluster: Cluster, given: set[str]) -> dict[str, Any]:
    """`given`: options of the task, also those given as null."""
    params = module.params
    wanted = [SETTINGS[name] for name in SETTINGS if name in given]
    try:
        spec = {setting.name: field_value(setting, params[setting.name]) for setting in wanted}
    except InvalidSetting as error:
        raise TalkError(str(error)) from error
    served = spec_fields(cluster, KIND)
    refuse_newer(cluster, KIND, spec)
    meta = controller(cluster, params["namespace"], params["name"])["metadata"]
    desired = {"kind": KIND, "metadata": {"name": meta["name"], "namespace": meta["namespace"]}, "spec": spec}
    result = ensure_present(cluster, desired, check_mode=module.check_mode)
    obj = result.object or {}
    return {
        "changed": result.changed,
        "diff": result.diff,
        "settings": effective(obj.get("spec") or {}, served),
        "forklift_controller": obj,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    # In module.params an option given as null looks like one not given.
    given = set(_load_params())
    run_module(module, lambda cluster: apply(module, cluster, given))


if __name__ == "__main__":
    main()
