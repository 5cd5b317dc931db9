# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a warm migration switches over: times as people write them, and what they make of a Migration. Pure but for the time zone files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError

NOW = "now"
#: A time that has only just passed is not a mistake: clocks differ, and tasks before this one take a while.
TOLERANCE = timedelta(minutes=2)
_EXAMPLES = "2026-03-01T22:00:00Z, 2026-03-01T22:00:00+01:00 or '2026-03-01 22:00 Europe/Berlin'"


def instant(text: str, option: str, otherwise: str = f", or {NOW}") -> datetime:
    """A time with its zone: an offset, Z, or the name of a zone behind a space. otherwise: what else the option takes. Raises TalkError."""
    words = text.split()
    zone = words.pop() if len(words) > 1 and ("/" in words[-1] or words[-1] == "UTC") else ""
    try:
        time = datetime.fromisoformat(" ".join(words).replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        raise TalkError(f"{option}: {text!r} is not a time; give one with its zone, such as {_EXAMPLES}{otherwise}.") from None
    if zone and time.tzinfo is not None:
        raise TalkError(f"{option}: {text!r} has an offset and a zone; give one of them.")
    if zone:
        return _in_zone(time, zone, text, option)
    if time.tzinfo is None:
        raise TalkError(f"{option}: {text!r} says no zone; give one with the time, such as {_EXAMPLES}{otherwise}.")
    return time


def _in_zone(time: datetime, name: str, text: str, option: str) -> datetime:
    zone = _zone(name, option)
    first, second = (time.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    # The clock is put forward or back: the time does not exist, or exists twice.
    exists = first.astimezone(timezone.utc).astimezone(zone).replace(tzinfo=None) == time
    why = "exists twice" if exists else "does not exist"
    raise TalkError(f"{option}: {text!r} {why}, because clocks are changed then; give the time with its offset.")


def _zone(name: str, option: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"{option}: the time zone {name!r} is not known here; give the time with an offset, such as 2026-03-01T22:00:00+01:00."
        raise TalkError(text) from None


def cutover_time(
    given: str | None, now: datetime, current: str | None = None, *, option: str = "cutover", past: bool = False
) -> str | None:
    """RFC 3339 in UTC of a time as a task gives it; None when it gives none.

    current: the time that the Migration has. `now` is no change when that has come already, and a time that it has is not refused for
    being over. past: whether a time that is over is accepted. Raises TalkError for what is not a time, or not to come.
    """
    if given is None:
        return None
    if given.strip().lower() == NOW:
        return current if current and instant(current, option) <= now else text_of(now)
    wanted = instant(given, option)
    same = current is not None and instant(current, option) == wanted
    if wanted < now - TOLERANCE and not past and not same:
        advice = f"give a time to come, or {NOW}, or allow_past_cutover"
        raise TalkError(f"{option}: {text_of(wanted)} is over, it is {text_of(now)}; {advice}.")
    return current if same else text_of(wanted)


def vm_cutovers(
    wanted: Sequence[tuple[str, str]], now: datetime, current: Sequence[Mapping[str, Any]] = (), *, past: bool = False
) -> list[dict[str, str]]:
    """`spec.vmCutover` of a Migration that has `current`, with the times of `wanted` (id of a VM, time) in it; others stay."""
    times = {entry["id"]: entry["cutover"] for entry in current}
    for number, (vm_id, given) in enumerate(wanted):
        times[vm_id] = cutover_time(given, now, times.get(vm_id), option=f"vm_cutover[{number}].cutover", past=past) or ""
    return [{"id": vm_id, "cutover": time} for vm_id, time in times.items()]


def refuse_late(latest: datetime, cutovers: Iterable[str | None], option: str) -> None:
    """Times of a Migration that do not come before the latest moment that it is waited for. Raises TalkError."""
    for late in (time for time in cutovers if time and instant(time, option) >= latest):
        raise TalkError(f"{option}: {text_of(latest)} is not after the cutover at {late}, whose end nobody would wait for.")


def text_of(time: datetime) -> str:
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
