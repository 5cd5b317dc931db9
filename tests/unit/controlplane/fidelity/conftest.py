"""`make fidelity`: a line per scenario, and how many are alike."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    runs = sorted(
        (report.nodeid.partition("[")[2].rstrip("]"), report.outcome, dict(report.user_properties).get("differences", 0))
        for report in reports
        if "test_a_recorded_run_is_the_same_here" in report.nodeid and report.when == "call"
    )
    if not runs:
        return
    terminalreporter.section("recorded scenarios")
    for name, outcome, count in runs:
        known = "alike" if not count else f"{count} known differences"
        terminalreporter.line(f"{name:40} {known if outcome == 'passed' else 'DIFFERS'}")
    alike = sum(outcome == "passed" and not count for _name, outcome, count in runs)
    terminalreporter.line(f"{alike} of {len(runs)} scenarios alike")
