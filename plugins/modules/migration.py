#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration
short_description: Run a plan of MTV, cancel a run, remove its record
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Runs a C(Plan) of the Migration Toolkit for Virtualization (MTV, Forklift) by making a C(Migration), waits for its end and reports what
    became of each virtual machine.
  - There is one C(Migration) of a plan at a time. When one runs or waits, the module follows it instead of making another, so that a
    play that was interrupted can be run again and ends with the same result. When the plan has succeeded, nothing is done.
  - When the last run has failed or was canceled, the task fails with the report of that run, unless O(retry=true).
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes
  - vmshift.mtv.options.wait
options:
  plan:
    description: Name of the plan.
    type: str
    required: true
  namespace:
    description: Namespace of the plan, and of its migrations.
    type: str
    required: true
  state:
    description:
      - V(started) runs the plan.
      - V(canceled) cancels the VMs in O(vms), or all, of the run that is going on. VMs that are done stay done. When nothing runs,
        nothing is done.
      - V(absent) removes the C(Migration) named O(name), or without a name all of the plan, when none of them is running. Migrated VMs
        stay, and the plan remembers how its last run ended.
    type: str
    choices: [started, canceled, absent]
    default: started
  name:
    description:
      - Name for a new C(Migration). By default the name of the plan and the number of the run, such as V(appliances-1).
      - A migration that runs already is followed whatever its name.
    type: str
  retry:
    description:
      - Whether a plan whose last run has failed or was canceled is run again. VMs that were migrated are left alone.
    type: bool
    default: false
  cutover:
    description:
      - When a warm migration makes its last copy and switches over. A time as V(2026-03-01T22:00:00Z), or V(now).
      - There is no default; a warm migration without a time goes on copying until it gets one. It may be given or changed while the
        migration runs, by running the task again.
    type: str
  vms:
    description: With O(state=canceled), names or ids of the VMs to cancel. Without it all are canceled.
    type: list
    elements: str
  log_lines:
    description: How many of the last lines of the log of a failed VM's pod are put into the error. V(0) for none.
    type: int
    default: 20
  wait:
    description: Whether to wait until the migration has ended, with O(state=canceled) until the VMs are canceled.
  wait_timeout:
    description: How many seconds to wait at most. The migration goes on afterwards; run the task again to wait for it again.
    default: 21600
  progress:
    description:
      - Whether the task tells how the VMs get on while it waits, also when the module runs on another host - a line for each VM that has
        moved, with its step, the part that is done, the rate and the time that is left.
      - Lines come every 5 to 60 seconds, at most ten at once. There are none in check mode, with C(async), with C(no_log), and unless the
        task waits with O(state=started).
    type: bool
    default: true
  progress_slice:
    description:
      - The part of the wait to do now. The module's own action plugin sets it to speak between the parts; playbooks leave it out.
    type: dict
    suboptions:
      seconds:
        description: How long the part lasts at least.
        type: float
        required: true
      migration:
        description: Name of the C(Migration) that is waited for already. Without it this is the first part.
        type: str
      uid:
        description: Its uid.
        type: str
      seen:
        description: The steps of the VMs that were told about, in short.
        type: str
        default: ""
      waited:
        description: Seconds that were waited in the parts before.
        type: float
        default: 0
seealso:
  - module: vmshift.mtv.plan
  - module: vmshift.mtv.migration_info
"""

EXAMPLES = r"""
- name: Migrate the VMs of a plan
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
  register: run

- name: Migrate without lines about the VMs in between
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
    progress: false

- name: Show what became of them
  ansible.builtin.debug:
    var: run.table

- name: Run the plan again for the VMs that have failed
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
    retry: true

- name: Cancel one VM, let the others go on
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
    state: canceled
    vms: [app2]

- name: Remove the records of the plan's runs
  vmshift.mtv.migration:
    plan: appliances
    namespace: openshift-mtv
    state: absent
