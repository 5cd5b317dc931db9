#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hook
short_description: A hook of MTV, what runs before or after a VM is migrated
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Makes, changes or removes a C(Hook) of the Migration Toolkit for Virtualization (MTV, Forklift). A plan names it in the C(hooks) of its
    VMs, with the step C(PreHook) or C(PostHook).
  - A hook is either an image with a playbook, run as a Job in the namespace of the plan, or a job template of Ansible Automation Platform.
    Giving one kind takes the other away.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes
  - vmshift.mtv.options
  - vmshift.mtv.options.wait
options:
  image:
    description:
      - Image that runs the hook, such as V(quay.io/konveyor/hook-runner). With a playbook it must have C(ansible-runner).
      - A new hook needs it, unless O(aap) is given.
    type: str
  playbook:
    description:
      - The playbook as text. An empty text takes the playbook away; the image's own entrypoint runs then.
      - It must be a list of plays in YAML, and at most 1 MiB in base64, which is what a ConfigMap carries.
      - In the hook's pod, C(/tmp/hook/workload.yml) describes the VM and C(/tmp/hook/plan.yml) the plan.
    type: str
  playbook_file:
    description:
      - File with the playbook, on the host that runs this module. For a file of the controller use O(playbook) with the C(file) lookup.
    type: path
  service_account:
    description:
      - ServiceAccount of the hook's pod, in the namespace of the plan. An empty text takes it away.
      - Without it that of the plan, then that of MTV's settings.
    type: str
  deadline:
    description:
      - How many seconds the hook's pod may run; V(0) is no limit.
    type: int
  aap:
    description:
      - A job template of Ansible Automation Platform to launch (MTV 2.12.0 and newer). Cannot be given together with O(image),
        O(playbook) or O(playbook_file).
      - It replaces the whole connection of an existing hook.
    type: dict
    suboptions:
      job_template_id:
        description: Id of the job template.
        type: int
        required: true
      url:
        description:
          - URL of Ansible Automation Platform. Without it O(aap.token_secret) is not given either, and the settings C(aap_url) and
            C(aap_token_secret_name) of C(ForkliftController) count.
        type: str
      token_secret:
        description:
          - Name of the Secret with the token (key C(token)), in the namespace of the plan.
        type: str
      timeout:
        description:
          - How many seconds the job may take; V(-1) is no limit.
        type: int
seealso:
  - module: vmshift.mtv.plan
  - module: vmshift.mtv.settings
"""

EXAMPLES = r"""
- name: Stop the application before its VM is migrated
  vmshift.mtv.hook:
    name: stop-application
    namespace: openshift-mtv
    image: quay.io/konveyor/hook-runner
    playbook_file: "{{ playbook_dir }}/hooks/stop_application.yml"
    service_account: hook-runner
    deadline: 600

- name: Write the playbook of a hook in place
  vmshift.mtv.hook:
    name: note
    namespace: openshift-mtv
    image: quay.io/konveyor/hook-runner
    playbook: |
      - hosts: localhost
        tasks:
          - ansible.builtin.include_vars:
              file: /tmp/hook/workload.yml
              name: workload
          - ansible.builtin.debug:
              var: workload.vm

- name: Launch a job template
  vmshift.mtv.hook:
    name: register-in-cmdb
    namespace: openshift-mtv
    aap:
      job_template_id: 42
      url: https://aap.example.com
      token_secret: aap-token
      timeout: 900

- name: Remove a hook
  vmshift.mtv.hook:
    name: note
    namespace: openshift-mtv
    state: absent
"""

RETURN = r"""
hook:
  description: The C(Hook) as the API server has it (the playbook in base64), null when it is absent.
  returned: success
  type: dict
  sample:
    apiVersion: forklift.konveyor.io/v1beta1
    kind: Hook
    metadata:
      name: note
      namespace: openshift-mtv
    spec:
      image: quay.io/konveyor/hook-runner
      playbook: LSBob3N0czogbG9jYWxob3N0Cg==
    status:
      conditions:
        - type: Ready
          status: "True"
          category: Required
          message: The hook is ready.
conditions:
  description: Conditions of the hook when the wait for it ended.
  returned: when the wait fails
  type: list
  elements: dict
  sample:
    - type: InvalidImage
      status: "True"
      category: Critical
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, reporting, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.hook_playbook import decoded, encoded
from ansible_collections.vmshift.mtv.plugins.module_utils.options import OBJECT, WAIT
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import Result, ensure_absent, ensure_present, get
from ansible_collections.vmshift.mtv.plugins.module_utils.served_schema import refuse_newer
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import target_of, wait_gone, wait_ready

