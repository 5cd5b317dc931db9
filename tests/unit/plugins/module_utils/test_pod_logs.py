"""Which pod explains why a VM failed."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.plugins.module_utils.pod_logs import last_words, pod_that_explains


def pod(name, app, phase, created):
    return {"metadata": {"name": name, "labels": {"forklift.app": app}, "creationTimestamp": created}, "status": {"phase": phase}}


def test_the_failed_pod_speaks_then_the_newest_never_the_consumer():
    pods = [pod("a", "virt-v2v", "Failed", "1"), pod("b", "virt-v2v", "Running", "2"), pod("c", "consumer", "Failed", "3")]
    assert pod_that_explains(pods)["metadata"]["name"] == "a"
    assert pod_that_explains(pods[1:])["metadata"]["name"] == "b"
    assert pod_that_explains(pods[2:]) is None


def test_the_pod_of_a_hook_is_found_through_its_newest_job(plane, there):
    """It carries the name of the Job only; the labels of VM and plan are on the Job."""
    plane.provider("host", "openshift")
    host = {"name": "host", "namespace": "mig"}
    plan = {
        "metadata": {"name": "p", "namespace": "mig", "uid": "u"},
        "spec": {"targetNamespace": "prod", "provider": {"destination": host}},
    }
    row = {"id": "vm-1", "error": {"step": "PreHook"}}
    assert last_words(there, plan, row, 5) == ["There is no pod of this VM in namespace mig (any more)."]
    spec = {"restartPolicy": "Never", "containers": [{"name": "hook", "image": "i"}]}
    meta = {"name": "j", "namespace": "mig", "labels": {"plan": "u", "vmID": "vm-1", "resource": "hook-config"}}
    plane.do("create", {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": {"spec": spec}}})
    meta = {"name": "j-1", "namespace": "mig", "labels": {"job-name": "j"}}
    plane.do("create", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    assert 'in pod "j-1" is waiting to start' in last_words(there, plan, row, 5)[0]


def test_the_pod_of_an_inspection_is_beside_the_plan_also_where_the_destination_is_another_cluster(plane, there):
    plane.provider("far", "openshift", url="https://far.example:6443")
    plan = {
        "metadata": {"name": "p", "namespace": "mig", "uid": "u"},
        "spec": {"targetNamespace": "prod", "provider": {"destination": {"name": "far", "namespace": "mig"}}},
    }
    row = {"id": "vm-1", "error": {"step": "PreflightInspection"}}
    elsewhere = ["Its pods run on the cluster of provider far, namespace prod: look at their logs there."]
    assert last_words(there, plan, row, 5) == elsewhere
    spec = {"restartPolicy": "Never", "containers": [{"name": "deep-inspection", "image": "i"}]}
    meta = {"name": "i-1", "namespace": "mig", "labels": {"plan": "u", "vmID": "vm-1", "forklift.app": "deep-inspection"}}
    plane.do("create", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    assert 'in pod "i-1" is waiting to start' in last_words(there, plan, row, 5)[0]
    assert last_words(there, plan, {**row, "error": {"step": "DiskTransfer"}}, 5) == elsewhere
