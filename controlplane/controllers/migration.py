"""Migration: asks a Plan to run, and shows how that run fares (facts 2.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, CRITICAL, REQUIRED, WARN, Conditions, now
from ansible_collections.vmshift.mtv.controlplane.controllers.references import is_set, referring_to, text
from ansible_collections.vmshift.mtv.controlplane.controllers.reporting import report
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler
from ansible_collections.vmshift.mtv.controlplane.migration import history
from ansible_collections.vmshift.mtv.controlplane.migration.execution import refers_to
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import READY, ended, is_true

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]


class MigrationReconciler(Reconciler):
    kind = "Migration"
    rest = 8.0  # clients follow it, and each of its versions tells of all VMs

    def __init__(self, context: Context) -> None:
        self.context = context

    def rest_after(self, key: Key) -> float:
        return 20.0 if self.context.api.is_long(self.kind, *key) else self.rest

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"Plan": lambda plan: referring_to(self.context.api, "Migration", "plan", plan)}

    async def reconcile(self, namespace: str, name: str) -> None:
        migration = self.context.api.view("Migration", namespace, name)
        if migration is None or ended(migration):
            return
        conditions = Conditions((migration.get("status") or {}).get("conditions") or ())
        plan = self._plan(migration, conditions)
        fields: Object = {}
        if plan:
            migration = self._owned(migration, plan)
            self._check_cancel(migration, plan, conditions)
            fields = self._reflect(migration, plan, conditions)
        if not conditions.blocked:
            conditions.set(READY, REQUIRED, "The migration is ready.")
        # The VMs are those of the plan's own view, which nobody changes: so they are there once, and compared by a glance.
        report(self.context.api, migration, conditions, "migration", fields, lasting=True)

    def _plan(self, migration: Object, conditions: Conditions) -> Object | None:
        reference = migration["spec"].get("plan") or {}
        plan = self.context.api.view("Plan", reference["namespace"], reference["name"]) if is_set(reference) else None
        if plan is None:
            reason = "NotFound" if is_set(reference) else "NotSet"
            conditions.set("PlanNotValid", CRITICAL, "The `plan` is not valid.", reason=reason)
        elif not is_true(plan, READY):
            conditions.set("PlanNotReady", CRITICAL, "The `plan` does not have Ready condition.", reason="NotFound")
        return plan

    def _owned(self, migration: Object, plan: Object) -> Object:
        """The plan takes its Migrations with it. Owners of another namespace are no owners."""
        meta = migration["metadata"]
        if meta.get("ownerReferences") or meta["namespace"] != plan["metadata"]["namespace"]:
            return migration
        owner = {"apiVersion": plan["apiVersion"], "kind": "Plan", "name": plan["metadata"]["name"], "uid": plan["metadata"]["uid"]}
        return self.context.api.patch("Migration", meta["namespace"], meta["name"], {"metadata": {"ownerReferences": [owner]}})

    def _check_cancel(self, migration: Object, plan: Object, conditions: Conditions) -> None:
        """References in `spec.cancel` that mean no VM of the plan, or several."""
        known = plan.get("status", {}).get("migration", {}).get("vms") or plan["spec"]["vms"]
        missing: list[str] = []
        several: list[str] = []
        for ref in migration["spec"].get("cancel") or ():
            found = sum(refers_to(ref, vm) for vm in known)
            if found != 1:
                (several if found else missing).append(text(ref))
        if missing:
            conditions.set("VMNotFound", WARN, "VM not found.", reason="NotFound", items=missing)
        if several:
            conditions.set("VMNotUnique", WARN, "VM reference is ambiguous.", reason="Ambiguous", items=several)

    def _reflect(self, migration: Object, plan: Object, conditions: Conditions) -> Object:
        """What the plan's run has come to, as fields of the Migration's status; {} when it is not this Migration's run."""
        snapshot = history.of_migration(plan, migration)
        if snapshot is None:
            return {}
        fields: Object = {"started": (migration.get("status") or {}).get("started") or now()}
        if snapshot is history.last(plan):
            fields["vms"] = plan["status"]["migration"].get("vms")
        for type, message in (
            (history.SUCCEEDED, "The migration has SUCCEEDED."),
            (history.FAILED, "The migration has FAILED."),
            (history.CANCELED, ""),
        ):
            if history.holds(snapshot, type):
                found = next(c for c in snapshot["conditions"] if c["type"] == type)
                conditions.set(type, ADVISORY, message or found["message"], reason=found.get("reason", ""), durable=True)
                fields["completed"] = now()
        if history.holds(snapshot, history.EXECUTING):
            conditions.set("Running", ADVISORY, "The migration is RUNNING.")
        return fields
