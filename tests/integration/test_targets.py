"""Every module against a control plane: exact `changed`, check mode, diff mode, refusals."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TARGETS = sorted(p.name for p in (HERE / "targets").iterdir())
NEEDS_EXPORT = {"migration_report", "plan_and_migration"}


@pytest.mark.parametrize("target", TARGETS)
def test_target(target: str, plane: Any, play: Callable[..., Any]) -> None:
    if target in NEEDS_EXPORT and os.environ.get("KUBECONFIG"):
        pytest.skip("the OVA export lies on this machine")
    play(str(HERE / "target.yml"), {**plane.variables(), "target": target})
