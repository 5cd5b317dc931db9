#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: control_plane
short_description: Start, stop or remove an embedded control plane
version_added: 0.1.0
author: vmshift contributors (@vmshift)
description:
  - Runs the collection's own implementation of the MTV API as one process on this machine, for first steps, rehearsals and tests.
  - The modules and roles of the collection, C(kubectl) and C(kubernetes.core) use it through the kubeconfig that this module returns.
  - It listens on the loopback interface only. Everything it knows and every disk it writes lies in one folder.
  - The process goes on after the play. It can be killed at any time and picks up where it was when it is started again.
  - Connection options that C(module_defaults) of the action group set are ignored.
options:
  state:
    description:
      - V(started) starts the control plane unless it runs. One of another version of the collection, or with another port,
        O(run_vms) or O(guest_network) than given, is restarted.
      - V(stopped) ends it and keeps its folder. Conversions that run go on and are picked up by the next start; guests are shut down, and
        started again by the next start with O(run_vms) if they are to run.
      - V(absent) ends it and what it runs, and removes the folder with all volumes in it.
    type: str
    choices: [started, stopped, absent]
    default: started
  state_dir:
    description: The folder of the control plane. Two control planes never share one.
    type: path
    default: ~/.local/share/vmshift-mtv
  port:
    description: Port of the API server on 127.0.0.1. V(0) takes the port of the last time, or a free one.
    type: int
    default: 0
  inventory_port:
    description: Port of the Inventory service on 127.0.0.1. V(0) takes the port of the last time, or a free one.
    type: int
    default: 0
  run_vms:
    description:
      - Start migrated VMs in QEMU, with the hardware of their C(VirtualMachine) on the disks of their claims, so that they can be looked at
        and post-migration hooks find them running. They are emulated where hardware acceleration is not real.
      - V(false) never starts a guest. When it is not given, a control plane that runs is left as it is, and a new one starts none.
    type: bool
  guest_network:
    description:
      - What guests reach from the network they are in. V(isolated) is nothing, so that a copy of a server that is only rehearsed does not
        talk to its neighbours; V(nat) is what this machine reaches. In both, this machine reaches a guest's SSH port, see the annotation
        C(guest.vmshift.io/ssh) of the C(VirtualMachineInstance).
      - When it is not given, a control plane that runs is left as it is, and a new one takes V(isolated).
    type: str
    choices: [isolated, nat]
  python:
    description:
      - The Python (3.11 or newer) to run it with. It needs the packages that C(requirements.txt) of the collection names.
      - By default the Python that runs this module.
    type: path
  collections_path:
    description:
      - The folder that holds C(ansible_collections/vmshift/mtv) on the host that runs the control plane.
      - By default where Ansible has found the collection, which is right for tasks that run on the control node.
    type: path
  wait_timeout:
    description: Seconds to wait until the control plane serves, or has ended.
    type: int
    default: 60
extends_documentation_fragment:
  - vmshift.mtv.attributes
attributes:
  check_mode:
    details:
      - Looks at the process and the folder.
  diff_mode:
    details:
      - Shows the state before and after.
seealso:
  - module: vmshift.mtv.provider
  - module: vmshift.mtv.plan
  - module: vmshift.mtv.migration
"""

EXAMPLES = r"""
- name: Start a control plane
  vmshift.mtv.control_plane:
  register: control_plane

- name: Use it
  vmshift.mtv.provider_info:
    kubeconfig: "{{ control_plane.kubeconfig }}"
    namespace: konveyor-forklift

- name: Start one that also starts what it migrates
  vmshift.mtv.control_plane:
    state_dir: /var/tmp/rehearsal
    run_vms: true

- name: End it, keep its folder
  vmshift.mtv.control_plane:
    state: stopped

- name: End another one and remove it with all its volumes
  vmshift.mtv.control_plane:
    state: absent
    state_dir: /var/tmp/rehearsal
"""

RETURN = r"""
kubeconfig:
  description: Path of the kubeconfig with an administrator's token, readable by its owner only.
  returned: when O(state=started)
  type: str
  sample: /home/alex/.local/share/vmshift-mtv/kubeconfig
endpoints:
  description: Where the control plane listens.
  returned: when O(state=started)
  type: dict
  sample: {server: 'https://127.0.0.1:41613', inventory: 'https://127.0.0.1:38925'}
state_dir:
  description: The folder of the control plane.
  returned: always
  type: str
  sample: /home/alex/.local/share/vmshift-mtv
pid:
  description: The process.
  returned: when O(state=started)
  type: int
  sample: 4711
run_vms:
  description: Whether it starts guests.
  returned: when O(state=started)
  type: bool
  sample: false
