# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs of a run that will never get on, and of which MTV says nothing: a DataVolume that has failed is not noticed (recorded)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils import runs
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import ENDED, FAILED, LABEL_PLAN, LABEL_VM_ID, conditions_of
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import describe, list_objects

#: Phases in which a VM waits for its DataVolumes.
_PHASES = ("CreateDataVolumes", "AllocateDisks", "CopyDisks", "AddCheckpoint", "AddFinalCheckpoint", "Finalize")


def stuck_vms(cluster: Cluster, plan: Mapping[str, Any], migration: Mapping[str, Any]) -> dict[str, str]:
    """Name of a VM -> why it is stuck; {} unless all VMs of the run that are not done are. Asks only when all of them wait for disks."""
    rows = [row for row in runs.rows_of(plan, migration) if row["outcome"] not in ENDED]
    if not rows or any(row["phase"] not in _PHASES for row in rows):
        return {}
    failed = _failed_volumes(cluster, plan)
    if any(row["id"] not in failed for row in rows):
        return {}
    return {row["name"]: failed[row["id"]] for row in rows}


def advice(stuck: Mapping[str, str]) -> str:
    names: Sequence[str] = list(stuck)
    told = "; ".join(f"VM {name}: {why}" for name, why in stuck.items())
    return f"{told}. MTV does not notice that, and waits for ever: cancel {', '.join(names)} (state canceled) and retry."


def _failed_volumes(cluster: Cluster, plan: Mapping[str, Any]) -> dict[str, str]:
    """Id of a VM -> what its failed DataVolume says. Those of another cluster are not seen here."""
    labels = f"{LABEL_PLAN}={plan['metadata']['uid']}"
    try:
        volumes = list_objects(cluster, "DataVolume", plan["spec"]["targetNamespace"], label_selector=labels)
    except ClusterError:
        return {}  # it is a favour, no duty
    return {
        (volume["metadata"].get("labels") or {}).get(LABEL_VM_ID, ""): f"{describe(volume)} has failed{_said(volume)}"
        for volume in volumes
        if (volume.get("status") or {}).get("phase") == FAILED
    }


def _said(volume: Mapping[str, Any]) -> str:
    texts = [c["message"].rstrip(". ") for c in conditions_of(volume) if c.get("type") == "Running" and c.get("message")]
    return f" ({texts[0]})" if texts else ""
