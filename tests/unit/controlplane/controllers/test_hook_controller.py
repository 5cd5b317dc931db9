"""Hook: what makes one Ready, what is said about the others, and who looks again when one changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.controllers.hook import HookReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.plan import PlanReconciler
from ansible_collections.vmshift.mtv.plugins.module_utils.image_reference import is_image_reference

READY = {"type": "Ready", "status": "True", "category": "Required", "message": "The hook is ready."}
AAP = {"jobTemplateId": 1, "url": "https://aap.example.com", "tokenSecret": {"name": "t"}}


def look(plane: Any) -> None:
    asyncio.run(HookReconciler(plane.context).reconcile("mig", "h"))


def settings(plane: Any, **spec: Any) -> Any:
    meta = {"name": "forklift-controller", "namespace": plane.context.namespace}
    return plane.api.create({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "ForkliftController", "metadata": meta, "spec": spec})


def told(plane: Any) -> dict[str, str]:
    """Blocking conditions: type -> reason."""
    found = plane.conditions("Hook", "mig", "h")
    assert all(c["category"] == "Critical" for c in found if c["type"] != "Ready")
    assert ("Ready" in plane.types("Hook", "mig", "h")) == (len(found) == 1 and found[0] == READY)
    return {c["type"]: c["reason"] for c in found if c["type"] != "Ready"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"image": "quay.io/konveyor/hook-runner", "playbook": "LSBob3N0czogYQo="}, {}),
        ({"image": "busybox"}, {}),
        ({"aap": AAP}, {}),
        ({}, {"InvalidHookExecute": "NotSet"}),
        ({"playbook": "LSBob3N0czogYQo="}, {"InvalidHookExecute": "NotSet"}),
        ({"aap": AAP, "image": "busybox"}, {"InvalidHookExecute": "NotSet"}),
        ({"aap": AAP, "playbook": "LSBob3N0czogYQo="}, {"InvalidHookExecute": "NotSet"}),
        ({"aap": {**AAP, "jobTemplateId": 0}}, {"InvalidHookExecute": "NotSet"}),
        ({"aap": {"jobTemplateId": 1}}, {"InvalidHookExecute": "NotSet"}),
        ({"image": "Not An Image"}, {"InvalidImage": "NotValid"}),
        ({"image": "a/b", "playbook": "- hosts: a"}, {"InvalidPlaybook": "DataErr"}),
        ({"image": "A B", "playbook": "abc"}, {"InvalidImage": "NotValid", "InvalidPlaybook": "DataErr"}),
    ],
)
def test_conditions(plane: Any, spec: dict[str, Any], expected: dict[str, str]) -> None:
    plane.create("Hook", "mig", "h", spec=spec)
    look(plane)
    assert told(plane) == expected


def test_a_hook_that_was_mended_becomes_ready(plane: Any) -> None:
    plane.create("Hook", "mig", "h", spec={"playbook": "x"})
    look(plane)
    assert set(told(plane)) == {"InvalidHookExecute", "InvalidPlaybook"}
    plane.api.patch("Hook", "mig", "h", {"spec": {"image": "a/b", "playbook": None}})
    look(plane)
    assert told(plane) == {}


def test_the_connection_may_be_in_the_settings(plane: Any) -> None:
    hook = plane.create("Hook", "mig", "h", spec={"aap": {"jobTemplateId": 1}})
    changed = settings(plane, aap_url="https://aap.example.com", aap_token_secret_name="t")
    assert plane.keys(HookReconciler(plane.context), "ForkliftController", changed) == {("mig", hook["metadata"]["name"])}
    look(plane)
    assert told(plane) == {}


@pytest.mark.parametrize("scenario", ["hooks-succeed", "hooks-prehook-fails"])
def test_recorded_hooks_get_the_recorded_status_and_event(plane: Any, recorded: Any, scenario: str) -> None:
    of_hooks = [e for e in recorded(f"{scenario}/trace.jsonl") if e["kind"] == "Hook" and e["event"] in ("ADDED", "MODIFIED")]
    (made,) = [e["object"] for e in of_hooks if e["event"] == "ADDED" and e["name"] == "pre"]
    (patched,) = [e["patch"] for e in of_hooks if e["event"] == "MODIFIED" and e["name"] == "pre"]
    plane.create("Hook", "mig", "h", spec=made["spec"])
    look(plane)
    status = plane.api.get("Hook", "mig", "h")["status"]
    expected = patched[0]["value"]
    for conditions in (status["conditions"], expected["conditions"]):
        del conditions[0]["lastTransitionTime"]
    assert status == expected
    (event,) = plane.api.list("Event", "mig")
    assert (event["reason"], event["message"], event["source"]["component"]) == ("Ready", "The hook is ready.", "hook")


def test_a_change_of_a_hook_concerns_the_plans_that_use_it(plane: Any) -> None:
    hook = plane.create("Hook", "mig", "h", spec={"image": "a/b"})
    plane.host()
    plane.provider("mig", "s", "ova")
    mapped = {"provider": {"source": {}, "destination": {}}, "map": []}
    for kind in ("NetworkMap", "StorageMap"):
        plane.create(kind, "mig", "m", spec=mapped)
    maps = dict.fromkeys(("network", "storage"), {"name": "m", "namespace": "mig"})
    for name, used in (("uses", "h"), ("uses-other", "other")):
        vms = [{"name": "a"}, {"name": "b", "hooks": [{"step": "PreHook", "hook": {"name": used, "namespace": "mig"}}]}]
        pair = {"source": {"name": "s", "namespace": "mig"}, "destination": {"name": "host", "namespace": plane.context.namespace}}
        plane.create("Plan", "mig", name, spec={"provider": pair, "map": maps, "targetNamespace": "t", "vms": vms})
    assert plane.keys(PlanReconciler(plane.context), "Hook", hook) == {("mig", "uses")}


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("busybox", True),
        ("busybox:1.36", True),
        ("localhost:5000/a/b_c:v1", True),
        ("Registry.example.com/a", True),
        ("quay.io/a/b@sha256:" + "0" * 64, True),
        ("quay.io/a/B", False),
        ("quay.io/a/b:", False),
        ("quay.io/a/b@sha256:12", False),
        ("a b", False),
        ("", False),
    ],
)
def test_image_references(text: str, valid: bool) -> None:
    assert is_image_reference(text) is valid
