"""The verbs, as controllers in the same process use them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver import events
from ansible_collections.vmshift.mtv.controlplane.apiserver.admission import Options
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

Object = dict[str, Any]
NAMESPACE = "team"


def configmap(name: str, data: Object | None = None, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE, **metadata}, "data": data or {}}


def widget(name: str, spec: Object | None = None, **metadata: Any) -> Object:
    meta = {"name": name, "namespace": NAMESPACE, **metadata}
    return {"apiVersion": "try.example.com/v1", "kind": "Widget", "metadata": meta, "spec": {"size": 1} if spec is None else spec}


def refusal(code: int, call: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        call()
    assert refused.value.code == code, refused.value.message
    return refused.value


def test_create_fills_in_what_is_the_servers(api: Api, widgets: Kind) -> None:
    given = widget("a", uid="mine", generation=7, creationTimestamp="2001-01-01T00:00:00Z", resourceVersion="1", selfLink="/x")
    meta = api.create({**given, "status": {"ok": True}})["metadata"]
    assert len(meta["uid"]) == 36
    assert meta["creationTimestamp"] > "2020" and meta["creationTimestamp"].endswith("Z")
    assert int(meta["resourceVersion"]) > 1
    assert meta["generation"] == 1
    assert "selfLink" not in meta
    assert "status" not in api.get(widgets, NAMESPACE, "a")
    assert given["metadata"]["uid"] == "mine"  # the caller's object is left alone


def test_names_are_generated(api: Api) -> None:
    names = {
        api.create({**configmap(""), "metadata": {"generateName": "long-" * 20, "namespace": NAMESPACE}})["metadata"]["name"]
        for _unused in range(5)
    }
    assert len(names) == 5
    assert all(len(name) == 63 and name.startswith("long-long-") for name in names)


def test_create_twice_is_refused(api: Api) -> None:
    api.create(configmap("a"))
    error = refusal(409, lambda: api.create(configmap("a")))
    assert (error.reason, error.message) == ("AlreadyExists", 'configmaps "a" already exists')


def test_missing_objects(api: Api) -> None:
    assert api.find("ConfigMap", NAMESPACE, "a") is None
    assert refusal(404, lambda: api.get("Plan", NAMESPACE, "a")).message == 'plans.forklift.konveyor.io "a" not found'
    refusal(404, lambda: api.delete("Plan", NAMESPACE, "a"))
    refusal(404, lambda: api.patch("Plan", NAMESPACE, "a", {}))
    refusal(404, lambda: api.update(configmap("a")))
    refusal(400, lambda: api.create({"apiVersion": "v9", "kind": "Nothing", "metadata": {"name": "a"}}))


def test_namespaces_must_be_there_and_stay(api: Api) -> None:
    elsewhere = {**configmap("a"), "metadata": {"name": "a", "namespace": "nowhere"}}
    assert refusal(404, lambda: api.create(elsewhere)).message == 'namespaces "nowhere" not found'
    api.create(configmap("held", finalizers=["x.example/hold"]))
    api.delete("Namespace", None, NAMESPACE)
    error = refusal(403, lambda: api.create(configmap("b")))
    assert error.details["causes"][0]["reason"] == "NamespaceTerminating"


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"name": "Bad_Name"}, "metadata.name"),
        ({"name": "a" * 254}, "metadata.name"),
        ({"name": ""}, "metadata.name"),
        ({"labels": {"a b": "c"}}, "metadata.labels"),
        ({"labels": {"a": "not a value"}}, "metadata.labels"),
        ({"annotations": {"a": "x" * 300_000}}, "metadata.annotations"),
        ({"annotations": {"/": "x"}}, "metadata.annotations"),
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": "u"}]}, "metadata.ownerReferences[0].name"),
    ],
)
def test_bad_metadata_is_invalid(api: Api, metadata: Object, field: str) -> None:
    error = refusal(422, lambda: api.create(configmap(metadata.pop("name", "a"), **metadata)))
    assert error.reason == "Invalid"
    assert error.details["causes"][0]["field"] == field


@pytest.mark.parametrize(
    "metadata", [{"labels": {"a": 1}}, {"labels": ["a"]}, {"finalizers": "x"}, {"generation": "1"}, {"ownerReferences": [{"uid": 1}]}]
)
def test_metadata_of_wrong_types_is_a_bad_request(api: Api, metadata: Object) -> None:
    assert "json: cannot unmarshal" in refusal(400, lambda: api.create(configmap("a", **metadata))).message


def test_unknown_fields_are_dropped_told_of_or_refused(api: Api, widgets: Kind) -> None:
    bad = widget("a", {"size": 1, "junk": 1, "free": {"any": [1]}}, odd="x")
    assert refusal(400, lambda: api.create(bad, options=Options(field_validation="Strict"))).message.endswith(
        'strict decoding error: unknown field "metadata.odd", unknown field "spec.junk"'
    )
    told: list[str] = []
    made = api.create(bad, options=Options(field_validation="Warn", warn=told.append))
    assert told == ['unknown field "metadata.odd"', 'unknown field "spec.junk"']
    assert made["spec"] == {"size": 1, "color": "red", "free": {"any": [1]}}
    assert "odd" not in made["metadata"]


def test_schemas_are_enforced(api: Api, widgets: Kind) -> None:
    for spec, field in (({"size": "x"}, "spec.size"), ({"size": 1, "color": "green"}, "spec.color"), ({"size": -1}, "spec.size")):
        error = refusal(422, lambda spec=spec: api.create(widget("a", spec)))  # type: ignore[misc]
        assert error.details["causes"][0]["field"] == field
        assert error.message.startswith('Widget.try.example.com "a" is invalid: ')
    api.create(widget("a"))
    refusal(422, lambda: api.patch(widgets, NAMESPACE, "a", {"spec": {"size": "x"}}))


def test_generation_counts_changes_of_the_spec(api: Api, widgets: Kind) -> None:
    api.create(widget("a"))
    assert api.patch(widgets, NAMESPACE, "a", {"metadata": {"labels": {"x": "y"}}})["metadata"]["generation"] == 1
    assert api.patch(widgets, NAMESPACE, "a", {"spec": {"size": 2}})["metadata"]["generation"] == 2
    assert api.patch(widgets, NAMESPACE, "a", {"status": {"n": 1}}, subresource="status")["metadata"]["generation"] == 2
    assert "generation" not in api.create(configmap("a"))["metadata"]


def test_writes_that_change_nothing_write_nothing(api: Api, widgets: Kind) -> None:
    made = api.create(widget("a", {"size": 1, "free": {"flag": 1}}))
    seen: list[Any] = []
    api.subscribe(lambda *event: seen.append(event))
    assert api.patch(widgets, NAMESPACE, "a", {"spec": {"size": 1}}) == made
    assert api.update(made) == made
    assert api.update_status({**made, "spec": {"size": 9}}) == made
    assert not seen
    # 1 and true are equal to Python, not to JSON.
    changed = api.patch(widgets, NAMESPACE, "a", {"spec": {"free": {"flag": True}}})
    assert changed["spec"]["free"]["flag"] is True
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


def test_status_and_the_rest_are_written_apart(api: Api, widgets: Kind) -> None:
    made = api.create(widget("a"))
    made["status"] = {"ok": True}
    made["spec"]["size"] = 9
    made["metadata"]["labels"] = {"x": "y"}
    left = api.update_status(made)
    assert left["status"] == {"ok": True}
    assert left["spec"]["size"] == 1 and "labels" not in left["metadata"]
    left["status"] = {"ok": False}
    left["spec"]["size"] = 2
    left = api.update(left)
    assert (left["status"], left["spec"]["size"]) == ({"ok": True}, 2)


def test_stale_writes_conflict(api: Api, widgets: Kind) -> None:
    stale = api.create(widget("a"))
    api.patch(widgets, NAMESPACE, "a", {"spec": {"size": 2}})
    error = refusal(409, lambda: api.update({**stale, "spec": {"size": 3}}))
    assert error.message.startswith('Operation cannot be fulfilled on widgets.try.example.com "a": the object has been modified')
    refusal(409, lambda: api.update_status({**stale, "status": {"ok": True}}))
    unversioned = widget("a", {"size": 3})
    assert api.update(unversioned)["spec"]["size"] == 3
    refusal(409, lambda: api.update(widget("a", uid="another object")))


def test_identity_cannot_be_changed(api: Api, widgets: Kind) -> None:
    made = api.create(widget("a"))
    patch = {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 99, "deletionTimestamp": "2001-01-01T00:00:00Z"}}
    assert api.patch(widgets, NAMESPACE, "a", patch) == made


def test_list_selects_and_orders(api: Api) -> None:
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "another"}})
    for name, labels in (("b", {"x": "1"}), ("a", {"x": "1", "y": "2"}), ("c", {})):
        api.create(configmap(name, labels=labels))
    api.create({**configmap("z"), "metadata": {"name": "z", "namespace": "another", "labels": {"x": "1"}}})

    def names(*args: Any, **more: Any) -> list[str]:
        return [obj["metadata"]["name"] for obj in api.list("ConfigMap", *args, **more)]

    assert names() == ["z", "a", "b", "c"]
    assert names(NAMESPACE) == ["a", "b", "c"]
    assert names(NAMESPACE, {"x": "1"}) == ["a", "b"]
    assert names(labels={"x": "1"}) == ["z", "a", "b"]
    assert names(NAMESPACE, selector="x,!y") == ["b"]


def test_returned_objects_are_the_callers_own(api: Api) -> None:
    api.create(configmap("a", {"k": "v"}))
    for take in (lambda: api.get("ConfigMap", NAMESPACE, "a"), lambda: api.list("ConfigMap")[0]):
        take()["data"]["k"] = "changed"
    assert api.get("ConfigMap", NAMESPACE, "a")["data"]["k"] == "v"


def test_a_dry_run_tells_what_would_be(api: Api, widgets: Kind) -> None:
    before = api.store.revision
    made = api.create(widget("a"), dry_run=True)
    assert made["spec"]["color"] == "red" and made["metadata"]["uid"]
    assert "resourceVersion" not in made["metadata"]
    assert api.find(widgets, NAMESPACE, "a") is None
    real = api.create(widget("a"))
    patched = api.patch(widgets, NAMESPACE, "a", {"spec": {"size": 7}}, options=Options(dry_run=True))
    assert patched["spec"]["size"] == 7
    assert patched["metadata"]["resourceVersion"] == real["metadata"]["resourceVersion"]
    assert api.delete(widgets, NAMESPACE, "a", dry_run=True) is None
    assert api.get(widgets, NAMESPACE, "a") == real
    assert api.store.revision == before + 1


def test_subscribers_hear_of_every_change(api: Api) -> None:
    seen: list[tuple[str, str, str]] = []
    stop = api.subscribe(lambda event, kind, obj: seen.append((event, kind, obj["metadata"]["name"])))
    api.create(configmap("a"))
    api.patch("ConfigMap", NAMESPACE, "a", {"data": {"k": "v"}})
    api.delete("ConfigMap", NAMESPACE, "a")
    assert seen == [("ADDED", "ConfigMap", "a"), ("MODIFIED", "ConfigMap", "a"), ("DELETED", "ConfigMap", "a")]
    stop()
    api.create(configmap("b"))
    assert len(seen) == 3


def test_admission_hooks_change_and_refuse(api: Api, widgets: Kind) -> None:
    calls: list[tuple[str, str]] = []

    def hook(operation: str, kind: str, new: Object | None, old: Object | None) -> None:
        if kind != "Widget":
            return
        calls.append((operation, (new or old or {})["metadata"]["name"]))
        if operation == "CREATE" and new:
            assert old is None
            new["metadata"].setdefault("annotations", {})["hooked"] = "yes"
        if operation == "DELETE":
            raise ApiError(403, "Forbidden", "it stays")

    api.admission.append(hook)
    assert api.create(widget("a"))["metadata"]["annotations"] == {"hooked": "yes"}
    api.patch(widgets, NAMESPACE, "a", {"spec": {"size": 2}})
    api.patch(widgets, NAMESPACE, "a", {"status": {"x": 1}}, subresource="status")  # webhooks do not see status
    refusal(403, lambda: api.delete(widgets, NAMESPACE, "a"))
    assert api.find(widgets, NAMESPACE, "a")
    assert calls == [("CREATE", "a"), ("UPDATE", "a"), ("DELETE", "a")]


def test_events_are_counted(api: Api) -> None:
    about = api.create(configmap("a"))
    for _unused in range(3):
        api.record_event(about, "Warning", "ProvisioningFailed", "the disk is full", "local.vmshift.io")
    api.record_event(about, "Warning", "ProvisioningFailed", "something else", "local.vmshift.io")
    told = sorted(api.list("Event", NAMESPACE), key=lambda event: -event["count"])
    assert [(event["count"], event["message"]) for event in told] == [(3, "the disk is full"), (1, "something else")]
    assert told[0]["involvedObject"]["uid"] == about["metadata"]["uid"]
    assert told[0]["source"] == {"component": "local.vmshift.io"}
    api.create(configmap("held", finalizers=["x.example/hold"]))
    api.delete("Namespace", None, NAMESPACE)
    api.record_event(about, "Normal", "Late", "nobody hears this", "x")  # an ending namespace takes none: no error


def test_old_events_are_forgotten(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    about = api.create(configmap("a"))
    api.record_event(about, "Normal", "Old", "long ago", "x")
    api.record_event(about, "Normal", "New", "just now", "x")
    old = next(event for event in api.list("Event", NAMESPACE) if event["reason"] == "Old")
    api.update({**old, "lastTimestamp": "2001-01-01T00:00:00Z"})
    monkeypatch.setattr(events, "_SWEEP_EVERY", timedelta(0))
    api.record_event(about, "Normal", "Newest", "now", "x")
    assert {event["reason"] for event in api.list("Event", NAMESPACE)} == {"New", "Newest"}


def test_secrets_are_encoded(api: Api) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": NAMESPACE}}
    made = api.create({**secret, "data": {"a": "YQ=="}, "stringData": {"k": "v"}})
    assert made["data"] == {"a": "YQ==", "k": "dg=="}
    assert made["type"] == "Opaque" and "stringData" not in made
    refusal(400, lambda: api.patch("Secret", NAMESPACE, "s", {"data": {"a": "%"}}))
    refusal(422, lambda: api.patch("Secret", NAMESPACE, "s", {"type": "other"}))


def test_keys_of_data_are_file_names(api: Api) -> None:
    for key in ("a b", "", "..", ".", "../x", "x" * 254):
        assert refusal(422, lambda key=key: api.create(configmap("a", {key: "v"}))).details["causes"][0]["field"] == f"data[{key}]"  # type: ignore[misc]
    api.create(configmap("a", {".dockerconfigjson": "v", "A_b-c.0": "v"}))


def test_immutable_objects_stay(api: Api) -> None:
    api.create({**configmap("a", {"k": "v"}), "immutable": True})
    refusal(422, lambda: api.patch("ConfigMap", NAMESPACE, "a", {"data": {"k": "w"}}))
    refusal(422, lambda: api.patch("ConfigMap", NAMESPACE, "a", {"immutable": None}))
    assert api.patch("ConfigMap", NAMESPACE, "a", {"metadata": {"labels": {"x": "y"}}})["metadata"]["labels"] == {"x": "y"}
    api.delete("ConfigMap", NAMESPACE, "a")


def test_some_namespaces_stay(api: Api) -> None:
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}})
    assert refusal(403, lambda: api.delete("Namespace", None, "kube-system")).message.endswith("this namespace may not be deleted")
    assert api.get("Namespace", None, "kube-system")["status"]["phase"] == "Active"


def test_namespaces_begin_active_and_labelled(api: Api) -> None:
    made = api.get("Namespace", None, NAMESPACE)
    assert made["status"]["phase"] == "Active"
    assert made["metadata"]["labels"]["kubernetes.io/metadata.name"] == NAMESPACE
    assert made["spec"]["finalizers"] == ["kubernetes"]
