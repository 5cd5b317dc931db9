# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with all that it refers to, as validation rules get it (facts 5.3). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Optional

Object = dict[str, Any]
#: (collection, id) -> item of the inventory.
Find = Callable[[str, str], Optional[Object]]


def surroundings(vm: Mapping[str, Any], find: Find) -> Object:
    """The keys of a VM that a workload has as whole objects: its host, with the cluster in it."""
    host = find("hosts", vm["host"])
    if host is None:
        return {"host": None}
    cluster = find("clusters", host["cluster"])
    return {"host": {**without_path(host), "cluster": {**without_path(cluster), "datacenter": None} if cluster else None}}


def without_path(item: Mapping[str, Any]) -> Object:
    """Workloads have no paths."""
    return {key: value for key, value in item.items() if key != "path"}
