"""The library of hooks: what every file of it has to hold, without running it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.vmshift.mtv.plugins.action.hook import LIBRARY, with_playbook
from ansible_collections.vmshift.mtv.plugins.module_utils import hook_playbook, hook_vars

ROOT = Path(__file__).resolve().parents[3]
NAMES = sorted(file.stem for file in LIBRARY.glob("*.yml"))
HEAD = ("Purpose", "Step", "Variables", "Needs", "Runs on")
KEYWORDS = {"name", "when", "vars", "register", "loop", "loop_control", "until", "retries", "delay", "block", "no_log"} | {
    "changed_when",
    "failed_when",
}
ENTERS, ENTERED = "Read what is migrated", "Wait until the guest lets us in"
COMMON = re.compile(r"guest_|hook_namespace")


def text(name: str) -> str:
    return (LIBRARY / f"{name}.yml").read_text()


def play(name: str) -> dict[str, Any]:
    (only,) = yaml.safe_load(text(name))
    return only


def tasks(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in items:
        yield task
        yield from tasks(task.get("block", []))


def scripts(windows: bool) -> list[Any]:
    found = [(name, key) for name in NAMES for key in play(name)["vars"] if re.search("_script_windows$" if windows else "_script$", key)]
    return [pytest.param(play(name)["vars"][key], id=f"{name}-{key}") for name, key in found]


def test_there_is_a_library():
    assert len(NAMES) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_it_is_found_by_its_name_and_takes_variables(name):
    given = with_playbook({"name": "h", "library": name, "vars": {"guest_vm": "web01"}}, LIBRARY)
    encoded = hook_playbook.encoded(given["playbook"], "library", given["vars"])
    assert len(encoded) < hook_playbook.MOST_BYTES / 10
    (written,) = yaml.safe_load("\n".join(hook_playbook.decoded({"playbook": encoded})["playbook"]))
    assert written["vars"]["guest_vm"] == "web01"
    assert written["tasks"] == play(name)["tasks"]


@pytest.mark.parametrize("name", NAMES)
def test_its_head_tells_what_it_is_and_which_variables_it_takes(name):
    head = "\n".join(line for line in text(name).split("- name:")[0].splitlines() if line.startswith("#"))
    assert [field for field in HEAD if not re.search(rf"^# {field}: +\S", head, re.MULTILINE)] == []
    own = [key for key in play(name)["vars"] if "_script" not in key and not COMMON.match(key)]
    assert [key for key in own if not re.search(rf"\b{key}\b", head)] == []
    assert max(map(len, text(name).splitlines())) <= 160


@pytest.mark.parametrize("name", NAMES)
def test_it_needs_nothing_that_the_image_has_not(name):
    modules = {key for task in tasks(play(name)["tasks"]) for key in task if key not in KEYWORDS}
    assert modules and all(module.startswith(("ansible.builtin.", "kubernetes.core.")) for module in modules)
    others = ("ansible.builtin.import_", "ansible.builtin.include_tasks", "include_role", "vars_files")
    assert not any(word in text(name) for word in others)
    assert set(re.findall(r"(?:lookup|query)\('([^']+)'", text(name))) <= {"ansible.builtin.file"}


@pytest.mark.parametrize("name", NAMES)
def test_its_variables_are_none_that_the_module_refuses(name):
    hook_vars.refuse_secrets({key: value or "x" for key, value in play(name)["vars"].items()})


def test_all_enter_the_guest_in_the_same_way():
    ways = []
    for name in NAMES:
        named = play(name)["tasks"]
        where = [task["name"] for task in named]
        if ENTERED in where:
            ways.append(named[where.index(ENTERS) : where.index(ENTERED) + 1])
            step = "target" if re.search("^# Step: +PostHook", text(name), re.MULTILINE) else "source"
            assert play(name)["vars"]["guest_where"] == step
    assert len(ways) >= 13 and all(way == ways[0] for way in ways)


def test_facts_before_and_after_are_taken_alike():
    before, after = play("guest_facts")["vars"], play("verify_guest")["vars"]
    assert all(before[key] == after[key] for key in before if "_script" in key)


@pytest.mark.parametrize("script", scripts(windows=False))
def test_scripts_are_portable_shell(script, tmp_path):
    """Findings about variables that the playbook writes before the script are left out (SC2154)."""
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    ignored = "SC1091,SC2034,SC2046,SC2086,SC2154,SC2153,SC2012,SC2015,SC2294,SC2329,SC2317"
    done = subprocess.run(["shellcheck", "-s", "sh", "-e", ignored, "-"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", scripts(windows=True))
def test_powershell_is_balanced_and_stops_at_errors(script):
    assert script.startswith("$ErrorActionPreference = 'Stop'")
    bare = re.sub(r"'[^']*'", "''", script)
    bare = re.sub(r'"(?:\$\((?:[^()]|\([^()]*\))*\)|[^"])*"', '""', bare)
    assert "'" not in bare.replace("''", "") and '"' not in bare.replace('""', "")
    stack: list[str] = []
    for sign in bare:
        if sign in "([{":
            stack.append({"(": ")", "[": "]", "{": "}"}[sign])
        elif sign in ")]}":
            assert stack and stack.pop() == sign
    assert stack == []


def test_the_documentation_has_all():
    table = (ROOT / "docs/hook_library.md").read_text()
    assert [name for name in NAMES if f"| `{name}` |" not in table] == []