version:
  description: Version of the collection that serves.
  returned: when O(state=started)
  type: str
  sample: 0.1.0
log:
  description: Path of the control plane's own log.
  returned: when O(state=started)
  type: str
  sample: /home/alex/.local/share/vmshift-mtv/run/controlplane.log
"""

import os
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils.control_plane_process import (
    Failure,
    Installation,
    guests_run,
    inspect,
    serving,
    start,
    stop,
    stop_guests,
    stop_pods,
)

#: What a control plane puts into its folder; a folder with anything else in it is not removed.
OWN_ENTRIES = (
    "store.sqlite",
    "store.sqlite-wal",
    "store.sqlite-shm",
    "store.sqlite-journal",
    "pki",
    "kubeconfig",
    "volumes",
    "pods",
    "run",
)


def reusable(endpoints: dict[str, Any], version: str, params: dict[str, Any]) -> bool:
    """The control plane behind `endpoints` (what endpoints.json says) is the one that was asked for."""
    wanted = {"server": params["port"], "inventory": params["inventory_port"]}
    ports_fit = all(not want or str(endpoints.get(which, "")).endswith(f":{want}") for which, want in wanted.items())
    guests_fit = all(params[name] is None or params[name] == endpoints.get(name) for name in ("run_vms", "guest_network"))
    return endpoints.get("version") == version and ports_fit and guests_fit


def arguments_of(params: dict[str, Any]) -> list[str]:
    """Arguments of `serve` for what the task asks for."""
    arguments = ["--port", str(params["port"]), "--inventory-port", str(params["inventory_port"])]
    arguments += ["--run-vms"] if params["run_vms"] else []
    return arguments + (["--guest-network", params["guest_network"]] if params["guest_network"] else [])


def foreign_entries(names: list[str]) -> list[str]:
    """What no control plane has put into its folder."""
    return sorted(name for name in names if name not in OWN_ENTRIES)


def refuse_foreign(folder: Path) -> None:
    """Raise Failure unless the folder is a control plane's and holds nothing else."""
    names = os.listdir(folder)
    foreign = foreign_entries(names)
    if foreign:
        raise Failure(f"{folder} is not removed: it holds {', '.join(foreign[:5])}, which no control plane has put there.")
    if "run" not in names:
        raise Failure(f"{folder} is not removed: it is not the folder of a control plane.")


def ensure_started(here: Installation, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    endpoints = serving(here.folder)
    fits = endpoints is not None and reusable(endpoints, here.version, params)
    if not fits and not check_mode:
        if endpoints:
            stop(here, params["wait_timeout"])
            here = here._replace(holder=None)
        endpoints = start(here, arguments_of(params), params["wait_timeout"])
    result: dict[str, Any] = {"kubeconfig": str(here.folder / "kubeconfig"), "log": str(here.folder / "run" / "controlplane.log")}
    if endpoints:
        result.update(
            endpoints={which: endpoints[which] for which in ("server", "inventory")},
            **{name: endpoints[name] for name in ("pid", "version", "run_vms")},
        )
    return {"changed": not fits, **result}


def ensure_stopped(here: Installation, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    left = here.holder is None and guests_run(here.folder)  # of a control plane that was killed
    if not check_mode:
        if here.holder is not None:
            stop(here, params["wait_timeout"])
        elif left:
            stop_guests(here, params["wait_timeout"])
    return {"changed": here.holder is not None or left}


def ensure_absent(here: Installation, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    if not here.folder.exists():
        return {"changed": False}
    refuse_foreign(here.folder)
    if not check_mode:
        ensure_stopped(here, params, check_mode)
        stop_pods(here, params["wait_timeout"])
        shutil.rmtree(here.folder)
    return {"changed": True}


ENSURE = {"started": ensure_started, "stopped": ensure_stopped, "absent": ensure_absent}


def state_of(here: Installation) -> str:
    if here.holder is not None:
        return "started"
    return "stopped" if here.folder.exists() else "absent"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
            "state_dir": {"type": "path", "default": "~/.local/share/vmshift-mtv"},
            "port": {"type": "int", "default": 0},
            "inventory_port": {"type": "int", "default": 0},
            "run_vms": {"type": "bool"},
            "guest_network": {"type": "str", "choices": ["isolated", "nat"]},
            "python": {"type": "path"},
            "collections_path": {"type": "path"},
            "wait_timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        here = inspect(module.params)
        before = state_of(here)
        result = ENSURE[module.params["state"]](here, module.params, module.check_mode)
    except Failure as failure:
        module.fail_json(msg=str(failure))
    after = module.params["state"] if result["changed"] else before
    module.exit_json(state_dir=str(here.folder), diff={"before": {"state": before}, "after": {"state": after}}, **result)


if __name__ == "__main__":
    main()