KIND = "Hook"
ARGUMENT_SPEC = {
    **OBJECT,
    **WAIT,
    "image": {"type": "str"},
    "playbook": {"type": "str"},
    "playbook_file": {"type": "path"},
    "service_account": {"type": "str"},
    "deadline": {"type": "int"},
    "aap": {
        "type": "dict",
        "options": {
            "job_template_id": {"type": "int", "required": True},
            "url": {"type": "str"},
            "token_secret": {"type": "str", "no_log": False},
            "timeout": {"type": "int"},
        },
        "required_together": [("url", "token_secret")],
    },
}


def spec_of(params: dict[str, Any]) -> dict[str, Any]:
    """`spec` of what the task gives; None takes a field away. Raises TalkError."""
    if params["deadline"] is not None and params["deadline"] < 0:
        raise TalkError(f"deadline: {params['deadline']} is no number of seconds; give 0 for no limit.")
    spec = {"serviceAccount": params["service_account"], "deadline": params["deadline"]}
    spec = {field: value or None if field == "serviceAccount" else value for field, value in spec.items() if value is not None}
    if params["aap"]:
        return {**spec, "aap": _job_template(params["aap"]), "image": None, "playbook": None}
    if params["image"] is not None:
        spec["image"] = params["image"]
    option = "playbook" if params["playbook"] is not None else "playbook_file"
    text = params["playbook"] if params["playbook"] is not None else _content(params["playbook_file"])
    if text is not None:
        spec["playbook"] = encoded(text, option) if text or option == "playbook_file" else None
    return {**spec, "aap": None} if "image" in spec or "playbook" in spec else spec


def _job_template(aap: dict[str, Any]) -> dict[str, Any]:
    if aap["job_template_id"] < 1:
        raise TalkError(f"aap.job_template_id: {aap['job_template_id']} is no id of a job template; ids begin with 1.")
    secret = {"name": aap["token_secret"]} if aap["token_secret"] else None
    # None removes what an existing hook has.
    return {"jobTemplateId": aap["job_template_id"], "url": aap["url"] or None, "tokenSecret": secret, "timeout": aap["timeout"]}


def _content(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise TalkError(f"playbook_file: {path} cannot be read: {reason}.") from error


def present(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    params = module.params
    spec = spec_of(params)
    current = get(cluster, KIND, params["namespace"], params["name"])
    refuse_newer(cluster, KIND, spec, current)
    before = (current or {}).get("spec") or {}
    if not spec.get("aap") and not spec.get("image", before.get("image")) and not (before.get("aap") and "aap" not in spec):
        raise TalkError("image: this hook has none; give image, or aap for a job template of Ansible Automation Platform.")
    metadata = {k: params[k] for k in ("name", "namespace", "labels", "annotations") if params[k] is not None}
    result = ensure_present(cluster, {"kind": KIND, "metadata": metadata, "spec": spec}, check_mode=module.check_mode)
    outcome = {"changed": result.changed, "diff": readable(result), "hook": result.object}
    if params["wait"] and not module.check_mode:
        with reporting(changed=result.changed, diff=outcome["diff"]):
            outcome["hook"] = wait_ready(cluster, result.object or {}, timeout=params["wait_timeout"])
    return outcome


def absent(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    params = module.params
    result = ensure_absent(cluster, KIND, params["namespace"], params["name"], check_mode=module.check_mode)
    outcome = {"changed": result.changed, "diff": readable(result), "hook": None}
    if params["wait"] and not module.check_mode and result.method:
        target = target_of({"kind": KIND, "metadata": {"namespace": params["namespace"], "name": params["name"]}})
        with reporting(changed=result.changed, diff=outcome["diff"]):
            wait_gone(cluster, [target], timeout=params["wait_timeout"])
    return outcome


def readable(result: Result) -> dict[str, Any]:
    """The diff, with playbooks as text."""
    return {side: {**part, "spec": decoded(part["spec"])} if "spec" in part else part for side, part in result.diff.items()}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("aap", "image"), ("aap", "playbook"), ("aap", "playbook_file"), ("playbook", "playbook_file")],
        supports_check_mode=True,
    )
    work = absent if module.params["state"] == "absent" else present
    run_module(module, lambda cluster: work(module, cluster))


if __name__ == "__main__":
    main()
