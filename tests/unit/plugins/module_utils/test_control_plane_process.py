"""Starting the process of a control plane: which Python can, who holds the folder, what is said when it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import control_plane_process
from ansible_collections.vmshift.mtv.plugins.module_utils.control_plane_process import Failure, Installation, inspect, start


def given(**options):
    return {"state": "started", "python": sys.executable, "collections_path": None, "state_dir": "/nonexistent", **options}


def test_where_the_collection_is_must_be_known(tmp_path):
    with pytest.raises(Failure, match="run the task on the control node or give collections_path"):
        inspect(given())
    with pytest.raises(Failure, match=f"The collection is not in {tmp_path}"):
        inspect(given(collections_path=str(tmp_path)))


COLLECTIONS = control_plane_process.__file__.partition("/ansible_collections/")[0]


def python_that(tmp_path, script):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n" + script)
    python.chmod(0o755)
    return str(python)


def test_missing_packages_are_named_by_the_names_to_install(tmp_path):
    python = python_that(tmp_path, """echo '{"missing": ["aiohttp", "yaml"], "version": "0.1.0", "holder": null}'""")
    with pytest.raises(Failure, match=f"install them with '{python} -m pip install aiohttp PyYAML'"):
        inspect(given(python=python, collections_path=COLLECTIONS))
    assert inspect(given(python=python, collections_path=COLLECTIONS, state="stopped")).version == "0.1.0"


def test_a_python_that_is_too_old_or_none_is_said(tmp_path):
    old = python_that(tmp_path, "echo 'it is Python 3.9, the control plane needs 3.11 or newer' >&2; exit 1")
    with pytest.raises(Failure, match="cannot run the control plane: it is Python 3.9, the control plane needs 3.11 or newer"):
        inspect(given(python=old, collections_path=COLLECTIONS))
    with pytest.raises(Failure, match="The Python /no/python cannot be run"):
        inspect(given(python="/no/python", collections_path=COLLECTIONS))


def test_the_probe_runs_in_a_real_python_and_sees_who_holds_the_folder(tmp_path):
    here = inspect(given(collections_path=COLLECTIONS, state_dir=str(tmp_path)))
    assert here.holder is None and here.version
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib, time\n"
            "from ansible_collections.vmshift.mtv.controlplane import lifetime, state\n"
            "with lifetime.held(state.State(pathlib.Path(sys.argv[1]))):\n    print(flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        env={"PYTHONPATH": COLLECTIONS},
        stdout=subprocess.PIPE,
    )
    try:
        holder.stdout.readline()
        assert inspect(given(collections_path=COLLECTIONS, state_dir=str(tmp_path))).holder == holder.pid
    finally:
        holder.kill()
        holder.wait()


def test_a_control_plane_that_ends_while_starting_is_reported_with_its_log(tmp_path):
    python = python_that(tmp_path, "echo 'no space left' >&2; exit 3")
    here = Installation(python, COLLECTIONS, tmp_path / "state", "0.1.0", None)
    with pytest.raises(Failure, match="ended with code 3 while it was starting(.|\n)*no space left"):
        start(here, [], 20)


def test_guests_that_a_killed_control_plane_left_are_seen(tmp_path):
    pod = tmp_path / "pods" / "uid"
    pod.mkdir(parents=True)
    assert not control_plane_process.guests_run(tmp_path)
    (pod / "guest.json").write_text("{}")
    assert not control_plane_process.guests_run(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as process:
        started = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        (pod / "process.json").write_text(json.dumps({"pid": process.pid, "started": started}))
        assert control_plane_process.guests_run(tmp_path)
        (pod / "process.json").write_text(json.dumps({"pid": process.pid, "started": started - 1}))
        assert not control_plane_process.guests_run(tmp_path)  # somebody else with that pid
        (pod / "process.json").write_text(json.dumps({"pid": process.pid, "started": started}))
        process.kill()
    assert not control_plane_process.guests_run(tmp_path)
