# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as one HTML page that needs nothing beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import BLOCKING_CATEGORIES, FAILED, SUCCEEDED
from ansible_collections.vmshift.mtv.plugins.module_utils.report import timeline
from ansible_collections.vmshift.mtv.plugins.module_utils.report.figures import OUTCOMES, clock, lines_of, vm_line
from ansible_collections.vmshift.mtv.plugins.module_utils.report.style import STYLE
from ansible_collections.vmshift.mtv.plugins.module_utils.report.template import TEMPLATE

LINE = re.compile(r'data-line="([^"]*)"')


def render(report: Mapping[str, Any]) -> str:
    """The page. Every text is escaped by the template engine. Raises ImportError where Jinja2 is missing."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(clock=clock, count=_count, instant=_instant, size=_size)
    summary = report["summary"]
    return environment.from_string(TEMPLATE).render(
        report=report,
        summary=summary,
        style=STYLE,
        gist=lines_of(report)[0],
        shares=[(o.lower(), summary[o.lower()], _share(summary[o.lower()], summary["vms"])) for o in OUTCOMES if summary[o.lower()]],
        plans=[_section(plan) for plan in report["plans"]],
        failures=_failures(report),
        remarks=_remarks(report),
    )


def lines_in(page: str) -> list[str]:
    """The gist of a page as `figures.lines_of` has it, read back for a diff; [] of a page that is no report."""
    return [html.unescape(text) for text in LINE.findall(page)]


def _section(plan: Mapping[str, Any]) -> dict[str, Any]:
    rows = [(vm, timeline.bars_of(vm, plan["started"], plan["until"]), vm_line(plan, vm)) for vm in plan["vms"]]
    return {
        "plan": plan,
        "rows": rows,
        "succeeded": sum(vm["outcome"] == SUCCEEDED for vm in plan["vms"]),
        "failed": sum(vm["outcome"] == FAILED for vm in plan["vms"]),
        "ticks": timeline.ticks(plan["started"], plan["until"]),
        "legend": timeline.legend([drawn for vm, bars, line in rows for drawn in bars]),
        "steps": _steps(plan),
        "blocking": BLOCKING_CATEGORIES,
    }


def _failures(report: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str, str, list[Mapping[str, Any]]]]:
    """(plan, step, reasons, its VMs) of each cause: what many VMs failed of is said once."""
    found: dict[tuple[int, str, str], list[Mapping[str, Any]]] = {}
    for number, plan in enumerate(report["plans"]):
        for vm in plan["vms"]:
            if vm["outcome"] == FAILED:
                error = vm["error"]
                cause = (number, error["step"] or "unknown", "; ".join(error["reasons"]) or "no reason given")
                found.setdefault(cause, []).append(vm)
    return [(report["plans"][number], step, reasons, vms) for (number, step, reasons), vms in found.items()]


def _steps(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How long each step took over all VMs: {name, vms, median, longest, slowest}."""
    times: dict[str, list[tuple[int, str]]] = {}
    for vm in plan["vms"]:
        for step in vm["steps"]:
            if step["duration"] is not None and not step["error"]:
                times.setdefault(step["name"], []).append((step["duration"], vm["name"]))
    rows = []
    for name, found in times.items():
        ordered = sorted(found)
        longest, slowest = max(ordered, key=lambda pair: pair[0])
        median = ordered[(len(ordered) - 1) // 2][0]
        rows.append({"name": name, "vms": len(ordered), "median": median, "longest": longest, "slowest": slowest})
    return rows


def _remarks(report: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """(category, text, names of the VMs) of all warnings and concerns: what many VMs have in common is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for plan in report["plans"]:
        for vm in plan["vms"]:
            said = [("Warning", text) for text in vm["warnings"]]
            said += [(c["category"], ": ".join(t for t in (c["label"], c["assessment"]) if t)) for c in vm["concerns"]]
            for key in dict.fromkeys(said):
                found.setdefault(key, []).append(vm["name"])
    grave = {"Critical": 0, "Error": 1, "Warning": 2}
    return sorted(((*key, names) for key, names in found.items()), key=lambda r: (grave.get(r[0], 3), -len(r[2]), r[1]))


def _share(part: int, whole: int) -> float:
    return round(part / whole * 100, 2) if whole else 0.0


def _count(number: float | None) -> str:
    """1,234 or 12.5; `-` for a figure that is not known."""
    return "-" if number is None else f"{number:,}"


def _size(mebibytes: int) -> str:
    """`512 MiB`, `9.8 GiB`, `147 GiB`, `4.8 TiB`."""
    number, unit = float(mebibytes), "MiB"
    for larger in ("GiB", "TiB"):
        if number >= 1024:
            number, unit = number / 1024, larger
    return f"{number:,.0f} {unit}" if unit == "MiB" or number >= 100 else f"{number:,.1f} {unit}"


def _instant(text: str | None) -> str:
    """`2026-11-22 23:15:09 UTC`."""
    return text[:19].replace("T", " ") + " UTC" if text else "-"
