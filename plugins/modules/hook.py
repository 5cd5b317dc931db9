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
  library:
    description:
      - Names of hooks of this collection's library, which are files in its folder C(playbooks/hooks) on the controller, without C(.yml).
      - Several become one playbook, which runs them one after the other up to the first that fails. MTV runs one hook for each VM and step.
      - Their values are set with O(vars); the head of each file tells which it takes.
    type: list
    elements: str
  vars:
    description:
      - Variables to write into the playbook, which O(playbook), O(playbook_file) or O(library) gives. Every play gets them in its own
        C(vars); one that the play sets there itself is replaced. Nothing else in the text changes.
      - Secrets are refused, because everyone who may read Hooks or ConfigMaps reads them there. What counts as one is text under a name
        such as C(db_password), C(token) or C(api_key), and every private key. Put it into a Secret in the namespace of the plan, give the
        name of that Secret (such as C(db_password_secret_name)) and let the playbook read it with M(kubernetes.core.k8s_info).
      - Text with braces is a template when the hook runs, as everywhere in a playbook.
    type: dict
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
        O(playbook), O(playbook_file) or O(library).
      - It replaces the whole connection of an existing hook.
    type: dict
    suboptions:
      job_template_id:
        description: Id of the job template.
        type: int
      job_template:
        description:
          - Name of the job template, instead of O(aap.job_template_id). The host that runs this module asks Ansible Automation Platform for
            its id, at O(aap.url) with the token of O(aap.token_secret), or what the settings of MTV say. One that does not exist or is not
            unique is an error, which lists candidates.
          - The Secret is read in O(namespace), which usually is that of the plans, too.
        type: str
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
      ca_cert:
        description:
          - Certificates (PEM) of the authorities that signed the certificate of Ansible Automation Platform. Only for the look-up of
            O(aap.job_template); for itself MTV takes what its setting C(aap_ca_secret_name) says, which counts here, too, without
            O(aap.url).
        type: str
      insecure_skip_verify:
        description:
          - Whether the certificate of Ansible Automation Platform is not verified when O(aap.job_template) is looked up. Without O(aap.url)
            and without this option MTV's setting C(aap_insecure_skip_verify) counts.
        type: bool
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

- name: Tell the playbook which services to stop, and where it finds a password
  vmshift.mtv.hook:
    name: stop-database
    namespace: openshift-mtv
    image: quay.io/konveyor/hook-runner
    playbook_file: "{{ playbook_dir }}/hooks/stop_services.yml"
    vars:
      services: [postgresql]
      login_secret_name: guest-login

- name: Write down what the guest is like and stop its services, with two hooks of the library
  vmshift.mtv.hook:
    name: before
    namespace: openshift-mtv
    image: quay.io/konveyor/hook-runner
    library: [guest_facts, quiesce_services]
    vars:
      quiesce_services: [nginx]

- name: Launch a job template by its name, with the connection that MTV's settings hold
  vmshift.mtv.hook:
    name: notify
    namespace: openshift-mtv
    aap:
      job_template: Notify about a migration

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
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import ANNOTATION_JOB_TEMPLATE
from ansible_collections.vmshift.mtv.plugins.module_utils.hook_playbook import decoded, encoded
from ansible_collections.vmshift.mtv.plugins.module_utils.image_reference import is_image_reference
from ansible_collections.vmshift.mtv.plugins.module_utils.options import OBJECT, WAIT
from ansible_collections.vmshift.mtv.plugins.module_utils.readiness import wait_ready
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import Result, ensure_absent, ensure_present, get

KIND = "Hook"
ARGUMENT_SPEC = {
    **OBJECT,
    **WAIT,
    "image": {"type": "str"},
    "playbook": {"type": "str"},
    "playbook_file": {"type": "path"},
    "library": {"type": "list", "elements": "str"},
    "vars": {"type": "dict"},
    "service_account": {"type": "str"},
    "deadline": {"type": "int"},
    "aap": {
        "type": "dict",
        "options": {
            "job_template_id": {"type": "int"},
            "job_template": {"type": "str"},
            "url": {"type": "str"},
            "token_secret": {"type": "str", "no_log": False},
            "timeout": {"type": "int"},
            "ca_cert": {"type": "str"},
            "insecure_skip_verify": {"type": "bool"},
        },
        "required_together": [("url", "token_secret")],
        "required_one_of": [("job_template_id", "job_template")],
        "mutually_exclusive": [("job_template_id", "job_template"), ("ca_cert", "insecure_skip_verify")],
    },
}


