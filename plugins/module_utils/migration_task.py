# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task of the migration module: which Migration to make or to follow, its end waited for, and what became of the VMs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils import follow_ups, progress, runs, selection
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, reporting
from ansible_collections.vmshift.mtv.plugins.module_utils.cutover import cutover_time, instant, refuse_late, text_of, vm_cutovers
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CANCELED,
    CONVERSION_RESUMABLE,
    ENDED,
    FAILED,
    READY,
    RUNNING,
    SUCCEEDED,
    blocked,
    caught_up,
    ended,
    is_true,
    object_reference,
    ready,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.pod_logs import last_words
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import (
    Result,
    describe,
    ensure_absent,
    ensure_present,
    get,
    list_objects,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.served_schema import refuse_newer
from ansible_collections.vmshift.mtv.plugins.module_utils.stuck_vms import advice, stuck_vms
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import VERDICT_SECONDS, Target, WaitError, target_of, wait_for, wait_gone

ENDINGS = {SUCCEEDED: "has succeeded", FAILED: "has failed", CANCELED: "was canceled"}
#: The Migration mirrors the Plan; this long the result waits for it to catch up.
MIRROR_SECONDS = 15
#: So often a run of which nothing is heard is looked at.
LOOK_SECONDS = 60.0


def migration_manifest(plan: Mapping[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    """`fields`: of spec; those that are None or empty are left out."""
    spec = {"plan": object_reference(plan), **{key: value for key, value in fields.items() if value}}
    return {"kind": "Migration", "metadata": {"name": name, "namespace": plan["metadata"]["namespace"]}, "spec": spec}


def cancel_list(migration: Mapping[str, Any], vms: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """`spec.cancel` with these VMs added; those that are in it, by id or by name, stay as they are."""
    present = [dict(ref) for ref in (migration.get("spec") or {}).get("cancel") or []]
    ids = {ref["id"] for ref in present if ref.get("id")}
    names = {ref["name"] for ref in present if ref.get("name") and not ref.get("id")}
    return present + [{"id": vm["id"], "name": vm["name"]} for vm in vms if vm["id"] not in ids and vm["name"] not in names]


class SliceOver(Exception):
    """There is something to tell about the VMs (`rows`) before the wait has ended."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__()
        self.rows = rows


class Task:
    """The plan of the task with its follow-ups; `plan` is the last of them, which is run, canceled and waited for."""

    def __init__(self, module: Any, cluster: Cluster) -> None:
        self.module = module
        self.params = module.params
        self.cluster = cluster
        self.namespace = module.params["namespace"]
        self.latest = instant(module.params["wait_until"], "wait_until", "") if module.params["wait_until"] else None
        self.slice = progress.Slice(**module.params["progress_slice"]) if module.params["progress_slice"] else None
        self.migrations: list[Mapping[str, Any]] = []
        self.written: list[Result] = []
        self.predicted = False  # the plan does not exist yet, and will not in check mode
        if self.slice and self.slice.uid:
            # The wait itself reads them: it bears a cluster that is out of reach for a while.
            name = self.slice.plan or module.params["plan"]
            self.course: list[Mapping[str, Any]] = []
            self.plan: Mapping[str, Any] | None = {"kind": "Plan", "metadata": {"name": name, "namespace": self.namespace}}
            return
        first = get(cluster, "Plan", self.namespace, module.params["plan"])
        self.course = follow_ups.course_of(cluster, first) if first else []
        self.plan = self.course[-1] if self.course else None
        named = {"metadata": {"name": module.params["plan"], "namespace": self.namespace}}
        self.migrations = runs.of_plan(list_objects(cluster, "Migration", self.namespace), self.plan or named)

    # --- started

    def start(self) -> dict[str, Any]:
        if self.slice and self.slice.uid:
            name = {"name": self.slice.migration, "namespace": self.namespace, "uid": self.slice.uid}
            return self.await_end({"kind": "Migration", "metadata": name})
        if self.plan is None:
            return self.predict_without_plan()
        decision = self.decide()
        if decision.action == runs.REFUSED:
            raise self.failure(
                decision.migration, f"The last run of {describe(self.plan)} {ENDINGS[decision.outcome or FAILED]}.", again=True
            )
        if decision.action == runs.DONE:
            return self.result(decision.migration)
        if decision.action == runs.FOLLOW:
            return self.await_written(self.follow(decision.migration or {}))
        if decision.action == runs.CONTINUE:
            self.go_on_with_a_follow_up()
        return self.await_written(self.create(), fresh=True)

    def decide(self) -> runs.Decision:
        plan = self.plan or {}
        decision = runs.decide(plan, self.migrations, self.params["retry"])
        if decision.action == runs.START and len(self.course) > 1 and not runs.last_run(plan) and not self.params["retry"]:
            # A follow-up that the task which made it has not come to start.
            self.plan = self.course[-2]
            return runs.Decision(runs.REFUSED, None, ended(self.plan))
        return decision

    def await_written(self, written: Result, fresh: bool = False) -> dict[str, Any]:
        """fresh: the migration was just made, the plan's record is still about another one."""
        migration = written.object or {}
        if self.module.check_mode or not self.params["wait"]:
            return {**self.result(migration, fresh=fresh), **self.changes()}
        with reporting(**self.changes()):
            return {**self.await_end(migration), **self.changes()}

    def predict_without_plan(self) -> dict[str, Any]:
        text = f"The plan {self.namespace}/{self.params['plan']} does not exist."
        if not self.module.check_mode:
            raise TalkError(text)
        self.cluster.warn(f"{text} It would have to be made first.")
        plan = {"metadata": {"name": self.params["plan"], "namespace": self.namespace}}
        name = self.params["name"] or runs.next_name(plan, [])
        manifest = migration_manifest(plan, name, cutover=self.cutover(None))
        return {**self.nothing(), "changed": True, "diff": {"before": {}, "after": manifest}, "migration": manifest}

    def create(self) -> Result:
        plan = self.plan or {}
        if (plan.get("spec") or {}).get("archived"):
            raise TalkError(f"{describe(plan)} is archived and cannot be run.")
        self.refuse_resumption()
        manifest = self.manifest({"metadata": {"name": self.params["name"] or runs.next_name(plan, self.migrations)}})
        if self.params["resume_conversion"]:
            manifest["spec"]["resumeConversion"] = True
        refuse_newer(self.cluster, "Migration", manifest["spec"])
        name = manifest["metadata"]["name"]
        existing = get(self.cluster, "Migration", self.namespace, name)
        if existing and not runs.of_plan([existing], plan):
            raise TalkError(f"name: {describe(existing)} belongs to another plan; leave name out, or give one that is not in use.")
        if existing and runs.outcome_of(plan, existing):
            raise TalkError(f"name: {describe(existing)} has ended; leave name out, or give one that is not in use.")
        self.require_ready(plan)
        # One that somebody made since the list was read is followed.
        return self.write(manifest)

    def require_ready(self, plan: Mapping[str, Any]) -> None:
        """A Migration of a plan with blockers is accepted and never runs."""
        if ready(plan) or self.predicted:
            return
        said = f"{describe(plan)} is not ready: {blocked(plan) or 'not validated yet'}."
        if self.module.check_mode:
            self.cluster.warn(said)
        elif not self.params["wait"]:
            raise TalkError(said)
        else:
            wait_for(self.cluster, [target_of(plan)], ready, runs.blocks_start, timeout=self.patience(), patience=VERDICT_SECONDS)

    def refuse_resumption(self) -> None:
        plan = self.plan or {}
        if self.params["resume_conversion"] and not is_true(plan, CONVERSION_RESUMABLE):
            raise TalkError(
                f"resume_conversion: no VM of {describe(plan)} can be resumed (it has no condition {CONVERSION_RESUMABLE}). That is "
                "possible after a run that has failed when all disks of a VM were copied. Leave resume_conversion out to begin anew."
            )

    def follow(self, migration: Mapping[str, Any]) -> Result:
        def amended(current: Mapping[str, Any]) -> dict[str, Any]:
            return self.manifest(current)

        manifest = amended(migration)
        refuse_newer(self.cluster, "Migration", manifest["spec"], migration)
        return self.write(manifest, amended)

    def manifest(self, migration: Mapping[str, Any]) -> dict[str, Any]:
        """The Migration with the times of the task in it. migration: as it is, or just a name."""
        spec = migration.get("spec") or {}
        wanted = [(self.vm_id(entry["vm"], number), entry["cutover"]) for number, entry in enumerate(self.params["vm_cutover"] or [])]
        past = self.params["allow_past_cutover"]
        of_all = self.cutover(spec.get("cutover"))
        of_single = vm_cutovers(wanted, _now(), spec.get("vmCutover") or [], past=past) if wanted else []
        if self.latest:
            refuse_late(self.latest, [of_all, *(entry["cutover"] for entry in of_single)], "wait_until")
        return migration_manifest(self.plan or {}, migration["metadata"]["name"], cutover=of_all, vmCutover=of_single)

    def cutover(self, current: str | None) -> str | None:
        plan = (self.plan or {}).get("spec") or {}
        if self.params["cutover"] and plan and not (plan.get("warm") or plan.get("type") == "warm"):
            self.cluster.warn(f"cutover: plan {self.params['plan']} is no warm migration; MTV ignores the time.")
        return cutover_time(self.params["cutover"], _now(), current, past=self.params["allow_past_cutover"])

    def vm_id(self, named: str, number: int) -> str:
        """MTV takes the id only."""
        try:
            found = selection.resolve([named], self.known_vms())[0]["id"]
        except selection.SelectionError as error:
            raise TalkError(f"vm_cutover[{number}].vm: VMs of {describe(self.plan or {})}: {error}.") from error
        if found not in {vm.get("id") for vm in self.pool()}:  # MTV would look for a VM with that id and never find it
            raise TalkError(
                f"vm_cutover[{number}].vm: {describe(self.plan or {})} has {named} by its name alone, and MTV takes ids here: "
                "give the time once the migration has begun, or write the VM's id into the plan, as vmshift.mtv.plan does."
            )
        return str(found)

    def write(self, manifest: dict[str, Any], amend: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> Result:
        written = ensure_present(self.cluster, manifest, check_mode=self.module.check_mode, ask_server=not self.predicted, amend=amend)
        self.written.append(written)
        return written

    def changes(self) -> dict[str, Any]:
        """`changed` and `diff` of all that was written."""
        diffs = [written.diff for written in self.written]
        return {"changed": any(written.changed for written in self.written), "diff": diffs if len(diffs) > 1 else diffs[0]}

    def go_on_with_a_follow_up(self) -> None:
        """What the plan has left goes to a plan of its own."""
        if self.params["resume_conversion"]:
            raise TalkError(
                f"resume_conversion: VMs of {describe(self.plan or {})} were made already, so what is left goes to a follow-up plan, which "
                "begins anew. Leave resume_conversion out."
            )
        # Whatever is wrong with the options is said before anything is written.
        self.manifest({"metadata": {"name": ""}})
        existing = get(self.cluster, "Migration", self.namespace, self.params["name"]) if self.params["name"] else None
        if existing:
            raise TalkError(f"name: {describe(existing)} is one of another run; leave name out, or give one that is not in use.")
        self.predicted = self.module.check_mode
        timeout = self.patience()
        plan = follow_ups.begin(self.cluster, self.course, self.written, timeout=timeout, check_mode=self.module.check_mode)
        self.course, self.plan, self.migrations = [*self.course, plan], plan, []

    # --- the end

    def patience(self) -> float:
        """Seconds that are left to wait; few, but some, when it is too late already: what has ended then is seen."""
        left = self.params["wait_timeout"] - (self.slice.waited if self.slice else 0.0)
        return float(max(min(left, (self.latest - _now()).total_seconds()) if self.latest else left, 1))

    def await_end(self, migration: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for the plan's word on this run. The Migration is watched too: it may be refused, or deleted before the plan has seen it."""
        deadline = time.monotonic() + self.patience()
        followed = Target("Migration", self.namespace, migration["metadata"]["name"])

        def accepted(obj: Mapping[str, Any]) -> bool:
            return obj["kind"] == "Migration" and (is_true(obj, READY) or is_true(obj, RUNNING) or ended(obj) is not None)

        def same(obj: Mapping[str, Any]) -> bool:
            return bool(obj["metadata"].get("uid") == migration["metadata"]["uid"])

        def over(obj: Mapping[str, Any]) -> bool:
            return same(obj) if obj["kind"] == "Migration" else runs.outcome_of(obj, migration) == SUCCEEDED

        def failed(obj: Mapping[str, Any]) -> str | None:
            if obj["kind"] == "Migration" and not same(obj):
                return "it was deleted and created anew."
            return runs.outcome_of(obj, migration) or (None if self.begun(obj, migration) else runs.blocks_start(obj))

        try:
            # On its own first, so that a Migration without any status is noticed early.
            wait_for(self.cluster, [followed], accepted, blocked, timeout=max(deadline - time.monotonic(), 1), goal="accepted")
            self.await_outcome(migration, over, failed, deadline)
        except SliceOver as told:
            name, uid = (migration["metadata"][key] for key in ("name", "uid"))
            plan = (self.plan or {})["metadata"]["name"]
            return {"ongoing": {"plan": plan, "migration": name, "uid": uid, "seen": progress.fingerprint(told.rows), "vms": told.rows}}
        except WaitError as error:
            self.reread()
            if error.timed_out and caught_up(error.objects.get(error.target, {})):
                late = self.latest is not None and _now() >= self.latest
                when = f"by {text_of(self.latest)}" if self.latest and late else f"within {self.params['wait_timeout']} s"
                said = f"{describe(migration)} has not ended {when}; it goes on."
                raise self.failure(error.objects.get(followed, migration), said) from error
            outcome, found = runs.outcome_of(self.plan or {}, migration), self.mirrored(migration)
            if outcome == SUCCEEDED:  # whatever has disturbed the wait, the plan's word counts
                return self.result(found)
            if found is None:
                said = f"{describe(migration)} was deleted before it had ended."
            else:
                of = (self.plan or {})["metadata"]["name"]
                said = f"{describe(found)} of plan {of} {ENDINGS[outcome]}." if outcome else str(error)
            raise self.failure(found, said) from error
        self.reread()
        return self.result(self.mirrored(migration))

    def await_outcome(
        self,
        migration: Mapping[str, Any],
        over: Callable[[Mapping[str, Any]], bool],
        failed: Callable[[Mapping[str, Any]], str | None],
        deadline: float,
    ) -> None:
        """Wait for the end of the run, in a slice only until there is something to tell, which raises SliceOver."""
        targets = [target_of(self.plan or {}), Target("Migration", self.namespace, migration["metadata"]["name"])]
        part, begin = self.slice, time.monotonic()

        def wait(seconds: float, on_event: Callable[[Mapping[str, Any]], None] | None = None) -> None:
            end = time.monotonic() + seconds
            while True:
                limit = max(min(end - time.monotonic(), LOOK_SECONDS), 1)
                try:
                    # Each version of the Migration tells of all VMs again: of it matters only that it is there.
                    wait_for(
                        self.cluster,
                        targets,
                        over,
                        failed,
                        timeout=limit,
                        goal="succeeded",
                        on_event=on_event,
                        by_metadata=["Migration"],
                    )
                    return
                except WaitError as error:
                    if not error.timed_out:
                        raise
                    self.refuse_stuck(error.objects.get(targets[0]), migration)
                    silent = limit >= LOOK_SECONDS and not caught_up(error.objects.get(error.target, {}))
                    if silent or time.monotonic() > end - 1:
                        raise

        def tell(obj: Mapping[str, Any]) -> None:
            if part and obj["kind"] == "Plan" and not runs.outcome_of(obj, migration):
                rows = [progress.standing(vm) for vm in runs.vms_of(obj, migration)]
                if part.over(rows, time.monotonic() - begin):
                    raise SliceOver(rows)

        if part and begin + part.seconds < deadline:
            try:
                return wait(part.seconds)
            except WaitError as error:
                if not error.timed_out:
                    raise
        return wait(deadline - time.monotonic(), tell)

    def refuse_stuck(self, plan: Mapping[str, Any] | None, migration: Mapping[str, Any]) -> None:
        """End the wait when nothing can come any more, although MTV says nothing."""
        stuck = stuck_vms(self.cluster, plan, migration) if plan else {}
        if stuck:
            self.reread()
            raise self.failure(get(self.cluster, "Migration", self.namespace, migration["metadata"]["name"]), advice(stuck))

    @staticmethod
    def begun(plan: Mapping[str, Any], migration: Mapping[str, Any]) -> bool:
        last = runs.last_run(plan)
        return bool(last) and (last or {}).get("migration", {}).get("uid") == migration["metadata"]["uid"]

    def reread(self) -> None:
        """The plan with its follow-ups, as they are now."""
        first = get(self.cluster, "Plan", self.namespace, self.params["plan"])
        self.course = follow_ups.course_of(self.cluster, first) if first else self.course
        name = (self.plan or {})["metadata"]["name"]
        self.plan = next((plan for plan in self.course if plan["metadata"]["name"] == name), self.plan)

    def mirrored(self, migration: Mapping[str, Any]) -> dict[str, Any] | None:
        """The Migration after the plan's outcome has reached it; as it is if that takes long, None if it was deleted."""
        target = Target("Migration", self.namespace, migration["metadata"]["name"])
        try:
            return wait_for(self.cluster, [target], lambda obj: ended(obj) is not None, timeout=MIRROR_SECONDS)[target]
        except WaitError as error:
            return error.objects.get(target) if error.timed_out else None

    # --- canceled

    def cancel(self) -> dict[str, Any]:
        if self.plan is None:
            self.cluster.warn(f"The plan {self.namespace}/{self.params['plan']} does not exist.")
        decision = runs.decide(self.plan, self.migrations, False) if self.plan else runs.Decision(runs.DONE)
        migration = decision.migration
        if decision.action != runs.FOLLOW or migration is None:
            return self.result(migration)
        vms = self.to_cancel(migration)

        def amended(current: Mapping[str, Any]) -> dict[str, Any]:
            manifest = migration_manifest(self.plan or {}, current["metadata"]["name"])
            manifest["spec"]["cancel"] = cancel_list(current, vms)
            return manifest

        self.write(amended(migration), amended)
        if vms and self.params["wait"] and not self.module.check_mode:
            with reporting(**self.changes()):
                self.await_canceled(migration, {vm["id"] for vm in vms})
        self.reread()
        return {**self.result(get(self.cluster, "Migration", self.namespace, migration["metadata"]["name"])), **self.changes()}

    def known_vms(self, migration: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The VMs of the run. Before it has begun the plan's own list tells which there are."""
        return [{**vm, "id": vm.get("id") or vm.get("name"), "name": vm.get("name") or vm.get("id")} for vm in self.pool(migration)]

    def pool(self, migration: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
        """The same as they are written, some perhaps without an id."""
        plan = self.plan or {}
        return list(runs.vms_of(plan, migration) or (plan.get("spec") or {}).get("vms") or [])

    def to_cancel(self, migration: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The VMs meant that are not done."""
        known = self.known_vms(migration)
        ids = {vm["id"] for vm in known}
        # Those that plans before this one have migrated may be named, and stay done.
        before = [row for row in follow_ups.rows_of(self.course[:-1]) if row["id"] not in ids]
        try:
            chosen = selection.resolve(self.params["vms"], [*known, *before]) if self.params["vms"] else known
        except selection.SelectionError as error:
            raise TalkError(f"The VMs to cancel are not clear. VMs of {describe(self.plan or {})}: {error}.") from error
        done = {vm["id"] for vm in known if runs.row(vm)["outcome"] in ENDED} | {row["id"] for row in before}
        return [vm for vm in chosen if vm["id"] not in done]

    def await_canceled(self, migration: Mapping[str, Any], ids: set[str]) -> None:
        def over(plan: Mapping[str, Any]) -> bool:
            rows = {r["id"]: r for r in runs.rows_of(plan, migration)}
            return runs.outcome_of(plan, migration) is not None or all(i in rows and rows[i]["outcome"] in ENDED for i in ids)

        wait_for(self.cluster, [target_of(self.plan or {})], over, timeout=self.params["wait_timeout"], goal="canceled")

    # --- absent

    def remove(self) -> dict[str, Any]:
        """The records of the plan and of its follow-ups."""
        everything = list_objects(self.cluster, "Migration", self.namespace)
        named = {"metadata": {"name": self.params["plan"], "namespace": self.namespace}}
        mine = [(plan, migration) for plan in self.course or [named] for migration in runs.of_plan(everything, plan)]
        chosen = [pair for pair in mine if not self.params["name"] or pair[1]["metadata"]["name"] == self.params["name"]]
        for plan, migration in chosen:
            if self.begun(plan, migration) and not runs.outcome_of(plan, migration):
                raise TalkError(f"{describe(migration)} is running; cancel it first (state canceled).")
        gone = [
            ensure_absent(self.cluster, "Migration", self.namespace, m["metadata"]["name"], check_mode=self.module.check_mode)
            for _plan, m in chosen
        ]
        if chosen and self.params["wait"] and not self.module.check_mode:
            wait_gone(self.cluster, [target_of(m) for _plan, m in chosen], timeout=self.params["wait_timeout"])
        diff = {"before": {"migrations": [g.before for g in gone]}, "after": {"migrations": []}} if gone else {"before": {}, "after": {}}
        return {**self.nothing(), "changed": any(g.changed for g in gone), "diff": diff}

    # --- results

    def nothing(self) -> dict[str, Any]:
        """The result of a task that there is nothing to tell of."""
        plans = [plan["metadata"]["name"] for plan in self.course]
        return {"changed": False, "migration": None, "outcome": None, "vms": [], "table": [], "plans": plans}

    def result(self, migration: Mapping[str, Any] | None, fresh: bool = False) -> dict[str, Any]:
        """What the task returns. fresh: the migration was just made, the plan's record is still about another one."""
        plan = self.plan or {}
        before = follow_ups.rows_of([p for p in self.course if p["metadata"]["name"] != plan["metadata"]["name"]]) if plan else []
        now = [{**row, "plan": plan["metadata"]["name"]} for row in runs.rows_of(plan, migration)] if plan and not fresh else []
        newer = {row["id"]: row for row in now}
        rows = [newer.pop(row["id"], row) for row in before] + list(newer.values()) if before else now
        outcome = (runs.outcome_of(plan, migration) if migration else ended(plan)) if plan and not fresh else None
        for row in now:
            for text in row["warnings"]:
                self.cluster.warn(f"VM {row['name']}: {text}")
        for row in rows:
            if row["outcome"] == CANCELED and self.params["state"] == "started":
                self.cluster.warn(f"VM {row['name']} was canceled and is not migrated.")
        told = {"migration": migration, "outcome": outcome, "vms": rows, "table": runs.table(rows) if rows else []}
        return {**self.nothing(), **told}

    def failure(self, migration: Mapping[str, Any] | None, said: str, again: bool = False) -> TalkError:
        """The report of a run that did not succeed. again: it ended before this task, which might have been asked to retry."""
        result = self.result(migration)
        mine = [row for row in result["vms"] if row["plan"] == (self.plan or {})["metadata"]["name"]]
        report = runs.failure_report(self.plan or {}, migration, mine, self.logs(mine))
        advice = " Give retry to run it again." if again else ""
        return TalkError(f"{said}{advice}\n{report}", **result)

    def logs(self, rows: list[dict[str, Any]]) -> dict[str, list[str]]:
        lines = self.params["log_lines"]
        return {
            row["id"]: last_words(self.cluster, self.plan, row, lines) for row in rows if row["outcome"] == FAILED and lines and self.plan
        }


def _now() -> datetime:
    return datetime.now(timezone.utc)
