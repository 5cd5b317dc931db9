"""Plan: validated, run by one Migration at a time, archived (facts 2.8, 3.1, 3.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ansible_collections.vmshift.mtv.controlplane.apiserver import patching
from ansible_collections.vmshift.mtv.controlplane.blocking import in_thread
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, CRITICAL, REQUIRED, Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import validate, workflow
from ansible_collections.vmshift.mtv.controlplane.controllers.references import referring_to, referring_to_provider
from ansible_collections.vmshift.mtv.controlplane.controllers.reporting import report
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler
from ansible_collections.vmshift.mtv.controlplane.migration import history, labels, scheduling
from ansible_collections.vmshift.mtv.controlplane.migration.runner import PlanRunner
from ansible_collections.vmshift.mtv.controlplane.migration.settings import settings
from ansible_collections.vmshift.mtv.controlplane.migration.sources import ADAPTERS
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import ARCHIVED, READY, VALIDATING_VDDK, is_true, provider_type

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]
T = TypeVar("T")


RECHECK = 3.0  # as MTV, while a plan is not valid: not every cause announces that it is gone
CHILDREN = ("Pod", "PersistentVolumeClaim", "DataVolume", "Conversion", "Secret", "ConfigMap", "PersistentVolume")


class PlanReconciler(Reconciler):
    kind = "Plan"
    rest = 4.0

    def __init__(self, context: Context) -> None:
        self.context = context
        context.inventory.subscribe(self._inventory_changed)

    def rest_after(self, key: Key) -> float:
        return 10.0 if self.context.api.is_long(self.kind, *key) else self.rest

    # What concerns a plan

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        # Children lead to plans that are gone, too: what was left when the control plane was killed is found at the next start.
        return {
            "Migration": self._of_migration,
            "Provider": lambda provider: referring_to(self.context.api, "Plan", "provider", provider),
            **dict.fromkeys(("NetworkMap", "StorageMap"), lambda found: referring_to(self.context.api, "Plan", "map", found)),
            "Hook": lambda hook: referring_to(self.context.api, "Plan", "hook", hook),
            "Job": self._of_job,
            **dict.fromkeys(CHILDREN, _of_child),
        }

    def _of_migration(self, migration: Object) -> Iterable[Key]:
        reference = migration["spec"].get("plan") or {}
        yield reference.get("namespace", ""), reference.get("name", "")

    def _of_job(self, job: Object) -> Iterable[Key]:
        """Jobs that try an image, and those of hooks, know their plan by its uid."""
        found = job["metadata"].get("labels") or {}
        plan = self.context.api.store.by_uid(found.get("plan", ""))
        if plan is not None and plan.kind == "Plan":
            yield plan.place

    def _inventory_changed(self, provider_uid: str, _collection: str, _item: Object | None) -> None:
        for key in referring_to_provider(self.context.api, "Plan", provider_uid):
            self.enqueue(key)

    # The pass

    async def reconcile(self, namespace: str, name: str) -> float | None:
        view = self.context.api.view("Plan", namespace, name)
        if view is None or "deletionTimestamp" in view["metadata"]:
            await self._off_loop(lambda runner: runner.clear(namespace, name))
            return None
        if _is_frozen(view):
            return None
        plan = _to_be_changed(view)
        status = plan.setdefault("status", {})
        migration = status.setdefault("migration", {})
        conditions = Conditions(status.get("conditions") or ())
        if plan["spec"].get("archived"):
            delay = await self._archive(plan, conditions)
        else:
            delay = await self._live(plan, conditions)
        report(self.context.api, plan, conditions, "plan", {"migration": migration})
        return delay

    async def _live(self, plan: Object, conditions: Conditions) -> float | None:
        validate(self.context, plan, conditions)
        self._require_served(plan, conditions)
        delay = await self._execute(plan, conditions)
        if not conditions.blocked and not conditions.has(VALIDATING_VDDK):
            conditions.set(READY, REQUIRED, self._ready_message(plan))
        return delay

    def _require_served(self, plan: Object, conditions: Conditions) -> None:
        """Refuse what only a real cluster can do."""
        source = self._source_provider(plan)
        if not conditions.blocked and source and provider_type(source) not in ADAPTERS:
            message = f"Migrations from source providers of type `{provider_type(source)}` are not available here."
            conditions.set("MigrationTypeNotValid", CRITICAL, message, reason="NotSupported")
        if not conditions.blocked and plan["spec"].get("type") == workflow.LIVE:  # both clusters could, but it would be managed here
            conditions.set("MigrationTypeNotValid", CRITICAL, workflow.NO_LIVE, reason="NotSupported")
        lacking = {} if conditions.blocked or history.active(plan) else PlanRunner(self.context, self.context.api).not_served(plan)
        if lacking:
            message = f"Migrations with these phases are not available here: {', '.join(lacking)}."
            items = dict.fromkeys(name for names in lacking.values() for name in names)
            conditions.set("MigrationTypeNotValid", CRITICAL, message, reason="NotSupported", items=items)

    async def _archive(self, plan: Object, conditions: Conditions) -> float | None:
        """Leave of a plan only what was migrated."""
        await self._off_loop(lambda runner: runner.archive(plan, conditions))
        validate(self.context, plan, conditions)
        conditions.set(ARCHIVED, ADVISORY, "The migration plan has been archived.", reason="UserRequested")
        return None

    def _ready_message(self, plan: Object) -> str:
        vms = plan["status"]["migration"].get("vms") or ()
        waiting = sum(scheduling.waiting(vm) for vm in vms) if history.active(plan) else 0
        if not waiting:
            return "The migration plan is ready."
        limit = settings(self.context.api, self.context.namespace).max_vm_inflight
        return f"{waiting} VM(s) waiting to start migration (in-flight limit: {limit})."

    def _source_provider(self, plan: Object) -> Object | None:
        reference = plan["spec"]["provider"]["source"]
        return self.context.api.find("Provider", reference.get("namespace"), reference.get("name", ""))

    # Running

    async def _execute(self, plan: Object, conditions: Conditions) -> float | None:
        if history.active(plan) is None:
            if conditions.blocked or conditions.has(VALIDATING_VDDK):
                return RECHECK
            keys = referring_to(self.context.api, "Migration", "plan", plan)
            if history.pending((self.context.api.get("Migration", *key) for key in keys), plan) is None:
                return None
        return await self._off_loop(lambda runner: runner.execute(plan, conditions))

    async def _off_loop(self, work: Callable[[PlanRunner], T]) -> T:
        """What may have to wait for the source or the destination."""
        return await in_thread(self.context.api, lambda bridge: work(PlanRunner(self.context, bridge)))


def _of_child(child: Object) -> Iterable[Key]:
    found = child["metadata"].get("labels") or {}
    if labels.PLAN_NAME in found and labels.PLAN_NAMESPACE in found:
        yield found[labels.PLAN_NAMESPACE], found[labels.PLAN_NAME]


def _to_be_changed(view: Object) -> Object:
    """A plan as a pass changes it.

    While it runs, it shares with the view what may be long and hardly changes: what is asked for, and the VMs, of which a pass copies
    those that it takes further (run.own). So it costs as much as there are VMs under way.
    """
    if view["spec"].get("archived") or history.active(view) is None:
        return patching.copy(view)
    status = view["status"]
    migration = {field: value if field == "vms" else patching.copy(value) for field, value in status["migration"].items()}
    migration["vms"] = list(migration.get("vms") or ())
    own = {field: migration if field == "migration" else patching.copy(value) for field, value in status.items()}
    return {**view, "status": own}


def _is_frozen(plan: Object) -> bool:
    """A plan that succeeded is not looked at until it is archived, and one that is archived never again."""
    return is_true(plan, ARCHIVED) if plan["spec"].get("archived") else is_true(plan, history.SUCCEEDED)
