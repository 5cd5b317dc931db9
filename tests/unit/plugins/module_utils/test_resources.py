from __future__ import annotations

import base64
import threading

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import connection, resources
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import ClusterError, connect
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import (
    HIDDEN,
    HIDDEN_CHANGED,
    KINDS,
    add_owner,
    difference,
    ensure_absent,
    ensure_present,
    get,
    list_objects,
    merged,
    owned,
    path_of,
    without_nulls,
)


def test_paths():
    assert path_of("Plan") == "/apis/forklift.konveyor.io/v1beta1/plans"
    assert path_of("Plan", "mig", "a") == "/apis/forklift.konveyor.io/v1beta1/namespaces/mig/plans/a"
    assert path_of("Pod", "mig", "a", "log") == "/api/v1/namespaces/mig/pods/a/log"
    assert path_of("StorageClass", "ignored", "fast") == "/apis/storage.k8s.io/v1/storageclasses/fast"


@pytest.mark.parametrize(
    ("current", "desired", "patch"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({}, {"a": False}, {"a": False}),
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({}, {"a": None}, {}),
        ({}, {"a": {"b": None}}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": {}}, {}),
        ({}, {"a": {}}, {"a": {}}),
        ({"a": [1, 2]}, {"a": [1, 2]}, {}),
        ({"a": [1, 2]}, {"a": [2]}, {"a": [2]}),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}]}, {"a": [{"x": 1}]}),
        ({"a": [{"x": 1}]}, {"a": [{"x": 1, "y": None}]}, {}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
    ],
)
def test_difference_is_the_smallest_patch_that_gets_there(current, desired, patch):
    assert difference(current, desired) == patch
    assert difference(merged(current, patch), desired) == {}


def test_owned_is_cut_to_what_is_desired():
    actual = {"spec": {"a": 1, "b": 2, "list": [{"x": 1, "y": 2}]}, "status": {"c": 3}}
    assert owned(actual, {"spec": {"a": 9, "list": [], "gone": None}}) == {"spec": {"a": 1, "list": [{"x": 1, "y": 2}]}}


def test_without_nulls_at_any_depth():
    assert without_nulls({"a": None, "b": [{"c": None, "d": False}]}) == {"b": [{"d": False}]}


def plan(**spec):
    reference = {"name": "x", "namespace": "mig"}
    needed = {
        "provider": {"source": reference, "destination": reference},
        "map": {"network": reference, "storage": reference},
        "targetNamespace": "t",
        "vms": [{"id": "vm-1"}],
    }
    return {"kind": "Plan", "metadata": {"name": "one", "namespace": "mig"}, "spec": {**needed, **spec}}


def test_create_and_again(there):
    first = ensure_present(there, plan())
    assert (first.changed, first.method, first.before) == (True, "create", {})
    assert first.after["spec"]["targetNamespace"] == "t"
    second = ensure_present(there, plan())
    assert (second.changed, second.method) == (False, "")
    assert second.before == second.after
    assert second.object["metadata"]["resourceVersion"] == first.object["metadata"]["resourceVersion"]


def test_false_is_sent_where_the_server_would_say_true(there):
    ensure_present(there, plan(preserveStaticIPs=False))
    assert get(there, "Plan", "mig", "one")["spec"]["preserveStaticIPs"] is False
    result = ensure_present(there, plan(migrateSharedDisks=False))
    assert result.changed
    assert (result.before["spec"]["migrateSharedDisks"], result.after["spec"]["migrateSharedDisks"]) == (True, False)
    assert get(there, "Plan", "mig", "one")["spec"]["preserveStaticIPs"] is False


def test_given_default_is_no_change(there):
    ensure_present(there, plan())
    assert not ensure_present(there, plan(preserveStaticIPs=True)).changed


def test_null_removes_a_field_once(there):
    ensure_present(there, plan(description="text"))
    result = ensure_present(there, plan(description=None))
    assert result.changed
    assert "description" not in result.after["spec"]
    assert "description" not in get(there, "Plan", "mig", "one")["spec"]
    assert not ensure_present(there, plan(description=None)).changed


def test_lists_are_replaced_as_a_whole(there):
    ensure_present(there, plan(vms=[{"id": "vm-1", "targetName": "a"}, {"id": "vm-2"}]))
    result = ensure_present(there, plan(vms=[{"id": "vm-1"}]))
    assert result.changed
    assert [vm["id"] for vm in get(there, "Plan", "mig", "one")["spec"]["vms"]] == ["vm-1"]
    assert "targetName" not in get(there, "Plan", "mig", "one")["spec"]["vms"][0]
    assert not ensure_present(there, plan(vms=[{"id": "vm-1"}])).changed


