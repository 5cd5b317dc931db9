# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Concerns about VMs from OVA files.

Two ids of the real rules are absent because they never fire: `ova.disk.capacity.invalid` and `ova.source.unsupported` test keys
that the inventory does not have (`capacity`, `ovaSource`; it has `Capacity`, `exportSource`). A disk without a size is caught all
the same: the plan gets the condition InvalidDiskSizes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.concerns import WARNING, concern

RULES_VERSION = 5
MOST_DISKS = 165

_NAME = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9.]*)?[A-Za-z0-9])?")
_HOTPLUG = ("cpuHotAddEnabled", "cpuHotRemoveEnabled", "memoryHotAddEnabled")

Workload = Mapping[str, Any]
Concerns = Iterator["dict[str, str]"]


def cpu_affinity(workload: Workload) -> Concerns:
    if isinstance(workload.get("cpuAffinity"), list) and workload["cpuAffinity"]:
        yield concern(
            "ova.cpu_affinity.detected",
            WARNING,
            "CPU affinity detected",
            "The CPU affinity of the source is not carried over. It can be set on the new VM after the migration.",
        )


def hotplug(workload: Workload) -> Concerns:
    if any(workload.get(key) is True for key in _HOTPLUG):
        yield concern(
            "ova.cpu_memory.hotplug.enabled",
            WARNING,
            "CPU/Memory hotplug detected",
            "Adding CPUs or memory to the running machine is not carried over. CPUs and memory can be changed after the migration.",
        )


def disk_count(workload: Workload) -> Concerns:
    disks = workload.get("disks")
    if isinstance(disks, list) and len(disks) > MOST_DISKS:
        yield concern(
            "ova.disk.count.exceeds.limit",
            WARNING,
            f"VM has {len(disks)} disks, which exceeds the limit of {MOST_DISKS}",
            f"A VM on the target can have up to {MOST_DISKS} disks. With {len(disks)} disks it cannot be migrated.",
        )


def name(workload: Workload) -> Concerns:
    given = workload.get("name")
    if isinstance(given, str) and not (_NAME.fullmatch(given) and len(given) < 64):
        yield concern(
            "ova.name.invalid",
            WARNING,
            "Invalid VM Name",
            "The name cannot be kept, because it is no DNS subdomain name (RFC 1123: up to 63 lower-case letters, digits, '-' and '.', "
            "with a letter or digit at both ends). Give the VM a target name, or a valid one is made from it.",
        )


RULES = (cpu_affinity, hotplug, disk_count, name)
