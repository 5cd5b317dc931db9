# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions of name templates: Go's own comparisons and logic, and those of sprig that MTV adds.

Arguments stand in sprig's order: the value comes last, so that it can be piped in. A wrong argument is a TypeError.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any


def show(value: Any) -> str:
    """A value as Go prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected string; found {show(value)}")
    return value


def _int(value: Any) -> int:
    """sprig reads numbers out of strings too; what is no number counts as 0."""
    try:
        return int(float(value)) if not isinstance(value, int) else int(value)
    except (TypeError, ValueError):
        return 0


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _count(value: Any) -> int:
    """An argument that Go declares as int."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected integer; found {show(value)}")
    return value


def _trunc(length: Any, text: Any) -> str:
    length, text = _count(length), _text(text)
    if length < 0:
        return text[length:] if len(text) + length > 0 else text
    return text[:length]


def _repeat(count: Any, text: Any) -> str:
    if _count(count) * len(_text(text)) > 10000:
        raise ValueError("more than 10000 characters")
    return text * count


def _substr(start: Any, end: Any, text: Any) -> str:
    start, end, text = _count(start), _count(end), _text(text)
    if start < 0:
        return text[:end]
    if end < 0 or end > len(text):
        return text[start:]
    return text[start:end]


def _divide(a: Any, b: Any) -> int:
    a, b = _int(a), _int(b)
    if not b:
        raise ZeroDivisionError("integer divide by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _modulo(a: Any, b: Any) -> int:
    return _int(a) - _int(b) * _divide(a, b)


def _round(value: Any, digits: Any, at: Any = 0.5) -> float:
    scale = 10.0 ** _int(digits)
    whole = math.floor(_float(value) * scale)
    return (whole + (1 if _float(value) * scale - whole >= _float(at) else 0)) / scale


def _regex_replace(pattern: Any, text: Any, replacement: Any) -> str:
    try:
        return re.sub(_text(pattern), re.sub(r"\$\{(\w+)\}|\$(\w+)", r"\\g<\1\2>", _text(replacement).replace("\\", "\\\\")), _text(text))
    except (re.error, IndexError) as error:
        raise TypeError(f"error parsing regexp: {error}") from None


def _compare(a: Any, b: Any) -> int:
    """-1, 0 or 1; Go compares only values of one basic kind."""
    number = (int, float)
    same = isinstance(a, str) and isinstance(b, str) or isinstance(a, bool) and isinstance(b, bool)
    if not same and (isinstance(a, bool) or isinstance(b, bool) or not (isinstance(a, number) and isinstance(b, number))):
        raise TypeError("incompatible types for comparison")
    return (a > b) - (a < b)


def _printf(layout: Any, *values: Any) -> str:
    rest = list(values)

    def fill(match: re.Match[str]) -> str:
        flags, verb = match.groups()
        if verb == "%":
            return "%"
        if verb not in "sdvq" or not rest:
            raise TypeError("{}: {}".format(match.group(), "no value left" if verb in "sdvq" else "only %s %d %v %q are supported"))
        value = rest.pop(0)
        if verb == "d":
            return ("%" + flags + "d") % _count(value)
        return ("%" + flags + "s") % (json.dumps(show(value)) if verb == "q" else show(value))

    return re.sub(r"%([-+0 ]*\d*)(.)", fill, _text(layout))


def _first_letters(text: Any) -> str:
    return "".join(word[0] for word in _text(text).split())


#: name -> (function, least number of arguments, most or None)
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int | None]] = {
    "lower": (lambda s: _text(s).lower(), 1, 1),
    "upper": (lambda s: _text(s).upper(), 1, 1),
    "contains": (lambda part, s: _text(part) in _text(s), 2, 2),
    "replace": (lambda old, new, s: _text(s).replace(_text(old), _text(new)), 3, 3),
    "trim": (lambda s: _text(s).strip(), 1, 1),
    "trimAll": (lambda cut, s: _text(s).strip(_text(cut)), 2, 2),
    "trimSuffix": (lambda end, s: s[: len(s) - len(end)] if end and _text(s).endswith(_text(end)) else _text(s), 2, 2),
    "trimPrefix": (lambda start, s: s[len(start) :] if _text(s).startswith(_text(start)) else _text(s), 2, 2),
    "title": (lambda s: re.sub(r"(?<!\w)\w", lambda m: m.group().upper(), _text(s)), 1, 1),
    "untitle": (lambda s: re.sub(r"(?<!\S)\S", lambda m: m.group().lower(), _text(s)), 1, 1),
    "repeat": (_repeat, 2, 2),
    "substr": (_substr, 3, 3),
    "nospace": (lambda s: "".join(_text(s).split()), 1, 1),
    "trunc": (_trunc, 2, 2),
    "initials": (_first_letters, 1, 1),
    "hasPrefix": (lambda start, s: _text(s).startswith(_text(start)), 2, 2),
    "hasSuffix": (lambda end, s: _text(s).endswith(_text(end)), 2, 2),
    "mustRegexReplaceAll": (_regex_replace, 3, 3),
    "add": (lambda *n: sum(map(_int, n)), 0, None),
    "add1": (lambda n: _int(n) + 1, 1, 1),
    "sub": (lambda a, b: _int(a) - _int(b), 2, 2),
    "div": (_divide, 2, 2),
    "mod": (_modulo, 2, 2),
    "mul": (lambda *n: math.prod(map(_int, n)), 1, None),
    "max": (lambda *n: max(map(_int, n)), 1, None),
    "min": (lambda *n: min(map(_int, n)), 1, None),
    "floor": (lambda n: float(math.floor(_float(n))), 1, 1),
    "ceil": (lambda n: float(math.ceil(_float(n))), 1, 1),
    "round": (_round, 2, 3),
    "eq": (lambda a, *others: any(_compare(a, b) == 0 for b in others), 2, None),
    "ne": (lambda a, b: _compare(a, b) != 0, 2, 2),
    "lt": (lambda a, b: _compare(a, b) < 0, 2, 2),
    "le": (lambda a, b: _compare(a, b) <= 0, 2, 2),
    "gt": (lambda a, b: _compare(a, b) > 0, 2, 2),
    "ge": (lambda a, b: _compare(a, b) >= 0, 2, 2),
    "and": (lambda *v: next((x for x in v if not x), v[-1]), 1, None),
    "or": (lambda *v: next((x for x in v if x), v[-1]), 1, None),
    "not": (lambda v: not v, 1, 1),
    "len": (lambda s: len(_text(s)), 1, 1),
    "printf": (_printf, 1, None),
}