def test_what_was_read_before_and_has_changed_since_is_read_again(there):
    known = get(there, "Plan", "mig", "one")
    ensure_present(there, plan(description="somebody was faster"))
    assert known is None
    result = ensure_present(there, plan(description="text"), current=known)
    assert (result.before["spec"]["description"], result.after["spec"]["description"]) == ("somebody was faster", "text")

    known = get(there, "Plan", "mig", "one")
    ensure_absent(there, "Plan", "mig", "one")
    assert ensure_present(there, plan(description="other"), current=known).method == "create"


def test_defaults_inside_list_items_are_no_change(there, plane):
    definition = {
        "spec": {
            "group": "k8s.cni.cncf.io",
            "names": {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "properties": {
                                        "rows": {
                                            "type": "array",
                                            "items": {
                                                "type": "object",
                                                "properties": {"a": {"type": "string"}, "b": {"type": "boolean", "default": True}},
                                            },
                                        }
                                    },
                                }
                            },
                        }
                    },
                }
            ],
        }
    }
    plane.make("CustomResourceDefinition", "widgets.k8s.cni.cncf.io", "", "apiextensions.k8s.io/v1", **definition)
    KINDS["Widget"] = KINDS["Plan"]._replace(api_version="k8s.cni.cncf.io/v1", plural="widgets")
    widget = {"kind": "Widget", "metadata": {"name": "w", "namespace": "mig"}, "spec": {"rows": [{"a": "x"}]}}
    try:
        created = ensure_present(there, widget)
        assert created.object["spec"]["rows"] == [{"a": "x", "b": True}]
        for check_mode in (True, False):
            again = ensure_present(there, widget, check_mode=check_mode)
            assert not again.changed
            assert again.before == again.after
        widget["spec"]["rows"][0]["b"] = False
        assert ensure_present(there, widget).changed
    finally:
        del KINDS["Widget"]


def test_labels_and_annotations_of_others_stay(there, plane):
    ensure_present(there, {**plan(), "metadata": {"name": "one", "namespace": "mig", "labels": {"a": "1"}}})
    plane.do("patch", "Plan", "mig", "one", {"metadata": {"labels": {"other": "x"}, "annotations": {"o": "x"}}})
    wanted = {**plan(), "metadata": {"name": "one", "namespace": "mig", "labels": {"a": "2", "b": None}, "annotations": {"n": "1"}}}
    result = ensure_present(there, wanted)
    assert result.before["metadata"]["labels"] == {"a": "1"}
    assert result.after["metadata"] == {"name": "one", "namespace": "mig", "labels": {"a": "2"}, "annotations": {"n": "1"}}
    assert result.object["metadata"]["labels"] == {"a": "2", "other": "x"}
    assert not ensure_present(there, wanted).changed


def test_status_is_never_a_change(there, plane):
    ensure_present(there, plan())
    plane.do("update_status", {**plane.do("get", "Plan", "mig", "one"), "status": {"observedGeneration": 1}})
    assert not ensure_present(there, {**plan(), "status": {"observedGeneration": 9}}).changed


def test_check_mode_predicts_and_writes_nothing(there):
    predicted = ensure_present(there, plan(), check_mode=True)
    assert (predicted.changed, predicted.method) == (True, "create")
    assert predicted.object["spec"]["preserveStaticIPs"] is True  # the server was asked: it has filled in its default
    assert get(there, "Plan", "mig", "one") is None
    ensure_present(there, plan())
    predicted = ensure_present(there, plan(targetNamespace="other"), check_mode=True)
    assert (predicted.before["spec"]["targetNamespace"], predicted.after["spec"]["targetNamespace"]) == ("t", "other")
    assert get(there, "Plan", "mig", "one")["spec"]["targetNamespace"] == "t"
    assert not ensure_present(there, plan(), check_mode=True).changed
    assert ensure_absent(there, "Plan", "mig", "one", check_mode=True).changed
    assert get(there, "Plan", "mig", "one")


def test_check_mode_hears_what_the_server_has_against_it(there):
    with pytest.raises(ClusterError, match="targetPowerState"):
        ensure_present(there, plan(targetPowerState="sideways"), check_mode=True)
    assert ensure_present(there, plan(targetPowerState="sideways"), check_mode=True, ask_server=False).changed


def test_check_mode_in_a_namespace_that_is_still_to_be_made(there):
    desired = plan()
    desired["metadata"]["namespace"] = "later"
    assert ensure_present(there, desired, check_mode=True).changed
    assert 'namespaces "later" not found' in there.warnings[0]
    with pytest.raises(ClusterError, match="later"):
        ensure_present(there, desired)


