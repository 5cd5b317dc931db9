"""Lines about VMs that get on."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.progress import Slice, Teller, fingerprint, sizes, standing


def row(name="app", step="DiskTransfer", done=None, total=None, outcome="Running", waiting_for=None, **more):
    return {
        "id": f"id-{name}",
        "name": name,
        "outcome": outcome,
        "step": step,
        "waiting_for": waiting_for,
        "done_mb": done,
        "total_mb": total,
        **more,
    }


def test_the_standing_of_a_vm_counts_the_mebibytes_of_its_running_step():
    steps = [
        {"name": "Initialize", "phase": "Completed", "progress": {"completed": 1, "total": 1}},
        {"name": "DiskTransfer", "phase": "Running", "annotations": {"unit": "MB"}, "progress": {"completed": 512, "total": 2048}},
    ]
    found = standing({"id": "id-app", "name": "app", "started": "2026-01-01T00:00:00Z", "pipeline": steps})
    assert found == row(done=512, total=2048)


def test_a_step_that_counts_no_mebibytes_has_no_figures():
    step = {"name": "ImageConversion", "phase": "Running", "progress": {"completed": 0, "total": 1}}
    found = standing({"id": "id-app", "name": "app", "started": "2026-01-01T00:00:00Z", "pipeline": [step]})
    assert (found["step"], found["done_mb"], found["total_mb"]) == ("ImageConversion", None, None)


def test_a_vm_gets_rate_and_time_left_as_soon_as_they_are_known():
    teller = Teller("demo-1")
    assert teller.lines([row(done=0, total=40960)], 5) == ["[demo-1 0:00:05] app: DiskTransfer, 0 %, 0.0 of 40.0 GiB"]
    (second,) = teller.lines([row(done=2048, total=40960)], 25)
    assert second == "[demo-1 0:00:25] app: DiskTransfer, 5 %, 2.0 of 40.0 GiB, 102 MiB/s"
    (third,) = teller.lines([row(done=4096, total=40960)], 65)  # 51.2 MiB/s lately, 76.8 smoothed
    assert third == "[demo-1 0:01:05] app: DiskTransfer, 10 %, 4.0 of 40.0 GiB, 77 MiB/s, about 0:08:00 left"


def test_the_rate_of_one_step_says_nothing_about_the_next():
    teller = Teller("demo-1")
    for seconds, done in ((0, 0), (10, 100), (20, 200)):
        teller.lines([row(step="DiskAllocation", done=done, total=300)], seconds)
    assert teller.lines([row(done=50, total=300)], 30) == ["[demo-1 0:00:30] app: DiskTransfer, 16 %, 50 of 300 MiB"]


def test_a_time_left_that_nobody_can_use_is_not_told():
    teller = Teller("demo-1")
    for seconds, done in ((0, 0), (60, 20)):
        teller.lines([row(done=done, total=10**7)], seconds)
    assert teller.lines([row(done=40, total=10**7)], 120)[0].endswith("GiB, 0.3 MiB/s")


def test_nothing_is_said_of_vms_that_stand_still_or_have_not_begun():
    teller = Teller("demo-1")
    rows = [row(done=5, total=300), row("db", step=None, outcome="Pending")]
    assert len(teller.lines(rows, 5)) == 1
    assert teller.lines(rows, 20) == []


def test_a_vm_that_ends_is_told_once_with_its_time_or_its_step():
    teller = Teller("demo-1")
    teller.lines([row(), row("db")], 5)
    ended = [row(step=None, outcome="Succeeded", duration=64), row("db", step="ImageConversion", outcome="Failed")]
    assert teller.lines(ended, 70) == ["[demo-1 0:01:10] db: Failed in ImageConversion", "[demo-1 0:01:10] app: Succeeded after 0:01:04"]
    assert teller.lines(ended, 90) == []


def test_a_reason_to_wait_is_one_short_line():
    (line,) = Teller("demo-1").lines([row(step="DiskAllocation", waiting_for="no room\nfor the volume, " + "x" * 400)], 5)
    assert line.startswith("[demo-1 0:00:05] app: DiskAllocation, waits: no room for the volume, x")
    assert len(line) < 360 and line.endswith("…")


def test_of_400_vms_ten_are_told_and_the_others_counted():
    teller = Teller("demo-1")
    begin = [row(f"vm{n}", done=0, total=300) for n in range(400)]
    assert len(teller.lines(begin, 20)) == 11
    later = [dict(r, done_mb=10) if n < 43 else r for n, r in enumerate(begin)]
    later[30] = row("vm30", step="ImageConversion")
    later[42] = row("vm42", step="ImageConversion", outcome="Failed")
    lines = teller.lines(later, 40)
    assert len(lines) == 11
    assert "vm42: Failed" in lines[0] and "vm30: ImageConversion" in lines[1]
    assert lines[-1] == "[demo-1 0:00:40] … and 33 more moved; 1 of 400 have ended"


def test_lines_that_follow_each_other_soon_are_half_as_many():
    teller = Teller("demo-1")
    rows = [row(f"vm{n}", done=0, total=300) for n in range(20)]
    teller.lines(rows, 20)
    assert len(teller.lines([dict(r, done_mb=9) for r in rows], 25)) == 6


def test_the_fingerprint_changes_with_the_step_and_not_with_the_figures():
    assert fingerprint([row(done=1, total=9)]) == fingerprint([row(done=2, total=9)])
    assert fingerprint([row()]) != fingerprint([row(step="Cutover")])
    assert fingerprint([row()]) != fingerprint([row(waiting_for="room")])


@pytest.mark.parametrize(
    ("elapsed", "step", "over"), [(4, "Cutover", False), (6, "Cutover", True), (6, "DiskTransfer", False), (15, "DiskTransfer", True)]
)
def test_a_slice_ends_at_another_step_or_later_at_any_news(elapsed, step, over):
    assert Slice(5, seen=fingerprint([row()])).over([row(step=step)], elapsed) is over


def test_slices_grow_up_to_a_limit():
    part, lengths = Slice(5), []
    for _round in range(6):
        part = Slice(part.longer())
        lengths.append(part.seconds)
    assert lengths == sorted(lengths) and lengths[0] == 7.5 and lengths[-1] == 20


def test_sizes_are_told_in_the_unit_that_fits():
    assert sizes(10, 320) == "10 of 320 MiB"
    assert sizes(1229, 40960) == "1.2 of 40.0 GiB"
