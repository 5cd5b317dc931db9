"""Kinds of Kubernetes, CDI and KubeVirt: what they default, refuse and print."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.structural import apply_defaults, prune, validate
from ansible_collections.vmshift.mtv.controlplane.apiserver.tables import table

REGISTRY = Registry()


def admitted(name, **fields):
    """(unknown fields, causes, the object after defaulting)."""
    schema = REGISTRY.named(name).schema
    obj = {"metadata": {"name": "x"}, **copy.deepcopy(fields)}
    unknown = prune(schema, obj)
    apply_defaults(schema, obj)
    return unknown, [f"{cause.field}: {cause.message}" for cause in validate(schema, obj)], obj


def printed(name, obj):
    """The row that `kubectl get` shows, as {column: cell}."""
    document = table(REGISTRY.named(name), [{"metadata": {"name": "x"}, **obj}], {})
    return dict(zip((column["name"] for column in document["columnDefinitions"]), document["rows"][0]["cells"], strict=True))


CONTAINER = {"name": "c", "image": "x"}


def test_secrets_are_opaque_and_hold_texts():
    assert admitted("Secret", data={"a": "Yg=="})[2]["type"] == "Opaque"
    assert admitted("Secret", data={"a": 1})[1] == ['data.a: Invalid value: "integer": data.a in body must be of type string: "integer"']


def test_a_pod_gets_what_the_cluster_fills_in():
    spec = admitted("Pod", spec={"containers": [CONTAINER]})[2]["spec"]
    assert (spec["restartPolicy"], spec["dnsPolicy"], spec["terminationGracePeriodSeconds"]) == ("Always", "ClusterFirst", 30)
    assert spec["containers"][0]["terminationMessagePath"] == "/dev/termination-log"


def test_pods_keep_fields_that_are_not_described():
    spec = {"containers": [{**CONTAINER, "securityContext": {"runAsUser": 107}, "lifecycle": {"a": 1}}], "hostUsers": False}
    unknown, causes, obj = admitted("Pod", spec=spec)
    assert (unknown, causes) == ([], [])
    assert obj["spec"]["hostUsers"] is False
    assert obj["spec"]["containers"][0]["lifecycle"] == {"a": 1}


def test_pods_need_containers_with_names_and_volumes_with_names():
    assert admitted("Pod", spec={})[1] == ["spec.containers: Required value"]
    assert admitted("Pod", spec={"containers": [{}], "volumes": [{"emptyDir": {}}]})[1] == [
        "spec.containers[0].name: Required value",
        "spec.volumes[0].name: Required value",
    ]


def test_file_modes_of_pod_volumes_default_but_not_those_inside_conversions():
    volumes = [{"name": "v", "secret": {"secretName": "s"}}]
    assert admitted("Pod", spec={"containers": [CONTAINER], "volumes": volumes})[2]["spec"]["volumes"][0]["secret"]["defaultMode"] == 420
    assert "defaultMode" not in admitted("Conversion", spec={"extraVolumes": volumes})[2]["spec"]["extraVolumes"][0]["secret"]


def test_a_claim_needs_access_modes_and_a_size():
    assert admitted("PersistentVolumeClaim", spec={})[1] == ["spec.accessModes: Required value", "spec.resources: Required value"]
    wrong = {"accessModes": ["RWX"], "resources": {"requests": {"storage": "big"}}}
    told = admitted("PersistentVolumeClaim", spec=wrong)[1]
    modes = '"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"'
    assert told[0] == f'spec.accessModes[0]: Unsupported value: "RWX": supported values: {modes}'
    assert told[1].startswith('spec.resources.requests.storage: Invalid value: "big": ')


@pytest.mark.parametrize("size", ["1Gi", "0", "1e3", "500m", 1073741824, "1.5Ti"])
def test_a_claim_is_a_filesystem_of_a_size(size):
    _unused, causes, obj = admitted(
        "PersistentVolumeClaim", spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    )
    assert causes == []
    assert obj["spec"]["volumeMode"] == "Filesystem"


def test_jobs_try_seven_times():
    spec = admitted("Job", spec={"template": {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}})[2]["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"], spec["suspend"]) == (6, 1, 1, False)


def test_a_storage_class_deletes_and_binds_at_once_unless_told_otherwise():
    obj = admitted("StorageClass", provisioner="p", volumeBindingMode="WaitForFirstConsumer")[2]
    assert (obj["reclaimPolicy"], obj["volumeBindingMode"]) == ("Delete", "WaitForFirstConsumer")
    assert admitted("StorageClass")[1] == ["provisioner: Required value"]


def test_definitions_keep_the_schemas_inside_them():
    inner = {"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    names = {"plural": "widgets", "kind": "Widget"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": inner}, "subresources": {"status": {}}}
    spec = {"group": "g.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    assert admitted("CustomResourceDefinition", spec=spec) == ([], [], {"metadata": {"name": "x"}, "spec": spec})


def test_a_virtual_machine_keeps_its_domain_and_knows_the_fields_around_it():
    domain = {"cpu": {"cores": 2}, "devices": {"disks": [{"name": "d"}]}}
    spec = {"runStrategy": "Halted", "junk": 1, "template": {"metadata": {"creationTimestamp": None}, "spec": {"domain": domain}}}
    unknown, causes, obj = admitted("VirtualMachine", spec=spec)
    assert (unknown, causes) == (["spec.junk"], [])
    assert obj["spec"]["template"] == spec["template"]
    assert admitted("VirtualMachine", spec={"runStrategy": "Sometimes"})[1] == [
        "spec.template: Required value",
        'spec.runStrategy: Unsupported value: "Sometimes": supported values: "Always", "Halted", "Manual", "RerunOnFailure", "Once", '
        '"WaitAsReceiver"',
    ]


def test_data_volumes_know_their_sources():
    assert admitted("DataVolume", spec={"source": {"http": {}}, "storage": {}})[1] == ["spec.source.http.url: Required value"]
    assert admitted("DataVolume", spec={"source": {"blank": {"x": 1}}})[0] == ["spec.source.blank.x"]


# What is printed


def status(**fields):
    return {"spec": {"containers": [CONTAINER]}, "status": fields}


@pytest.mark.parametrize(
    ("pod", "word"),
    [
        (status(phase="Pending"), "Pending"),
        (status(phase="Failed", reason="Evicted"), "Evicted"),
        (status(phase="Pending", containerStatuses=[{"state": {"waiting": {"reason": "ErrImagePull"}}}]), "ErrImagePull"),
        (status(phase="Failed", containerStatuses=[{"state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]), "Error"),
        (status(phase="Failed", containerStatuses=[{"state": {"terminated": {"exitCode": 3}}}]), "ExitCode:3"),
        (status(phase="Failed", containerStatuses=[{"state": {"terminated": {"exitCode": 137, "signal": 9}}}]), "Signal:9"),
        (status(phase="Succeeded", containerStatuses=[{"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]), "Completed"),
        (status(phase="Pending", initContainerStatuses=[{"state": {"running": {}}}]), "Init:0/1"),
        (status(phase="Pending", initContainerStatuses=[{"state": {"terminated": {"exitCode": 2, "reason": "Error"}}}]), "Init:Error"),
        (status(phase="Running", initContainerStatuses=[{"state": {"terminated": {"exitCode": 0}}}]), "Running"),
        ({**status(phase="Running"), "metadata": {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z"}}, "Terminating"),
    ],
)
def test_the_status_of_a_pod_says_why_it_does_not_run(pod, word):
    assert printed("Pod", pod)["Status"] == word


def test_a_pod_counts_ready_containers_and_restarts():
    running = {"ready": True, "restartCount": 2, "state": {"running": {}}}
    row = printed("Pod", {"spec": {"containers": [CONTAINER, CONTAINER], "nodeName": "n"}, "status": {"containerStatuses": [running]}})
    assert (row["Name"], row["Ready"], row["Restarts"], row["Node"], row["IP"]) == ("x", "1/2", "2", "n", "<none>")


def test_a_claim_shows_what_it_is_bound_to():
    bound = {
        "spec": {"volumeName": "pv", "storageClassName": "fast"},
        "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": "1Gi"}},
    }
    row = printed("PersistentVolumeClaim", bound)
    assert [row[c] for c in ("Status", "Volume", "Capacity", "Access Modes", "StorageClass")] == ["Bound", "pv", "1Gi", "RWO,ROX", "fast"]


def test_a_volume_shows_its_claim():
    row = printed("PersistentVolume", {"spec": {"claimRef": {"namespace": "n", "name": "c"}, "persistentVolumeReclaimPolicy": "Delete"}})
    assert (row["Claim"], row["Reclaim Policy"]) == ("n/c", "Delete")
    assert printed("PersistentVolume", {})["Claim"] == ""


def test_a_job_shows_how_far_it_is():
    ended = {
        "spec": {"completions": 1},
        "status": {
            "succeeded": 1,
            "startTime": "2026-01-01T00:00:00Z",
            "completionTime": "2026-01-01T00:01:30Z",
            "conditions": [{"type": "Complete", "status": "True"}],
        },
    }
    row = printed("Job", ended)
    assert (row["Status"], row["Completions"], row["Duration"]) == ("Complete", "1/1", "90s")
    assert printed("Job", {})["Status"] == "Running"


def test_an_event_names_its_object():
    row = printed("Event", {"type": "Warning", "reason": "R", "message": "m\n", "involvedObject": {"kind": "Plan", "name": "p"}})
    assert (row["Type"], row["Reason"], row["Object"], row["Message"]) == ("Warning", "R", "plan/p", "m")


def test_a_service_shows_its_ports():
    row = printed("Service", {"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53}]}})
    assert row["Port(s)"] == "80:30080/TCP,53/TCP"


def test_a_node_is_ready_by_its_condition():
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert printed("Node", ready)["Status"] == "Ready"
    assert printed("Node", {**ready, "spec": {"unschedulable": True}})["Status"] == "Ready,SchedulingDisabled"
    assert printed("Node", {})["Status"] == "Unknown"


def test_secrets_and_config_maps_count_their_keys():
    assert printed("Secret", {"type": "Opaque", "data": {"a": "", "b": ""}})["Data"] == 2
    assert printed("ConfigMap", {"data": {"a": ""}, "binaryData": {"b": ""}})["Data"] == 2


@pytest.mark.parametrize("kind", [kind for kind in REGISTRY.all() if not kind.virtual], ids=lambda kind: kind.kind)
def test_every_kind_prints_an_object_that_has_nothing_yet(kind):
    assert printed(kind.kind, {"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}})["Name"] == "x"
