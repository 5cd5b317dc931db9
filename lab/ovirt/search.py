"""The part of the engine's search language that clients of migrations use: comparisons of own fields, joined by "and"; pages."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.vmshift.mtv.lab.ovirt.model import Fault, World

PAGE = 100
_COMPARISON = re.compile(r"(?P<field>[a-z_.]+)\s*(?P<sign>!=|=)\s*(?P<value>\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE)
_NOISE = re.compile(r"\s+|and\b|sortby\s+\w+(\s+(asc|desc))?", re.IGNORECASE)
_PAGE = re.compile(r"\bpage\s+(\d+)\s*$", re.IGNORECASE)


def search(world: World, objs: Sequence[Any], query: str, most: int | None) -> list[Any]:
    """Raises Fault for what is not understood, rather than to ignore it."""
    page, rest = 1, query
    if found := _PAGE.search(query):
        page, rest = int(found[1]), query[: found.start()]
    kept = [obj for obj in objs if all(test(obj) for test in _tests(world, rest))]
    if found:
        size = most or PAGE
        return kept[(page - 1) * size : page * size]
    return kept if most is None or most < 0 else kept[:most]


def _tests(world: World, query: str) -> list[Callable[[Any], bool]]:
    tests, position = [], 0
    while position < len(query):
        if noise := _NOISE.match(query, position):
            position = noise.end()
            continue
        comparison = _COMPARISON.match(query, position)
        if not comparison:
            raise Fault(400, f"The search '{query}' is not understood at '{query[position:]}'.")
        tests.append(_test(world, comparison["field"].lower(), comparison["sign"] == "=", comparison["value"].strip("\"'")))
        position = comparison.end()
    return tests


def _test(world: World, field: str, equal: bool, wanted: str) -> Callable[[Any], bool]:
    def test(obj: Any) -> bool:
        value = getattr(obj, field, None)
        if value is None and field not in ("id", "name", "description", "status", "cluster", "host"):
            raise Fault(400, f"The field '{field}' cannot be searched.")
        if field in ("cluster", "host") and value is not None:
            value = world.get(f"{field}s/{value.id}").name
        text = str(getattr(value, "value", value if value is not None else ""))
        return fnmatch.fnmatchcase(text.lower(), wanted.lower()) == equal

    return test
