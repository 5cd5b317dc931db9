#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration
short_description: Run a plan of MTV, cancel a run, remove its record
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Runs a C(Plan) of the Migration Toolkit for Virtualization (MTV, Forklift) by making a C(Migration), waits for its end and reports what
    became of each virtual machine.
  - There is one C(Migration) of a plan at a time. When one runs or waits, the module follows it instead of making another, so that a
    play that was interrupted can be run again and ends with the same result. When the plan has succeeded, nothing is done.
  - When the last run has failed or was canceled, the task fails with the report of that run, unless O(retry=true).
  - MTV does not run a plan again that has migrated some of its VMs and failed with others. Then O(retry=true) makes a follow-up plan of the
    VMs that are left, which belongs to the first one. A task that names the first plan means both, so that it can be run again and again.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes
  - vmshift.mtv.options.wait
options:
  plan:
    description: Name of the plan.
    type: str
    required: true
  namespace:
    description: Namespace of the plan, and of its migrations.
    type: str
    required: true
  state:
    description:
      - V(started) runs the plan.
      - V(canceled) cancels the VMs in O(vms), or all, of the run that is going on. VMs that are done stay done. When nothing runs,
        nothing is done.
      - V(absent) removes the C(Migration) named O(name), or without a name all of the plan and its follow-ups, when none of them is
        running. Migrated VMs stay, and the plan remembers how its last run ended.
    type: str
    choices: [started, canceled, absent]
    default: started
  name:
    description:
      - Name for a new C(Migration). By default the name of the plan and the number of the run, such as V(appliances-1).
      - A migration that runs already is followed whatever its name.
    type: str
  retry:
    description:
      - Whether VMs that have failed or were canceled are migrated again. VMs that were migrated are left alone. When none is left,
        nothing is done.
      - If no VM of the plan was made on the target yet, the plan itself is run again. Otherwise MTV would hold the new VMs against it
        (condition C(MacConflicts)). The plan is then archived, which removes what its failed VMs have left, and a follow-up plan with
        the same maps, hooks and options is made of the VMs that are left, named after the first, such as V(appliances-retry-1), and run.
      - The annotation C(vmshift.io/continued-by) of a plan names its follow-up, and the label C(vmshift.io/continues) of a follow-up the
        first plan.
      - A VM that ran before the first run switched it off is started after it was migrated, unless C(target_power_state) says otherwise.
    type: bool
    default: false
  resume_conversion:
    description:
      - Whether a retry takes the disks that the failed run has copied and only converts the guests again (MTV 5.0 and newer).
      - Possible when the plan has the condition C(ConversionResumable), and none of its VMs was made yet.
    type: bool
    default: false
  cutover:
    description:
      - When a warm migration makes its last copy and switches over. V(now), or a time with its zone, such as V(2026-03-01T22:00:00Z),
        V(2026-03-01T22:00:00+01:00) or V(2026-03-01 22:00 Europe/Berlin). Put it in quotes, or YAML may change it.
      - A time that is over is refused, unless the migration has it already, or O(allow_past_cutover=true).
      - There is no default; a warm migration without a time goes on copying until it gets one. It may be given or changed while the
        migration runs, by running the task again.
    type: str
  vm_cutover:
    description:
      - Times for single VMs, in place of O(cutover) (MTV 5.0 and newer). Times that other VMs have stay as they are.
    type: list
    elements: dict
    suboptions:
      vm:
        description: Name or id of the VM.
        type: str
        required: true
      cutover:
        description: When, like O(cutover).
        type: str
        required: true
  allow_past_cutover:
    description: Whether O(cutover) and O(vm_cutover) may be times that are over, which mean at once.
    type: bool
    default: false
  vms:
    description: With O(state=canceled), names or ids of the VMs to cancel. Without it all are canceled.
    type: list
    elements: str
  log_lines:
    description: How many of the last lines of the log of a failed VM's pod are put into the error. V(0) for none.
    type: int
    default: 20
  wait:
    description: Whether to wait until the migration has ended, with O(state=canceled) until the VMs are canceled.
  wait_timeout:
    description: How many seconds to wait at most. The migration goes on afterwards; run the task again to wait for it again.
    default: 21600
  wait_until:
    description:
      - A time, like O(cutover), after which the task does not wait any more, however many seconds O(wait_timeout) has - the end of a
        maintenance window. What has not ended then goes on, and the task fails and lists it.
      - A cutover that would not come before it is refused.
    type: str
    version_added: 0.1.0
  progress:
    description:
      - Whether the task tells how the VMs get on while it waits, also when the module runs on another host - a line for each VM that has
        moved, with its step, the part that is done, the rate and the time that is left.
      - Lines come every 5 to 60 seconds, at most ten at once. There are none in check mode, with C(async), with C(no_log), with a callback
        whose output is JSON, and unless the task waits with O(state=started).
    type: bool
    default: true
  progress_slice:
    description:
      - The part of the wait to do now. The module's own action plugin sets it to speak between the parts; playbooks leave it out.
    type: dict
    suboptions:
      seconds:
        description: How long the part lasts at least.
        type: float
        required: true
      plan:
        description: Name of the C(Plan) that is run, which may be a follow-up of O(plan).
        type: str
      migration:
        description: Name of the C(Migration) that is waited for already. Without it this is the first part.
        type: str
      uid:
        description: Its uid.
        type: str
      seen:
        description: The steps of the VMs that were told about, in short.
        type: str
        default: ""
      waited:
        description: Seconds that were waited in the parts before.
        type: float
        default: 0
