#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_trace
short_description: Show where each VM of a migration stands, step by step
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - The documentation of the Migration Toolkit for Virtualization (MTV, Forklift) describes each kind of migration as a workflow of
    numbered steps. This module finds the workflow that a plan goes by, and tells of each VM and disk which steps are done, which one is
    being done, and which one has failed, with the object that shows it.
  - It reads objects of the API only, a dozen of requests for all VMs of a plan, and writes nothing. It may be run at any time, also long
    after a migration has ended.
  - Objects that MTV deletes when a VM is done, such as DataVolumes, are proven by those that they have made, or by the status of the plan.
  - Of VMs that go to another cluster than that of MTV, the objects there are read with O(destination_kubeconfig); without it the status of
    the plan stands for them.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes.info
options:
  plan:
    description:
      - Name of the plan. The follow-up plans that a retry of M(vmshift.mtv.migration) has made for it belong to it; each VM is shown as
        the last of them that has taken it up has it.
    type: str
  migration:
    description:
      - Name of a migration. Its run is shown, instead of the last one of O(plan).
    type: str
  namespace:
    description:
      - Namespace of plan and migration.
    type: str
    required: true
  vms:
    description:
      - Only these VMs, by name or id.
    type: list
    elements: str
    default: []
  destination_kubeconfig:
    description:
      - For plans whose VMs go to another cluster than that of MTV, how to read what was made there - the path of a kubeconfig, or its
        content as a dictionary. Its user must be able to list VirtualMachines, DataVolumes, claims and pods of the target namespace.
    type: raw
    version_added: 0.1.0
  destination_context:
    description:
      - The context in O(destination_kubeconfig), if not the current one.
    type: str
    version_added: 0.1.0
  log_lines:
    description:
      - How many of the last lines of a pod's log to show where a step has failed, while that pod exists. V(0) for none.
    type: int
    default: 20
requirements:
  - kubernetes >= 29.0.0
seealso:
  - module: vmshift.mtv.migration
  - module: vmshift.mtv.migration_report
"""

EXAMPLES = r"""
- name: Trace the last run of a plan
  vmshift.mtv.migration_trace:
    plan: crm
    namespace: openshift-mtv
  register: run

- name: Show it
  ansible.builtin.debug:
    var: run.table

- name: Show what has failed, and what to do about it
  ansible.builtin.debug:
    msg: "{{ item.vm }}, step {{ item.number }}: {{ item.error }}. {{ item.hint }}"
  loop: "{{ run.trace | selectattr('state', 'equalto', 'failed') }}"
  loop_control:
    label: "{{ item.vm }}"

- name: Trace a plan whose VMs go to another cluster, with the objects there
  vmshift.mtv.migration_trace:
    plan: branch-office
    namespace: openshift-mtv
    destination_kubeconfig: ~/.kube/branch-office

- name: Trace one VM of an earlier run
  vmshift.mtv.migration_trace:
    migration: crm-1
    namespace: openshift-mtv
    vms: [web]
"""

RETURN = r"""
workflow:
  description: The workflow that the plan goes by.
  returned: success
  type: dict
  contains:
    name:
      description:
        - V(cold) (virt-v2v copies and converts), V(remote), V(copy_and_convert), V(raw_copy), V(warm), V(populator) (RHV and OpenStack),
          V(openshift), V(offload) (a storage array copies) or V(conversion) (the disks are copied already).
        - V(pipeline) for kinds of plans that the documentation numbers no steps for. The steps are then those of the VM's pipeline.
      type: str
      returned: success
    title:
      description: The same in words.
      type: str
      returned: success
    why:
      description: By what it was chosen.
      type: str
      returned: success
  sample:
    name: cold
    title: cold migration with virt-v2v to the local cluster
    why: the source is VMware vSphere, the plan is cold, and the VMs go to the cluster of MTV
