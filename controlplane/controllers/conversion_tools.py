"""External programs that a migration needs: a condition that names the packages, where they are not installed."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import Conditions
from ansible_collections.vmshift.mtv.controlplane.datapath import tools

TYPE = "ConversionToolMissing"


def stage_missing(names: Iterable[str], category: str, conditions: Conditions) -> None:
    """`names`: keys of datapath.tools.TOOLS. The items say which package brings each."""
    missing = tools.missing(names)
    if not missing:
        return
    message = f"Not installed on this machine: {', '.join(tool.name for tool in missing)}. VMs of this provider cannot be converted."
    items = [f"{tool.name}: package {tool.debian} (Debian, Ubuntu) or {tool.fedora} (Fedora, RHEL)" for tool in missing]
    conditions.set(TYPE, category, message, reason="NotFound", items=items)
