"""Runs of plans, one pass at a time, in a thread of their own: phases wait for the source and for another cluster.

What is read here of this cluster goes through a bridge to its event loop. A pass changes the plan in memory only; whoever asked for
it writes the status.
"""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, Conditions
from ansible_collections.vmshift.mtv.controlplane.migration import (
    cleanup,
    destination,
    execution,
    history,
    plan_configuration,
    resumption,
)
from ansible_collections.vmshift.mtv.controlplane.migration.destination import Destination, LocalReports
from ansible_collections.vmshift.mtv.controlplane.migration.run import Run, only_converts
from ansible_collections.vmshift.mtv.controlplane.migration.settings import settings
from ansible_collections.vmshift.mtv.controlplane.migration.sources import ADAPTERS
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CONVERSION_RESUMABLE, READY, is_host, is_true, provider_type
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import OwnObjects
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Source

log = logging.getLogger(__name__)

Object = dict[str, Any]

SOON = 0.05  # seconds to the next pass after one that got something further
POLL = 1.0  # while a run waits for its cluster
SLOW = 3.0  # while something is in the way of a run


class PlanRunner:
    """`api`: the objects of this cluster; a Bridge for all that waits."""

    def __init__(self, context: Context, api: OwnObjects) -> None:
        self._inventory, self._state, self._namespace = context.inventory, context.state, context.namespace
        self._api = api

    def execute(self, plan: Object, conditions: Conditions) -> float:
        """One pass over the active run of a plan, or over the next one. Returns the seconds until the next pass."""
        try:
            with self._destination(plan) as there:
                snapshot = history.active(plan)
                delay = self._go_on(plan, snapshot, there, conditions) if snapshot else self._begin(plan, there)
                if newest := history.last(plan):
                    _show_lifecycle(plan, newest, conditions)
                return delay
        except SourceError as error:
            log.info("plan %s waits: %s", plan["metadata"]["name"], error.message)
            self._forget_pass(plan)
            return SLOW

    def _forget_pass(self, plan: Object) -> None:
        """No half of a pass: back to what is stored."""
        meta = plan["metadata"]
        stored = self._api.find("Plan", meta["namespace"], meta["name"]) or {}
        plan["status"]["migration"].clear()
        plan["status"]["migration"].update((stored.get("status") or {}).get("migration") or {})

    def _begin(self, plan: Object, there: Destination) -> float:
        migration = history.pending(self._api.list("Migration"), plan)
        run = self._run(plan, migration, there) if migration else None
        if run is None:
            return SLOW
        plan["status"]["migration"].setdefault("history", []).append(run.snapshot)
        execution.go_on(run)
        return SOON

    def _go_on(self, plan: Object, snapshot: Object, there: Destination, conditions: Conditions) -> float:
        migration = self._migration_of(snapshot)
        if migration is None:
            self._cancel(plan, snapshot, there, "Deleted", "The migration has been deleted.")
            return SOON
        if conditions.blocked:
            return self._blocked(plan, snapshot, there, conditions)
        run = self._run(plan, migration, there)
        if run is None:
            return SLOW
        if not history.same_objects(snapshot, run.snapshot):
            self._cancel(plan, snapshot, there, "Modified", execution.CANCELED_MESSAGE)
            return SOON
        run.snapshot = snapshot
        return SOON if execution.go_on(run) or history.active(plan) is None else POLL

    def _cancel(self, plan: Object, snapshot: Object, there: Destination, reason: str, message: str) -> None:
        execution.cancel_all(self._api, there.objects, plan, self._source(plan), snapshot, reason=reason, message=message)

    def _blocked(self, plan: Object, snapshot: Object, there: Destination, conditions: Conditions) -> float:
        """A run that has begun stands still while something blocks its plan, and fails when that stays so."""
        grace = settings(self._api, self._namespace).blocker_grace_minutes * 60
        for blocker in conditions.blockers():
            if time.time() - _timestamp(blocker["lastTransitionTime"]) > grace:
                why = f"{blocker['type']}: {blocker.get('message', '')}"
                execution.fail_all(self._api, there.objects, plan, self._source(plan), snapshot, why=why)
                return SOON
        return SLOW

    def _run(self, plan: Object, migration: Object, there: Destination) -> Run | None:
        """The run of `migration`, with a new history entry; None while something it needs is not there."""
        run = self._prospect(plan, there)
        source = self._found("Provider", plan["spec"]["provider"]["source"])
        if run is None or source is None:
            return None
        snapshot = history.entry(plan, migration, source, run.destination, run.network_map, run.storage_map)
        return replace(run, migration=migration, snapshot=snapshot)

    def not_served(self, plan: Object) -> dict[str, list[str]]:
        """Phases that nothing here carries out -> names of the VMs of the plan whose way has them."""
        run = self._prospect(plan, self._here())
        return execution.not_served(run) if run else {}

    def _prospect(self, plan: Object, there: Destination) -> Run | None:
        """A run of `plan` without a Migration; None while something it needs is not there."""
        providers, maps, source = plan["spec"]["provider"], plan["spec"]["map"], self._source(plan)
        destination = self._found("Provider", providers["destination"])
        network_map = self._found("NetworkMap", maps["network"])
        storage_map = {} if only_converts(plan) else self._found("StorageMap", maps["storage"])
        if not (source and source.ready and destination and network_map and storage_map is not None):
            return None
        chosen = settings(self._api, self._namespace)
        return Run(self._api, plan, {}, {}, destination, network_map, storage_map, source, there, chosen)

    def _source(self, plan: Object) -> Source | None:
        """The adapter of the plan's source; None while there is no inventory of it."""
        provider = self._found("Provider", plan["spec"]["provider"]["source"])
        inventory = self._inventory.get(provider["metadata"]["uid"]) if provider else None
        if provider is None or inventory is None or provider_type(provider) not in ADAPTERS:
            return None
        return ADAPTERS[provider_type(provider)](self._api, provider, inventory)

    def _destination(self, plan: Object) -> AbstractContextManager[Destination]:
        """Where a provider is gone that once was there, what is left to be done is done here."""
        provider = self._found("Provider", plan["spec"]["provider"]["destination"])
        return nullcontext(self._here()) if provider is None else destination.opened(self._api, self._state, provider)

    def _here(self) -> Destination:
        return Destination(self._api, LocalReports(self._state), True)

    def _migration_of(self, snapshot: Object) -> Object | None:
        found = self._found("Migration", snapshot["migration"])
        return found if found and found["metadata"]["uid"] == snapshot["migration"]["uid"] else None

    def _found(self, kind: str, reference: Object) -> Object | None:
        """To be read only: a Migration tells of all VMs, and a map may have a pair for each."""
        return self._api.view(kind, reference.get("namespace"), reference.get("name", ""))

    # The end of plans

    def archive(self, plan: Object, conditions: Conditions) -> None:
        """Leave of a plan only what was migrated."""
        with self._destination(plan) as there:
            snapshot = history.active(plan)
            if snapshot:
                self._cancel(plan, snapshot, there, "Modified", execution.CANCELED_MESSAGE)
                _show_lifecycle(plan, snapshot, conditions)
            conditions.remove(CONVERSION_RESUMABLE)  # the disks go
            source = self._source(plan)
            for vm in plan["status"]["migration"].get("vms") or ():
                if vm.get("id"):
                    execution.clear(vm, self._api, there.objects, plan, source)
            plan_configuration.remove(there.objects, plan)
            cleanup.validations(self._api, plan)

    def clear(self, namespace: str, name: str) -> None:
        """Take away what a plan that is gone left behind, wherever that is: which destination it had nobody knows any more."""
        cleanup.of_absent_plan(self._api, self._api, namespace, name)
        for provider in self._api.list("Provider"):
            if provider_type(provider) == "openshift" and not is_host(provider) and is_true(provider, READY):
                self._clear_on(provider, namespace, name)

    def _clear_on(self, provider: Object, namespace: str, name: str) -> None:
        try:
            with destination.opened(self._api, self._state, provider) as there:
                cleanup.of_absent_plan(self._api, there.objects, namespace, name)
        except SourceError as error:
            log.warning("what the plan %s/%s left behind may still be there: %s", namespace, name, error.message)


def _show_lifecycle(plan: Object, snapshot: Object, conditions: Conditions) -> None:
    """The state of the run as the plan's own. Of a run whose Migration was deleted Forklift shows nothing on the plan."""
    conditions.remove(*history.LIFECYCLE, CONVERSION_RESUMABLE)
    for found in snapshot.get("conditions") or ():
        if found["type"] in history.LIFECYCLE and found.get("reason") != "Deleted":
            conditions.set(found["type"], ADVISORY, found["message"], reason=found.get("reason", ""), durable=True)
    if history.holds(snapshot, history.FAILED) and resumption.offered(plan):
        conditions.set(CONVERSION_RESUMABLE, ADVISORY, resumption.MESSAGE, durable=True)


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
