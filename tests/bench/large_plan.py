"""A plan of 500 VMs from an inventory of 10 000: seconds, requests and reads of the inventory; the same again without changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliances import make_export, names, plays, request_for
from measures import ROOT, Measure, median
from plane import COUNTED, Plane, running
from playing import play

INVENTORY, PLANNED = 10_000, 500
PLANS = 3
SETTLE, IDLE = 12.0, 25.0  # seconds: two looks at the folder of OVA files
SMOKE = {"INVENTORY": 8, "PLANNED": 2, "PLANS": 1, "SETTLE": 0.1, "IDLE": 0.1}
AGENT = "ansible-vmshift.mtv"


def measure(work: Path) -> Iterator[Measure]:
    export, log = work / "export", work / "requests"
    all_names = names(INVENTORY)
    make_export(export, work, all_names, size=1 << 30, archives=False)
    with running(work / "state", COUNTED, VMSHIFT_BENCH_REQUESTS=str(log)) as plane:
        request = request_for(export, "plan-0", all_names[:: INVENTORY // PLANNED][:PLANNED])
        first = Run(log, play(work, "first", plays(plane.state.kubeconfig, request)))
        yield from tasks(first, "")
        plans = [first, *(planned(work, plane, log, {**request, "name": f"plan-{number}"}) for number in range(1, PLANS))]
        last = [run.costs[-1] for run in plans]
        yield Measure(f"{PLANNED} of {INVENTORY} VMs planned, until Ready", median(cost["wall"] for cost in last), "s", most=3)
        yield Measure("the same", median(cost["cpu"] for cost in last), "CPU s")
        reads = max(len([r for r in run.requests(run.costs[-1]) if r["path"].split("?")[0].endswith("/vms")]) for run in plans)
        yield Measure("reads of the VMs of the inventory by that task", reads, "", most=1)
        again = Run(log, play(work, "again", plays(plane.state.kubeconfig, {**request, "name": "plan-0"}), changed=0))
        yield from tasks(again, ", again")
        checked = check_whole_request(work, plane, request)
        yield Measure("playbooks/migrate.yml --check, all tasks", checked, "s", checked / again.wall, "unchanged, again")
        yield Measure(f"idle CPU, inventory of {INVENTORY} VMs", plane.idle_percent(SETTLE, IDLE), "% of a core")
        yield Measure("resident memory", plane.resident_mib(), "MiB")
        yield Measure("highest resident memory", plane.resident_mib("VmHWM"), "MiB")


class Run:
    """One play: what its tasks cost, and the requests of each."""

    def __init__(self, log: Path, costs: list[dict[str, Any]]) -> None:
        self.costs = costs
        self._requests = [json.loads(line) for line in log.read_text().splitlines()]

    @property
    def wall(self) -> float:
        return self.costs[-1]["begun"] + self.costs[-1]["wall"] - self.costs[0]["begun"]

    def requests(self, cost: dict[str, Any]) -> list[dict[str, Any]]:
        end = cost["begun"] + cost["wall"]
        return [r for r in self._requests if cost["begun"] <= r["time"] <= end and r["agent"] == AGENT]


def tasks(run: Run, again: str) -> Iterator[Measure]:
    for cost in run.costs:
        yield Measure(cost["name"] + again, cost["cpu"], "CPU s")
        yield Measure(cost["name"] + again, len(run.requests(cost)), "requests")


def planned(work: Path, plane: Plane, log: Path, request: dict[str, Any]) -> Run:
    return Run(log, play(work, request["name"], plays(plane.state.kubeconfig, request)))


def check_whole_request(work: Path, plane: Plane, request: dict[str, Any]) -> float:
    """Wall seconds of a look at the whole request, as a user takes it before the run."""
    variables = work / "request.json"
    variables.write_text(json.dumps({"migration_request": request, "kubeconfig": str(plane.state.kubeconfig)}))
    costs = play(work, "checked", ROOT / "playbooks/migrate.yml", "--check", "-e", f"@{variables}")
    return costs[-1]["begun"] + costs[-1]["wall"] - costs[0]["begun"]
