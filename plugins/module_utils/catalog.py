# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory items found by id, name or path, and the candidates to tell when they are not. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

Item = Mapping[str, Any]

SHOWN = 10  # problems and candidates listed in one message


class Catalog:
    """Items with `id`, `name` and perhaps `path`, indexed once: thousands of look-ups cost no list scans."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.by_id: dict[str, Item] = {}
        self.by_name: dict[str, list[Item]] = {}
        self._by_leaf: dict[str, list[Item]] = {}
        for item in items:
            self.by_id[item["id"]] = item
            self.by_name.setdefault(item["name"], []).append(item)
            self._by_leaf.setdefault(path_of(item).rpartition("/")[2], []).append(item)

    def at_path(self, path: str) -> list[Item]:
        """Items at a whole path (`/DC/vm/web`), or without the first slash at the end of one (`vm/web`)."""
        near = self._by_leaf.get(path.rpartition("/")[2], [])
        if path.startswith("/"):
            return [item for item in near if path_of(item) == path]
        return [item for item in near if ("/" + path_of(item)).endswith("/" + path)]

    def find(self, text: str) -> list[Item]:
        """Items with this id, else this name, else this path."""
        if text in self.by_id:
            return [self.by_id[text]]
        return self.by_name.get(text) or self.at_path(text)

    def close_to(self, text: str) -> list[str]:
        """Up to 5 names or paths that `text` may be a slip of."""
        known = [path_of(item) for item in self.by_id.values()] if "/" in text else list(self.by_name)
        same = [name for name in known if name.lower() == text.lower()]
        return same or difflib.get_close_matches(text, known, n=5, cutoff=0.6)


def path_of(item: Item) -> str:
    """`path` of an item; of a VM from an OVA file the path of the file, because its `path` is its id."""
    return item.get("ovfPath") or item.get("path") or ""


def described(items: Iterable[Item]) -> str:
    """`id vm-3 (/DC/vm/prod/db), id vm-4 (…)`."""
    texts = []
    for item in items:
        place = path_of(item) or item.get("namespace")
        texts.append(f"id {item['id']} ({place})" if place else f"id {item['id']}")
    return ", ".join(at_most(texts, SHOWN, "more"))


def at_most(texts: list[str], limit: int, what: str) -> list[str]:
    return texts if len(texts) <= limit else [*texts[:limit], f"and {len(texts) - limit} {what}"]
