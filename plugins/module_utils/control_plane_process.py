# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of an embedded control plane: which Python runs it, whether it serves, how it starts and ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

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
        connect({"kubeconfig": endpoints["kubeconfig"]}).request("GET", "/readyz", timeout=5, text=True)
    except (OSError, ValueError, KeyError, TalkError):
        return None
    return endpoints


def start(here: Installation, arguments: list[str], timeout: float) -> dict[str, Any]:
    """Start the control plane, or wait for one that someone else is starting; returns its endpoints. Raises Failure."""
    log = here.folder / "run" / "controlplane.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    begin = log.stat().st_size if log.exists() else 0
    command = [here.python, "-m", PACKAGE, "serve", "--state", str(here.folder), *arguments]
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
    _run(here, ["-m", PACKAGE, "stop", "--state", str(here.folder), "--timeout", str(timeout)], timeout + 30)


def guests_run(folder: Path) -> bool:
    """A pod with a guest has a supervisor that is alive."""
    for told in folder.glob("pods/*/guest.json"):
        try:
            process = json.loads((told.parent / "process.json").read_text())
            fields = Path(f"/proc/{process['pid']}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError, KeyError):
            continue
        if fields[0] not in "ZX" and int(fields[19]) == process["started"]:
            return True
    return False


def stop_guests(here: Installation, timeout: float) -> None:
    """Shut down what a control plane that was killed has left running. Raises Failure."""
    _run(here, ["-m", PACKAGE, "stop", "--state", str(here.folder), "--timeout", str(timeout)], timeout + 60)


def stop_pods(here: Installation, timeout: float) -> None:
    """End the processes of pods, which outlive the control plane. Raises Failure."""
    pods = here.folder / "pods"
    if pods.is_dir() and any(pods.iterdir()):
        script = f"import pathlib, sys; from {PACKAGE}.cluster.processes import stop_all; stop_all(pathlib.Path(sys.argv[1]))"
        _run(here, ["-c", script, str(pods)], timeout + 30)


def _run(here: Installation, arguments: list[str], timeout: float) -> None:
    command = [here.python, *arguments]
    try:
        asked = subprocess.run(
            command, env=_environment(here.collections_path), cwd="/", capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"The control plane in {here.folder} could not be ended within {timeout:g} s.") from error
    if asked.returncode:
        raise Failure(f"The control plane in {here.folder} could not be ended: {(asked.stderr.strip().splitlines() or ['no output'])[-1]}")


def _environment(collections_path: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": collections_path, "PYTHONUNBUFFERED": "1"}


def _tail(log: Path, begin: int) -> str:
    if not log.exists():
        return f"Its log {log} does not exist."
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = stream.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]
    return f"Last lines of {log}:\n" + "\n".join(lines) if lines else f"Its log {log} is empty."
