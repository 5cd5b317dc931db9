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
      - V(started) starts the control plane unless it runs. One of another version of the collection, or with other ports than
        those given, is restarted.
      - V(stopped) ends it and keeps its folder. Conversions that run go on and are picked up by the next start.
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

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import TalkError, connect

PACKAGE = "ansible_collections.vmshift.mtv.controlplane"
NEEDS = ("aiohttp", "cryptography", "defusedxml", "jsonpatch", "yaml")
DISTRIBUTIONS = {"yaml": "PyYAML"}
#: Asked of the Python that will serve: is it new enough, which packages does it lack, which version is it, who holds the folder.
PROBE = f"""
import importlib.util, json, pathlib, sys
if sys.version_info < (3, 11):
    sys.exit("it is Python %d.%d, the control plane needs 3.11 or newer" % sys.version_info[:2])
from {PACKAGE}.lifetime import holder
from {PACKAGE}.state import State
from {PACKAGE}.version import VERSION
missing = [name for name in {NEEDS!r} if importlib.util.find_spec(name) is None]
print(json.dumps(dict(missing=missing, version=VERSION, holder=holder(State(pathlib.Path(sys.argv[1]))))))
"""
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
LOG_LINES = 15


class Failure(Exception):
    """A sentence for the user."""


class Installation(NamedTuple):
    """The Python and the collection that serve, and the folder they serve from. `holder`: the process that holds the folder now."""

    python: str
    collections_path: str
    folder: Path
    version: str
    holder: int | None


def reusable(endpoints: dict[str, Any], version: str, port: int, inventory_port: int) -> bool:
    """The control plane behind `endpoints` (what endpoints.json says) is the one that was asked for."""
    wanted = {"server": port, "inventory": inventory_port}
    ports_fit = all(not want or str(endpoints.get(which, "")).endswith(f":{want}") for which, want in wanted.items())
    return endpoints.get("version") == version and ports_fit


def foreign_entries(names: list[str]) -> list[str]:
    """What no control plane has put into its folder."""
    return sorted(name for name in names if name not in OWN_ENTRIES)


def inspect(params: dict[str, Any]) -> Installation:
    """Ask the Python that will serve. Raises Failure."""
    python, root = params["python"] or sys.executable, params["collections_path"]
    folder = Path(params["state_dir"]).absolute()
    if not root or not Path(root, *PACKAGE.split(".")).is_dir():
        where = f"is not in {root}" if root else "was not found"
        raise Failure(f"The collection {where} on this host: run the task on the control node or give collections_path.")
    try:
        asked = subprocess.run(
            [python, "-c", PROBE, str(folder)], env=_environment(root), cwd="/", capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"The Python {python} cannot be run: {error}.") from error
    if asked.returncode:
        raise Failure(f"The Python {python} cannot run the control plane: {(asked.stderr.strip().splitlines() or ['no output'])[-1]}.")
    answer = json.loads(asked.stdout)
    if answer["missing"] and params["state"] == "started":
        packages = " ".join(DISTRIBUTIONS.get(name, name) for name in answer["missing"])
        raise Failure(
            f"The Python {python} lacks packages that the control plane needs: install them with '{python} -m pip install {packages}'."
        )
    return Installation(python, root, folder, answer["version"], answer["holder"])


def serving(folder: Path) -> dict[str, Any] | None:
    """The endpoints, if a control plane answers there with the folder's kubeconfig; None otherwise."""
    try:
        endpoints = json.loads((folder / "run" / "endpoints.json").read_text())
        connect({"kubeconfig": endpoints["kubeconfig"]}).request("GET", "/readyz", timeout=5)
    except (OSError, ValueError, KeyError, TalkError):
        return None
    return endpoints


def start(here: Installation, port: int, inventory_port: int, timeout: float) -> dict[str, Any]:
    """Start the control plane, or wait for one that someone else is starting; returns its endpoints. Raises Failure."""
    log = here.folder / "run" / "controlplane.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    begin = log.stat().st_size if log.exists() else 0
    command = [
        here.python,
        "-m",
        PACKAGE,
        "serve",
        "--state",
        str(here.folder),
        "--port",
        str(port),
        "--inventory-port",
        str(inventory_port),
    ]
    process = None
    if here.holder is None:
        with log.open("ab") as out:
            process = subprocess.Popen(
                command,
                env=_environment(here.collections_path),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        endpoints = serving(here.folder) if (here.folder / "run" / "endpoints.json").exists() else None
        if endpoints:
            return endpoints
        if process and process.poll() is not None:
            # Another task may have been faster by a moment; then its control plane will answer.
            deadline = min(deadline, time.monotonic() + 5)
            if "another control plane" not in _tail(log, begin):
                raise Failure(f"The control plane ended with code {process.returncode} while it was starting. {_tail(log, begin)}")
        time.sleep(0.1)
    if process and process.poll() is None:
        process.terminate()
    raise Failure(f"The control plane in {here.folder} did not answer within {timeout:g} s. {_tail(log, begin)}")


def stop(here: Installation, timeout: float) -> None:
    """End the control plane that holds the folder. Raises Failure."""
    command = [here.python, "-m", PACKAGE, "stop", "--state", str(here.folder), "--timeout", str(timeout)]
    asked = subprocess.run(
        command, env=_environment(here.collections_path), cwd="/", capture_output=True, text=True, timeout=timeout + 30, check=False
    )
    if asked.returncode:
        raise Failure(f"The control plane in {here.folder} could not be ended: {asked.stderr.strip()}")


def refuse_foreign(folder: Path) -> None:
    """Raise Failure unless the folder is a control plane's and holds nothing else."""
    names = os.listdir(folder)
    foreign = foreign_entries(names)
    if foreign:
        raise Failure(f"{folder} is not removed: it holds {', '.join(foreign[:5])}, which no control plane has put there.")
    if names and "run" not in names:
        raise Failure(f"{folder} is not removed: it is not the folder of a control plane.")


def _environment(collections_path: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": collections_path, "PYTHONUNBUFFERED": "1"}


def _tail(log: Path, begin: int) -> str:
    if not log.exists():
        return f"Its log {log} does not exist."
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = stream.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]
    return f"Last lines of {log}:\n" + "\n".join(lines) if lines else f"Its log {log} is empty."


def ensure_started(here: Installation, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    endpoints = serving(here.folder)
    fits = endpoints is not None and reusable(endpoints, here.version, params["port"], params["inventory_port"])
    if not fits and not check_mode:
        if endpoints:
            stop(here, params["wait_timeout"])
            here = here._replace(holder=None)
        endpoints = start(here, params["port"], params["inventory_port"], params["wait_timeout"])
    result: dict[str, Any] = {"kubeconfig": str(here.folder / "kubeconfig"), "log": str(here.folder / "run" / "controlplane.log")}
    if endpoints:
        result.update(
            endpoints={which: endpoints[which] for which in ("server", "inventory")}, pid=endpoints["pid"], version=endpoints["version"]
        )
    return {"changed": not fits, **result}


def ensure_stopped(here: Installation, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    if here.holder is not None and not check_mode:
        stop(here, params["wait_timeout"])
    return {"changed": here.holder is not None}


def ensure_absent(here: Installation, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    if not here.folder.exists():
        return {"changed": False}
    refuse_foreign(here.folder)
    if not check_mode:
        ensure_stopped(here, params, check_mode)
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
