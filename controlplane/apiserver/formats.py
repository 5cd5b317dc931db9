"""The string formats of OpenAPI that kube-apiserver checks."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}", re.IGNORECASE)


def matches(format: str, value: str) -> bool:
    """`value` is of that format. Formats unknown here (kube-apiserver ignores unknown ones, too) match everything."""
    check = _CHECKS.get(format)
    return check is None or check(value)


def _is_date_time(value: str) -> bool:
    day, letter, clock = value.lower().partition("t")
    time = _TIME.fullmatch(clock)
    return bool(letter and _is_date(day) and time and time[1] <= "23" and time[2] <= "59" and time[3] <= "59")


def _is_date(value: str) -> bool:
    return bool(_DAY.fullmatch(value)) and _accepts(date.fromisoformat, value)


def _is_base64(value: str) -> bool:
    return _accepts(lambda text: base64.b64decode(text, validate=True), value)


def _accepts(parse: Callable[[str], object], value: str) -> bool:
    try:
        parse(value)
    except (ValueError, binascii.Error):
        return False
    return True


_CHECKS: dict[str, Callable[[str], bool]] = {
    "date-time": _is_date_time,
    "date": _is_date,
    "byte": _is_base64,
    "ipv4": lambda value: _accepts(ipaddress.IPv4Address, value),
    "ipv6": lambda value: _accepts(ipaddress.IPv6Address, value),
    "cidr": lambda value: "/" in value and _accepts(lambda text: ipaddress.ip_network(text, strict=False), value),
    "mac": lambda value: bool(_MAC.fullmatch(value)),
    "uuid": lambda value: bool(_UUID.fullmatch(value)),
}
