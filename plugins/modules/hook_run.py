#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hook_run
short_description: Run a hook for a VM of a plan now, outside any migration
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Runs a hook with the very context that the Migration Toolkit for Virtualization (MTV, Forklift) would give it, a C(ConfigMap) at
    C(/tmp/hook) and a C(Job) in the namespace of the plan, and returns its log. So a hook can be developed without migrating anything.
  - The VM comes from the inventory of the plan's source provider; the plan is not changed and no migration is needed.
  - Whatever the hook does is really done.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes
options:
  plan:
    description: Name of the plan.
    type: str
    required: true
  namespace:
    description: Namespace of the plan.
    type: str
    required: true
  vm:
    description: Name or id of a VM of the plan.
    type: str
    required: true
  step:
    description: The step that the hook is told it runs in.
    type: str
    choices: [PreHook, PostHook]
    default: PreHook
  hook:
    description: Name of a C(Hook) in the namespace of the plan.
    type: str
  library:
    description: Names of hooks of this collection, files in its C(playbooks/hooks), which run one after the other.
    type: list
    elements: str
  playbook:
    description: The playbook as text.
    type: str
  playbook_file:
    description: File with the playbook, on the host that runs this module.
    type: path
  vars:
    description:
      - Variables for the plays of the playbook, written into it as M(vmshift.mtv.hook) does. What looks like a secret is refused.
    type: dict
  image:
    description: Image that runs the playbook. Without O(hook) only.
    type: str
    default: quay.io/konveyor/hook-runner:latest
  service_account:
    description: ServiceAccount of the hook's pod; by default that of the hook, of the plan, or of MTV's settings.
    type: str
  deadline:
    description: How many seconds the hook's pod may run; by default what the hook says, or no limit.
    type: int
  keep:
    description:
      - Leave the Job, with its pods and their logs, and the ConfigMap in place. By default they are removed when the hook has ended.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for the end of the hook.
    type: int
    default: 600
  inventory_url:
    description: URL of MTV's Inventory service, when it is not found by itself.
    type: str
attributes:
  check_mode:
    details:
      - Makes the objects as a dry run on the server and runs nothing.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each task runs the hook.
requirements:
  - kubernetes >= 29.0.0
seealso:
  - module: vmshift.mtv.hook
  - module: vmshift.mtv.plan
"""

EXAMPLES = r"""
- name: Try a playbook as it would run before the VM is migrated
  vmshift.mtv.hook_run:
    plan: web
    namespace: openshift-mtv
    vm: web01
    playbook_file: hooks/stop_application.yml
    service_account: hook-runner
  register: tried

- name: Run the hook that the plan uses after the migration, and keep its Job
  vmshift.mtv.hook_run:
    plan: web
    namespace: openshift-mtv
    vm: web01
    step: PostHook
    hook: verify
    keep: true
"""

RETURN = r"""
log:
  description: What the hook wrote, of all its attempts, line by line.
  returned: when the hook ran
  type: list
  elements: str
  sample: ["PLAY [localhost] ***", "TASK [debug] ***", "ok: [localhost] => {"]
context:
  description: What the hook finds in C(/tmp/hook), by file name.
  returned: always
  type: dict
  sample: {playbook.yml: "- hosts: localhost\n", workload.yml: "vm: ...\n", plan.yml: "vms: ...\n"}
job:
  description: Name of the Job; of a dry run without the random part.
  returned: for hooks with a playbook or an image
  type: str
  sample: web-vm-74-prehook-8mclp
attempts:
  description: How many pods ran. MTV gives a hook that fails a second one.
  returned: when the hook ran
  type: int
  sample: 1
seconds:
  description: How long it took.
  returned: when the hook ran
  type: float
  sample: 4.2
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils import job_templates
from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CONTROLLER_NAMESPACES, provider_type
from ansible_collections.vmshift.mtv.plugins.module_utils.hook_job import CONTAINER, HookRun, Resources, owner
from ansible_collections.vmshift.mtv.plugins.module_utils.hook_playbook import encoded
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import InventoryService
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import create_one, ensure_absent, get, list_objects, path_of

#: In the place of a Migration's uid: MTV looks for its own Jobs by that, and so never takes this one for one of them.
DRY_RUN = "dry-run"
POLL = 0.5
HELD_SECONDS = 30.0  # until a pod that does not start is given up
HELD = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError")
WAYS = ("hook", "library", "playbook", "playbook_file")


