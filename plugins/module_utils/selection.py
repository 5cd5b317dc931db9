# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VMs a user means: from names, ids and queries to VMs of one inventory list. Pure, no I/O."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union

try:
    import jmespath
    from jmespath.exceptions import JMESPathError

    HAS_JMESPATH = True
except ImportError:  # the module that needs it says so with missing_required_lib
    HAS_JMESPATH = False

VM = Mapping[str, Any]
Selector = Union[str, Mapping[str, Any]]

SELECTOR_KEYS = ("name", "id", "namespace", "query")
SHOWN = 10  # problems and candidates listed in one message
SUGGESTED = 3  # problems for which close names are looked up: comparing with thousands of names takes a while


class SelectionError(ValueError):
    """The selection cannot be resolved; the text names each entry, what is wrong and the candidates."""


def resolve(selectors: Sequence[Selector], vms: Iterable[VM]) -> list[dict[str, Any]]:
    """The VMs meant by `selectors`, each once, in the order of their first mention.

    selectors: strings (name or id of a VM) and mappings with `id`, `name` or `query` (JMESPath), optionally `namespace`; every
      other key is an option for the VMs of that entry. Keys whose value is None count as not given.
    vms: the inventory's VMs, each with `id` and `name`.

    Returns {"id", "name", "namespace" (only where the inventory has one), "overrides": {option: value}}. When several entries
    mean one VM, its options are merged and the last entry that gives an option wins: a query may set what most VMs get and a
    later entry what one VM gets. Raises SelectionError for VMs that do not exist, names that are not unique, queries that match
    nothing; all of them in one text.
    """
    inventory = _Inventory(vms)
    chosen: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for index, selector in enumerate(selectors):
        given = {"vm": selector} if isinstance(selector, str) else {key: value for key, value in selector.items() if value is not None}
        try:
            matches = inventory.find(given, suggest=len(problems) < SUGGESTED)
        except SelectionError as error:
            problems.append(f"vms[{index}]: {error}")
            continue
        overrides = {key: value for key, value in given.items() if key not in SELECTOR_KEYS and key != "vm"}
        for vm in matches:
            chosen.setdefault(vm["id"], _reference(vm))["overrides"].update(overrides)
    if problems:
        raise SelectionError("; ".join(_at_most(problems, SHOWN, "problems")))
    return list(chosen.values())


def _reference(vm: VM) -> dict[str, Any]:
    reference = {"id": vm["id"], "name": vm["name"], "overrides": {}}
    if vm.get("namespace"):
        reference["namespace"] = vm["namespace"]
    return reference


class _Inventory:
    """The VMs, indexed once: thousands of selectors cost dictionary look-ups, not list scans."""

    def __init__(self, vms: Iterable[VM]) -> None:
        self.vms = list(vms)
        self.by_id: dict[str, VM] = {}
        self.by_name: dict[str, list[VM]] = {}
        for vm in self.vms:
            self.by_id[vm["id"]] = vm
            self.by_name.setdefault(vm["name"], []).append(vm)

    def find(self, given: Mapping[str, Any], suggest: bool) -> list[VM]:
        """The VMs of one entry: exactly one, or with a query at least one."""
        namespace = given.get("namespace")
        if "query" in given:
            return self._query(given["query"], namespace)
        if "id" in given:
            return [self._by_id(given["id"], given.get("name"), suggest)]
        name = given.get("name", given.get("vm"))
        if not isinstance(name, str) or not name:
            raise SelectionError("give one of name, id or query")
        matches = _in_namespace(self.by_name.get(name, []), namespace)
        if "vm" in given and name in self.by_id and self.by_id[name] not in matches:
            matches = [self.by_id[name], *matches]
        if not matches:
            raise SelectionError(f"there is no VM {_quoted(name, namespace)}{self._close_to(name, suggest)}")
        if len(matches) > 1:
            candidates = ", ".join(_at_most([_described(vm) for vm in matches], SHOWN, "VMs"))
            raise SelectionError(f"{name!r} matches {len(matches)} VMs: {candidates}; choose by id")
        return matches

    def _by_id(self, vm_id: str, name: str | None, suggest: bool) -> VM:
        vm = self.by_id.get(vm_id)
        if vm is None:
            raise SelectionError(f"there is no VM with id {vm_id!r}{self._close_to(name, suggest) if name else ''}")
        if name is not None and vm["name"] != name:
            raise SelectionError(f"the VM with id {vm_id!r} is named {vm['name']!r}, not {name!r}")
        return vm

    def _query(self, query: str, namespace: str | None) -> list[VM]:
        """A query that starts with `[` filters the list of VMs; any other is a condition on each VM."""
        try:
            expression = jmespath.compile(query)
            if query.lstrip().startswith("["):
                matches = self._vms_of(query, expression.search(self.vms))
            else:
                matches = [vm for vm in self.vms if _true(expression.search(vm))]
        except JMESPathError as error:
            raise SelectionError(f"query {query!r} is not usable: {_one_line(error)}") from error
        matches = _in_namespace(matches, namespace)
        if not matches:
            raise SelectionError(f"query {query!r} matches none of the {len(self.vms)} VMs")
        return matches

    def _vms_of(self, query: str, found: Any) -> list[VM]:
        if not isinstance(found, list) or not all(isinstance(vm, dict) and vm.get("id") in self.by_id for vm in found):
            raise SelectionError(f"query {query!r} must return VMs, as in \"[?powerState=='poweredOff']\"")
        return [self.by_id[vm["id"]] for vm in found]

    def _close_to(self, name: str, suggest: bool) -> str:
        if not suggest:
            return ""
        same = [known for known in self.by_name if known.lower() == name.lower()]
        close = same or difflib.get_close_matches(name, self.by_name, n=5, cutoff=0.6)
        return f" (did you mean {', '.join(map(repr, close))}?)" if close else f" among the {len(self.vms)} VMs"


def _in_namespace(vms: list[VM], namespace: str | None) -> list[VM]:
    return [vm for vm in vms if vm.get("namespace") == namespace] if namespace else vms


def _true(value: Any) -> bool:
    """Truth as JMESPath has it: 0 is true, empty strings, lists and objects are not."""
    return not (value is None or value is False or value == "" or value == [] or value == {})


def _quoted(name: str, namespace: str | None) -> str:
    return f"{name!r} in namespace {namespace!r}" if namespace else repr(name)


def _described(vm: VM) -> str:
    place = vm.get("path") or vm.get("ovfPath") or vm.get("namespace")
    return f"id {vm['id']} ({place})" if place else f"id {vm['id']}"


def _one_line(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip(" ^"))


def _at_most(texts: list[str], limit: int, what: str) -> list[str]:
    return texts if len(texts) <= limit else [*texts[:limit], f"and {len(texts) - limit} more {what}"]
