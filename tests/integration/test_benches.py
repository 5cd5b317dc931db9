"""The benches work. What they measure is looked at by people: here they are as small as can be, and no time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["tasks", "notice", "api", "copy_disks"])
def test_a_bench_ends_with_a_table_and_its_figures(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "tests/bench/run.py", "--smoke", name], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((ROOT / f".build/bench/smoke-{name}.json").read_text())
    assert result["bench"] == f"smoke-{name}"
    figures = {measure["what"]: measure for measure in result["measures"]}
    assert figures
    assert all(measure["what"] in done.stdout for measure in figures.values())
    assert any(measure["most"] is not None or measure["least"] is not None for measure in figures.values()) or name == "api"
    assert "held" in done.stdout or "MISSED" in done.stdout or name == "api"
