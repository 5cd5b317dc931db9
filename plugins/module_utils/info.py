# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that only read have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster
from ansible_collections.vmshift.mtv.plugins.module_utils.follow_ups import CONTINUED_BY, first_of, follow_ups_in
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get, list_objects


def objects_asked_for(cluster: Cluster, kind: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects that the options `name`, `namespace` and `label_selectors` mean, [] when there are none."""
    name, namespace, selectors = params["name"], params["namespace"], ",".join(params["label_selectors"])
    if name and namespace and not selectors:
        found = get(cluster, kind, namespace, name)
        return [found] if found else []
    field = f"metadata.name={name}" if name else None
    return list_objects(cluster, kind, namespace, label_selector=selectors, field_selector=field)


def with_follow_ups(cluster: Cluster, plans: Sequence[Mapping[str, Any]], namespace: str | None) -> list[dict[str, Any]]:
    """The plans, and the follow-ups of these that are not among them; nothing is asked when no plan has any."""
    found = [dict(plan) for plan in plans]
    firsts = {(p["metadata"]["namespace"], first_of(p)) for p in found if CONTINUED_BY in (p["metadata"].get("annotations") or {})}
    if not firsts:
        return found
    known = {plan["metadata"]["uid"] for plan in found}
    only = next(iter(firsts))[1] if len(firsts) == 1 else None
    more = follow_ups_in(cluster, namespace, only)
    return found + [p for p in more if p["metadata"]["uid"] not in known and (p["metadata"]["namespace"], first_of(p)) in firsts]