def hook_of(cluster: Cluster, params: dict[str, Any]) -> dict[str, Any]:
    """The Hook that is run: one that is there, or one of the task's own. Raises TalkError."""
    given: dict[str, Any] = {"serviceAccount": params["service_account"], "deadline": params["deadline"]}
    given = {field: value for field, value in given.items() if value is not None}
    if params["hook"]:
        found = get(cluster, "Hook", params["namespace"], params["hook"])
        if found is None:
            known = [hook["metadata"]["name"] for hook in list_objects(cluster, "Hook", params["namespace"])]
            raise TalkError(f"hook: there is no Hook {params['namespace']}/{params['hook']}; there are: {', '.join(known) or 'none'}.")
        if params["vars"]:
            raise TalkError("vars: they are written into playbook, playbook_file or library; a Hook that is there has its own.")
        return {**found, "spec": {**found["spec"], **given}}
    option = "playbook" if params["playbook"] is not None else "playbook_file"
    text = params["playbook"] if option == "playbook" else _content(params["playbook_file"])
    return {"metadata": {}, "spec": {"image": params["image"], "playbook": encoded(text, option, params["vars"]), **given}}


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise TalkError(f"playbook_file: {path} cannot be read: {reason}.") from error


def workload_of(cluster: Cluster, plan: dict[str, Any], params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """(type of the source, the VM as its workload). Raises TalkError with candidates."""
    reference = plan["spec"]["provider"]["source"]
    provider = get(cluster, "Provider", reference["namespace"], reference["name"])
    if provider is None:
        raise TalkError(f"plan: its source provider {reference['namespace']}/{reference['name']} does not exist.")
    service = InventoryService(cluster, params["inventory_url"])
    entries = plan["spec"].get("vms") or []
    chosen = [vm for vm in entries if params["vm"] in (vm.get("id"), vm.get("name"))]
    if not chosen:  # the plan may name by id what is given by name, and the other way round
        meant = [vm for key in ("id", "name") for vm in service.find(provider, "vms", {key: params["vm"]})]
        chosen = [vm for vm in entries if any(vm.get("id") == m["id"] or vm.get("name") == m["name"] for m in meant)]
    if len(chosen) != 1:
        known = ", ".join(vm.get("name") or vm.get("id") or "" for vm in entries)
        raise TalkError(f"vm: {params['vm']!r} means {len(chosen) or 'none'} of the VMs of plan {plan['metadata']['name']}: {known}.")
    vms = service.find(provider, "vms", {key: chosen[0][key] for key in ("id", "name", "namespace") if chosen[0].get(key)})
    if len(vms) != 1:
        raise TalkError(f"vm: the inventory of {reference['name']} has {len(vms) or 'no'} VMs {params['vm']!r}.")
    # The inventory of another cluster has no workloads; MTV takes the VM.
    (workload,) = service.find(provider, "workloads", {"id": vms[0]["id"]}) or vms
    return provider_type(provider), workload


def settings_of(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """`spec` of the ForkliftController, {} where it may not be read."""
    for place in dict.fromkeys((namespace, *CONTROLLER_NAMESPACES)):
        try:
            found = list_objects(cluster, "ForkliftController", place)
        except ClusterError as error:
            if error.status not in (403, 404):
                raise
            continue
        if found:
            return found[0].get("spec") or {}
    return {}


def resources_of(settings: dict[str, Any]) -> Resources:
    default = Resources()
    names = ("limits_cpu", "limits_memory", "requests_cpu", "requests_memory")
    return Resources(**{name: settings.get(f"hooks_container_{name}") or getattr(default, name) for name in names})


def work(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    params = module.params
    plan = get(cluster, "Plan", params["namespace"], params["plan"])
    if plan is None:
        raise TalkError(f"plan: {params['namespace']}/{params['plan']} does not exist.")
    hook = hook_of(cluster, params)
    source, workload = workload_of(cluster, plan, params)
    run = HookRun(plan, workload["id"], params["step"], hook, DRY_RUN)
    if hook["spec"].get("aap"):
        return launch(module, cluster, run, workload)
    config = run.config_map(source, workload)
    outcome = {"changed": True, "context": config["data"]}
    settings = settings_of(cluster, params["namespace"])
    account, resources = settings.get("controller_migration_service_account") or "", resources_of(settings)
    name = create_one(cluster, config, check_mode=module.check_mode)["metadata"]["name"]
    try:
        job = create_one(cluster, run.job(name, account, resources), check_mode=module.check_mode)
    except ClusterError:
        if not module.check_mode:
            ensure_absent(cluster, "ConfigMap", run.namespace, name)
        raise
    if module.check_mode:
        return {**outcome, "job": run.name}
    change = {"metadata": {"ownerReferences": [owner(job)]}}
    cluster.request("PATCH", path_of("ConfigMap", run.namespace, name), body=change, content_type="application/merge-patch+json")
    try:
        return {**outcome, **follow(cluster, run.namespace, job["metadata"]["name"], params["wait_timeout"])}
    finally:
        if not params["keep"]:
            ensure_absent(cluster, "Job", run.namespace, job["metadata"]["name"])


def follow(cluster: Cluster, namespace: str, name: str, timeout: float) -> dict[str, Any]:
    """Wait for the end of a Job. Raises TalkError when it fails, with the log."""
    begun, held_since = time.monotonic(), None
    while True:
        job = get(cluster, "Job", namespace, name) or {}
        pods = list_objects(cluster, "Pod", namespace, label_selector=f"job-name={name}")
        ended = {c["type"]: c for c in (job.get("status") or {}).get("conditions") or () if c["status"] == "True"}
        told = {"job": name, "attempts": len(pods), "seconds": round(time.monotonic() - begun, 1)}
        if "Complete" in ended:
            return {**told, "log": logs(cluster, namespace, pods)}
        if "Failed" in ended:
            lines = logs(cluster, namespace, pods)
            last = "\n".join(lines[-15:])
            raise TalkError(f"The hook failed: {ended['Failed'].get('message')}. Last lines of its log:\n{last}", **told, log=lines)
        held = why_held(pods)
        held_since = (held_since or time.monotonic()) if held else None
        if held_since and time.monotonic() - held_since > HELD_SECONDS:
            raise TalkError(f"The hook does not start: {held}", **told)
        if time.monotonic() - begun > timeout:
            raise TalkError(
                f"The hook did not end within {timeout:g} s{f': {held}' if held else ''}.", **told, log=logs(cluster, namespace, pods)
            )
        time.sleep(POLL)


def why_held(pods: list[dict[str, Any]]) -> str:
    """Why a pod does not start; "" when it does."""
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in HELD:
                return f"{waiting['reason']}: {waiting.get('message', '')}"
    return ""


def logs(cluster: Cluster, namespace: str, pods: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for pod in sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp", "")):
        path = path_of("Pod", namespace, pod["metadata"]["name"], "log")
        try:
            lines += str(cluster.request("GET", path, query={"container": CONTAINER}, text=True) or "").splitlines()
        except ClusterError as error:
            lines.append(f"(the log of pod {pod['metadata']['name']} cannot be read: {error})")
    return lines


def launch(module: AnsibleModule, cluster: Cluster, run: HookRun, workload: dict[str, Any]) -> dict[str, Any]:
    """Launch the job template of a hook and wait for its job."""
    aap, meta = run.hook["spec"]["aap"], run.plan["metadata"]
    platform = job_templates.of_run(cluster, run.namespace, aap)
    if platform.insecure:
        cluster.warn(f"aap: the certificate of {platform.url} is not verified.")
    extra = {
        "vm_id": run.vm_id,
        "vm_name": workload["name"],
        "plan_name": meta["name"],
        "plan_namespace": meta["namespace"],
        "migration_phase": run.step,
        "vm_source_id": run.vm_id,
    }
    if module.check_mode:
        return {"changed": True, "context": extra}
    begun, job = time.monotonic(), job_templates.launched(platform, aap["jobTemplateId"], extra)
    while True:
        status, spent = job_templates.job_status(platform, job), time.monotonic() - begun
        if status == "successful":
            return {"changed": True, "context": extra, "attempts": 1, "seconds": round(spent, 1), "log": [f"AAP job {job}: {status}"]}
        if status in ("failed", "error", "canceled"):
            raise TalkError(f"AAP job {job} failed with status: {status}", context=extra)
        if spent > module.params["wait_timeout"]:
            raise TalkError(f"AAP job {job} did not end within {module.params['wait_timeout']} s.", context=extra)
        time.sleep(POLL * 4)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **AUTH_ARGUMENT_SPEC,
            "plan": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "vm": {"type": "str", "required": True},
            "step": {"type": "str", "choices": ["PreHook", "PostHook"], "default": "PreHook"},
            "hook": {"type": "str"},
            "library": {"type": "list", "elements": "str"},
            "playbook": {"type": "str"},
            "playbook_file": {"type": "path"},
            "vars": {"type": "dict"},
            "image": {"type": "str", "default": "quay.io/konveyor/hook-runner:latest"},
            "service_account": {"type": "str"},
            "deadline": {"type": "int"},
            "keep": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 600},
            "inventory_url": {"type": "str"},
        },
        mutually_exclusive=[WAYS],
        required_one_of=[WAYS],
        supports_check_mode=True,
    )
    if module.params["library"]:
        module.fail_json(msg="library: the action plugin of this collection did not read it; call the module as vmshift.mtv.hook_run.")
    run_module(module, lambda cluster: work(module, cluster))


if __name__ == "__main__":
    main()