def secret(**data):
    return {"kind": "Secret", "metadata": {"name": "s", "namespace": "mig"}, "stringData": data}


def test_secret_data_is_compared_but_never_shown(there):
    created = ensure_present(there, secret(user="amy", password="hush"))
    assert created.after["data"] == {"user": HIDDEN, "password": HIDDEN}
    assert not ensure_present(there, secret(user="amy", password="hush")).changed
    rotated = ensure_present(there, secret(user="amy", password="hush2", token="new"))
    assert rotated.diff["before"]["data"] == {"user": HIDDEN, "password": HIDDEN}
    assert rotated.diff["after"]["data"] == {"user": HIDDEN, "password": HIDDEN_CHANGED, "token": HIDDEN}
    assert base64.b64decode(get(there, "Secret", "mig", "s")["data"]["password"]) == b"hush2"
    removed = ensure_present(there, secret(token=None))
    assert removed.changed
    assert sorted(get(there, "Secret", "mig", "s")["data"]) == ["password", "user"]
    shown = repr([created.diff, rotated.diff, removed.diff, ensure_absent(there, "Secret", "mig", "s").diff])
    for value in (b"hush", b"hush2", b"amy"):
        assert value.decode() not in shown
        assert base64.b64encode(value).decode() not in shown


def test_several_at_once_end_with_one_object(plane):
    results = []

    def make(number):
        results.append(ensure_present(connect({"kubeconfig": plane.kubeconfig}), plan(description=str(number))))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 6
    assert sum(r.method == "create" for r in results) == 1


def test_create_race_reads_again(kube, cluster):
    """The object appears between reading and creating: the answer AlreadyExists is no error."""
    exists = {"kind": "Namespace", "metadata": {"name": "a", "labels": {"x": "1"}}}

    def answer(request, handler):
        if request.method == "POST":
            kube.send(handler, 409, {"kind": "Status", "reason": "AlreadyExists", "message": "exists"})
        elif sum(r.method == "GET" for r in kube.requests) == 1:
            kube.send(handler, 404, {"kind": "Status", "reason": "NotFound", "message": 'namespaces "a" not found'})
        else:
            kube.send(handler, 200, exists)

    kube.answer = answer
    result = ensure_present(cluster, {"kind": "Namespace", "metadata": {"name": "a", "labels": {"x": "1"}}})
    assert not result.changed


def test_conflict_is_tried_again(kube, cluster):
    current = {"kind": "Namespace", "metadata": {"name": "a"}}

    def answer(request, handler):
        if request.method == "GET":
            kube.send(handler, 200, current)
        elif sum(r.method == "PATCH" for r in kube.requests) == 1:
            kube.send(handler, 409, {"kind": "Status", "reason": "Conflict", "message": "modified"})
        else:
            kube.send(handler, 200, {"kind": "Namespace", "metadata": {"name": "a", "labels": {"x": "1"}}})

    kube.answer = answer
    assert ensure_present(cluster, {"kind": "Namespace", "metadata": {"name": "a", "labels": {"x": "1"}}}).changed


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr(resources.time, "sleep", lambda seconds: None)


@pytest.mark.parametrize("acted", [True, False])
@pytest.mark.parametrize("answer", ["lost", 500, 504])
def test_a_creation_without_a_clear_answer_is_looked_for(there, monkeypatch, no_pauses, acted, answer):
    """It was this task that made it, however the answer was lost; and it is made once."""
    sent, send = [], there._send

    def unsure(method, *rest):
        if method != "POST" or sent:
            return send(method, *rest)
        sent.append(method)
        if acted:
            send(method, *rest).drain_conn()
        raise ClusterError(0, "ConnectionLost", "gone") if answer == "lost" else ClusterError(answer, "", "timed out")

    monkeypatch.setattr(there, "_send", unsure)
    result = ensure_present(there, plan())
    assert (result.changed, result.method, result.before) == (True, "create", {})
    assert result.after["spec"]["targetNamespace"] == "t"
    assert get(there, "Plan", "mig", "one")["metadata"]["uid"] == result.object["metadata"]["uid"]
    assert not ensure_present(there, plan()).changed


def test_a_creation_that_never_gets_a_clear_answer_fails_with_the_last_one(there, monkeypatch, no_pauses):
    send = there._send

    def unsure(method, *rest):
        if method == "POST":
            raise ClusterError(500, "InternalError", "failed calling webhook: connection refused")
        return send(method, *rest)

    monkeypatch.setattr(there, "_send", unsure)
    with pytest.raises(ClusterError, match="failed calling webhook"):
        ensure_present(there, plan())


