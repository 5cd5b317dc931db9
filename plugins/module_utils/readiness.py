# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One object that was just written: is it Ready? Most are, and then nothing is waited for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import blocked, caught_up, describe_condition, ready, warnings
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import describe


def wait_ready(
    cluster: Cluster,
    obj: Mapping[str, Any],
    *,
    timeout: float,
    hint: str = "",
    success: Callable[[dict[str, Any]], bool] = ready,
    failure: Callable[[dict[str, Any]], str | None] = blocked,
) -> dict[str, Any]:
    """Wait until one object of Forklift is Ready; it fails when a blocking condition appears. Warn conditions become warnings."""
    found = dict(obj)
    # As it was just read it may be there already; a watch would cost more than all the rest of the task, and so would its import.
    if not (caught_up(obj) and success(found)):
        from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import target_of, wait_for

        target = target_of(obj)
        found = wait_for(cluster, [target], success, failure, timeout=timeout, hint=hint)[target]
    for condition in warnings(found):
        cluster.warn(f"{describe(found)}: {describe_condition(condition)}")
    return found
