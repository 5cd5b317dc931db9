# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the installed MTV knows: the API server drops other fields silently, so they are looked for before anything is written.

Read from the OpenAPI documents, which every user may read, unlike CustomResourceDefinitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import GROUP, VERSION
from ansible_collections.vmshift.mtv.plugins.module_utils.releases import (
    GAPS,
    KINDS,
    newer_than_oldest,
    number,
    option_of,
    requirement,
    since,
)

Schema = Mapping[str, Any]
_read: WeakKeyDictionary[Cluster, dict[str, Schema]] = WeakKeyDictionary()


def refuse_newer(
    cluster: Cluster,
    kind: str,
    spec: Mapping[str, Any],
    current: Mapping[str, Any] | Callable[[], Mapping[str, Any] | None] | None = None,
    *,
    option: Callable[[str], str] = option_of,
) -> None:
    """Raise TalkError when `spec` uses a field (or value) that is newer than the installed MTV.

    `current`: the object as it is (or what reads it, when that was not needed yet); what it holds already needs no question, so that a
    task that changes nothing costs no request.
    `option`: path of a field -> how the task writes it.
    """
    used = newer_than_oldest(kind, spec)
    found = current() if used and callable(current) else current
    if used and isinstance(found, Mapping):
        held = newer_than_oldest(kind, found.get("spec") or {})
        used = {path: release for path, release in used.items() if path not in held}
    for path, release in used.items():
        if not knows(cluster, kind, path):
            value = path.partition("=")[2]
            told = f"{option(path)}: the MTV of this cluster does not know {value or 'this option'}"
            raise TalkError(f"{told}; {requirement(kind, path, release)} do.")


def refuse_older_than(cluster: Cluster, wanted: Iterable[tuple[str, str]]) -> None:
    """Raise TalkError for the first of `wanted` (option, release that brought it) for which the installed MTV is certainly too old.

    For what no definition tells: a release is recognized by the fields that it lacks.
    """
    for option, release in wanted:
        if older_than(cluster, release):
            raise TalkError(f"{option}: the MTV of this cluster does not know this option; MTV {release} and newer do.")


def knows(cluster: Cluster, kind: str, path: str) -> bool:
    """Whether the kind's spec has the field (`field=value`: and takes the value). Raises ClusterError when there is no such kind."""
    field, _equals, value = path.partition("=")
    schema: Schema | None = _spec(cluster, kind)
    for part in field.replace("[]", ".[]").split(".") if field else ():
        schema = _below(schema or {}, part)
        if schema is None:
            return False
    accepted = _choices(schema or {})
    return not value or accepted is None or value in accepted


def older_than(cluster: Cluster, release: str) -> bool:
    """The installed MTV lacks something that a release not newer than `release` brought."""
    served = _kinds(cluster)
    for kind in KINDS:
        for path, first in since(kind).items():
            if number(first) > number(release) or (kind, path) in GAPS:
                continue
            if kind not in served or not knows(cluster, kind, path):
                return True
    return False


def spec_fields(cluster: Cluster, kind: str) -> Mapping[str, Any] | None:
    """The schemas of the fields of a kind's spec, by name; None where the cluster takes any field. Raises ClusterError."""
    return _spec(cluster, kind).get("properties") or None


def _spec(cluster: Cluster, kind: str) -> Schema:
    schema = _kinds(cluster).get(kind)
    if schema is None:
        raise ClusterError(404, "KindNotServed", f"The cluster does not know the kind {kind} ({GROUP}/{VERSION}): is MTV installed there?")
    return (schema.get("properties") or {}).get("spec") or {}


def _kinds(cluster: Cluster) -> dict[str, Schema]:
    """Kind -> schema of its objects, read once."""
    if cluster not in _read:
        document = cluster.request("GET", f"/openapi/v3/apis/{GROUP}/{VERSION}")
        schemas = ((document or {}).get("components") or {}).get("schemas") or {}
        _read[cluster] = {
            known["kind"]: schema
            for schema in schemas.values()
            for known in schema.get("x-kubernetes-group-version-kind") or ()
            if known.get("group") == GROUP
        }
    return _read[cluster]


def _below(schema: Schema, part: str) -> Schema | None:
    """The schema of a field or of the items of a list; {} where nothing is told, None where it is not among those told.

    Also where others are kept besides (as of ForkliftController), only those told mean something to MTV.
    """
    if part == "[]":
        return schema.get("items") or {}
    fields = schema.get("properties")
    return fields.get(part) if fields else {}


def _choices(schema: Schema) -> list[Any] | None:
    return next((part["enum"] for part in (schema, *(schema.get("allOf") or ())) if "enum" in part), None)