seealso:
  - module: vmshift.mtv.plan
  - module: vmshift.mtv.migration_info
"""

EXAMPLES = r"""
- name: Migrate the VMs of a plan
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
  register: run

- name: Migrate without lines about the VMs in between
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
    progress: false

- name: Show what became of them
  ansible.builtin.debug:
    var: run.table

- name: Migrate the VMs again that have failed; if that needs a follow-up plan, make and run it
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
    retry: true

- name: Start a warm migration, which copies until it is told to switch over
  vmshift.mtv.migration:
    plan: databases
    namespace: openshift-mtv
    wait: false

- name: Switch over on Sunday night, one of the VMs an hour earlier
  vmshift.mtv.migration:
    plan: databases
    namespace: openshift-mtv
    cutover: "2027-03-07 22:00 Europe/Berlin"
    vm_cutover:
      - vm: db-17
        cutover: "2027-03-07 21:00 Europe/Berlin"
    wait_timeout: 864000
    wait_until: "2027-03-08 04:00 Europe/Berlin"

- name: Cancel one VM, let the others go on
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
    state: canceled
    vms: [app2]

- name: Remove the records of the plan's runs
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
    state: absent
"""

RETURN = r"""
migration:
  description: The C(Migration) as the API server has it, null when there is none.
  returned: success, and when the migration fails
  type: dict
  sample:
    apiVersion: forklift.konveyor.io/v1beta1
    kind: Migration
    metadata:
      name: appliances-1
      namespace: openshift-mtv
    spec:
      plan:
        name: appliances
        namespace: openshift-mtv
    status:
      conditions:
        - type: Succeeded
          status: "True"
          category: Advisory
          message: The migration has SUCCEEDED.
outcome:
  description: How the run ended, C(Succeeded), C(Failed) or C(Canceled), or null while it goes on.
  returned: success, and when the migration fails
  type: str
  sample: Succeeded
plans:
  description: Names of the plan and its follow-ups, in their order. The last one is that of RV(migration).
  returned: success, and when the migration fails
  type: list
  elements: str
  sample: [appliances]
