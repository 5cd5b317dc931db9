# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that only read have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get, list_objects


def objects_asked_for(cluster: Cluster, kind: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects that the options `name`, `namespace` and `label_selectors` mean, [] when there are none."""
    name, namespace, selectors = params["name"], params["namespace"], ",".join(params["label_selectors"])
    if name and namespace and not selectors:
        found = get(cluster, kind, namespace, name)
        return [found] if found else []
    field = f"metadata.name={name}" if name else None
    return list_objects(cluster, kind, namespace, label_selector=selectors, field_selector=field)