"""

RETURN = r"""
migration:
  description: The C(Migration) as the API server has it, null when there is none.
  returned: success, and when the migration fails
  type: dict
  sample:
    apiVersion: forklift.konveyor.io/v1beta1
    kind: Migration
    metadata:
      name: appliances-1
      namespace: openshift-mtv
    spec:
      plan:
        name: appliances
        namespace: openshift-mtv
    status:
      conditions:
        - type: Succeeded
          status: "True"
          category: Advisory
          message: The migration has SUCCEEDED.
outcome:
  description: How the run ended, C(Succeeded), C(Failed) or C(Canceled), or null while it goes on.
  returned: success, and when the migration fails
  type: str
  sample: Succeeded
vms:
  description: The virtual machines of the run.
  returned: success, and when the migration fails
  type: list
  elements: dict
  contains:
    name:
      description: Name of the VM on the source.
      type: str
    id:
      description: Id of the VM in the inventory.
      type: str
    outcome:
      description: C(Succeeded), C(Failed), C(Canceled), C(Running) or C(Pending).
      type: str
    phase:
      description: MTV's phase of the VM.
      type: str
    step:
      description: The step that has failed or is being done, null for a VM that is done.
      type: str
    waiting_for:
      description: Why this step does not go on yet, for example that the target's storage has no room; null if nothing holds it up.
      type: str
    target_name:
      description: Name of the VM on the target.
      type: str
    started:
      description: When its migration began.
      type: str
    completed:
      description: When its migration ended.
      type: str
    duration:
      description: Seconds between the two, null before the end.
      type: int
    disk_mb:
      description: Size of its disks in MiB.
      type: int
    error:
      description: What failed, with C(step), C(phase) and C(reasons); null if nothing did.
      type: dict
    warnings:
      description: What the migration has to say about the VM.
      type: list
      elements: str
  sample:
    - name: app1
      id: 796051fce57ca1d00b2bc0ec8c895c524e29
      outcome: Succeeded
      phase: Completed
      step: null
      waiting_for: null
      target_name: app1
      started: "2026-01-22T23:38:06Z"
      completed: "2026-01-22T23:39:10Z"
      duration: 64
      disk_mb: 2048
      error: null
      warnings: []
