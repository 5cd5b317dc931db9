"""Plan: validated, run by one Migration at a time, archived (facts 2.8, 3.1, 3.10)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, CRITICAL, REQUIRED, Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import validate
from ansible_collections.vmshift.mtv.controlplane.controllers.references import referring_to, refers_to
from ansible_collections.vmshift.mtv.controlplane.controllers.reporting import report
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of
from ansible_collections.vmshift.mtv.controlplane.migration import cleanup, execution, history, labels, scheduling
from ansible_collections.vmshift.mtv.controlplane.migration.run import Run
from ansible_collections.vmshift.mtv.controlplane.migration.settings import settings
from ansible_collections.vmshift.mtv.controlplane.migration.sources import ADAPTERS
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import ARCHIVED, READY, is_host, is_true, provider_type

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Source

Object = dict[str, Any]

SOON = 0.05  # seconds to the next pass after one that got something further
POLL = 1.0  # while a run waits for its cluster
SLOW = 3.0  # while something is in the way of a run
RECHECK = 10.0  # while a plan is not valid: not every cause announces that it is gone
CHILDREN = ("Pod", "PersistentVolumeClaim", "DataVolume", "Conversion", "Secret", "ConfigMap", "PersistentVolume")


class PlanReconciler(Reconciler):
    kind = "Plan"

    def __init__(self, context: Context) -> None:
        self.context = context
        context.inventory.subscribe(self._inventory_changed)

    # What concerns a plan

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        # Children lead to plans that are gone, too: what was left when the control plane was killed is found at the next start.
        return {
            "Migration": self._of_migration,
            "Provider": lambda provider: referring_to(self.context.api, "Plan", provider),
            "NetworkMap": lambda found: self._using("network", found),
            "StorageMap": lambda found: self._using("storage", found),
            "Hook": self._hooked_by,
            **dict.fromkeys(CHILDREN, _of_child),
        }

    def _of_migration(self, migration: Object) -> Iterable[Key]:
        reference = migration["spec"].get("plan") or {}
        yield reference.get("namespace", ""), reference.get("name", "")

    def _using(self, what: str, found: Object) -> Iterable[Key]:
        plans = self.context.api.list("Plan")
        return [key_of(plan) for plan in plans if refers_to(plan["spec"]["map"].get(what), found)]

    def _hooked_by(self, hook: Object) -> Iterable[Key]:
        for plan in self.context.api.list("Plan"):
            used = (entry.get("hook") for vm in plan["spec"].get("vms") or () for entry in vm.get("hooks") or ())
            if any(refers_to(reference, hook) for reference in used):
                yield key_of(plan)

    def _inventory_changed(self, provider_uid: str, _collection: str, _item: Object | None) -> None:
        for provider in self.context.api.list("Provider"):
            if provider["metadata"]["uid"] == provider_uid:
                for key in referring_to(self.context.api, "Plan", provider):
                    self.enqueue(key)

    # The pass

    async def reconcile(self, namespace: str, name: str) -> float | None:
        plan = self.context.api.find("Plan", namespace, name)
        if plan is None or "deletionTimestamp" in plan["metadata"]:
            cleanup.of_absent_plan(self.context.api, namespace, name)
            return None
        if _is_frozen(plan):
            return None
        status = plan.setdefault("status", {})
        migration = status.setdefault("migration", {})
        conditions = Conditions(status.get("conditions") or ())
        if plan["spec"].get("archived"):
            delay = self._archive(plan, conditions)
        else:
            delay = self._live(plan, conditions)
        report(self.context.api, plan, conditions, "plan", {"migration": migration})
        return delay

    def _live(self, plan: Object, conditions: Conditions) -> float | None:
        validate(self.context, plan, conditions)
        self._require_served(plan, conditions)
        delay = self._execute(plan, conditions)
        if not conditions.blocked:
            conditions.set(READY, REQUIRED, self._ready_message(plan))
        return delay

    def _require_served(self, plan: Object, conditions: Conditions) -> None:
        """Refuse what only a real cluster can do."""
        source, destination = (_found(self.context.api, "Provider", plan["spec"]["provider"][side]) for side in ("source", "destination"))
        if conditions.blocked or not (source and destination):
            return
        if provider_type(source) not in ADAPTERS:
            message = f"Migrations from source providers of type `{provider_type(source)}` are not available here."
            conditions.set("MigrationTypeNotValid", CRITICAL, message, reason="NotSupported")
        if not is_host(destination):
            message = "Migrations to another cluster are not available here: the destination must be the provider of this one, `host`."
            conditions.set("DestinationProviderNotValid", CRITICAL, message, reason="NotSupported")
        run = None if conditions.blocked or history.active(plan) else self._prospect(plan)
        lacking = execution.not_served(run) if run else {}
        if lacking:
            message = f"Migrations with these phases are not available here: {', '.join(lacking)}."
            items = dict.fromkeys(name for names in lacking.values() for name in names)
            conditions.set("MigrationTypeNotValid", CRITICAL, message, reason="NotSupported", items=items)

    def _ready_message(self, plan: Object) -> str:
        vms = plan["status"]["migration"].get("vms") or ()
        waiting = sum(scheduling.waiting(vm) for vm in vms) if history.active(plan) else 0
        if not waiting:
            return "The migration plan is ready."
        limit = settings(self.context).max_vm_inflight
        return f"{waiting} VM(s) waiting to start migration (in-flight limit: {limit})."

    # Running

    def _execute(self, plan: Object, conditions: Conditions) -> float | None:
        snapshot = history.active(plan)
        if snapshot:
            delay = self._go_on(plan, snapshot, conditions)
            _show_lifecycle(snapshot, conditions)
            return delay
        if conditions.blocked:
            return RECHECK
        migration = history.pending(self.context.api.list("Migration"), plan)
        if migration is None:
            return None
        run = self._run(plan, migration)
        if run is None:
            return SLOW
        plan["status"]["migration"].setdefault("history", []).append(run.snapshot)
        execution.go_on(run)
        _show_lifecycle(run.snapshot, conditions)
        return SOON

    def _go_on(self, plan: Object, snapshot: Object, conditions: Conditions) -> float | None:
        migration = self._migration_of(snapshot)
        if migration is None:
            self._cancel(plan, snapshot, "Deleted", "The migration has been deleted.")
            return SOON
        if conditions.blocked:
            return self._blocked(plan, snapshot, conditions)
        run = self._run(plan, migration)
        if run is None:
            return SLOW
        if not history.same_objects(snapshot, run.snapshot):
            self._cancel(plan, snapshot, "Modified", execution.CANCELED_MESSAGE)
            return SOON
        run.snapshot = snapshot
        return SOON if execution.go_on(run) or history.active(plan) is None else POLL

    def _cancel(self, plan: Object, snapshot: Object, reason: str, message: str) -> None:
        execution.cancel_all(self.context.api, plan, self._source(plan), snapshot, reason=reason, message=message)

    def _blocked(self, plan: Object, snapshot: Object, conditions: Conditions) -> float:
        """A run that has begun stands still while something blocks its plan, and fails when that stays so."""
        grace = settings(self.context).blocker_grace_minutes * 60
        for blocker in conditions.blockers():
            if time.time() - _timestamp(blocker["lastTransitionTime"]) > grace:
                why = f"{blocker['type']}: {blocker.get('message', '')}"
                execution.fail_all(self.context.api, plan, self._source(plan), snapshot, why=why)
                return SOON
        return SLOW

    def _run(self, plan: Object, migration: Object) -> Run | None:
        """The run of `migration`, with a new history entry; None while something it needs is not there."""
        run = self._prospect(plan)
        source = _found(self.context.api, "Provider", plan["spec"]["provider"]["source"])
        if run is None or source is None:
            return None
        snapshot = history.entry(plan, migration, source, run.destination, run.network_map, run.storage_map)
        return replace(run, migration=migration, snapshot=snapshot)

    def _prospect(self, plan: Object) -> Run | None:
        """A run of `plan` without a Migration; None while something it needs is not there."""
        providers, maps, source = plan["spec"]["provider"], plan["spec"]["map"], self._source(plan)
        destination = _found(self.context.api, "Provider", providers["destination"])
        network_map = _found(self.context.api, "NetworkMap", maps["network"])
        storage_map = _found(self.context.api, "StorageMap", maps["storage"])
        if not (source and source.ready and destination and network_map and storage_map):
            return None
        return Run(self.context, plan, {}, {}, destination, network_map, storage_map, source, settings(self.context))

    def _source(self, plan: Object) -> Source | None:
        """The adapter of the plan's source; None while there is no inventory of it."""
        provider = _found(self.context.api, "Provider", plan["spec"]["provider"]["source"])
        inventory = self.context.inventory.get(provider["metadata"]["uid"]) if provider else None
        if provider is None or inventory is None or provider_type(provider) not in ADAPTERS:
            return None
        return ADAPTERS[provider_type(provider)](self.context.api, provider, inventory)

    def _migration_of(self, snapshot: Object) -> Object | None:
        found = _found(self.context.api, "Migration", snapshot["migration"])
        return found if found and found["metadata"]["uid"] == snapshot["migration"]["uid"] else None

    # Archiving

    def _archive(self, plan: Object, conditions: Conditions) -> float | None:
        """Leave of a plan only what was migrated."""
        snapshot = history.active(plan)
        if snapshot:
            self._cancel(plan, snapshot, "Modified", execution.CANCELED_MESSAGE)
            _show_lifecycle(snapshot, conditions)
        for vm in plan["status"]["migration"].get("vms") or ():
            if vm.get("id"):
                cleanup.of_vm(self.context.api, plan, vm, succeeded=history.holds(vm, history.SUCCEEDED))
        validate(self.context, plan, conditions)
        conditions.set(ARCHIVED, ADVISORY, "The migration plan has been archived.", reason="UserRequested")
        return None


def _of_child(child: Object) -> Iterable[Key]:
    found = child["metadata"].get("labels") or {}
    if labels.PLAN_NAME in found and labels.PLAN_NAMESPACE in found:
        yield found[labels.PLAN_NAMESPACE], found[labels.PLAN_NAME]


def _is_frozen(plan: Object) -> bool:
    """A plan that succeeded is not looked at until it is archived, and one that is archived never again."""
    return is_true(plan, ARCHIVED) if plan["spec"].get("archived") else is_true(plan, history.SUCCEEDED)


def _show_lifecycle(snapshot: Object, conditions: Conditions) -> None:
    """The state of the run as the plan's own. Of a run whose Migration was deleted Forklift shows nothing on the plan."""
    conditions.remove(*history.LIFECYCLE)
    for found in snapshot.get("conditions") or ():
        if found["type"] in history.LIFECYCLE and found.get("reason") != "Deleted":
            conditions.set(found["type"], ADVISORY, found["message"], reason=found.get("reason", ""), durable=True)


def _found(api: Api, kind: str, reference: Object) -> Object | None:
    return api.find(kind, reference.get("namespace"), reference.get("name", ""))


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
