"""What a bench found out, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".build/bench"
COLLECTIONS = ROOT / ".build/collections"


@dataclass(frozen=True)
class Measure:
    """One figure. `ratio` is to `base`, measured in the same run. `most` and `least` bound the value; what does not hold is shown."""

    what: str
    value: float
    unit: str = ""
    ratio: float | None = None
    base: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def limit(self) -> str:
        if self.most is None and self.least is None:
            return ""
        sign, bound = ("≤", self.most) if self.most is not None else ("≥", self.least)
        return f"{sign} {bound:g}: {'held' if self.held else 'MISSED'}"

    @property
    def held(self) -> bool:
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)


def taken(argv: Sequence[str], volume: Path, variables: Mapping[str, str] | None = None) -> tuple[float, float, str]:
    """(wall, CPU) seconds of a program and its children until the volume that it fills is on stable storage, and what it printed.

    `variables`: its environment, where that is not the usual one.
    """
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run(argv, check=True, env=variables or environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with volume.open("rb") as file:
        os.fsync(file.fileno())
    wall, after = time.perf_counter() - begun, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system, done.stdout


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def percentile(values: Iterable[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def environment() -> dict[str, str]:
    """For the processes that benches start: this checkout's collection, nothing of the caller's cluster or Ansible settings."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("K8S_AUTH_", "ANSIBLE_", "KUBECONFIG"))}
    return {
        **own,
        "PYTHONPATH": str(COLLECTIONS),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "1",
    }


def table(measures: Sequence[Measure]) -> str:
    rows = [("", "measured", "", "ratio", "goal")]
    for m in measures:
        rows.append((m.what, shown(m.value), m.unit, f"{m.ratio:.2f} x {m.base}" if m.ratio is not None else "", m.limit))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = (f"{a:<{widths[0]}}  {b:>{widths[1]}} {c:<{widths[2]}}  {d:<{widths[3]}}  {e}".rstrip() for a, b, c, d, e in rows)
    return "\n".join(lines)


def shown(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def save(name: str, measures: Sequence[Measure], load_before: float) -> Path:
    """Write .build/bench/NAME.json. The load averages tell how far to trust the figures."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "load_before": load_before, "load_after": os.getloadavg()[0]}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"bench": name, "machine": machine, "measures": [asdict(m) for m in measures]}, indent=2) + "\n")
    return path