table:
  description: The VMs as lines of text, ready to print.
  returned: success, and when the migration fails
  type: list
  elements: str
  sample:
    - VM    RESULT     TARGET  DISKS     TIME     NOTE
    - app1  Succeeded  app1    2048 MiB  0:01:04
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils import progress, runs, selection
from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CANCELED,
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
from ansible_collections.vmshift.mtv.plugins.module_utils.options import WAIT
from ansible_collections.vmshift.mtv.plugins.module_utils.pod_logs import last_words
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import (
    Result,
    describe,
    ensure_absent,
    ensure_present,
    get,
    list_objects,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import Target, WaitError, target_of, wait_for, wait_gone

ENDINGS = {SUCCEEDED: "has succeeded", FAILED: "has failed", CANCELED: "was canceled"}
#: The Migration mirrors the Plan; this long the result waits for it to catch up.
MIRROR_SECONDS = 15


def migration_manifest(plan: Mapping[str, Any], name: str, cutover: str | None) -> dict[str, Any]:
    spec: dict[str, Any] = {"plan": object_reference(plan)}
    if cutover:
        spec["cutover"] = cutover
    return {"kind": "Migration", "metadata": {"name": name, "namespace": plan["metadata"]["namespace"]}, "spec": spec}


def cutover_time(given: str | None, now: datetime, current: str | None = None) -> str | None:
    """RFC 3339 in UTC. `now` is no change for a migration whose time has come already. Raises TalkError for what is not a time."""
    if given is None:
        return None
    if given == "now":
        return current if current and _time(current) <= now else now.strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        return _time(given).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        text = (
            f"cutover: {given!r} is not a time; give one with its zone, such as 2026-03-01T22:00:00Z or 2026-03-01T22:00:00+01:00, or now."
        )
        raise TalkError(text) from None


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


class Run:
    """The plan of the task, its migrations, and the one that is followed."""

    def __init__(self, module: AnsibleModule, cluster: Cluster) -> None:
        self.module = module
        self.params = module.params
        self.cluster = cluster
        self.namespace = module.params["namespace"]
        self.slice = progress.Slice(**module.params["progress_slice"]) if module.params["progress_slice"] else None
        self.migrations: list[Mapping[str, Any]] = []
        if self.slice and self.slice.uid:
            # The wait itself reads them: it bears a cluster that is out of reach for a while.
            self.plan: dict[str, Any] | None = {"kind": "Plan", "metadata": {"name": module.params["plan"], "namespace": self.namespace}}
            return
        self.plan = get(cluster, "Plan", self.namespace, module.params["plan"])
        named = {"metadata": {"name": module.params["plan"], "namespace": self.namespace}}
        self.migrations = runs.of_plan(list_objects(cluster, "Migration", self.namespace), self.plan or named)

    # --- started

    def start(self) -> dict[str, Any]:
        if self.slice and self.slice.uid:
            name = {"name": self.slice.migration, "namespace": self.namespace, "uid": self.slice.uid}
            return self.await_end({"kind": "Migration", "metadata": name})
        if self.plan is None:
            return self.predict_without_plan()
        decision = runs.decide(self.plan, self.migrations, self.params["retry"])
        migration: Mapping[str, Any] | None = decision.migration
        if decision.action == runs.REFUSED:
            raise self.failure(migration, f"The last run of {describe(self.plan)} {ENDINGS[decision.outcome or FAILED]}.", again=True)
        if decision.action == runs.DONE:
            return self.result(migration)
        written = self.create() if decision.action == runs.START else self.follow(decision.migration or {})
        result = {"changed": written.changed, "diff": written.diff}
        migration = written.object or {}
        if self.module.check_mode or not self.params["wait"]:
            return {**self.result(migration, fresh=decision.action == runs.START), **result}
        try:
            return {**self.await_end(migration), **result}
        except TalkError as error:
            error.details.update(result)
            raise

    def predict_without_plan(self) -> dict[str, Any]:
        text = f"The plan {self.namespace}/{self.params['plan']} does not exist."
        if not self.module.check_mode:
            raise TalkError(text)
        self.cluster.warn(f"{text} It would have to be made first.")
        plan = {"metadata": {"name": self.params["plan"], "namespace": self.namespace}}
        name = self.params["name"] or runs.next_name(plan, [])
        manifest = migration_manifest(plan, name, cutover_time(self.params["cutover"], _now()))
        return {"changed": True, "diff": {"before": {}, "after": manifest}, "migration": manifest, "outcome": None, "vms": [], "table": []}

    def create(self) -> Result:
        plan = self.plan or {}
        if (plan.get("spec") or {}).get("archived"):
            raise TalkError(f"{describe(plan)} is archived and cannot be run.")
        self.require_ready(plan)
        name = self.params["name"] or runs.next_name(plan, self.migrations)
        existing = get(self.cluster, "Migration", self.namespace, name)
        if existing and not runs.of_plan([existing], plan):
            raise TalkError(f"name: {describe(existing)} belongs to another plan; leave name out, or give one that is not in use.")
        if existing and runs.outcome_of(plan, existing):
            raise TalkError(f"name: {describe(existing)} has ended; leave name out, or give one that is not in use.")
        # One that somebody made since the list was read is followed.
        return self.write(migration_manifest(plan, name, cutover_time(self.params["cutover"], _now())))

    def require_ready(self, plan: Mapping[str, Any]) -> None:
        """A Migration of a plan with blockers is accepted and never runs."""
        if ready(plan):
            return
        said = f"{describe(plan)} is not ready: {blocked(plan) or 'not validated yet'}."
        if self.module.check_mode:
            self.cluster.warn(said)
        elif not self.params["wait"]:
            raise TalkError(said)
        else:
            try:
                wait_for(self.cluster, [target_of(plan)], ready, runs.blocks_start, timeout=self.params["wait_timeout"])
            except WaitError as error:
                raise TalkError(f"{error}{runs.own_conflict(self.plan or {})}", **error.details) from error

    def follow(self, migration: Mapping[str, Any]) -> Result:
        current = (migration.get("spec") or {}).get("cutover")
        cutover = cutover_time(self.params["cutover"], _now(), current)
        return self.write(migration_manifest(self.plan or {}, migration["metadata"]["name"], cutover))

    def write(self, manifest: dict[str, Any]) -> Result:
        return ensure_present(self.cluster, manifest, check_mode=self.module.check_mode)

    def await_end(self, migration: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for the plan's word on this run. The Migration is watched too: it may be refused, or deleted before the plan has seen it."""
        deadline = time.monotonic() + self.params["wait_timeout"] - (self.slice.waited if self.slice else 0)
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
            return {"ongoing": {"migration": name, "uid": uid, "seen": progress.fingerprint(told.rows), "vms": told.rows}}
        except WaitError as error:
            self.reread()
            if error.timed_out and caught_up(error.objects.get(error.target, {})):
                said = f"{describe(migration)} has not ended within {self.params['wait_timeout']} s; it goes on."
                raise self.failure(error.objects.get(followed, migration), said) from error
            outcome, found = runs.outcome_of(self.plan or {}, migration), self.mirrored(migration)
            if outcome == SUCCEEDED:  # whatever has disturbed the wait, the plan's word counts
                return self.result(found)
            if found is None:
                said = f"{describe(migration)} was deleted before it had ended."
            else:
                said = f"{describe(found)} of plan {self.params['plan']} {ENDINGS[outcome]}." if outcome else str(error)
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
            wait_for(self.cluster, targets, over, failed, timeout=max(seconds, 1), goal="succeeded", on_event=on_event)

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

    @staticmethod
    def begun(plan: Mapping[str, Any], migration: Mapping[str, Any]) -> bool:
        last = runs.last_run(plan)
        return bool(last) and (last or {}).get("migration", {}).get("uid") == migration["metadata"]["uid"]

    def reread(self) -> None:
        self.plan = get(self.cluster, "Plan", self.namespace, self.params["plan"]) or self.plan

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
        manifest = migration_manifest(self.plan or {}, migration["metadata"]["name"], None)
        manifest["spec"]["cancel"] = cancel_list(migration, vms)
        written = self.write(manifest)
        if vms and self.params["wait"] and not self.module.check_mode:
            self.await_canceled(migration, {vm["id"] for vm in vms})
        self.reread()
        result = self.result(get(self.cluster, "Migration", self.namespace, migration["metadata"]["name"]))
        return {**result, "changed": written.changed, "diff": written.diff}

    def to_cancel(self, migration: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The VMs meant that are not done. Before the run has begun the plan's own list tells which there are."""
        plan = self.plan or {}
        pool = runs.vms_of(plan, migration) or plan["spec"]["vms"]
        known = [{**vm, "id": vm.get("id") or vm.get("name"), "name": vm.get("name") or vm.get("id")} for vm in pool]
        try:
            chosen = selection.resolve(self.params["vms"], known) if self.params["vms"] else known
        except selection.SelectionError as error:
            raise TalkError(f"The VMs to cancel are not clear. VMs of {describe(plan)}: {error}.") from error
        done = {vm["id"] for vm in known if runs.row(vm)["outcome"] in ENDED}
        return [vm for vm in chosen if vm["id"] not in done]

    def await_canceled(self, migration: Mapping[str, Any], ids: set[str]) -> None:
        def over(plan: Mapping[str, Any]) -> bool:
            rows = {r["id"]: r for r in runs.rows_of(plan, migration)}
            return runs.outcome_of(plan, migration) is not None or all(i in rows and rows[i]["outcome"] in ENDED for i in ids)

        wait_for(self.cluster, [target_of(self.plan or {})], over, timeout=self.params["wait_timeout"], goal="canceled")

    # --- absent

    def remove(self) -> dict[str, Any]:
        chosen = [m for m in self.migrations if not self.params["name"] or m["metadata"]["name"] == self.params["name"]]
        for migration in chosen:
            if self.plan and self.begun(self.plan, migration) and not runs.outcome_of(self.plan, migration):
                raise TalkError(f"{describe(migration)} is running; cancel it first (state canceled).")
        gone = [
            ensure_absent(self.cluster, "Migration", self.namespace, m["metadata"]["name"], check_mode=self.module.check_mode)
            for m in chosen
        ]
        if chosen and self.params["wait"] and not self.module.check_mode:
            wait_gone(self.cluster, [target_of(m) for m in chosen], timeout=self.params["wait_timeout"])
        diff = {"before": {"migrations": [g.before for g in gone]}, "after": {"migrations": []}} if gone else {"before": {}, "after": {}}
        return {"changed": any(g.changed for g in gone), "diff": diff, "migration": None, "outcome": None, "vms": [], "table": []}

    # --- results

    def result(self, migration: Mapping[str, Any] | None, fresh: bool = False) -> dict[str, Any]:
        """What the task returns. fresh: the migration was just made, the plan's record is still about another one."""
        plan = self.plan or {}
        rows = runs.rows_of(plan, migration) if plan and not fresh else []
        outcome = (runs.outcome_of(plan, migration) if migration else ended(plan)) if plan and not fresh else None
        for row in rows:
            for text in row["warnings"]:
                self.cluster.warn(f"VM {row['name']}: {text}")
            if row["outcome"] == CANCELED and self.params["state"] == "started":
                self.cluster.warn(f"VM {row['name']} was canceled and is not migrated.")
        return {"changed": False, "migration": migration, "outcome": outcome, "vms": rows, "table": runs.table(rows) if rows else []}

    def failure(self, migration: Mapping[str, Any] | None, said: str, again: bool = False) -> TalkError:
        """The report of a run that did not succeed. again: it ended before this task, which might have been asked to retry."""
        result = self.result(migration)
        report = runs.failure_report(self.plan or {}, migration, result["vms"], self.logs(result["vms"]))
        advice = " Give retry to run it again." if again else ""
        return TalkError(f"{said}{advice}\n{report}", **result)

    def logs(self, rows: list[dict[str, Any]]) -> dict[str, list[str]]:
        lines = self.params["log_lines"]
        return {
            row["id"]: last_words(self.cluster, self.plan, row, lines) for row in rows if row["outcome"] == FAILED and lines and self.plan
        }


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if time.tzinfo is None:
        raise ValueError("no zone")
    return time


def _now() -> datetime:
    return datetime.now(timezone.utc)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **AUTH_ARGUMENT_SPEC,
            **WAIT,
            "wait_timeout": {"type": "int", "default": 21600},
            "plan": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "canceled", "absent"], "default": "started"},
            "name": {"type": "str"},
            "retry": {"type": "bool", "default": False},
            "cutover": {"type": "str"},
            "vms": {"type": "list", "elements": "str"},
            "log_lines": {"type": "int", "default": 20},
            "progress": {"type": "bool", "default": True},
            "progress_slice": {
                "type": "dict",
                "options": {
                    "seconds": {"type": "float", "required": True},
                    "migration": {"type": "str"},
                    "uid": {"type": "str"},
                    "seen": {"type": "str", "default": ""},
                    "waited": {"type": "float", "default": 0},
                },
            },
        },
        supports_check_mode=True,
    )
    if module.params["vms"] and module.params["state"] != "canceled":
        module.fail_json(msg="vms: which VMs a run migrates is said in the plan; here vms goes with state canceled only.")
    work = {"started": Run.start, "canceled": Run.cancel, "absent": Run.remove}[module.params["state"]]
    run_module(module, lambda cluster: work(Run(module, cluster)))


if __name__ == "__main__":
    main()
