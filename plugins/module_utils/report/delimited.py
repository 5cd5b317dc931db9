# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as CSV: one line per VM, the seconds of each step in a column of its own."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

COLUMNS = (
    *("namespace", "plan", "vm", "id", "outcome", "phase", "step", "target_namespace", "target_name", "operating_system"),
    *("started", "completed", "duration", "downtime", "disk_mb", "mb_per_second"),
)
#: A spreadsheet takes text that begins with one of these for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(report: Mapping[str, Any]) -> str:
    """The text of the file: a header, then the VMs of all plans; lines end with a line feed."""
    vms = [(plan, vm) for plan in report["plans"] for vm in plan["vms"]]
    steps = list(dict.fromkeys(step["name"] for plan, vm in vms for step in vm["steps"]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"{name}_seconds" for name in steps), "error", "warnings", "concerns"])
    for plan, vm in vms:
        about = {**vm, "namespace": plan["namespace"], "plan": plan["name"], "vm": vm["name"], "target_namespace": plan["target_namespace"]}
        lasted = {step["name"]: step["duration"] for step in vm["steps"]}
        texts = [
            "; ".join((vm["error"] or {}).get("reasons") or []),
            "; ".join(vm["warnings"]),
            "; ".join("{}: {}".format(c["category"], c["label"]) for c in vm["concerns"]),
        ]
        writer.writerow([_cell(value) for value in [*(about[c] for c in COLUMNS), *(lasted.get(name) for name in steps), *texts]])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return value
