"""migration_report: the files it writes, when it does not write them, and what it refuses."""

from __future__ import annotations

import builtins
import json
from typing import Any

import pytest

REFERENCE = {"name": "src", "namespace": "mig"}
SPEC = {
    "provider": {"source": REFERENCE, "destination": {"name": "host", "namespace": "konveyor-forklift"}},
    "map": {"network": REFERENCE, "storage": REFERENCE},
    "targetNamespace": "t",
    "vms": [{"id": "vm-1", "name": "web"}, {"name": "db"}],
}
FAILED = {"type": "Failed", "status": "True", "category": "Advisory", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}


@pytest.fixture
def plan(plane: Any) -> Any:
    source = plane.provider("src", url="nfs:/x")
    plane.provider("host", type="openshift", namespace="konveyor-forklift")
    concern = {"id": "x", "category": "Critical", "label": "Shared disk", "assessment": "No."}
    plane.inventory[f"providers/ova/{source['metadata']['uid']}/vms"] = [{"id": "vm-1", "name": "web", "concerns": [concern]}]
    return plane.make("Plan", "crm", spec=SPEC)


def fail_web(plane: Any) -> None:
    """The record of a run in which web failed; db has not begun."""
    failed = {"phase": "CopyDisksVirtV2V", "reasons": ["Guest conversion failed."]}
    step = {
        "name": "ImageConversion",
        "phase": "Running",
        "started": "2026-01-01T00:00:00Z",
        "progress": {"completed": 0, "total": 1},
        "error": failed,
    }
    web = {
        "id": "vm-1",
        "name": "web",
        "phase": "Completed",
        "started": "2026-01-01T00:00:00Z",
        "completed": "2026-01-01T00:01:00Z",
        "pipeline": [step],
        "error": failed,
        "conditions": [FAILED],
    }
    plan = plane.do("get", "Plan", "mig", "crm")
    plan["status"] = {"conditions": [], "migration": {"started": "2026-01-01T00:00:00Z", "history": [], "vms": [web]}}
    plane.do("update_status", plan)


def test_files_are_written_once(run: Any, plan: Any, tmp_path: Any) -> None:
    asked = {form: str(tmp_path / f"report.{form}") for form in ("html", "json", "csv")}
    predicted = run("migration_report", namespace="mig", check_mode=True, **asked)
    assert predicted["changed"] is True
    assert not list(tmp_path.glob("report.*"))
    made = run("migration_report", namespace="mig", **asked)
    assert made["changed"] is True
    assert made["warnings"] == []
    assert made["summary"]["pending"] == 2
    assert [(f["format"], f["size"], f["changed"]) for f in made["files"]] == [
        (form, (tmp_path / f"report.{form}").stat().st_size, True) for form in ("html", "json", "csv")
    ]
    page = (tmp_path / "report.html").read_text()
    assert "Shared disk: No." in page
    assert json.loads((tmp_path / "report.json").read_text())["plans"][0]["vms"][0]["concerns"][0]["label"] == "Shared disk"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("report.*")}
    again = run("migration_report", namespace="mig", **asked)
    assert again["changed"] is False
    assert all(d["before"] == d["after"] == "" for d in again["diff"])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("report.*")} == before


def test_a_diff_shows_the_vm_that_moved_and_nothing_else(run: Any, plan: Any, plane: Any, tmp_path: Any) -> None:
    asked = {"namespace": "mig", "name": "crm", "html": str(tmp_path / "r.html"), "json": str(tmp_path / "r.json")}
    run("migration_report", **asked)
    fail_web(plane)
    for check in (True, False):
        result = run("migration_report", check_mode=check, **asked)
        assert result["changed"] is True
        for diff in result["diff"]:
            assert "mig/crm web: Pending" in diff["before"]
            assert "mig/crm web: Failed in ImageConversion, 0 MiB, 0:01:00" in diff["after"]
    assert result["summary"]["failed"] == 1
    assert "There is no pod of this VM in namespace t" in (tmp_path / "r.html").read_text()


def test_the_mode_is_kept_exact(run: Any, plan: Any, tmp_path: Any) -> None:
    asked = {"namespace": "mig", "html": str(tmp_path / "r.html")}
    run("migration_report", mode="0600", **asked)
    assert (tmp_path / "r.html").stat().st_mode & 0o777 == 0o600
    assert run("migration_report", mode="0600", **asked)["changed"] is False
    predicted = run("migration_report", mode="0640", check_mode=True, **asked)
    assert predicted["changed"] is True
    assert "0640" in predicted["diff"][0]["after"]
    assert run("migration_report", mode="0640", **asked)["changed"] is True
    assert (tmp_path / "r.html").stat().st_mode & 0o777 == 0o640


def test_plans_are_chosen_by_label(run: Any, plan: Any, plane: Any, tmp_path: Any) -> None:
    plane.make("Plan", "hr", spec=SPEC)
    plane.do("patch", "Plan", "mig", "hr", {"metadata": {"labels": {"wave": "2"}}})
    asked = {"namespace": "mig", "json": str(tmp_path / "r.json")}
    assert run("migration_report", **asked)["summary"]["plans"] == 2
    assert run("migration_report", label_selectors=["wave=2"], **asked)["summary"]["plans"] == 1
    assert run("migration_report", label_selectors=["wave=3"], **asked)["summary"]["plans"] == 0


def test_a_missing_inventory_is_a_warning_unless_concerns_are_not_wanted(run: Any, plan: Any, plane: Any, tmp_path: Any) -> None:
    plane.inventory.clear()
    asked = {"namespace": "mig", "json": str(tmp_path / "r.json")}
    assert "without the concerns about the VMs of provider mig/src" in run("migration_report", **asked)["warnings"][0]
    assert run("migration_report", concerns=False, **asked)["warnings"] == []


def test_a_stamp_makes_it_new_each_time(run: Any, plan: Any, tmp_path: Any) -> None:
    run("migration_report", namespace="mig", stamp=True, json=str(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text())["generated"].endswith("Z")
    assert run("migration_report", namespace="mig", json=str(tmp_path / "r.json"))["changed"] is True


def test_something_else_in_the_place_of_a_report_is_replaced(run: Any, plan: Any, tmp_path: Any) -> None:
    (tmp_path / "r.json").write_text("[1]")
    result = run("migration_report", namespace="mig", json=str(tmp_path / "r.json"))
    assert result["diff"][0]["before"] == "(not a report)\n"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "one of the following is required: html, json, csv"),
        ({"html": "{}/r", "json": "{}/r"}, "must name different files"),
        ({"html": "{}"}, "is a directory"),
        ({"csv": "{}/nowhere/r.csv"}, "does not exist: make it first"),
        ({"csv": "{}/r.csv", "name": "crn"}, "There is no plan crn in namespace mig"),
    ],
)
def test_mistakes_are_told(run: Any, plan: Any, tmp_path: Any, params: dict[str, str], said: str) -> None:
    result = run("migration_report", namespace="mig", **{k: v.format(tmp_path) for k, v in params.items()})
    assert result["failed"] is True
    assert said in result["msg"]


def test_without_jinja2_only_the_page_is_missing(run: Any, plan: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "jinja2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "jinja2" in run("migration_report", namespace="mig", html=str(tmp_path / "r.html"))["msg"]
    assert run("migration_report", namespace="mig", csv=str(tmp_path / "r.csv"))["changed"] is True
