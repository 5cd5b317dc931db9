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

from ansible_collections.vmshift.mtv.controlplane.datapath import customization
from ansible_collections.vmshift.mtv.plugins.action.hook import LIBRARY, with_playbook
from ansible_collections.vmshift.mtv.plugins.module_utils import hook_playbook, hook_vars
from ansible_collections.vmshift.mtv.tests.rig import powershell

ROOT = Path(__file__).resolve().parents[3]
NAMES = sorted(file.stem for file in LIBRARY.glob("*.yml"))
HEAD = ("Purpose", "Step", "Variables", "Needs", "Runs on")
KEYWORDS = {"name", "when", "vars", "register", "loop", "loop_control", "until", "retries", "delay", "block", "no_log"} | {
    "changed_when",
    "always",
    "rescue",
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
        yield from tasks([*task.get("block", []), *task.get("rescue", []), *task.get("always", [])])


def scripts() -> list[Any]:
    found = [(name, key) for name in NAMES for key in play(name)["vars"] if key.endswith("_script")]
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
        named = list(tasks(play(name)["tasks"]))
        where = [task["name"] for task in named]
        if ENTERED in where:
            ways.append(named[where.index(ENTERS) : where.index(ENTERED) + 1])
            step = "target" if re.search("^# Step: +PostHook", text(name), re.MULTILINE) else "source"
            assert play(name)["vars"]["guest_where"] == step
    assert len(ways) >= 13 and all(way == ways[0] for way in ways)


def test_facts_before_and_after_are_taken_alike():
    before, after = play("guest_facts")["vars"], play("verify_guest")["vars"]
    assert all(before[key] == after[key] for key in before if "_script" in key)


def test_the_agent_is_installed_alike_in_guests_that_run_and_in_disks():
    assert play("guest_agent")["vars"]["agent_script"] == play("guest_agent_offline")["vars"]["agent_script"]


@pytest.mark.parametrize("script", scripts())
def test_scripts_are_portable_shell(script, tmp_path):
    """Findings about variables that the playbook writes before the script are left out (SC2154)."""
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    ignored = "SC1091,SC2034,SC2046,SC2086,SC2154,SC2153,SC2012,SC2015,SC2294,SC2329,SC2317"
    done = subprocess.run(["shellcheck", "-s", "sh", "-e", ignored, "-"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


#: What plays write before a script of PowerShell.
WINDOWS_SETTINGS = {
    "guest_agent": "$msi = 'https://x/a.msi'; $sha256 = 'A'",
    "quiesce_services": "$services = '[\"a\"]' | ConvertFrom-Json",
    "ssh_key": "$key = '\"k\"' | ConvertFrom-Json",
    "start_services": "$services = '[\"a\"]' | ConvertFrom-Json; $on = $true",
}


@pytest.mark.parametrize("name", [name for name in NAMES if any(key.endswith("_script_windows") for key in play(name)["vars"])])
def test_powershell_is_parsed_and_has_no_findings(name):
    ((key, script),) = [(key, value) for key, value in play(name)["vars"].items() if key.endswith("_script_windows")]
    assert script.startswith("$ErrorActionPreference = 'Stop'")
    assert powershell.findings(f"{WINDOWS_SETTINGS.get(name, '')}\n{script}") == []
    assert (f"{{{{ windows_settings }}}}\\n{{{{ {key} }}}}" in text(name)) == (name in WINDOWS_SETTINGS)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("if ($true { 'a' }", "cannot be parsed"),
        ("Get-Item 'x", "cannot be parsed"),
        ("'a' }", "cannot be parsed"),
        ("1..3 | ? { $_ }", "no command that may be used, or the alias of one: ?"),
        ("Get-Servce -Name 'a'", "no command that may be used"),
        ("Get-Service -Nam 'a'", "line 1: Get-Service has no such parameter: -Nam"),
        ("$a = 1\n$b", "line 2: this variable has no value: $b"),
        ('"$(Invoke-Expression 1)"', "no command that may be used"),
        ('"the $what"', "this variable has no value: $what"),
        ("& $_ 1", "no command that may be used"),
    ],
)
def test_findings_in_powershell(script, said):
    assert said in " ".join(powershell.findings(script))


def test_addresses_of_windows_guests_are_powershell():
    script = customization.more_addresses([("00:50:56:00:00:01", "10.0.0.5,10.0.0.1,24,1.1.1.1"), ("00:50:56:00:00:01", "fd00::5,,64")])
    assert powershell.findings(script) == [] and script.count("New-NetIPAddress") == 2


def test_the_documentation_has_all():
    table = (ROOT / "docs/hook_library.md").read_text()
    assert [name for name in NAMES if f"| `{name}` |" not in table] == []
