"""A disk copied on this machine, beside qemu-img convert and nbdcopy of the same disk: by turns, each until it is on stable storage."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from measures import Measure, environment, median

from ansible_collections.vmshift.mtv.controlplane.datapath import local_copy

ROUNDS = 5
FULL = 1 << 30  # bytes
SPARSE, PIECES, PIECE = 16 << 30, 128, 4 << 20
SMOKE = {"ROUNDS": 1, "FULL": 1 << 20, "SPARSE": 1 << 24, "PIECES": 2, "PIECE": 1 << 16}
OURS = f"import sys, pathlib; from {local_copy.__name__} import copy; copy(*map(pathlib.Path, sys.argv[1:]), lambda _totals: None)"
PROGRAMS = {
    "this control plane": [sys.executable, "-c", OURS],
    "qemu-img convert": ["qemu-img", "convert", "-n", "-f", "raw", "-O", "raw"],
    "nbdcopy": ["nbdcopy"],
}


def measure(work: Path) -> Iterator[Measure]:
    for what, source, content in (
        (f"{FULL >> 20} MiB full", full(work / "full.raw"), FULL),
        (f"{PIECES * PIECE >> 20} MiB in {SPARSE >> 20}", sparse(work / "sparse.raw"), PIECES * PIECE),
    ):
        yield from compared(work, what, source, content)


def compared(work: Path, what: str, source: Path, content: int) -> Iterator[Measure]:
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    ratios = []
    for _unused in range(ROUNDS):
        taken = {name: copied(argv, source, work / "target.raw") for name, argv in PROGRAMS.items()}
        for name, figures in taken.items():
            turns[name].append(figures)
        ours, *others = (wall for wall, _cpu in taken.values())
        ratios.append(min(others) / ours)
    for name, figures in turns.items():
        wall = median(wall for wall, _cpu in figures)
        yield Measure(f"{what}, {name}", wall, "s")
        yield Measure(f"{what}, {name}, content", content / wall / 2**20, "MiB/s")
        yield Measure(f"{what}, {name}", median(cpu for _wall, cpu in figures), "CPU s")
    yield Measure(f"{what}, speed, the faster of the others = 1", median(ratios), "", least=0.9)


def copied(argv: list[str], source: Path, target: Path) -> tuple[float, float]:
    """(wall, CPU) seconds of a copy into a fresh sparse file, as a volume is."""
    target.unlink(missing_ok=True)
    with target.open("wb") as file:
        file.truncate(source.stat().st_size)
        os.fsync(file.fileno())
        before, begun = os.times(), time.perf_counter()
        subprocess.run([*argv, source, target], check=True, env=environment(), stdin=subprocess.DEVNULL)
        os.fsync(file.fileno())
        wall, after = time.perf_counter() - begun, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def full(path: Path) -> Path:
    with path.open("wb") as file:
        for _unused in range(FULL >> 20):
            file.write(secrets.token_bytes(1 << 20))
    return path


def sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(SPARSE)
        for number in range(PIECES):
            file.seek(number * (SPARSE // PIECES))
            file.write(secrets.token_bytes(PIECE))
    return path
