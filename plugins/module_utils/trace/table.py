# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trace as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_HEAD = ("NO", "STATE", "SINCE", "DISK", "STEP", "PROOF")


#: Plan, name and id of a VM.
Key = tuple[str, str, str]


def key_of(entry: Mapping[str, Any]) -> Key:
    return (entry["plan"], entry["vm"], entry["vm_id"])


def lines(trace: Sequence[Mapping[str, Any]], titles: Mapping[Key, str]) -> list[str]:
    """A headed block for each VM: its steps in equal columns, below a failed one why, what to do, and the log."""
    out: list[str] = []
    for key, title in titles.items():
        rows = [entry for entry in trace if key_of(entry) == key]
        cells = [_HEAD, *(_cells(entry) for entry in rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
        printed = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]
        out += [title, printed[0]]
        for entry, line in zip(rows, printed[1:]):
            out += [line, *_below(entry)]
    return out


def _cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    number = "-" if entry["number"] is None else str(entry["number"])
    return (number, entry["state"], entry["since"] or "-", entry["disk"] or "-", entry["text"], _proof(entry))


def _proof(entry: Mapping[str, Any]) -> str:
    obj = entry["object"]
    name = "{} {}".format(obj["kind"], "/".join(p for p in (obj["namespace"], obj["name"]) if p)) if obj else ""
    return ": ".join(text for text in (name, entry["evidence"]) if text) or "-"


def _below(entry: Mapping[str, Any]) -> list[str]:
    texts = [f"error: {entry['error']}" if entry["error"] else "", f"hint: {entry['hint']}" if entry["hint"] else "", *entry["log"]]
    return [f"    {text}" for text in texts if text]
