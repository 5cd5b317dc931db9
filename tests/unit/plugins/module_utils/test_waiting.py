from __future__ import annotations

import queue
import time

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import waiting
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import ClusterError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import blocked, ready
from ansible_collections.vmshift.mtv.plugins.module_utils.readiness import wait_ready
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import Target, WaitError, wait_for, wait_gone

PLAN = Target("Plan", "mig", "one")


def plan(name="one", *conditions, generation=1, observed=1, uid="u1", namespace="mig", **meta):
    """A Plan with conditions given as (type, category, message)."""
    obj = {"metadata": {"name": name, "namespace": namespace, "uid": uid, "generation": generation, "resourceVersion": "7", **meta}}
    if conditions:
        listed = [{"type": t, "status": "True", "category": c, "message": m, "reason": "R"} for t, c, m in conditions]
        obj["status"] = {"conditions": listed, "observedGeneration": observed}
    return obj


READY = ("Ready", "Required", "fine")
CRITICAL = ("TargetNameNotValid", "Critical", "bad name")


class Collection:
    """One namespace of plans: what a list answers, and a queue of what watches deliver (None ends a watch)."""

    def __init__(self, kube, *items):
        self.items, self.events, self.kube = list(items), queue.Queue(), kube
        kube.answer = self.answer

    def answer(self, request, handler):
        if request.query.get("watch"):
            self.kube.send_events(handler, iter(self.next_event, None))
        else:
            self.kube.send(handler, 200, {"kind": "PlanList", "metadata": {"resourceVersion": "5"}, "items": self.items})

    def next_event(self):
        try:
            return self.events.get(timeout=5)
        except queue.Empty:
            return None

    def put(self, type, obj):
        self.events.put({"type": type, "object": obj})

    def watches(self):
        return [r for r in self.kube.requests if r.query.get("watch")]


def test_what_is_ready_already_ends_the_wait_at_once(kube, cluster):
    Collection(kube, plan("one", READY))
    begin = time.monotonic()
    found = wait_for(cluster, [PLAN], ready, timeout=60)
    assert found[PLAN]["status"]["conditions"][0]["type"] == "Ready"
    assert (found[PLAN]["kind"], found[PLAN]["apiVersion"]) == ("Plan", "forklift.konveyor.io/v1beta1")
    assert time.monotonic() - begin < 30
    assert kube.requests[0].query == {"fieldSelector": "metadata.name=one"}


def test_states_arrive_in_order_until_success(kube, cluster):
    plans = Collection(kube, plan("one"))
    for state in (plan("one", ("Validated", "Advisory", "v")), plan("one", READY)):
        plans.put("MODIFIED", state)
    seen = []
    wait_for(
        cluster,
        [PLAN],
        ready,
        timeout=5,
        on_event=lambda obj: seen.append([c["type"] for c in obj.get("status", {}).get("conditions", [])]),
    )
    assert seen == [[], ["Validated"], ["Ready"]]


def test_failure_ends_the_wait_with_the_conditions(kube, cluster):
    plans = Collection(kube, plan("one"))
    plans.put("MODIFIED", plan("one", CRITICAL))
    with pytest.raises(WaitError) as caught:
        wait_for(cluster, [PLAN], ready, blocked, timeout=5)
    assert str(caught.value) == "Plan mig/one did not become ready: TargetNameNotValid=True R: bad name"
    assert caught.value.details["conditions"][0]["type"] == "TargetNameNotValid"
    assert not caught.value.timed_out


def test_an_old_failure_may_pass_within_the_patience(kube, cluster):
    plans = Collection(kube, plan("one", CRITICAL))
    plans.put("MODIFIED", plan("one", CRITICAL, ("Executing", "Advisory", "another")))
    plans.put("MODIFIED", plan("one", READY))
    assert ready(wait_for(cluster, [PLAN], ready, blocked, timeout=5, patience=4)[PLAN])


@pytest.mark.parametrize("timeout", [5, 2])
def test_a_failure_that_outlasts_the_patience_ends_the_wait(kube, cluster, timeout):
    Collection(kube, plan("one", CRITICAL))
    with pytest.raises(WaitError, match="did not become ready: TargetNameNotValid=True R: bad name") as caught:
        wait_for(cluster, [PLAN], ready, blocked, timeout=timeout, patience=3)
    assert not caught.value.timed_out


def test_status_about_an_older_spec_decides_nothing(kube, cluster):
    plans = Collection(kube, plan("one", CRITICAL, generation=2, observed=1))
    plans.put("MODIFIED", plan("one", READY, generation=2, observed=1))
    plans.put("MODIFIED", plan("one", READY, generation=2, observed=2))
    found = wait_for(cluster, [PLAN], ready, blocked, timeout=5)
    assert found[PLAN]["status"]["observedGeneration"] == 2


