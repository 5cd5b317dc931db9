# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines about the VMs of a run while it is waited for. Pure.

The module waits in slices (`Slice`): one ends when there is something to tell, and gives the standing of each VM to the action plugin,
whose `Teller` turns it into lines and which starts the next slice. So it works for any connection, and lines come as slowly as slices end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils import runs
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import ENDED, FAILED, RUNNING

#: So many VMs are told about at once, then only how many more have moved.
MOST_LINES = 10
#: Seconds. A start of the module costs most of a CPU second, so that slices grow; short at first, when steps change often.
SHORTEST, LONGEST, GROWTH = 5.0, 20.0, 1.5
#: A VM that only gets on within its step ends a slice after so many times the seconds that one in another step does.
PATIENCE = 3
_REASON_LENGTH = 300  # the refusal of a quota, with its figures, is to be read to its end
_LONGEST_ESTIMATE = 48 * 3600.0


class Slice(NamedTuple):
    """One part of a wait. seconds: it lasts at least so long; plan, migration, uid: the Plan and the Migration of the slice before, None in
    the first one; seen: its `fingerprint`; waited: the seconds of all slices before."""

    seconds: float
    plan: str | None = None
    migration: str | None = None
    uid: str | None = None
    seen: str = ""
    waited: float = 0.0

    def over(self, rows: Sequence[Mapping[str, Any]], elapsed: float) -> bool:
        """Whether to tell now how the VMs stand, `elapsed` seconds after the slice began."""
        if elapsed >= PATIENCE * self.seconds:
            return bool(rows)
        return elapsed >= self.seconds and fingerprint(rows) != self.seen

    def longer(self) -> float:
        """The seconds of the next slice."""
        return min(self.seconds * GROWTH, LONGEST)


def standing(vm: Mapping[str, Any]) -> dict[str, Any]:
    """What a line needs of one entry of `status.migration.vms`: id, name, outcome, step, waiting_for as in `runs.row`, and `done_mb` of
    `total_mb` MiB, None for a step that does not count MiB."""
    row = runs.row(vm)
    step: Mapping[str, Any] = next((s for s in vm.get("pipeline") or [] if s.get("name") == row["step"]), {})
    counted = (step.get("annotations") or {}).get("unit") == "MB"
    figures = step.get("progress") or {} if counted else {}
    found = {key: row[key] for key in ("id", "name", "outcome", "step", "waiting_for")}
    return {**found, "done_mb": figures.get("completed"), "total_mb": figures.get("total")}


def fingerprint(rows: Iterable[Mapping[str, Any]]) -> str:
    """A short text that changes when a VM gets to another step, ends, or waits for something else."""
    steps = [[row["id"], row["outcome"], row["step"], row["waiting_for"]] for row in rows]
    return hashlib.sha256(json.dumps(steps).encode()).hexdigest()[:16] if steps else ""


class _Pace(NamedTuple):
    """seconds, done_mb: the last figure; rate: smoothed MiB/s, None before there are two figures; known: how many rates are in it."""

    seconds: float
    done_mb: int
    rate: float | None = None
    known: int = 0

    def next(self, seconds: float, done_mb: int) -> _Pace:
        if seconds <= self.seconds:
            return self
        latest = max(done_mb - self.done_mb, 0) / (seconds - self.seconds)
        rate = latest if self.rate is None else (self.rate + latest) / 2
        return _Pace(seconds, done_mb, rate, self.known + 1)


class Teller:
    """Makes lines of what has changed from one look at the VMs of a run to the next. run: the Migration's name, which begins a line."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._told: dict[str, Mapping[str, Any]] = {}
        self._paces: dict[str, _Pace] = {}
        self._spoke = 0.0

    def lines(self, rows: Sequence[Mapping[str, Any]], seconds: float) -> list[str]:
        """A line per VM that has moved, the weightiest news first. rows: `standing` or `runs.row`; seconds: since the wait began."""
        moved = sorted((row for row in rows if self._moved(row)), key=self._weight)
        for row in rows:
            self._measure(row, seconds)
            self._told[row["id"]] = row
        # Half as many when the last lines are still fresh.
        most = MOST_LINES if seconds - self._spoke >= MOST_LINES else MOST_LINES // 2
        told = moved if len(moved) <= most else moved[:most]
        texts = ["{}: {}".format(row["name"] or row["id"], self._news(row)) for row in told]
        if len(moved) > len(told):
            done = sum(row["outcome"] in ENDED for row in rows)
            texts.append(f"… and {len(moved) - len(told)} more moved; {done} of {len(rows)} have ended")
        if texts:
            self._spoke = seconds
        return [f"[{self._run} {clock(seconds)}] {text}" for text in texts]

    def _moved(self, row: Mapping[str, Any]) -> bool:
        before = self._told.get(row["id"])
        if before is None:
            return row["outcome"] == RUNNING or row["outcome"] in ENDED
        if row["outcome"] in ENDED:
            return bool(row["outcome"] != before["outcome"])
        return any(row.get(key) != before.get(key) for key in ("outcome", "step", "waiting_for", "done_mb"))

    def _weight(self, row: Mapping[str, Any]) -> int:
        if row["outcome"] in ENDED:
            return 0 if row["outcome"] == FAILED else 1
        return 2 if self._told.get(row["id"], {}).get("step") != row["step"] else 3

    def _measure(self, row: Mapping[str, Any], seconds: float) -> None:
        done, pace = row.get("done_mb"), self._paces.get(row["id"])
        if done is None:
            self._paces.pop(row["id"], None)
        elif pace is None or self._told[row["id"]]["step"] != row["step"]:
            self._paces[row["id"]] = _Pace(seconds, done)
        else:
            self._paces[row["id"]] = pace.next(seconds, done)

    def _news(self, row: Mapping[str, Any]) -> str:
        if row["outcome"] in ENDED:
            where = " in {}".format(row["step"]) if row["step"] else ""
            took = " after {}".format(clock(row["duration"])) if row.get("duration") is not None else ""
            return "{}{}{}".format(row["outcome"], where, took)
        parts = [row["step"] or row["outcome"], *self._figures(row)]
        if row["waiting_for"]:
            reason = " ".join(row["waiting_for"].split())
            parts.append("waits: " + (reason if len(reason) <= _REASON_LENGTH else reason[: _REASON_LENGTH - 1] + "…"))
        return ", ".join(parts)

    def _figures(self, row: Mapping[str, Any]) -> list[str]:
        """Percent, sizes, rate and time left, as far as they are known."""
        done, total, pace = row.get("done_mb"), row.get("total_mb"), self._paces.get(row["id"])
        if done is None or not total:
            return []
        texts = [f"{min(100 * done // total, 100)} %", sizes(done, total)]
        if pace is None or not pace.rate or pace.rate < 0.1 or done >= total:
            return texts
        texts.append(f"{pace.rate:.0f} MiB/s" if pace.rate >= 10 else f"{pace.rate:.1f} MiB/s")
        left = (total - done) / pace.rate
        # One rate alone may be a burst; and days are a guess nobody can use.
        if pace.known >= 2 and left <= _LONGEST_ESTIMATE:
            texts.append(f"about {clock(round(left))} left")
        return texts


def sizes(done_mb: int, total_mb: int) -> str:
    """Two figures in MiB as people read them: 1.2 of 40.0 GiB."""
    if total_mb < 1024:
        return f"{done_mb} of {total_mb} MiB"
    return f"{done_mb / 1024:.1f} of {total_mb / 1024:.1f} GiB"


def clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