def spec_of(params: dict[str, Any]) -> dict[str, Any]:
    """`spec` of what the task gives, a job template as far as its id is known; None takes a field away. Raises TalkError."""
    check(params)
    spec = {"serviceAccount": params["service_account"], "deadline": params["deadline"]}
    spec = {field: value or None if field == "serviceAccount" else value for field, value in spec.items() if value is not None}
    if params["aap"]:
        return {**spec, "aap": _job_template(params["aap"]), "image": None, "playbook": None}
    if params["image"] is not None:
        spec["image"] = params["image"]
    option = "playbook" if params["playbook"] is not None else "playbook_file"
    text = params["playbook"] if params["playbook"] is not None else _content(params["playbook_file"])
    if params["vars"] and not text:
        raise TalkError("vars: there is no playbook to write them into; give playbook, playbook_file or library, too.")
    if text is not None:
        spec["playbook"] = encoded(text, option, params["vars"]) if text or option == "playbook_file" else None
    return {**spec, "aap": None} if "image" in spec or "playbook" in spec else spec


def check(params: dict[str, Any]) -> None:
    """What is wrong with single options. Raises TalkError."""
    # Here and below modules are imported where they are needed, because every hook would pay for the import otherwise.
    if params["deadline"] is not None and params["deadline"] < 0:
        raise TalkError(f"deadline: {params['deadline']} is no number of seconds; give 0 for no limit.")
    if params["image"] and not is_image_reference(params["image"]):
        raise TalkError(f"image: {params['image']!r} is no image; give one such as quay.io/konveyor/hook-runner:latest.")
    if params["service_account"]:
        from ansible_collections.vmshift.mtv.plugins.module_utils.naming import is_dns1123_subdomain

        if not is_dns1123_subdomain(params["service_account"]):
            raise TalkError(f"service_account: {params['service_account']!r} cannot be the name of a ServiceAccount.")


def _job_template(aap: dict[str, Any]) -> dict[str, Any]:
    if aap["job_template_id"] is not None and aap["job_template_id"] < 1:
        raise TalkError(f"aap.job_template_id: {aap['job_template_id']} is no id of a job template; ids begin with 1.")
    secret = {"name": aap["token_secret"]} if aap["token_secret"] else None
    # None removes what an existing hook has.
    return {"jobTemplateId": aap["job_template_id"], "url": aap["url"] or None, "tokenSecret": secret, "timeout": aap["timeout"]}


def look_up(cluster: Cluster, namespace: str, aap: dict[str, Any]) -> int:
    """The id of the job template that is given by name."""
    # Here, because every hook without one would pay for their import.
    from ansible_collections.vmshift.mtv.plugins.module_utils import certificates, job_templates

    if aap["ca_cert"]:
        certificates.checked(aap["ca_cert"], "aap.ca_cert")
    platform = (job_templates.of_hook if aap["url"] else job_templates.of_settings)(cluster, namespace, aap)
    if platform.insecure:
        cluster.warn(f"aap: the certificate of {platform.url} is not verified.")
    return job_templates.resolved(platform, aap["job_template"])


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
    aap = params["aap"] or {}
    if aap:  # all else has been there since the oldest MTV
        from ansible_collections.vmshift.mtv.plugins.module_utils.served_schema import refuse_newer

        refuse_newer(cluster, KIND, spec, current)
    if aap.get("job_template"):
        spec["aap"]["jobTemplateId"] = look_up(cluster, params["namespace"], aap)
    before = (current or {}).get("spec") or {}
    if not spec.get("aap") and not spec.get("image", before.get("image")) and not (before.get("aap") and "aap" not in spec):
        raise TalkError("image: this hook has none; give image, or aap for a job template of Ansible Automation Platform.")
    metadata = {k: params[k] for k in ("name", "namespace", "labels", "annotations") if params[k] is not None}
    # Consoles show the name beside the id; another job template must not keep it.
    shown = ((current or {}).get("metadata") or {}).get("annotations") or {}
    if aap.get("job_template") or (ANNOTATION_JOB_TEMPLATE in shown and "aap" in spec):
        metadata["annotations"] = {ANNOTATION_JOB_TEMPLATE: aap.get("job_template"), **(params["annotations"] or {})}
    desired = {"kind": KIND, "metadata": metadata, "spec": spec}
    result = ensure_present(cluster, desired, check_mode=module.check_mode, current=current)
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
        from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import target_of, wait_gone

        target = target_of({"kind": KIND, "metadata": {"namespace": params["namespace"], "name": params["name"]}})
        with reporting(changed=result.changed, diff=outcome["diff"]):
            wait_gone(cluster, [target], timeout=params["wait_timeout"])
    return outcome


def readable(result: Result) -> dict[str, Any]:
    """The diff, with playbooks as lines of text."""
    return {side: {**part, "spec": decoded(part["spec"])} if "spec" in part else part for side, part in result.diff.items()}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("aap", "image"), ("aap", "vars"), ("aap", "playbook", "playbook_file", "library")],
        supports_check_mode=True,
    )
    if module.params["library"] and module.params["state"] == "present":
        module.fail_json(msg="library: the action plugin of this collection did not read it; call the module as vmshift.mtv.hook.")
    work = absent if module.params["state"] == "absent" else present
    run_module(module, lambda cluster: work(module, cluster))


if __name__ == "__main__":
    main()
