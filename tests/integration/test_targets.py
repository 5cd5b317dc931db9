"""Every module against a control plane: exact `changed`, check mode, diff mode, refusals."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TARGETS = sorted(p.name for p in (HERE / "targets").iterdir())
NEEDS_EXPORT = {"hook_run", "migration_report", "plan_and_migration"}
NEEDS_VCENTER = {"host", "source_vm", "source_vm_info", "vsphere_provider"}


@pytest.mark.parametrize("target", TARGETS)
def test_target(target: str, plane: Any, play: Callable[..., Any], request: pytest.FixtureRequest) -> None:
    if target in (NEEDS_EXPORT | NEEDS_VCENTER) and os.environ.get("KUBECONFIG"):
        pytest.skip("the source is on this machine")
    variables = {**plane.variables(), "target": target}
    if target in NEEDS_VCENTER:
        variables["vcenter"] = request.getfixturevalue("vcenter").facts()
    play(str(HERE / "target.yml"), variables)