@pytest.mark.parametrize("observed", [1, 2])
def test_of_kinds_by_metadata_watches_tell_no_more(kube, cluster, observed):
    first = plan("one", CRITICAL, generation=2, observed=observed)
    plans = Collection(kube, first)
    bare = plan("one", generation=2, labels={"a": "b"})
    plans.put("MODIFIED", {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", **bare})
    found = wait_for(cluster, [PLAN], lambda obj: "labels" in obj["metadata"], timeout=5, by_metadata=["Plan"])[PLAN]
    assert found["metadata"]["labels"] == {"a": "b"}
    assert (found["kind"], found["status"]) == ("Plan", first["status"])
    assert "as=PartialObjectMetadata;" in plans.watches()[0].headers["Accept"]
    assert "as=" not in kube.requests[0].headers["Accept"]


@pytest.mark.parametrize(("type", "uid", "said"), [("DELETED", "u1", "was deleted while"), ("MODIFIED", "u2", "created anew")])
def test_of_kinds_by_metadata_the_end_is_seen(kube, cluster, type, uid, said):
    plans = Collection(kube, plan("one"))
    plans.put(type, {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", **plan("one", uid=uid)})
    with pytest.raises(WaitError, match=said):
        wait_for(cluster, [PLAN], ready, timeout=5, by_metadata=["Plan"])


def test_deleted_meanwhile(kube, cluster):
    plans = Collection(kube, plan("one"))
    plans.put("DELETED", plan("one"))
    with pytest.raises(WaitError, match="Plan mig/one was deleted while it was waited for"):
        wait_for(cluster, [PLAN], ready, timeout=5)


def test_deleted_and_created_anew(kube, cluster):
    plans = Collection(kube, plan("one"))
    plans.put("MODIFIED", plan("one", READY, uid="u2"))
    with pytest.raises(WaitError, match="created anew"):
        wait_for(cluster, [PLAN], ready, timeout=5)


def test_absent_target(kube, cluster):
    Collection(kube)
    with pytest.raises(WaitError, match="Plan mig/one does not exist"):
        wait_for(cluster, [PLAN], ready, timeout=5)


def test_timeout_tells_what_was_seen(kube, cluster):
    Collection(kube, plan("one", ("Validated", "Advisory", "checked")))
    with pytest.raises(WaitError) as caught:
        wait_for(cluster, [PLAN], ready, timeout=2, goal="Succeeded")
    assert caught.value.timed_out
    assert str(caught.value) == "Plan mig/one did not become Succeeded within 2 s: Validated=True R: checked."


def test_silence_ends_the_wait_early_and_says_what_to_look_at(kube, cluster):
    Collection(kube, plan("one"))
    begin = time.monotonic()
    with pytest.raises(WaitError) as caught:
        wait_for(cluster, [PLAN], ready, timeout=60, silence=2, hint="the Secret x")
    assert time.monotonic() - begin < 30
    assert "no status at all" in str(caught.value)
    assert "Look at: the Secret x." in str(caught.value)


def test_a_first_status_ends_the_silence(kube, cluster):
    plans = Collection(kube, plan("one"))
    plans.put("MODIFIED", plan("one", ("Validated", "Advisory", "v")))
    with pytest.raises(WaitError, match=r"within 4 s"):
        wait_for(cluster, [PLAN], ready, timeout=4, silence=2)


def test_one_target_that_speaks_does_not_break_the_silence_of_another(kube, cluster):
    Collection(kube, plan("one", READY), plan("two"))
    with pytest.raises(WaitError, match="Plan mig/two .* no status at all"):
        wait_for(cluster, [PLAN, PLAN._replace(name="two")], ready, timeout=30, silence=2)


def test_ended_watch_goes_on_where_it_was(kube, cluster):
    plans = Collection(kube, plan("one"))
    plans.events.put(None)
    plans.put("BOOKMARK", {"metadata": {"resourceVersion": "20"}})
    plans.events.put(None)
    plans.put("MODIFIED", plan("one", READY))
    wait_for(cluster, [PLAN], ready, timeout=5)
    assert [r.query["resourceVersion"] for r in plans.watches()] == ["5", "5", "20"]
    assert len([r for r in kube.requests if "watch" not in r.query]) == 1


def test_expired_version_lists_anew(kube, cluster):
    plans = Collection(kube, plan("one"))

    def expired():
        plans.items = [plan("one", READY)]
        return {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}}

    def next_event():
        return events.pop()()

    events = [expired]
    plans.next_event = next_event
    assert ready(wait_for(cluster, [PLAN], ready, timeout=5)[PLAN])
    assert len([r for r in kube.requests if "watch" not in r.query]) == 2


def test_an_outage_is_sat_out(kube, cluster):
    plans = Collection(kube, plan("one"))
    working = kube.answer

    def broken(request, handler):
        handler.close_connection = True
        if len(plans.watches()) > 2:
            kube.answer = working
            plans.items = [plan("one", READY)]

    def answer(request, handler):
        (broken if request.query.get("watch") else working)(request, handler)

    kube.answer = answer
    assert ready(wait_for(cluster, [PLAN], ready, timeout=20)[PLAN])


def test_an_outage_is_not_silence(kube, cluster):
    """The object had no status when the cluster went out of reach, for longer than silence may last."""
    plans = Collection(kube, plan("one"))
    working = kube.answer
    listed = []

    def answer(request, handler):
        if request.query.get("watch") or 0 < len(listed) < 3:
            listed.append(request)
            handler.close_connection = True
            if len(listed) == 3:
                plans.items = [plan("one", READY)]
        else:
            working(request, handler)

    kube.answer = answer
    assert ready(wait_for(cluster, [PLAN], ready, timeout=30, silence=1)[PLAN])


def test_a_cluster_that_does_not_come_back_ends_the_wait(kube, cluster, monkeypatch):
    monkeypatch.setattr(waiting, "OUTAGE_SECONDS", 1.0)
    plans = Collection(kube, plan("one"))

    def gone(request, handler):
        handler.close_connection = True

    plans.next_event = lambda: setattr(kube, "answer", gone)
    begin = time.monotonic()
    with pytest.raises(ClusterError, match="cannot be reached"):
        wait_for(cluster, [PLAN], ready, timeout=60)
    assert 1 < time.monotonic() - begin < 30


def test_refusal_ends_the_wait(kube, cluster):
    kube.answer = lambda request, handler: kube.send(handler, 403, {"kind": "Status", "reason": "Forbidden", "message": "no plans for you"})
    begin = time.monotonic()
    with pytest.raises(ClusterError, match="no plans for you"):
        wait_for(cluster, [PLAN], ready, timeout=30)
    assert time.monotonic() - begin < 30


def test_many_targets_share_one_watch_per_kind_and_namespace(kube, cluster):
    names = [f"p{n}" for n in range(40)]
    plans = Collection(kube, *[plan(name) for name in names])
    plans.put("MODIFIED", plan("stranger", CRITICAL))
    for name in names:
        plans.put("MODIFIED", plan(name, READY))
    targets = [Target("Plan", "mig", name) for name in names]
    seen = []
    found = wait_for(cluster, targets, ready, blocked, timeout=10, on_event=lambda obj: seen.append(obj["metadata"]["name"]))
    assert set(found) == set(targets)
    assert len(plans.watches()) == 1
    assert "stranger" not in seen


def test_kinds_are_watched_beside_each_other(kube, cluster):
    def answer(request, handler):
        items = [plan("one", READY)] if request.path.endswith("/plans") else [plan("one", ("Succeeded", "Advisory", "done"))]
        kube.send(handler, 200, {"metadata": {"resourceVersion": "5"}, "items": items})

    kube.answer = answer
    migration = Target("Migration", "mig", "one")
    found = wait_for(cluster, [PLAN, migration], lambda obj: obj["status"]["conditions"][0]["type"] in ("Ready", "Succeeded"), timeout=5)
    assert {obj["kind"] for obj in found.values()} == {"Plan", "Migration"}
    assert {r.path for r in kube.requests} == {f"/apis/forklift.konveyor.io/v1beta1/namespaces/mig/{p}" for p in ("plans", "migrations")}


def test_wait_ready_turns_warn_conditions_into_warnings(kube, cluster):
    Collection(kube, plan("one", READY, ("ConnectionInsecure", "Warn", "TLS is not verified")))
    wait_ready(cluster, {"kind": "Plan", "metadata": {"name": "one", "namespace": "mig"}}, timeout=5)
    assert cluster.warnings == ["Plan mig/one: ConnectionInsecure=True R: TLS is not verified"]


def test_gone_after_the_last_finalizer(kube, cluster):
    plans = Collection(kube, plan("one", deletionTimestamp="now", finalizers=["a/b"]))
    plans.put("MODIFIED", plan("one", deletionTimestamp="now"))
    plans.put("DELETED", plan("one"))
    wait_gone(cluster, [PLAN], timeout=5)
    Collection(kube)
    wait_gone(cluster, [PLAN], timeout=5)


def test_not_gone_names_the_finalizers(kube, cluster):
    Collection(kube, plan("one", deletionTimestamp="now", finalizers=["a/b"]))
    with pytest.raises(WaitError, match=r"Plan mig/one still exists 2 s .* finalizers a/b"):
        wait_gone(cluster, [PLAN], timeout=2)
