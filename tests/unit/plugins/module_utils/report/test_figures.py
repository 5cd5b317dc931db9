"""The figures of a report, its CSV and its page, from plain data."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.report import delimited, figures, page, timeline

from .runs_made_up import HOSTILE, a_plan, a_vm, at, condition

GOLDEN = next((p for p in (parent / "shared/golden/scenarios" for parent in Path(__file__).resolve().parents) if p.is_dir()), None)


def build(*plans: dict[str, Any], **more: Any) -> dict[str, Any]:
    return figures.build(plans, more.pop("migrations", []), title="Migration", **more)


def test_outcomes_are_counted_and_sizes_and_times_summed() -> None:
    report = build(a_plan(outcomes=("Succeeded", "Failed", "Canceled")), a_plan(outcomes=("Running",), name="hr"))
    assert report["summary"] == {
        "plans": 2,
        "vms": 4,
        "succeeded": 1,
        "failed": 1,
        "canceled": 1,
        "running": 1,
        "pending": 0,
        "disk_mb": 40000,
        "started": at(0),
        "until": at(190),
        "duration": 190,
    }
    assert [plan["outcome"] for plan in report["plans"]] == ["Failed", "Running"]


def test_a_vm_has_its_steps_its_rate_and_its_downtime() -> None:
    done, failed = build(a_plan(outcomes=("Succeeded", "Failed")))["plans"][0]["vms"]
    assert [(s["name"], s["duration"]) for s in done["steps"]][:2] == [("Initialize", 10), ("DiskAllocation", 20)]
    assert done["steps"][3]["disks"] == [{"name": "disk-0", "done_mb": 10000, "total_mb": 10000}]
    assert (done["mb_per_second"], done["downtime"], done["disk_mb"]) == (100.0, 190, 10000)
    # Its source stays off: there is no end of the downtime.
    assert (failed["mb_per_second"], failed["downtime"], failed["step"]) == (25.0, None, "DiskTransferV2v")
    assert failed["error"]["reasons"] == ["Guest conversion failed. See pod logs for details."]


def test_a_warm_copy_has_no_rate_and_is_down_from_its_cutover() -> None:
    plan = a_plan(type="warm")
    vm = plan["status"]["migration"]["vms"][0]
    vm["pipeline"].insert(4, {"name": "Cutover", "phase": "Completed", "started": at(180), "completed": at(185)})
    found = build(plan)["plans"][0]["vms"][0]
    assert (found["mb_per_second"], found["downtime"]) == (None, 10)


@pytest.mark.parametrize("later", ["PostHook", "WaitForFinalSnapshotConsolidation"])
def test_what_comes_after_the_target_is_no_downtime(later: str) -> None:
    plan = a_plan()
    vm = plan["status"]["migration"]["vms"][0]
    vm["pipeline"].append({"name": later, "phase": "Completed", "started": at(190), "completed": at(900)})
    vm["completed"] = at(900)
    assert build(plan)["plans"][0]["vms"][0]["downtime"] == 190


def test_a_plan_and_its_follow_ups_are_reported_as_one() -> None:
    """The second VM failed, its follow-up migrated it half an hour later, and a second follow-up has not begun."""
    first = a_plan(outcomes=("Succeeded", "Failed", "Failed"))
    later = a_plan(name="crm-retry-1", outcomes=("Succeeded",))
    last = {**a_plan(name="crm-retry-2"), "status": {}}
    record = later["status"]["migration"]
    record["vms"] = [a_vm(1, begin=1800, restorePowerState="Off")]
    record.update(started=at(1800), completed=at(1990))
    for plan, name in ((first, "crm-retry-1"), (later, "crm-retry-2")):
        plan["metadata"]["annotations"] = {"vmshift.io/continued-by": name}
    for plan in (later, last):
        plan["metadata"]["labels"] = {"vmshift.io/continues": "crm"}
    logs: list[str] = []

    def log_of(plan: Any, vm: Any) -> list[str]:
        logs.append(plan["metadata"]["name"])
        return []

    alone = a_plan(name="hr", outcomes=("Succeeded",))
    report = build(last, alone, later, first, log_of=log_of)
    assert [(p["name"], p["follow_ups"], p["outcome"]) for p in report["plans"]] == [
        ("crm", ["crm-retry-1", "crm-retry-2"], "Succeeded"),
        ("hr", [], "Succeeded"),
    ]
    crm = report["plans"][0]
    assert [(vm["name"], vm["plan"], vm["outcome"]) for vm in crm["vms"]] == [
        ("app-000", "crm", "Succeeded"),
        ("app-001", "crm-retry-1", "Succeeded"),
        ("app-002", "crm", "Failed"),
    ]
    assert (crm["started"], crm["until"], crm["duration"]) == (at(0), at(1990), 1990)
    # Off since the first attempt.
    assert [vm["downtime"] for vm in crm["vms"]] == [190, 1990, None] and logs == ["crm"]
    assert (report["summary"]["vms"], report["summary"]["succeeded"], report["summary"]["failed"]) == (4, 3, 1)
    assert "follow-up plans\n<bdi>crm-retry-1, crm-retry-2</bdi>" in page.render(report)


def test_a_vm_that_was_off_has_no_downtime() -> None:
    plan = a_plan()
    plan["status"]["migration"]["vms"][0]["restorePowerState"] = "Off"
    assert build(plan)["plans"][0]["vms"][0]["downtime"] is None


def test_a_plan_that_has_not_run_lists_its_vms() -> None:
    plan = {**a_plan(2), "status": {"conditions": [condition("Ready", "Required")]}}
    report = build(plan)
    assert report["plans"][0]["outcome"] == "Pending"
    assert [(vm["name"], vm["outcome"], vm["steps"]) for vm in report["plans"][0]["vms"]] == [
        ("app-000", "Pending", []),
        ("app-001", "Pending", []),
    ]
    assert report["summary"]["duration"] is None
    assert "Nothing has run yet" in page.render(report)


def test_a_plan_without_status_and_no_plan_at_all_are_reports_too() -> None:
    plan = a_plan()
    del plan["status"]
    assert build(plan)["summary"]["pending"] == 1
    assert "There are no plans here" in page.render(build())
    assert len(delimited.table(build()).splitlines()) == 1


def test_logs_are_asked_for_failed_vms_only_and_lose_their_margin() -> None:
    asked = []

    def log(plan: Any, row: Any) -> list[str]:
        asked.append(row["name"])
        return ["last lines of pod p:", "| disk full", "| bye"]

    report = build(a_plan(outcomes=("Succeeded", "Failed")), log_of=log)
    assert asked == ["app-001"]
    assert report["plans"][0]["vms"][1]["log"] == ["last lines of pod p:", "disk full", "bye"]
    assert "disk full\nbye" in page.render(report)


def test_concerns_come_by_id_and_by_name_and_are_said_once() -> None:
    concern = {"category": "Warning", "label": "No CBT", "assessment": "Must be on."}
    report = build(a_plan(3), concerns={"crm-uid": {"vm-0": [concern], "app-002": [concern]}})
    assert [len(vm["concerns"]) for vm in report["plans"][0]["vms"]] == [1, 0, 1]
    assert page.render(report).count("No CBT: Must be on.") == 1


def test_runs_and_their_conditions_are_told() -> None:
    run = {
        "metadata": {"name": "crm-2", "namespace": "wave", "uid": "other", "creationTimestamp": at(500)},
        "spec": {"plan": {"name": "crm", "namespace": "wave"}},
        "status": {"conditions": [condition("PlanNotReady", "Critical", "The plan is not ready.")]},
    }
    stranger = {**run, "spec": {"plan": {"name": "hr", "namespace": "wave"}}}
    report = build(a_plan(), migrations=[run, stranger])
    assert [(r["name"], r["outcome"]) for r in report["plans"][0]["runs"]] == [("crm-2", "Pending")]
    assert "The plan is not ready." in page.render(report)


def test_bars_follow_each_other_within_the_run() -> None:
    plan = build(a_plan(25))["plans"][0]
    for vm in plan["vms"]:
        bars = timeline.bars_of(vm, plan["started"], plan["until"])
        assert all(drawn.x >= 0 and drawn.x + drawn.width <= timeline.WIDTH and drawn.width >= timeline.THINNEST for drawn in bars)
        assert [drawn.x for drawn in bars] == sorted(drawn.x for drawn in bars)
    first = timeline.bars_of(plan["vms"][0], plan["started"], plan["until"])
    assert (first[0].x, first[0].width, first[0].text) == (0.0, round(10 / 380 * 1000, 1), "Initialize: 0:00:10")


def test_the_bar_of_a_running_step_ends_at_the_newest_time_stamp() -> None:
    plan = build(a_plan(outcomes=("Running", "Succeeded")))["plans"][0]
    last = timeline.bars_of(plan["vms"][0], plan["started"], plan["until"])[-1]
    assert last.text == "DiskTransferV2v: running"
    assert last.x + last.width == pytest.approx(1000, abs=0.2)


@pytest.mark.parametrize(("seconds", "count", "last"), [(1, 2, "0:00:01"), (30, 4, "0:00:30"), (86400 * 3, 4, "72:00:00"), (0, 0, None)])
def test_ticks_are_round_and_few(seconds: int, count: int, last: str | None) -> None:
    marks = timeline.ticks(at(0), at(seconds))
    assert len(marks) == count
    assert (marks[-1][1] if marks else None) == last


def test_a_vm_that_has_not_begun_has_no_bars() -> None:
    plan = build({**a_plan(), "status": {}})["plans"][0]
    assert timeline.bars_of(plan["vms"][0], plan["started"], plan["until"]) == []


#: A slip in the template shows as an element that there is not.
KNOWN = set(
    "html head meta title link style body header h1 h2 h3 p main section dl div dt dd svg desc rect article b bdi span details summary pre"
    " nav a ul li i table caption thead tbody tr th td".split()
)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_hostile_names_are_text() -> None:
    plan = a_plan(outcomes=("Failed",), name=HOSTILE)
    vm = plan["status"]["migration"]["vms"][0]
    vm["name"] = vm["newName"] = HOSTILE
    vm["pipeline"][3]["error"]["reasons"] = [HOSTILE]
    plan["spec"]["targetNamespace"] = HOSTILE
    concern = {"category": HOSTILE, "label": HOSTILE}
    report = figures.build(
        [plan], [], title=HOSTILE, log_of=lambda plan, row: [HOSTILE] * 2, concerns={plan["metadata"]["uid"]: {"vm-0": [concern]}}
    )
    found = Tags(page.render(report))
    assert "script" not in found.tags
    assert sum(HOSTILE in text for text in found.text) > 6
    assert page.lines_in(page.render(report)) == figures.lines_of(report)


def test_a_page_is_one_file_with_headings_captions_and_titles() -> None:
    text = page.render(build(a_plan(3), a_plan(2, name="hr")))
    found = Tags(text)
    assert not {"script", "img", "iframe", "object"} & set(found.tags)
    assert "http" not in text.replace("http-equiv", "")
    assert set(found.tags) <= KNOWN
    assert found.tags.count("h1") == 1
    assert found.tags.count("table") == found.tags.count("caption") == 4
    assert found.tags.count("desc") == found.tags.count("svg") == 6
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in re.findall(r'<a href="(#[^"]+)"', text)} == {"plan-1", "plan-2"} <= set(found.ids)


def test_what_many_vms_failed_of_is_said_once() -> None:
    plan = a_plan(outcomes=("Failed", "Succeeded", "Failed", "Failed", "Failed"))
    vms = plan["status"]["migration"]["vms"]
    vms[3]["error"]["reasons"] = vms[3]["pipeline"][3]["error"]["reasons"] = ["no space left"]
    text = page.render(build(plan, log_of=lambda plan, row: ["log"] if row["name"] == "app-002" else []))
    articles = [re.sub(r"<[^>]+>|\s+", " ", found) for found in re.findall(r"<article>(.*?)</article>", text, re.DOTALL)]
    many, one = (" ".join(article.split()) for article in articles)
    assert many.startswith("3 VMs wave/crm Failed in step DiskTransferV2v : Guest conversion failed.")
    assert many.endswith(" app-002 log app-000 , app-004")
    assert one == "app-003 wave/crm Failed in step DiskTransferV2v : no space left"


def test_the_same_objects_give_the_same_page_and_a_stamp_another() -> None:
    plan = a_plan(outcomes=("Running",))
    assert page.render(build(plan)) == page.render(build(plan))
    assert page.render(build(plan, generated=at(1))) != page.render(build(plan, generated=at(2)))


def test_a_page_of_500_vms_is_small_and_soon_there() -> None:
    plan = a_plan(500)
    begun = time.process_time()
    text = page.render(build(plan, log_of=lambda plan, row: ["log", *["| a line of the log"] * 20]))
    assert time.process_time() - begun < 8
    assert len(text) < 3_000_000
    assert text.count("<tr role") == 501


def test_the_table_has_a_line_per_vm_and_no_formulas() -> None:
    plan = a_plan(outcomes=("Succeeded", "Failed"))
    plan["status"]["migration"]["vms"][0]["name"] = '=HYPERLINK("x"),"y'
    rows = list(csv.DictReader(io.StringIO(delimited.table(build(plan)))))
    assert [row["vm"] for row in rows] == ['\'=HYPERLINK("x"),"y', "app-001"]
    assert (rows[0]["DiskTransferV2v_seconds"], rows[0]["downtime"], rows[1]["downtime"]) == ("100", "190", "")
    assert (rows[1]["outcome"], rows[1]["step"]) == ("Failed", "DiskTransferV2v")
    assert rows[1]["error"].startswith("Guest conversion failed")


@pytest.mark.skipif(GOLDEN is None, reason="recorded runs of the real controllers are not beside this checkout")
def test_recorded_runs_of_the_real_controllers_can_be_reported() -> None:
    seen = 0
    for path in sorted((GOLDEN or Path()).glob("*/final.json")):
        objects = json.loads(path.read_text())["objects"]
        plans = [o for o in objects if o["kind"] == "Plan"]
        report = figures.build(plans, [o for o in objects if o["kind"] == "Migration"], title=path.parent.name)
        assert page.lines_in(page.render(report)) == figures.lines_of(report)
        assert len(list(csv.reader(io.StringIO(delimited.table(report))))) == report["summary"]["vms"] + 1
        json.dumps(report)
        seen += len(plans)
    assert seen > 10


@pytest.mark.parametrize(("vms", "shown"), [(1, "9.8 GiB"), (500, "4.8 TiB")])
def test_the_size_of_all_disks_is_told_in_a_unit_that_people_read(vms: int, shown: str) -> None:
    assert f"<dt>Disks</dt><dd>{shown}</dd>" in page.render(build(a_plan(vms)))
