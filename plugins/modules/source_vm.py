#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: source_vm
short_description: Prepare virtual machines of VMware vSphere for a migration, or bring them back after one
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Switches changed-block tracking, which warm migrations need, removes snapshots that were left behind, and powers virtual machines on or
    off, directly where they run. No cluster is needed.
  - Snapshots are removed first, then tracking is switched, then comes the power. What is not asked for stays as it is.
extends_documentation_fragment:
  - vmshift.mtv.source
attributes:
  check_mode:
    support: full
  diff_mode:
    description: Returns what has changed (or would change in C(check_mode)) when it runs in diff mode.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
options:
  vms:
    description:
      - The virtual machines. The words are those of O(vmshift.mtv.plan#module:vms).
      - An entry that means no virtual machine is an error.
    type: list
    elements: raw
    required: true
  exclude:
    description: Virtual machines to leave out, in the same words. An entry that means none is a warning.
    type: list
    elements: raw
  change_tracking:
    description:
      - Whether changes of blocks are tracked, for the virtual machine and for each of its disks.
      - It takes effect with the next snapshot, which a warm migration makes anyway, or with the next start of the virtual machine.
    type: bool
  remove_snapshots:
    description:
      - V(mtv) removes snapshots that warm migrations of MTV have left, which it knows by their name C(forklift-migration-precopy).
      - V(all) removes all snapshots. Warm migrations start only where there are none.
    type: str
    choices: [none, mtv, all]
    default: none
  power_state:
    description:
      - V("on"), or V("off") by a shutdown of the guest, for which it needs VMware Tools.
    type: str
    choices: ["on", "off"]
  force:
    description: Power off without asking the guest.
    type: bool
    default: false
  shutdown_timeout:
    description: Seconds that guests may take to shut down, and snapshots to be removed.
    type: int
    default: 600
requirements:
  - pyvmomi >= 8.0.3.0.1
  - jmespath (for C(query) in O(vms) and O(exclude))
seealso:
  - module: vmshift.mtv.source_vm_info
"""

EXAMPLES = r"""
- name: Prepare virtual machines for a warm migration
  vmshift.mtv.source_vm:
    url: https://vcenter.example.com/sdk
    user: administrator@vsphere.local
    password: "{{ vcenter_password }}"
    ca_cert_file: /etc/pki/vcenter.pem
    vms:
      - folder: /DC1/vm/prod
    change_tracking: true
    remove_snapshots: mtv

- name: Run them again where they were, after a migration that is not wanted any more
  vmshift.mtv.source_vm:
    url: https://vcenter.example.com/sdk
    user: administrator@vsphere.local
    password: "{{ vcenter_password }}"
    ca_cert_file: /etc/pki/vcenter.pem
    vms: [web-1]
    power_state: "on"
"""

RETURN = r"""
vms:
  description: The virtual machines as they are now; in check mode as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    id:
      description: Its id.
      type: str
    power_state:
      description: C(poweredOn), C(poweredOff) or C(suspended).
      type: str
    change_tracking:
      description: Whether changes of blocks are tracked, by the virtual machine (C(vm)) and by its disks.
      type: dict
    snapshots:
      description: Names of its snapshots.
      type: list
      elements: str
  sample:
    - name: web-1
      id: vm-41
      power_state: poweredOn
      change_tracking:
        vm: true
        scsi0:0: true
      snapshots: []
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils import selection
from ansible_collections.vmshift.mtv.plugins.module_utils.chosen_vms import require_jmespath
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.placement import Placement
from ansible_collections.vmshift.mtv.plugins.module_utils.plan_spec import words_only
from ansible_collections.vmshift.mtv.plugins.module_utils.source_reading import SOURCE, TRUST, endpoint, read, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import PRECOPY_NAME, Machine, Snapshot
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import connect
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.vms import POWERED_OFF, POWERED_ON

POWER = {"on": POWERED_ON, "off": POWERED_OFF}


def work(module: AnsibleModule) -> dict[str, Any]:
    """Raises TalkError."""
    params = module.params
    vms, exclude = words_only("vms", params["vms"]), words_only("exclude", params["exclude"] or [])
    require_jmespath([*vms, *exclude])
    try:
        selection.require_known_words("vms", vms, "vsphere")
        selection.require_known_words("exclude", exclude, "vsphere")
    except selection.SelectionError as error:
        raise TalkError(f"{error}.") from error
    resources = read("vsphere", params).resources
    placement = Placement("vsphere", resources["vms"], lambda collection: resources[collection])
    try:
        chosen = selection.resolve(vms, resources["vms"], exclude=exclude, placement=placement, warn=module.warn)
    except selection.SelectionError as error:
        raise TalkError(f"The VMs are not clear. Inventory of {params['url']}: {error}.") from error
    before, after = [], []
    touched = False
    try:
        with connect(endpoint(params), params["timeout"]) as session:
            for reference in chosen:
                machine = Machine(session, reference["id"])
                now = state(machine)
                wanted = wanted_state(machine, now, params)
                before.append({"name": reference["name"], **now})
                if wanted != now and not module.check_mode:
                    touched = True  # also when that breaks off: whether it was done is not known then
                    wanted = changed_state(machine, now, wanted, params)
                after.append({"name": reference["name"], **wanted})
    except SourceError as error:
        raise TalkError(f"{error.message}.", changed=touched) from error
    return {"changed": before != after, "vms": after, "diff": {"before": {"vms": before}, "after": {"vms": after}}}


def state(machine: Machine) -> dict[str, Any]:
    """What this module can change of a VM."""
    tracked, disks = machine.change_tracking()
    return {
        "id": machine.id,
        "power_state": machine.power_state(),
        "change_tracking": {"vm": tracked, **disks},
        "snapshots": [snapshot.name for snapshot in machine.snapshots()],
    }


def wanted_state(machine: Machine, now: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """The state that is asked for of a VM that is in state `now`."""
    wanted = dict(now)
    if params["remove_snapshots"] != "none":
        wanted["snapshots"] = [snapshot.name for snapshot in machine.snapshots() if not is_unwanted(snapshot, params["remove_snapshots"])]
    if params["change_tracking"] is not None:
        wanted["change_tracking"] = dict.fromkeys(now["change_tracking"], params["change_tracking"])
    if params["power_state"]:
        wanted["power_state"] = POWER[params["power_state"]]
    return wanted


def changed_state(machine: Machine, now: dict[str, Any], wanted: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Bring a VM from state `now` to the one that is wanted."""
    unwanted = [snapshot for snapshot in machine.snapshots() if is_unwanted(snapshot, params["remove_snapshots"])]
    for snapshot in reversed(unwanted):  # children before their parents
        task = machine.remove_snapshot(snapshot.id)
        if task:
            machine.wait(task, params["shutdown_timeout"])
    if wanted["change_tracking"] != now["change_tracking"]:
        machine.set_change_tracking(params["change_tracking"])
    if wanted["power_state"] != now["power_state"]:
        switch(machine, params)
    return state(machine)


def is_unwanted(snapshot: Snapshot, which: str) -> bool:
    return which == "all" or which == "mtv" and snapshot.name == PRECOPY_NAME


def switch(machine: Machine, params: dict[str, Any]) -> None:
    """Power a VM on, or off by its guest unless forced."""
    if params["power_state"] == "on":
        machine.power_on()
        return
    if params["force"]:
        machine.power_off()
        return
    machine.shut_down()
    deadline = time.monotonic() + params["shutdown_timeout"]
    while machine.power_state() != POWERED_OFF:
        if time.monotonic() > deadline:
            told = f"the guest of {machine.id} did not shut down within {params['shutdown_timeout']} s"
            raise SourceError(f"{told}: wait longer (shutdown_timeout), or pull the plug (force)")
        time.sleep(1)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SOURCE,
            "vms": {"type": "list", "elements": "raw", "required": True},
            "exclude": {"type": "list", "elements": "raw"},
            "change_tracking": {"type": "bool"},
            "remove_snapshots": {"type": "str", "choices": ["none", "mtv", "all"], "default": "none"},
            "power_state": {"type": "str", "choices": ["on", "off"]},
            "force": {"type": "bool", "default": False},
            "shutdown_timeout": {"type": "int", "default": 600},
        },
        mutually_exclusive=TRUST,
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