vms:
  description: The virtual machines of the run, and of the plans before it those that this one has not taken up.
  returned: success, and when the migration fails
  type: list
  elements: dict
  contains:
    name:
      description: Name of the VM on the source.
      type: str
    id:
      description: Id of the VM in the inventory.
      type: str
    plan:
      description: Name of the plan that has taken it up last.
      type: str
    outcome:
      description: C(Succeeded), C(Failed), C(Canceled), C(Running) or C(Pending).
      type: str
    phase:
      description: MTV's phase of the VM.
      type: str
    step:
      description: The step that has failed or is being done, null for a VM that is done.
      type: str
    waiting_for:
      description: Why this step does not go on yet, for example that the target's storage has no room; null if nothing holds it up.
      type: str
    target_name:
      description: Name of the VM on the target.
      type: str
    made:
      description: Whether the VM was made on the target, where it stays also when its PostHook fails.
      type: bool
    started:
      description: When its migration began.
      type: str
    completed:
      description: When its migration ended.
      type: str
    duration:
      description: Seconds between the two, null before the end.
      type: int
    disk_mb:
      description: Size of its disks in MiB.
      type: int
    error:
      description: What failed, with C(step), C(phase) and C(reasons); null if nothing did.
      type: dict
    warnings:
      description: What the migration has to say about the VM.
      type: list
      elements: str
  sample:
    - name: app1
      id: 796051fce57ca1d00b2bc0ec8c895c524e29
      plan: appliances
      outcome: Succeeded
      phase: Completed
      step: null
      waiting_for: null
      target_name: app1
      made: true
      started: "2026-01-22T23:38:06Z"
      completed: "2026-01-22T23:39:10Z"
      duration: 64
      disk_mb: 2048
      error: null
      warnings: []
table:
  description: The VMs as lines of text, ready to print.
  returned: success, and when the migration fails
  type: list
  elements: str
  sample:
    - VM    RESULT     TARGET  DISKS     TIME     NOTE
    - app1  Succeeded  app1    2048 MiB  0:01:04
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.migration_task import Task
from ansible_collections.vmshift.mtv.plugins.module_utils.options import WAIT


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **AUTH_ARGUMENT_SPEC,
            **WAIT,
            "wait_timeout": {"type": "int", "default": 21600},
            "wait_until": {"type": "str"},
            "plan": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "canceled", "absent"], "default": "started"},
            "name": {"type": "str"},
            "retry": {"type": "bool", "default": False},
            "resume_conversion": {"type": "bool", "default": False},
            "cutover": {"type": "str"},
            "vm_cutover": {
                "type": "list",
                "elements": "dict",
                "options": {"vm": {"type": "str", "required": True}, "cutover": {"type": "str", "required": True}},
            },
            "allow_past_cutover": {"type": "bool", "default": False},
            "vms": {"type": "list", "elements": "str"},
            "log_lines": {"type": "int", "default": 20},
            "progress": {"type": "bool", "default": True},
            "progress_slice": {
                "type": "dict",
                "options": {
                    "seconds": {"type": "float", "required": True},
                    "plan": {"type": "str"},
                    "migration": {"type": "str"},
                    "uid": {"type": "str"},
                    "seen": {"type": "str", "default": ""},
                    "waited": {"type": "float", "default": 0},
                },
            },
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["vms"] and params["state"] != "canceled":
        module.fail_json(msg="vms: which VMs a run migrates is said in the plan; here vms goes with state canceled only.")
    if params["state"] != "started":
        given = [option for option in ("cutover", "vm_cutover", "retry", "resume_conversion", "wait_until") if params[option]]
        if given:
            module.fail_json(msg=f"{given[0]}: this goes with state started only; state is {params['state']}.")
    if params["resume_conversion"] and not params["retry"]:
        module.fail_json(msg="resume_conversion: this is a way to retry; give retry: true, too.")
    work = {"started": Task.start, "canceled": Task.cancel, "absent": Task.remove}[params["state"]]
    run_module(module, lambda cluster: work(Task(module, cluster)))


if __name__ == "__main__":
    main()
