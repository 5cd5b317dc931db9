# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VMs that a task means, found in the inventory of a source: one read of its VMs, whatever the number of words that choose them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.vmshift.mtv.plugins.module_utils import selection
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import provider_type
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import InventoryError, InventoryService
from ansible_collections.vmshift.mtv.plugins.module_utils.placement import Placement
from ansible_collections.vmshift.mtv.plugins.module_utils.references import exists
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import describe

VM = Mapping[str, Any]


class Choice:
    """`vms`: those chosen, as selection.resolve returns them; `found`: the inventory's VMs that they are, [] where it was not asked."""

    def __init__(self, vms: list[dict[str, Any]], found: Iterable[VM] = (), placement: Placement | None = None) -> None:
        self.vms = vms
        self.found = list(found)
        self._placement = placement

    def items(self, collection: str) -> Mapping[str, Mapping[str, Any]]:
        """Id -> item of another collection of the same inventory, read when it is first asked for."""
        return self._placement.items(collection) if self._placement else {}

    def concerns(self) -> list[dict[str, Any]]:
        return [{"vm": vm["name"], "vm_id": vm["id"], **concern} for vm in self.found for concern in vm.get("concerns") or []]


def require_jmespath(entries: Iterable[Any]) -> None:
    """Raises TalkError when one of them is a query and the library that reads queries is not there."""
    if not selection.HAS_JMESPATH and any(isinstance(entry, Mapping) and "query" in entry for entry in entries):
        raise TalkError(missing_required_lib("jmespath", reason="for query in vms and exclude"))


def choose(
    cluster: Cluster,
    source: Mapping[str, Any],
    entries: Sequence[Any],
    exclude: Sequence[Any],
    *,
    service: InventoryService,
    patience: float,
    check_mode: bool,
) -> Choice:
    """The VMs of `source` (a Provider) that `entries` without `exclude` (both as plan_spec returns them) mean.

    patience: seconds to wait at most for an inventory that is being loaded. Check mode predicts without a provider or its inventory,
    with a warning: a task before this one may make them. Raises TalkError with the entries that are not clear, and candidates.
    """
    if not exists(source):
        return _unresolved(cluster, entries, "the source provider does not exist yet")
    of = provider_type(source)
    try:
        selection.require_known_words("vms", entries, of)
        selection.require_known_words("exclude", exclude, of)
    except selection.SelectionError as error:
        raise TalkError(f"{error}.") from error
    try:
        inventory = _inventory(service, source, 0 if check_mode else patience)
    except InventoryError as error:
        if not (check_mode and error.not_ready):
            raise
        return _unresolved(cluster, entries, str(error).rstrip("."))
    placement = Placement(of, inventory, partial(service.get, source))
    try:
        chosen = selection.resolve(entries, inventory, exclude=exclude, placement=placement, warn=cluster.warn)
    except selection.SelectionError as error:
        raise TalkError(f"The VMs are not clear. Inventory of {describe(source)}: {error}.") from error
    by_id = {vm["id"]: vm for vm in inventory}
    return Choice(chosen, [by_id[vm["id"]] for vm in chosen], placement)


def _inventory(service: InventoryService, source: Mapping[str, Any], patience: float) -> list[dict[str, Any]]:
    try:
        return service.get(source, "vms")
    except InventoryError as error:
        if not error.not_ready or not patience:
            raise
    service.wait_loaded(source, timeout=patience)
    return service.get(source, "vms")


def _unresolved(cluster: Cluster, entries: Sequence[Any], why: str) -> Choice:
    """The VMs as they are given; those without name and id stay out."""
    cluster.warn(f"The VMs were not looked up: {why}.")
    named = [{"name": entry} if isinstance(entry, str) else entry for entry in entries]
    return Choice(
        [
            {"id": vm.get("id"), "name": vm.get("name"), "overrides": {key: vm[key] for key in vm if key not in selection.SELECTOR_KEYS}}
            for vm in named
            if "name" in vm or "id" in vm
        ]
    )
