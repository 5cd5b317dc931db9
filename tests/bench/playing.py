"""Plays whose tasks are measured one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measures import ROOT, environment

PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
PLUGINS = Path(__file__).with_name("callback_plugins")
SECONDS = 1800


def play(work: Path, name: str, plays: list[dict[str, Any]] | Path, *options: str, changed: int | None = None) -> list[dict[str, Any]]:
    """Run a playbook (its plays, or its file); [{"name", "begun", "wall", "cpu"}] of its tasks. `changed`: how many must have changed."""
    costs, playbook = work / f"{name}.costs", plays
    if not isinstance(playbook, Path):
        playbook = work / f"{name}.json"
        playbook.write_text(json.dumps(plays))
    settings = {
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS),
        "ANSIBLE_CALLBACKS_ENABLED": "task_cost",
        "VMSHIFT_BENCH_COSTS": str(costs),
    }
    run(work, [PLAYBOOK, str(playbook), *options], settings, changed)
    return [json.loads(line) for line in costs.read_text().splitlines()]


def run(work: Path, argv: Sequence[str], settings: dict[str, str], changed: int | None) -> None:
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env={**environment(), **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode or (changed is not None and f"changed={changed} " not in done.stdout):
        raise RuntimeError(f"{' '.join(argv)[:200]}: {done.stdout[-3000:]}")
