# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fields the installed MTV knows: the API server drops others silently, so they are looked for before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import GROUP, VERSION


def spec_fields(cluster: Cluster, kind: str) -> Mapping[str, Any] | None:
    """The schemas of the fields of a kind's spec, by name; None where the cluster takes any field.

    Read from the OpenAPI documents, which every user may read, unlike CustomResourceDefinitions. Raises ClusterError.
    """
    document = cluster.request("GET", f"/openapi/v3/apis/{GROUP}/{VERSION}")
    for schema in ((document or {}).get("components") or {}).get("schemas", {}).values():
        if any(known.get("group") == GROUP and known.get("kind") == kind for known in schema.get("x-kubernetes-group-version-kind") or ()):
            return ((schema.get("properties") or {}).get("spec") or {}).get("properties") or None
    raise ClusterError(404, "KindNotServed", f"The cluster does not know the kind {kind} ({GROUP}/{VERSION}): is MTV installed there?")


def refuse_unknown(served: Mapping[str, Any] | None, wanted: Iterable[tuple[str, str, str]]) -> None:
    """Raise TalkError for the first wanted field that is not served. `wanted`: (field, option, release that brought it)."""
    for field, option, since in wanted:
        if served is not None and field not in served:
            raise TalkError(f"{option}: the MTV of this cluster does not know this option; MTV {since} and newer do.")
