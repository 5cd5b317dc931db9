# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VMs a user means: from names, places, patterns and queries to VMs of one inventory list. Pure, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, Union

from ansible_collections.vmshift.mtv.plugins.module_utils.catalog import SHOWN, Catalog, Item, at_most, described
from ansible_collections.vmshift.mtv.plugins.module_utils.placement import VM, Placement, known_words

try:
    import jmespath
    from jmespath.exceptions import JMESPathError

    HAS_JMESPATH = True
except ImportError:  # the module that needs it says so with missing_required_lib
    HAS_JMESPATH = False

Selector = Union[str, Mapping[str, Any]]

SELECTOR_KEYS = ("name", "id", "path", "namespace", "folder", "cluster", "host", "datastore", "tag", "power_state", "regex", "query")
PLACE_WORDS = ("folder", "cluster", "host", "datastore", "tag")
SUGGESTED = 3  # problems for which close names are looked up: comparing with thousands of names takes a while


class SelectionError(ValueError):
    """The selection cannot be resolved; the text names each entry, what is wrong and the candidates."""


class NothingFound(SelectionError):
    """The words of one entry are in order and mean no VM."""


def resolve(
    selectors: Sequence[Selector],
    vms: Iterable[VM],
    *,
    exclude: Sequence[Selector] = (),
    placement: Placement | None = None,
    warn: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """The VMs meant by `selectors`, each once, in the order of their first mention.

    selectors: strings (name or id of a VM) and mappings with one or more of SELECTOR_KEYS, which all must hold; every other key is
      an option for the VMs of that entry. Keys whose value is None count as not given.
    vms: the inventory's VMs, each with `id` and `name`.
    exclude: entries of the same words; what they mean is left out. One that means no VM goes to `warn`.
    placement: of the same VMs; without it places and power states are not known.

    Returns {"id", "name", "namespace" (only where the inventory has one), "overrides": {option: value}}. When several entries
    mean one VM, its options are merged and the last entry that gives an option wins: a query may set what most VMs get and a
    later entry what one VM gets. Raises SelectionError for VMs and places that do not exist, names that are not unique, entries
    that match nothing; all of them in one text.
    """
    search = _Search(placement or Placement("", vms, _nothing))
    chosen: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for index, selector in enumerate(selectors):
        given = _given(selector)
        try:
            matches = search.find(given, suggest=len(problems) < SUGGESTED)
            search.require_one(given, matches)
        except SelectionError as error:
            problems.append(f"vms[{index}]: {error}")
            continue
        overrides = {key: value for key, value in given.items() if key not in SELECTOR_KEYS and key != "vm"}
        for vm in matches:
            chosen.setdefault(vm["id"], _reference(vm))["overrides"].update(overrides)
    unwanted = _excluded(search, exclude, problems, warn)
    if problems:
        raise SelectionError("; ".join(at_most(problems, SHOWN, "more problems")))
    left = [vm for vm_id, vm in chosen.items() if vm_id not in unwanted]
    if chosen and not left:
        raise SelectionError(f"exclude leaves none of the {len(chosen)} VMs")
    return left


def require_known_words(option: str, selectors: Sequence[Selector], provider_type: str) -> None:
    """Raises SelectionError for the first word that VMs of this provider type do not have."""
    known = known_words(provider_type)
    for index, selector in enumerate(selectors):
        for word in SELECTOR_KEYS:
            if word in _given(selector) and word not in known:
                raise SelectionError(
                    f"{option}[{index}]: {word!r} is not known for providers of type {provider_type}; known are {', '.join(known)}"
                )


def _nothing(_collection: str) -> list[Item]:
    return []


def _given(selector: Selector) -> dict[str, Any]:
    return {"vm": selector} if isinstance(selector, str) else {key: value for key, value in selector.items() if value is not None}


def _excluded(search: _Search, exclude: Sequence[Selector], problems: list[str], warn: Callable[[str], None] | None) -> set[str]:
    """Ids of the VMs to leave out; a name that several VMs have leaves out all of them."""
    unwanted: set[str] = set()
    for index, selector in enumerate(exclude):
        try:
            unwanted.update(vm["id"] for vm in search.find(_given(selector), suggest=index < SUGGESTED))
        except NothingFound as error:
            if warn:
                warn(f"exclude[{index}] leaves no VM out: {error}.")
        except SelectionError as error:
            problems.append(f"exclude[{index}]: {error}")
    return unwanted


def _reference(vm: VM) -> dict[str, Any]:
    reference = {"id": vm["id"], "name": vm["name"], "overrides": {}}
    if vm.get("namespace"):
        reference["namespace"] = vm["namespace"]
    return reference


class _Search:
    """Finds the VMs of one entry after the other; what the entries share is indexed once."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.vms = placement.vms
        self.catalog = Catalog(self.vms)
        self.known = known_words(placement.type)
        self._order = {vm["id"]: position for position, vm in enumerate(self.vms)}

    def find(self, given: Mapping[str, Any], suggest: bool) -> list[VM]:
        """The VMs that all words of an entry hold for, at least one, in the order of the inventory."""
        words = [word for word in SELECTOR_KEYS if word in given]
        if "vm" not in given and not words:
            raise SelectionError(f"give one or more of {', '.join(self.known)}")
        for word in ("vm", *words):
            if given.get(word) == "":
                raise SelectionError(f"{'name' if word == 'vm' else word} is empty")
            if word != "vm" and word not in self.known:
                raise SelectionError(f"{word!r} is not known here; known are {', '.join(self.known)}")
        found: set[str] | None = None
        for word in ("vm", "id", "name", "path", *PLACE_WORDS, "power_state"):
            if word in given:
                meant = self._ids_of(word, given, suggest)
                found = meant if found is None else found & meant
        if found == set():
            raise NothingFound(f"there is no VM with {_told(given)}")
        matches = self._in_order(found)
        if "regex" in given:
            matches = self._regex(given["regex"], matches)
        if given.get("namespace"):
            matches = self._in_namespace(given, matches, suggest)
        return self._query(given["query"], matches) if "query" in given else matches

    def require_one(self, given: Mapping[str, Any], matches: list[VM]) -> None:
        """A name or path means one VM; when it could be several, one must be chosen."""
        exact = next((given[word] for word in ("vm", "name", "path") if word in given), None)
        if exact is not None and len(matches) > 1:
            raise SelectionError(f"{exact!r} matches {len(matches)} VMs: {described(matches)}; choose by id")

    def _ids_of(self, word: str, given: Mapping[str, Any], suggest: bool) -> set[str]:
        value = given[word]
        if word == "id":
            return self._id(value, given.get("name"), suggest)
        if word in PLACE_WORDS:
            return self._place(word, value, suggest)
        if word == "power_state":
            return self.placement.members(word).get(value, set())
        items = self.catalog.at_path(value) if word == "path" else self.catalog.by_name.get(value, [])
        ids = {vm["id"] for vm in items}
        if word == "vm" and value in self.catalog.by_id:
            ids.add(value)
        if not ids:
            where = f" in namespace {given['namespace']!r}" if given.get("namespace") else ""
            what = f"with path {value!r}" if word == "path" else repr(value)
            raise NothingFound(f"there is no VM {what}{where}{self._close_to(value, suggest)}")
        return ids

    def _id(self, vm_id: str, name: str | None, suggest: bool) -> set[str]:
        vm = self.catalog.by_id.get(vm_id)
        if vm is None:
            raise NothingFound(f"there is no VM with id {vm_id!r}{self._close_to(name, suggest) if name else ''}")
        if name is not None and vm["name"] != name:
            raise SelectionError(f"the VM with id {vm_id!r} is named {vm['name']!r}, not {name!r}")
        return {vm_id}

    def _place(self, word: str, value: str, suggest: bool) -> set[str]:
        catalog, members = self.placement.catalog(word), self.placement.members(word)
        places = catalog.find(value)
        if not places:
            close = catalog.close_to(value) if suggest else []
            raise NothingFound(f"there is no {word} {value!r}" + (f" (did you mean {', '.join(map(repr, close))}?)" if close else ""))
        # Places of one name that hold no VMs (a folder of networks, say) are not what is meant.
        used = [place for place in places if members.get(place["id"])]
        if len(used) > 1:
            raise SelectionError(f"{word} {value!r} is one of {len(used)}: {described(used)}; choose by id or path")
        if not used:
            raise NothingFound(f"there is no VM with {word} {value!r}")
        return members[used[0]["id"]]

    def _in_namespace(self, given: Mapping[str, Any], vms: list[VM], suggest: bool) -> list[VM]:
        namespace, name = given["namespace"], given.get("name")
        matches = [vm for vm in vms if vm.get("namespace") == namespace]
        if not matches and name:
            raise NothingFound(f"there is no VM {name!r} in namespace {namespace!r}{self._close_to(name, suggest)}")
        if not matches:
            raise NothingFound(f"there is no VM with {_told(given)}")
        return matches

    def _regex(self, pattern: str, vms: list[VM]) -> list[VM]:
        try:
            full = re.compile(pattern).fullmatch
        except re.error as error:
            raise SelectionError(f"regex {pattern!r} is not usable: {error}") from error
        matches = [vm for vm in vms if full(vm["name"])]
        if not matches:
            raise NothingFound(f"regex {pattern!r} matches none of the {len(vms)} VMs")
        return matches

    def _query(self, query: str, vms: list[VM]) -> list[VM]:
        """A query that starts with `[` filters the list of VMs; any other is a condition on each VM."""
        try:
            expression = jmespath.compile(query)
            if query.lstrip().startswith("["):
                matches = self._vms_of(query, expression.search(vms))
            else:
                matches = [vm for vm in vms if _true(expression.search(vm))]
        except JMESPathError as error:
            raise SelectionError(f"query {query!r} is not usable: {_one_line(error)}") from error
        if not matches:
            raise NothingFound(f"query {query!r} matches none of the {len(vms)} VMs")
        return matches

    def _vms_of(self, query: str, found: Any) -> list[VM]:
        if not isinstance(found, list) or not all(isinstance(vm, dict) and vm.get("id") in self.catalog.by_id for vm in found):
            raise SelectionError(f"query {query!r} must return VMs, as in \"[?powerState=='poweredOff']\"")
        return [self.catalog.by_id[vm["id"]] for vm in found]

    def _in_order(self, ids: set[str] | None) -> list[VM]:
        return self.vms if ids is None else [self.vms[position] for position in sorted(self._order[vm_id] for vm_id in ids)]

    def _close_to(self, name: str, suggest: bool) -> str:
        close = self.catalog.close_to(name) if suggest else []
        if close:
            return f" (did you mean {', '.join(map(repr, close))}?)"
        return f" among the {len(self.vms)} VMs" if suggest else ""


def _told(given: Mapping[str, Any]) -> str:
    return " and ".join(f"{word} {given[word]!r}" for word in SELECTOR_KEYS if word in given)


def _true(value: Any) -> bool:
    """Truth as JMESPath has it: 0 is true, empty strings, lists and objects are not."""
    return not (value is None or value is False or value == "" or value == [] or value == {})


def _one_line(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip(" ^"))