trace:
  description: A line for each VM, step and disk, in this order.
  returned: success
  type: list
  elements: dict
  contains:
    plan:
      description: Name of the plan, or of its follow-up, that the VM is in.
      type: str
      returned: success
    vm:
      description: Name of the VM at the source.
      type: str
      returned: success
    vm_id:
      description: Its id.
      type: str
      returned: success
    workflow:
      description: Name of the workflow that this VM goes by, which is that of its pipeline where it has one.
      type: str
      returned: success
    number:
      description: Number of the step in the documentation, none for one that has no number there, such as a hook.
      type: int
      returned: success
    step:
      description: Name of the step. Two lines may have the same number, but not the same name.
      type: str
      returned: success
    text:
      description: What happens in the step.
      type: str
      returned: success
    disk:
      description: The disk of the source that this line is about, none for steps of the whole VM.
      type: str
      returned: success
    state:
      description:
        - V(done), V(active), V(waiting), V(failed) or V(skipped). Skipped are steps that this VM does not need, and those that a VM which
          failed or was canceled did not come to.
      type: str
      returned: success
    object:
      description: C(kind), C(namespace) and C(name) of the object that shows it, none where there is none (yet).
      type: dict
      returned: success
    evidence:
      description: What is to be seen on it.
      type: str
      returned: success
    since:
      description: When it was done, or since when it is being done.
      type: str
      returned: success
    error:
      description: Why it has failed, as MTV says it.
      type: str
      returned: success
    hint:
      description: What to look at or do.
      type: str
      returned: success
    log:
      description: The last lines of the log of the pod that did it, of a failed step.
      type: list
      elements: str
      returned: success
  sample:
    - plan: crm
      vm: web
      vm_id: vm-56
      workflow: cold
      number: 1
      step: data_volume
      text: MTV makes a DataVolume for the disk.
      disk: "[ds1] web/web.vmdk"
      state: done
      object:
        kind: DataVolume
        namespace: crm
        name: crm-web-disk-0-x7k2p
      evidence: phase ImportInProgress
      since: "2026-11-22T23:38:06Z"
      error: null
      hint: ""
      log: []
table:
  description: The same as lines for people.
  returned: success
  type: list
  elements: str
  sample:
    - "VM web (vm-56), Running: cold migration with virt-v2v to the local cluster"
    - "NO  STATE  SINCE                 DISK                STEP                                  PROOF"
    - "1   done   2026-11-22T23:38:06Z  [ds1] web/web.vmdk  MTV makes a DataVolume for the disk.  DataVolume crm/crm-web-disk-0-x7k2p"
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils import runs, workflows
from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC, harmless
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, connect, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.follow_ups import course_of
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import blocked, is_host, provider_type
from ansible_collections.vmshift.mtv.plugins.module_utils.pod_logs import pods_of_jobs, tail
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get
from ansible_collections.vmshift.mtv.plugins.module_utils.trace import children, course, table
from ansible_collections.vmshift.mtv.plugins.module_utils.trace.proofs import FAILED

Object = Mapping[str, Any]


