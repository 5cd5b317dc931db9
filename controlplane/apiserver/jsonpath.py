"""The JSONPath that printer columns use: .spec.a, ['b'], [0], [*], [?(@.type=="Ready")], escaped dots."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""\.?\[\?\(@\.(?P<path>[\w.\-/]+)\s*(?P<operator>==|!=)\s*(?P<literal>"[^"]*"|'[^']*'|[\w.\-]+)\)\]
      | \.?\['(?P<quoted>[^']*)'\]
      | \.?\["(?P<double>[^"]*)"\]
      | \.?\[(?P<index>-?\d+|\*)\]
      | \.(?P<name>(?:\\.|[^.\[\\])+)""",
    re.VERBOSE,
)
Step = tuple[str, Any]


def find(path: str, obj: Any) -> list[Any]:
    """Values at `path`; none when it leads nowhere or cannot be read."""
    steps = _parsed(path)
    return [] if steps is None else list(_walk(steps, obj))


@lru_cache(maxsize=512)
def _parsed(path: str) -> tuple[Step, ...] | None:
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[Step] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if not match:
            return None
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["path"] is not None:
        literal = match["literal"]
        value = literal[1:-1] if literal[0] in "'\"" else _literal(literal)
        return ("filter", (match["path"].split("."), match["operator"], value))
    if match["index"] is not None:
        return ("all", None) if match["index"] == "*" else ("index", int(match["index"]))
    if match["name"] is not None:
        return ("name", re.sub(r"\\(.)", r"\1", match["name"]))
    return ("name", match["quoted"] if match["quoted"] is not None else match["double"])


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _walk(steps: tuple[Step, ...], value: Any) -> Iterator[Any]:
    if not steps:
        yield value
        return
    (what, argument), rest = steps[0], steps[1:]
    for item in _STEPS[what](argument, value):
        yield from _walk(rest, item)


def _named(name: str, value: Any) -> Iterable[Any]:
    return [value[name]] if isinstance(value, dict) and name in value else []


def _indexed(index: int, value: Any) -> Iterable[Any]:
    return [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []


def _all(_unused: None, value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else []


def _filtered(test: tuple[list[str], str, Any], value: Any) -> Iterable[Any]:
    return [item for item in value if _passes(item, *test)] if isinstance(value, list) else []


_STEPS: dict[str, Callable[[Any, Any], Iterable[Any]]] = {"name": _named, "index": _indexed, "all": _all, "filter": _filtered}


def _passes(item: Any, path: list[str], operator: str, wanted: Any) -> bool:
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return (item == wanted) == (operator == "==")
