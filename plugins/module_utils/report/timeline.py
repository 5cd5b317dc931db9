# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bars of a timeline lie: a plan's run from its start to its newest time stamp, as parts of WIDTH."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.report.figures import clock, seconds_between

WIDTH = 1000
#: A step of no time at all is still seen.
THINNEST = 3.0
TICK_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800)
TICKS = 5
#: Step -> the kind of work, which gives the bar its colour; other steps are "other".
WORK = {
    "Initialize": "prepare",
    "DiskAllocation": "allocate",
    "DiskTransfer": "copy",
    "DiskTransferV2v": "copy",
    "Cutover": "cutover",
    "ImageConversion": "convert",
    "VirtualMachineCreation": "create",
    "PreHook": "hook",
    "PostHook": "hook",
}
WORK_TEXT = {
    "prepare": "preparing",
    "allocate": "making volumes",
    "copy": "copying disks",
    "cutover": "cutover",
    "convert": "converting the guest",
    "create": "making the VM",
    "hook": "hooks",
    "other": "other steps",
    "failed": "step that failed",
}


class Bar(NamedTuple):
    """One step. x, width: of WIDTH. text: for people who point at it or hear it."""

    work: str
    x: float
    width: float
    text: str


def bars_of(vm: Mapping[str, Any], started: str | None, until: str | None) -> list[Bar]:
    """The steps of a VM that have begun, in their order."""
    span = max(seconds_between(started, until) or 0, 1)
    bars = []
    for step in vm["steps"]:
        if not step["started"]:
            continue
        begin = seconds_between(started, step["started"]) or 0
        end = seconds_between(started, step["completed"] or vm["completed"] or until) or 0
        # The VM may have begun before its plan's own time stamp by a second.
        begin = min(max(begin, 0), span)
        x = round(min(begin / span * WIDTH, WIDTH - THINNEST), 1)
        width = round(min(max((end - begin) / span * WIDTH, THINNEST), WIDTH - x), 1)
        work = "failed" if step["error"] else WORK.get(step["name"], "other")
        bars.append(Bar(work, x, width, _text(step)))
    return bars


def ticks(started: str | None, until: str | None) -> list[tuple[float, str]]:
    """Round times since the start and where they lie (percent): at most TICKS beside 0."""
    span = seconds_between(started, until) or 0
    if span <= 0:
        return []
    pace = next((s for s in TICK_SECONDS if span / s <= TICKS), max(span // TICKS, 1))
    return [(round(at / span * 100, 2), clock(at)) for at in range(0, span + 1, pace)]


def legend(bars: Sequence[Bar]) -> list[tuple[str, str]]:
    """(kind of work, text) of the kinds there are, in the order of a migration."""
    present = {drawn.work for drawn in bars}
    return [(work, text) for work, text in WORK_TEXT.items() if work in present]


def _text(step: Mapping[str, Any]) -> str:
    if step["error"]:
        return "{}: failed".format(step["name"])
    return "{}: {}".format(step["name"], clock(step["duration"]) if step["completed"] else step["phase"].lower())
