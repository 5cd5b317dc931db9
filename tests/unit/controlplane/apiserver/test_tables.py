"""Cells of Tables: JSONPath and times."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver import jsonpath, tables
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Column, Kind

OBJECT = {
    "metadata": {"name": "a", "annotations": {"x.io/y": "z"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"modes": ["RWO", "RWX"], "on": False, "count": 0, "inner": {"b": 1}},
    "status": {"conditions": [{"type": "Up", "status": "False"}, {"type": "Ready", "status": "True"}]},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".metadata.name", ["a"]),
        ("{.metadata.name}", ["a"]),
        (".spec.modes[0]", ["RWO"]),
        (".spec.modes[-1]", ["RWX"]),
        (".spec.modes[7]", []),
        (".spec.modes[*]", ["RWO", "RWX"]),
        (".spec.inner[*]", [1]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type != "Ready")].status', ["False"]),
        (r".metadata.annotations.x\.io/y", ["z"]),
        (".metadata.annotations['x.io/y']", ["z"]),
        (".spec.none.deeper", []),
        (".spec.on", [False]),
        ("not a path", []),
    ],
)
def test_jsonpath(path: str, values: list[Any]) -> None:
    assert jsonpath.find(path, OBJECT) == values


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (330, "5m30s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (18_600, "5h10m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (442_800, "5d3h"),
        (8 * 86_400, "8d"),
        (700 * 86_400, "700d"),
        (1000 * 86_400, "2y270d"),
        (3000 * 86_400, "8y"),
    ],
)
def test_durations_read_as_in_kubectl(seconds: int, text: str) -> None:
    assert tables.duration(seconds) == text


def test_ages_count_from_utc_times() -> None:
    assert tables.age("2026-01-01T00:00:00Z", datetime(2026, 1, 1, 0, 5, tzinfo=timezone.utc)) == "5m"
    assert tables.age("yesterday") == "<invalid>"


def test_cells_keep_their_type_and_false_is_a_value() -> None:
    columns = (
        Column("On", "boolean", ".spec.on"),
        Column("Count", "integer", ".spec.count"),
        Column("Modes", "string", ".spec.modes"),
        Column("None", "string", ".spec.none"),
        Column("When", "date", ".spec.none"),
        Column("Own", value=lambda obj: obj["metadata"]["name"] * 2),
    )
    kind = Kind("g", "v1", "things", "thing", "Thing", columns=columns)
    table = tables.table(kind, [OBJECT], {})
    assert table["rows"][0]["cells"] == ["a", False, 0, '["RWO","RWX"]', None, "<unknown>", "aa"]
    plain = Kind("g", "v1", "things", "thing", "Thing")
    assert [column["name"] for column in tables.table(plain, [], {})["columnDefinitions"]] == ["Name", "Age"]