def test_another_object_of_the_name_is_not_deleted_by_repeating(there, plane, monkeypatch, no_pauses):
    """The answer to the deletion is lost, and somebody makes the object anew before it is asked for again."""
    ensure_present(there, plan())
    deletions, send = [], there._send

    def unsure(method, *rest):
        if method == "DELETE":
            deletions.append(rest[2]["preconditions"])
            if len(deletions) == 1:
                send(method, *rest).drain_conn()
                plane.do("create", {**plan(description="new"), "apiVersion": "forklift.konveyor.io/v1beta1"})
                raise ClusterError(0, "ConnectionLost", "gone")
        return send(method, *rest)

    monkeypatch.setattr(connection.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(there, "_send", unsure)
    result = ensure_absent(there, "Plan", "mig", "one")
    assert result.changed
    # The second one was refused; the new object was seen and deleted as what it is.
    assert result.before["spec"]["description"] == "new"
    assert len({wanted["uid"] for wanted in deletions}) == 2


def test_absent_and_again(there):
    ensure_present(there, plan())
    result = ensure_absent(there, "Plan", "mig", "one")
    assert (result.changed, result.after, result.method) == (True, {}, "delete")
    assert result.before["spec"]["targetNamespace"] == "t"
    assert "status" not in result.before
    assert not ensure_absent(there, "Plan", "mig", "one").changed


def test_object_that_is_being_deleted(there, plane):
    ensure_present(there, {**plan(), "metadata": {"name": "one", "namespace": "mig", "finalizers": ["a/b"]}})
    assert ensure_absent(there, "Plan", "mig", "one").changed
    assert not ensure_absent(there, "Plan", "mig", "one").changed
    with pytest.raises(ClusterError, match="Plan mig/one is being deleted"):
        ensure_present(there, plan())


def test_owner_is_added_beside_others(there):
    owner = ensure_present(there, plan()).object
    held = ensure_present(there, {"kind": "ConfigMap", "metadata": {"name": "c", "namespace": "mig"}}).object
    held = add_owner(there, held, owner)
    assert [o["uid"] for o in held["metadata"]["ownerReferences"]] == [owner["metadata"]["uid"]]
    assert add_owner(there, held, owner)["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"]


def test_owner_is_added_also_when_the_object_changes_meanwhile(there, plane):
    owner = ensure_present(there, plan()).object
    held = ensure_present(there, {"kind": "ConfigMap", "metadata": {"name": "c", "namespace": "mig"}}).object
    plane.do("patch", "ConfigMap", "mig", "c", {"data": {"a": "b"}})
    assert [o["uid"] for o in add_owner(there, held, owner)["metadata"]["ownerReferences"]] == [owner["metadata"]["uid"]]
    plane.do("delete", "ConfigMap", "mig", "c")
    with pytest.raises(ClusterError, match='configmaps "c" not found'):
        add_owner(there, held, owner)


def test_a_list_whose_pages_expire_is_read_anew(kube, cluster):
    def answer(request, handler):
        if request.query.get("continue"):
            kube.send(handler, 410, {"kind": "Status", "reason": "Expired", "message": "The provided continue parameter is too old"})
        elif request.query.get("limit"):
            kube.send(handler, 200, {"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]})
        else:
            kube.send(handler, 200, {"metadata": {}, "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]})

    kube.answer = answer
    assert [o["metadata"]["name"] for o in list_objects(cluster, "Secret", "mig")] == ["a", "b"]


def test_list_fills_in_kinds_and_follows_pages(there, kube, cluster):
    ensure_present(there, plan())
    (found,) = list_objects(there, "Plan", "mig", field_selector="metadata.name=one")
    assert (found["kind"], found["apiVersion"]) == ("Plan", "forklift.konveyor.io/v1beta1")
    assert list_objects(there, "Plan", label_selector="a=b") == []
    assert "managedFields" not in {**found["metadata"], **get(there, "Plan", "mig", "one")["metadata"]}

    def answer(request, handler):
        last = request.query.get("continue") == "more"
        item = {"metadata": {"name": "b" if last else "a"}}
        kube.send(handler, 200, {"metadata": {} if last else {"continue": "more"}, "items": [item]})

    kube.answer = answer
    assert [o["metadata"]["name"] for o in list_objects(cluster, "Secret", "mig")] == ["a", "b"]


def test_kind_the_cluster_does_not_serve(there):
    with pytest.raises(ClusterError, match="does not know the kind Route"):
        get(there, "Route", "mig", "x")