def trace_of(cluster: Cluster, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the options ask for, as the module returns it."""
    plan, migration = _asked_for(cluster, params)
    plans = [plan] if migration else course_of(cluster, plan)
    other, there = _destination(cluster, params), None
    vms = _chosen([(p, vm) for p in plans for vm in _vms(p, migration)], params["vms"])
    entries: list[course.Entry] = []
    titles: dict[table.Key, str] = {}
    choices: list[workflows.Choice] = []
    for one in plans:
        mine = [vm for p, vm in vms if p is one]
        chosen, source, destination = _workflow(cluster, one)
        choices.append(workflows.as_run(chosen, (mine or [{}])[0].get("pipeline") or []))
        if mine:
            there = cluster if destination is None else _led_to(other, destination, cluster)
            of_plan = _Reading(cluster, there, one, migration, mine, chosen, source)
            for vm in mine:
                lines, heading = of_plan.trace(vm)
                entries += lines
                titles[table.key_of(lines[0].public)] = heading
    _add_logs(cluster, there or cluster, entries, params["log_lines"])
    trace = [entry.public for entry in entries]
    workflow = {"name": choices[0].workflow.name, "title": choices[0].workflow.title, "why": choices[0].why}
    return {"changed": False, "workflow": workflow, "trace": trace, "table": table.lines(trace, titles)}


class _Reading:
    """One plan, with what its run has made, read once for all its VMs. there: the cluster that they go to, None when it is not known."""

    def __init__(
        self,
        cluster: Cluster,
        there: Cluster | None,
        plan: Object,
        migration: Object | None,
        vms: Sequence[Object],
        chosen: workflows.Choice | None,
        source: str,
    ) -> None:
        last = (runs.last_run(plan) or {}).get("migration") or {}
        self._chosen = chosen
        self._uid = migration["metadata"]["uid"] if migration else last.get("uid")
        workflow = chosen.workflow if chosen else None
        # Importers are gone when a VM has succeeded.
        running = any(vm.get("started") and runs.row(vm)["outcome"] != runs.SUCCEEDED for vm in vms)
        populator = children.POPULATORS.get(source) if workflow in (workflows.POPULATOR, workflows.OFFLOAD) else None
        imports = running and workflow is not workflows.COLD
        self._found = children.read(cluster, plan, there=there, populator=populator, imports=imports)
        over = bool(runs.outcome_of(plan, migration) if migration else runs.ended({"status": runs.last_run(plan) or {}}))
        record = migration if migration and self._uid != last.get("uid") else plan
        self._run = course.Run(plan, record, over, waits_for=_waits_for(plan))
        if running and workflow is workflows.WARM and migration is None and last:
            migration = get(cluster, "Migration", last["namespace"], last["name"])
        self._spec = (migration or {}).get("spec") or {}

    def trace(self, vm: Object) -> tuple[list[course.Entry], str]:
        """(its lines, the heading over them)."""
        choice = workflows.as_run(self._chosen, vm.get("pipeline") or [])
        made = children.Children(self._found, vm, self._uid)
        cutover = bool(self._spec.get("cutover") or (self._spec.get("vmCutover") or {}).get(vm.get("id")))
        row = runs.row(vm, self._run.over)
        heading = "VM {} ({}), {}: {}".format(row["name"], row["id"] or "-", row["outcome"], choice.workflow.title)
        return course.of_vm(self._run._replace(cutover=cutover), vm, choice, made), heading


def _asked_for(cluster: Cluster, params: Mapping[str, Any]) -> tuple[Object, Object | None]:
    """(plan, migration that was named)."""
    namespace, name, migration = params["namespace"], params["plan"], None
    if params["migration"]:
        migration = get(cluster, "Migration", namespace, params["migration"])
        if migration is None:
            raise TalkError(f"migration: there is no migration {params['migration']} in namespace {namespace}.")
        reference = migration["spec"].get("plan") or {}
        if name and name != reference.get("name"):
            raise TalkError(f"migration: {params['migration']} is a run of the plan {reference.get('name')}, not of {name}.")
        name, namespace = reference.get("name"), reference.get("namespace") or namespace
    plan = get(cluster, "Plan", namespace, name)
    if plan is None:
        raise TalkError(f"plan: there is no plan {name} in namespace {namespace}.")
    return plan, migration


def _vms(plan: Object, migration: Object | None) -> list[Object]:
    """Those of the run; of a plan that has not run, those of its spec."""
    waiting = [{**vm, "id": vm.get("id") or "", "name": vm.get("name") or vm.get("id") or ""} for vm in plan["spec"].get("vms") or []]
    return list(runs.vms_of(plan, migration) or waiting)


def _chosen(vms: Sequence[tuple[Object, Object]], wanted: Sequence[str]) -> list[tuple[Object, Object]]:
    """Each VM once, as the last plan has it; only those `wanted`. Raises TalkError for one that is not there."""
    last = {(vm.get("id") or "", vm.get("name") or ""): (plan, vm) for plan, vm in vms}
    known = {word for key in last for word in key if word}
    for word in wanted:
        if word not in known:
            names = ", ".join(sorted({name or id for id, name in last}))
            raise TalkError(f"vms: the plan has no VM {word}; it has {names or 'none'}.")
    return [pair for key, pair in last.items() if not wanted or set(key) & set(wanted)]


def _destination(cluster: Cluster, params: Mapping[str, Any]) -> Cluster | None:
    """The cluster of the destination options, which tells its warnings with those of `cluster`."""
    if not params["destination_kubeconfig"]:
        if params["destination_context"]:
            raise TalkError("destination_context: this names a context of destination_kubeconfig, which is not given.")
        return None
    other = connect({"kubeconfig": params["destination_kubeconfig"], "context": params["destination_context"]})
    for text in other.warnings:
        cluster.warn(text)
    other.warnings = cluster.warnings
    return other


def _led_to(other: Cluster | None, destination: Object, cluster: Cluster) -> Cluster | None:
    """`other`, and a warning where it is not where the provider of the destination leads."""
    url, name = (destination["spec"].get("url") or "").rstrip("/"), destination["metadata"]["name"]
    if other and url and url != other.host.rstrip("/"):
        cluster.warn(f"destination_kubeconfig leads to {other.host}, the destination {name} of the plan to {url}: are they one cluster?")
    return other


def _workflow(cluster: Cluster, plan: Object) -> tuple[workflows.Choice | None, str, Object | None]:
    """(by the plan's spec, type of the source, provider of the destination unless the VMs go to this cluster)."""
    spec = plan["spec"]
    source, destination = (get(cluster, "Provider", ref["namespace"], ref["name"]) for ref in _providers(spec))
    local = destination is None or is_host(destination)
    kind = provider_type(source) if source else ""
    offload = False
    if kind == "vsphere" and local:
        reference = (spec.get("map") or {}).get("storage") or {}
        storage = get(cluster, "StorageMap", reference["namespace"], reference["name"]) if reference.get("name") else None
        offload = any(pair.get("offloadPlugin") for pair in ((storage or {}).get("spec") or {}).get("map") or [])
    return workflows.choose(spec, kind, local=local, offload=offload), kind, None if local else destination


def _providers(spec: Object) -> tuple[Object, Object]:
    return spec["provider"]["source"], spec["provider"]["destination"]


def _waits_for(plan: Object) -> str:
    """What VMs wait for that have not begun."""
    if runs.last_run(plan):
        return "the VM waits for its turn"
    why = blocked(plan)
    return f"the plan is not ready: {why}" if why else "the plan has not been run"


def _add_logs(cluster: Cluster, there: Cluster, entries: Sequence[course.Entry], lines: int) -> None:
    """The end of the log of the pod of each failed step; each pod is read once. Jobs run beside the plan, all else where the VMs go."""
    failed = [entry for entry in entries if entry.public["state"] == FAILED] if lines > 0 else []
    jobs = [entry.public["object"] for entry in failed if (entry.public["object"] or {}).get("kind") == "Job"]
    of_jobs = pods_of_jobs(cluster, jobs[0]["namespace"], [job["name"] for job in jobs]) if jobs else {}
    read: dict[str, list[str]] = {}
    for entry in failed:
        pod = entry.pod if entry.pod is not None else of_jobs.get((entry.public["object"] or {}).get("name", ""))
        if pod is not None:
            uid = pod["metadata"]["uid"]
            read[uid] = read[uid] if uid in read else tail(there if entry.pod is not None else cluster, pod, lines)
            entry.public["log"] = read[uid]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **AUTH_ARGUMENT_SPEC,
            "plan": {"type": "str"},
            "migration": {"type": "str"},
            "namespace": {"type": "str", "required": True},
            "vms": {"type": "list", "elements": "str", "default": []},
            "destination_kubeconfig": {"type": "raw", "no_log": True},
            "destination_context": {"type": "str"},
            "log_lines": {"type": "int", "default": 20},
        },
        required_one_of=[("plan", "migration")],
        supports_check_mode=True,
    )
    module.no_log_values -= harmless(module.params["destination_kubeconfig"])
    run_module(module, lambda cluster: trace_of(cluster, module.params))


if __name__ == "__main__":
    main()
