#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: A plan of MTV, the virtual machines to migrate together and how
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Makes, changes, archives or removes a C(Plan) of the Migration Toolkit for Virtualization (MTV, Forklift).
  - The virtual machines are found in MTV's inventory of the source provider by name, folder, tag, query and more. A name that does not
    exist or is not unique is an error, which lists candidates; nothing is left out silently.
  - Everything the plan refers to is checked before anything is written, and that the maps cover the networks and storages of the VMs,
    because MTV says nothing at all about some of these mistakes.
  - Then it waits until MTV has validated the plan. It does not start the migration; the module M(vmshift.mtv.migration) does.
  - When the plan exists, options not given stay as they are. An option that is given is sent, also when it is V(false). An empty text or
    dictionary takes an option away. Dictionaries, such as O(target_labels) and O(target_affinity), count as a whole.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes
  - vmshift.mtv.options
  - vmshift.mtv.options.wait
  - vmshift.mtv.options.inventory
options:
  state:
    description:
      - V(present) makes the plan, or brings the given options into the existing one.
      - V(absent) archives the plan, which lets MTV clean up what failed migrations have left, waits for that, and removes it. Virtual
        machines that were migrated stay. A plan that is being executed is not removed, unless O(cancel_running=true).
      - Follow-up plans, which a retry of M(vmshift.mtv.migration) has made, end with their first plan.
  source:
    description:
      - The source provider. Its name, or a dictionary of C(name) and C(namespace); by default it lies in O(namespace).
      - Required when the plan does not exist yet.
    type: raw
  destination:
    description:
      - The provider to migrate to. Its name, or a dictionary of C(name) and C(namespace).
      - By default C(host), the cluster that MTV runs on.
    type: raw
  network_map:
    description:
      - The C(NetworkMap). Its name, or a dictionary of C(name) and C(namespace); by default it lies in O(namespace).
      - Required when the plan does not exist yet.
    type: raw
  storage_map:
    description:
      - The C(StorageMap). Its name, or a dictionary of C(name) and C(namespace); by default it lies in O(namespace).
      - Required when the plan does not exist yet, unless O(type=conversion), with which MTV looks at none.
    type: raw
  vms:
    description:
      - The virtual machines. Required when the plan does not exist yet.
      - Each entry is a name or id, or a dictionary with one or more of the words C(name), C(id), C(path), C(namespace), C(folder),
        C(cluster), C(host), C(datastore), C(tag), C(power_state), C(regex) and C(query), and any of the options below for the VMs it means.
        The entry means the VMs that all its words hold for. An entry that means no VM is an error, and so is a C(name) or C(path) that
        several VMs have.
      - C(path) - where the VM is in the inventory, such as V(/DC/vm/prod/web01), or the end of that without a slash before it, such as
        V(prod/web01). For sources of type ova the path of the OVA file.
      - C(folder) - a folder (source vSphere) with all folders in it; a datacenter counts as a folder. C(cluster), C(host) - where the VM
        runs (vSphere, oVirt, Hyper-V). C(datastore) - a datastore or storage domain that one of its disks is on (vSphere, oVirt,
        Hyper-V). Each is given by id, name or path.
      - C(tag) - a tag, by name or as C(category:name) with the category's id, which is what the inventory has (vSphere), or by name
        (OpenStack).
      - C(power_state) - V(on), V(off) or V(suspended) (all sources but OVA). C(namespace) - of the VM (source OpenShift).
      - C(regex) - a regular expression of Python that the whole name matches.
      - C(query) is a JMESPath expression over the VMs of the inventory, in the keys that M(vmshift.mtv.inventory_info) shows. An expression
        that begins with C([) filters the list of VMs, such as C([?powerState=='poweredOff']); any other is a condition on each VM, such
        as C(starts_with(name, 'web-'\) && memoryMB > `2048`).
      - A VM that several entries mean is listed once, and of an option that several of them give the last one counts.
      - C(target_name) - name of the VM on the target; V(auto)matic when not given.
      - C(target_power_state) - V(on), V(off) or V(auto), instead of O(target_power_state).
      - C(hooks) - list of dictionaries with C(step) (V(PreHook) or V(PostHook)) and C(hook) (name of a C(Hook), or C(name) and
        C(namespace)).
      - C(luks) - name of a C(Secret) with the passphrases of encrypted disks. C(nbde_clevis) - whether they are unlocked by Clevis.
      - C(root_disk) - the disk to boot from, such as V(/dev/sda2).
      - C(instance_type) - name of the C(VirtualMachineInstancetype) to use.
      - C(pvc_name_template), C(volume_name_template), C(network_name_template), C(delete_vm_on_fail_migration), C(migrate_shared_disks),
        C(enable_nested_virtualization), C(rdm_as_lun), C(scsi_reservation) - instead of the options of the plan.
    type: list
    elements: raw
  exclude:
    description:
      - Virtual machines to leave out of O(vms), also those that O(vms) names. Entries in the same words, without options.
      - A name leaves out all VMs that have it. An entry that means no VM of the inventory is a warning.
    type: list
    elements: raw
  target_namespace:
    description:
      - Namespace the virtual machines are migrated to. MTV makes it when the migration starts.
      - Required when the plan does not exist yet.
    type: str
  description:
    description: Text for people.
    type: str
  type:
    description:
      - Kind of migration. MTV takes V(cold) when it is not given. What a source supports differs.
      - V(conversion) (source vSphere) copies nothing. It converts the guests in claims that somebody else has filled, such as the vendor of
        a storage, and makes the VMs of them. Each disk needs one C(PersistentVolumeClaim) in O(target_namespace), with the labels C(vmID)
        (id of the VM) and C(vmUUID) (its uuid in the inventory), and its file in the annotation C(forklift.konveyor.io/disk-source).
    type: str
    choices: [cold, warm, live, conversion]
  warm:
    description: Older spelling of O(type=warm), for versions of MTV before 2.9.
    type: bool
  archived:
    description:
      - Whether the plan is archived. An archived plan is kept as a record and cannot be run.
      - With V(true) MTV removes what failed migrations of the plan have left. Some versions of MTV do not take an archived plan up again.
    type: bool
  cancel_running:
    description:
      - Whether a migration that is going on is canceled before the plan is archived (O(archived=true)) or removed (O(state=absent)).
        Otherwise that is refused.
    type: bool
    default: false
  target_power_state:
    description: Whether migrated VMs run afterwards; V(auto), which is the default, keeps the state of the source.
    type: str
    choices: ['on', 'off', auto]
  preserve_static_ips:
    description: Whether guests keep static addresses (sources vSphere and Hyper-V). MTV takes V(true) when it is not given.
    type: bool
  preserve_cluster_cpu_model:
    description: Whether VMs keep the CPU model of their oVirt cluster.
    type: bool
  migrate_shared_disks:
    description: Whether disks that VMs share are migrated. MTV takes V(true) when it is not given.
    type: bool
  delete_vm_on_fail_migration:
    description: Whether what a failed migration has made is removed before the next attempt. MTV takes V(true) when it is not given.
    type: bool
  delete_guest_conversion_pod:
    description: Whether the conversion pod is removed after it has succeeded.
    type: bool
  run_preflight_inspection:
    description: Whether disks are inspected before a warm migration. MTV takes V(true) when it is not given.
    type: bool
  skip_guest_conversion:
    description: Whether disks are copied as they are, without converting the guest.
    type: bool
  use_compatibility_mode:
    description:
      - With O(skip_guest_conversion=true), whether the VM gets devices that work without VirtIO drivers. MTV takes V(true) when it is
        not given.
    type: bool
  install_legacy_drivers:
    description: Whether older Windows guests get the VirtIO drivers made for them; MTV decides by the guest when it is not given.
    type: bool
  enable_nested_virtualization:
    description: Whether VMs may use virtualization themselves.
    type: bool
  xfs_compatibility:
    description: Whether an image of virt-v2v is used that handles older XFS file systems.
    type: bool
  virt_v2v_image:
    description: Image of virt-v2v to use.
    type: str
  rdm_as_lun:
    description: Whether raw device mappings of vSphere become LUN disks.
    type: bool
  scsi_reservation:
    description: Whether LUN disks keep SCSI persistent reservations.
    type: bool
  skip_zone_node_selector:
    description: Whether VMs from EC2 are not tied to the zone of their volumes.
    type: bool
  transfer_network:
    description:
      - The C(NetworkAttachmentDefinition) to copy disks over. Its name, or a dictionary of C(name) and C(namespace); by default it lies
        in O(target_namespace).
    type: raw
  service_account:
    description: Service account in O(target_namespace) that the pods of a migration use.
    type: str
  customization_scripts:
    description:
      - A C(ConfigMap) with scripts to run in the guests. Its name, or a dictionary of C(name) and C(namespace); by default it lies in
        O(namespace).
    type: raw
  conversion_temp_storage_class:
    description: Storage class of a volume for temporary files of the conversion. Needs O(conversion_temp_storage_size).
    type: str
  conversion_temp_storage_size:
    description: Size of a volume for temporary files of the conversion, such as V(20Gi).
    type: str
  convertor_labels:
    description: Labels of the conversion pods.
    type: dict
  convertor_node_selector:
    description: Labels of the nodes that conversion pods run on.
    type: dict
  convertor_affinity:
    description: Affinity of the conversion pods, as Kubernetes writes it.
    type: dict
  target_labels:
    description: Labels of the pods of migrated VMs.
    type: dict
  target_node_selector:
    description: Labels of the nodes that migrated VMs run on.
    type: dict
  target_affinity:
    description: Affinity of migrated VMs, as Kubernetes writes it.
    type: dict
  tag_mapping:
    description: How vSphere tags become labels of the VMs.
    type: dict
    suboptions:
      disabled:
        description: Whether tags are left out.
        type: bool
      label_tags:
        description: Categories of tags that become labels; all when not given.
        type: list
        elements: str
  pvc_name_template:
    description: Template of the names of disks' C(PersistentVolumeClaim), such as V({{ '{{' }}.VmName}}-{{ '{{' }}.DiskIndex}}).
    type: str
  pvc_name_template_use_generate_name:
    description: Whether a random suffix is added to names made by O(pvc_name_template).
    type: bool
  volume_name_template:
    description: Template of the names of volumes inside the VM.
    type: str
  network_name_template:
    description: Template of the names of network interfaces inside the VM.
    type: str
  disk_bus:
    description: Ignored by MTV since 2.8.
    type: str
requirements:
  - jmespath >= 1.0.0, for queries
notes:
  - A plan that has succeeded is frozen. MTV ignores changes of it until it is archived, so a change of it is an error. Use a plan of
    another name for more VMs.
seealso:
  - module: vmshift.mtv.migration
  - module: vmshift.mtv.plan_info
  - module: vmshift.mtv.inventory_info
"""

EXAMPLES = r"""
- name: Plan the migration of two appliances
  vmshift.mtv.plan:
    name: appliances
    namespace: openshift-mtv
    source: ova-share
    network_map: appliances
    storage_map: appliances
    target_namespace: apps
    vms:
      - app1
      - name: app2
        target_name: app2-new
        target_power_state: "on"

- name: Plan the migration of all VMs that are switched off, without keeping static addresses
  vmshift.mtv.plan:
    name: sleepers
    namespace: openshift-mtv
    source: vcenter
    network_map: datacenter
    storage_map: datacenter
    target_namespace: archive
    preserve_static_ips: false
    vms:
      - query: powerState == 'poweredOff' && starts_with(name, 'old-')

- name: Plan the migration of a folder's web servers, except those that must stay
  vmshift.mtv.plan:
    name: web
    namespace: openshift-mtv
    source: vcenter
    network_map: datacenter
    storage_map: datacenter
    target_namespace: web
    vms:
      - folder: /DC1/vm/prod
        regex: web-[0-9]+
      - name: web-01
        target_power_state: "on"
    exclude:
      - tag: stays
      - folder: prod/appliances
        power_state: suspended

- name: Keep the plan as a record
  vmshift.mtv.plan:
    name: appliances
    namespace: openshift-mtv
    archived: true

- name: Give up a migration that is going on, and the plan with it
  vmshift.mtv.plan:
    name: sleepers
    namespace: openshift-mtv
    state: absent
    cancel_running: true

- name: Remove the plan, keep the migrated VMs
  vmshift.mtv.plan:
    name: appliances
    namespace: openshift-mtv
    state: absent
"""

RETURN = r"""
plan:
  description: The C(Plan) as the API server has it, null when it is absent.
  returned: success
  type: dict
  sample:
    apiVersion: forklift.konveyor.io/v1beta1
    kind: Plan
    metadata:
      name: appliances
      namespace: openshift-mtv
    spec:
      targetNamespace: apps
      vms:
        - id: 796051fce57ca1d00b2bc0ec8c895c524e29
          name: app1
    status:
      conditions:
        - type: Ready
          status: "True"
          category: Required
          message: The migration plan is ready.
vms:
  description: The virtual machines that O(vms) means without those of O(exclude), each once, in the order of their first mention.
  returned: when O(vms) is given
  type: list
  elements: dict
  contains:
    id:
      description: Id of the VM in the inventory.
      type: str
    name:
      description: Name of the VM.
      type: str
    namespace:
      description: Namespace of the VM, for sources of type openshift.
      type: str
    overrides:
      description: The options its entries give.
      type: dict
  sample:
    - id: 796051fce57ca1d00b2bc0ec8c895c524e29
      name: app1
      overrides: {}
concerns:
  description: What MTV's validation says about these VMs. A concern of category C(Critical) keeps the plan from becoming ready.
  returned: when O(vms) is given
  type: list
  elements: dict
  contains:
    vm:
      description: Name of the VM.
      type: str
    vm_id:
      description: Id of the VM.
      type: str
    id:
      description: Id of the rule.
      type: str
    category:
      description: C(Critical), C(Warning) or C(Information).
      type: str
    label:
      description: What it is about.
      type: str
    assessment:
      description: What it means for the migration.
      type: str
  sample:
    - vm: app1
      vm_id: 796051fce57ca1d00b2bc0ec8c895c524e29
      id: ova.disk.shared
      category: Warning
      label: Shared disk detected
      assessment: The VM has a disk that is shared.
conditions:
  description: Conditions of the plan when the wait for it ended.
  returned: when the wait fails
  type: list
  elements: dict
  sample:
    - type: VMNetworksNotMapped
      status: "True"
      category: Critical
      reason: NotValid
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils import follow_ups
from ansible_collections.vmshift.mtv.plugins.module_utils.chosen_vms import Choice, require_jmespath
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, reporting, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CONVERSION_ONLY,
    CRITICAL,
    SUCCEEDED,
    caught_up,
    describe_condition,
    is_true,
    ready,
    warnings,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.naming import is_dns1123_subdomain
from ansible_collections.vmshift.mtv.plugins.module_utils.options import INVENTORY, OBJECT, WAIT
from ansible_collections.vmshift.mtv.plugins.module_utils.plan_ending import absent, archive, is_archived, require_idle, stop
from ansible_collections.vmshift.mtv.plugins.module_utils.plan_needs import Links, Needs
from ansible_collections.vmshift.mtv.plugins.module_utils.plan_spec import (
    PLAN_OPTIONS,
    as_given,
    check_templates,
    exclusions,
    plan_spec,
    selectors,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import Result, describe, ensure_present, get
from ansible_collections.vmshift.mtv.plugins.module_utils.runs import MAC_CONFLICTS, blocked_by_itself, blocks_start
from ansible_collections.vmshift.mtv.plugins.module_utils.served_schema import refuse_newer
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import VERDICT_SECONDS, WaitError, target_of, wait_for


class Task:
    """One run of the module with `state: present`."""

    def __init__(self, module: AnsibleModule, cluster: Cluster, entries: list[Any] | None, exclude: list[Any]) -> None:
        self.params = module.params
        self.check_mode = module.check_mode
        self.cluster = cluster
        self.entries = entries
        self.exclude = exclude
        self.namespace = module.params["namespace"]
        self.current = get(cluster, "Plan", self.namespace, module.params["name"])

    def run(self) -> dict[str, Any]:
        self.require_new_plan_options()
        needs = Needs(self.cluster, self.params, self.check_mode)
        refuse_newer(self.cluster, "Plan", self.options(), self.current)
        links = needs.links(self.current)
        needs.await_links(links)
        choice = needs.choose(self.entries, self.exclude, links)
        if choice:
            needs.refuse_gaps(links, choice, with_storage=self.copies())
            needs.require_instance_types(links, choice, self.params["target_namespace"] or (self.current or {})["spec"]["targetNamespace"])
        manifest = self.manifest(links, choice)
        needs.require_referenced(manifest["spec"])
        self.refuse_frozen(manifest)
        return self.finish(self.write(manifest, links.complete()), choice)

    def require_new_plan_options(self) -> None:
        if self.current:
            return
        needed = ["source", "network_map", "storage_map", "target_namespace", "vms"]
        if self.params["type"] == CONVERSION_ONLY:
            needed.remove("storage_map")
        missing = [option for option in needed if not self.params[option]]
        if missing:
            raise TalkError(f"The plan {self.namespace}/{self.params['name']} does not exist yet; to make it give {', '.join(missing)}.")

    def copies(self) -> bool:
        """The plan copies disks, so that they need a place."""
        return (self.params["type"] or ((self.current or {}).get("spec") or {}).get("type")) != CONVERSION_ONLY

    def options(self) -> dict[str, Any]:
        """`spec` of the options alone, before anything is looked up."""
        entries = [{"overrides": entry} for entry in self.entries or [] if isinstance(entry, Mapping)]
        return plan_spec(self.params, {}, entries, self.namespace)

    def manifest(self, links: Links, choice: Choice | None) -> dict[str, Any]:
        metadata = {key: self.params[key] for key in ("name", "namespace", "labels", "annotations") if self.params[key] is not None}
        spec = plan_spec(self.params, self.given(links), choice.vms if choice else None, self.namespace)
        spec = as_given((self.current or {}).get("spec") or {}, spec)
        return {"kind": "Plan", "metadata": metadata, "spec": spec}

    def given(self, links: Links) -> dict[str, dict[str, str]]:
        """The references that the task owns: those it gives, and all of a new plan."""
        options = {"source": "source", "destination": "destination", "network": "network_map", "storage": "storage_map"}
        return {role: ref for role, ref in links.references().items() if self.params[options[role]] or not self.current}

    def refuse_frozen(self, manifest: Mapping[str, Any]) -> None:
        """A change of a plan that has succeeded or is archived would be stored and ignored (facts, quirk 1)."""
        if (
            not self.current
            or not is_true(self.current, SUCCEEDED)
            and not (is_archived(self.current) and self.params["archived"] is not False)
        ):
            return
        frozen = {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != "archived"}}
        tried = ensure_present(self.cluster, frozen, check_mode=True)
        changes = sorted(key for key in frozen["spec"] if tried.before.get("spec", {}).get(key) != tried.after.get("spec", {}).get(key))
        if changes:
            how = "has succeeded" if is_true(self.current, SUCCEEDED) else "is archived"
            follow_up = follow_ups.next_of(self.current)
            went_on = f" Its other VMs went to the follow-up plan {follow_up}." if follow_up else ""
            fields = ", ".join(changes)
            text = f"{describe(self.current)} {how}, and MTV ignores changes of it ({fields}); use a plan of another name.{went_on}"
            raise TalkError(text, diff=tried.diff)

    def write(self, manifest: dict[str, Any], complete: bool) -> Result:
        """With `archived: true` the plan ends, and its follow-ups with it."""
        ends = self.params["archived"] and self.current is not None
        later = follow_ups.course_of(self.cluster, self.current)[1:] if ends and self.current else []
        course = [self.current, *later] if ends and self.current else []
        require_idle(course, self.params["cancel_running"])
        stopped = not self.check_mode and any(stop(self.cluster, plan, timeout=self.params["wait_timeout"]) for plan in course)
        written = ensure_present(self.cluster, manifest, check_mode=self.check_mode, ask_server=complete)
        with reporting(changed=written.changed or stopped, diff=written.diff):
            ended = [archive(self.cluster, plan, timeout=self.params["wait_timeout"], check_mode=self.check_mode) for plan in later]
        return written._replace(changed=written.changed or stopped or any(ended))

    def finish(self, written: Result, choice: Choice | None) -> dict[str, Any]:
        plan = written.object or {}
        result: dict[str, Any] = {"changed": written.changed, "diff": written.diff}
        if choice:
            result.update(vms=choice.vms, concerns=choice.concerns())
        if self.params["wait"] and not self.check_mode:
            with reporting(**result):
                plan = self.await_plan(plan, result.get("concerns", []))
        for condition in warnings(plan):
            self.cluster.warn(f"{describe(plan)}: {describe_condition(condition)}")
        return {**result, "plan": plan}

    def await_plan(self, plan: dict[str, Any], concerns: list[dict[str, Any]]) -> dict[str, Any]:
        target = target_of(plan)
        limit = self.params["wait_timeout"]
        if plan["spec"].get("archived"):
            return wait_for(self.cluster, [target], is_archived, timeout=limit, goal="archived")[target]
        if is_true(plan, SUCCEEDED):
            return plan
        try:
            done = wait_for(
                self.cluster,
                [target],
                lambda obj: ready(obj) or blocked_by_itself(obj),
                blocks_start,
                timeout=limit,
                patience=VERDICT_SECONDS if caught_up(plan) else 0,
            )
            found = done[target]
        except WaitError as error:
            found = error.details["plan"] = error.objects.get(target) or plan
            critical = [f"{c['vm']}: {c['label']} ({c['assessment']})" for c in concerns if c.get("category") == CRITICAL]
            more = f" Critical concerns: {'; '.join(critical)}" if critical else ""
            raise TalkError(f"{error}{more}", **error.details) from error
        if blocked_by_itself(found):
            self.cluster.warn(
                f"{describe(found)} cannot run again, because MTV holds the VMs that it has made against it (condition {MAC_CONFLICTS}); "
                "vmshift.mtv.migration with retry migrates the others by a follow-up plan."
            )
        return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OBJECT,
            **WAIT,
            **INVENTORY,
            **PLAN_OPTIONS,
            "cancel_running": {"type": "bool", "default": False},
            "source": {"type": "raw"},
            "destination": {"type": "raw"},
            "network_map": {"type": "raw"},
            "storage_map": {"type": "raw"},
            "vms": {"type": "list", "elements": "raw"},
            "exclude": {"type": "list", "elements": "raw"},
        },
        required_by={"exclude": "vms"},
        required_together=[("conversion_temp_storage_class", "conversion_temp_storage_size")],
        supports_check_mode=True,
    )
    if module.params["state"] == "absent":
        run_module(module, lambda cluster: absent(module, cluster))
    try:
        entries = None if module.params["vms"] is None else selectors(module.params["vms"])
        exclude = exclusions(module.params["exclude"] or [])
        check_names(module.params)
        check_templates(module.params)
        require_jmespath([*(entries or []), *exclude])
    except TalkError as error:
        module.fail_json(msg=str(error))
    run_module(module, lambda cluster: Task(module, cluster, entries, exclude).run())


def check_names(params: Mapping[str, Any]) -> None:
    for option in ("name", "target_namespace"):
        if params[option] is not None and not is_dns1123_subdomain(params[option]):
            raise TalkError(
                f"{option}: {params[option]!r} cannot be a name in Kubernetes: use lower-case letters, digits, '-' and '.', "
                "beginning and ending with a letter or digit."
            )


if __name__ == "__main__":
    main()
