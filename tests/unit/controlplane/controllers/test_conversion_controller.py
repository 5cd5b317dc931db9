"""Conversions and their pods."""

from __future__ import annotations

import asyncio
import json

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import images
from ansible_collections.vmshift.mtv.controlplane.controllers import conversion as controller
from ansible_collections.vmshift.mtv.controlplane.migration.conversions import pod
from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import FORKLIFT, PLANS, TARGET, World

INSPECTION = {"type": "DeepInspection", "vddkImage": "vddk:8", "disks": [], "settings": {"SNAPSHOT_MOREF": "snapshot-1"}}


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.create("v1", "Namespace", "", TARGET)
    world.create("v1", "Secret", TARGET, "connection", type="Opaque")
    return world


def convert(world, **changes):
    spec = {
        "type": "Remote",
        "vm": {"id": "1", "name": "app1"},
        "connection": {"secret": {"name": "connection", "namespace": TARGET}},
        "targetNamespace": TARGET,
        "disks": [{"name": "claim", "namespace": TARGET, "volumeMode": "Filesystem", "mountPath": "/mnt/disks/disk0"}],
        "settings": {"V2V_source": "ova", "V2V_vmName": "app1"},
        **changes,
    }
    return world.create(FORKLIFT, "Conversion", PLANS, "c", spec=spec)


def look(world):
    delay = asyncio.run(world.conversions.reconcile(PLANS, "c"))
    return delay, world.get("Conversion", "c").get("status", {})


def pods(world):
    return world.api.list("Pod", TARGET)


def set_phase(world, phase, **status):
    [found] = pods(world)
    world.api.update_status({**found, "status": {"phase": phase, **status}})


def story(world, end):
    """Phase, stage and message at each look, while the pod starts, runs and ends."""
    seen = [look(world)[1]]
    set_phase(world, "Running")
    seen.append(look(world)[1])
    set_phase(world, end)
    seen += [look(world)[1] for _unused in range(3)]
    return [(s["phase"], s["stage"], s["message"]) for s in seen]


def test_stages_of_a_conversion_that_succeeds(world):
    convert(world)
    assert story(world, "Succeeded") == [
        ("Running", "CreatingPod", "Creating the conversion pod."),
        ("Running", "PodRunning", "Conversion pod is running."),
        ("Running", "Finished", "Finalizing conversion."),
        ("Succeeded", "Finished", "The conversion has completed successfully."),
        ("Succeeded", "Finished", "The conversion has completed successfully."),
    ]
    assert set(world.conditions("Conversion", "c")) == {"Ready"}
    status = world.get("Conversion", "c")["status"]
    assert status["startTime"] <= status["completionTime"]
    assert status["pod"]["name"] == pods(world)[0]["metadata"]["name"]
    assert status["observedGeneration"] == 1


def test_a_conversion_whose_pod_fails(world):
    convert(world)
    assert story(world, "Failed")[-1] == ("Failed", "Finished", "The conversion has failed: conversion pod failed")
    assert world.conditions("Conversion", "c")["ConversionFailed"]["category"] == "Critical"


def test_while_it_runs_a_condition_of_type_advisory_tells_the_stage(world):
    convert(world)
    look(world)
    look(world)
    [found] = world.conditions("Conversion", "c").values()
    assert (found["type"], found["category"], found["message"]) == ("Advisory", "Advisory", "Creating the conversion pod.")


def test_one_pod_however_often_it_is_looked_at(world):
    convert(world)
    for _unused in range(3):
        look(world)
        world.restart()
    assert len(pods(world)) == 1


def test_a_pod_made_by_a_process_that_died_before_saying_so_is_found_again(world):
    made = convert(world)
    world.api.create(pod(made, Settings()))
    assert look(world)[1]["stage"] == "CreatingPod"
    assert len(pods(world)) == 1


def test_a_pod_that_does_not_start_fails_the_conversion_and_tells_why(world, monkeypatch):
    convert(world)
    look(world)
    waiting = {"name": "virt-v2v", "image": "x", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    set_phase(world, "Pending", containerStatuses=[{**waiting, "imageID": "", "ready": False, "restartCount": 0}])
    assert look(world)[1]["phase"] == "Running"
    monkeypatch.setattr(controller, "PENDING_TIMEOUT", -1.0)
    assert look(world)[1]["message"].endswith("minutes: no such image")
    assert look(world)[1]["phase"] == "Failed"


def test_a_pod_that_vanishes_fails_the_conversion(world):
    convert(world)
    look(world)
    world.api.delete_all("Pod", TARGET, {})
    assert look(world)[1]["message"] == "The conversion has failed: conversion pod not found"
    assert pods(world) == []


@pytest.mark.parametrize(
    ("changes", "type"),
    [
        ({"type": "Inspection"}, "TypeNotValid"),
        ({"type": "DeepInspection", "vddkImage": "vddk:8"}, "TypeNotValid"),  # without a snapshot
        ({"type": "DeepInspection", "settings": {"SNAPSHOT_MOREF": "snapshot-1"}}, "VDDKImageNotSet"),
        ({**INSPECTION, "diskEncryption": {"type": "LUKS", "secret": {"name": "gone", "namespace": TARGET}}}, "LUKSSecretNotSet"),
        ({"targetNamespace": ""}, "TargetNamespaceNotSet"),
        ({"vm": {}}, "VMNotSet"),
        ({"disks": []}, "DisksNotSet"),
        ({"connection": {"secret": {}}}, "ConnectionNotSet"),
        ({"connection": {"secret": {"name": "gone", "namespace": TARGET}}}, "ConnectionSecretNotSet"),
    ],
)
def test_what_is_wrong_with_a_conversion_is_said_and_no_pod_is_made(world, changes, type):
    convert(world, **changes)
    delay, status = look(world)
    assert set(world.conditions("Conversion", "c")) == {type}
    assert world.conditions("Conversion", "c")[type]["category"] == "Critical"
    assert "phase" not in status
    assert delay
    assert pods(world) == []


def test_a_secret_that_comes_late_is_no_obstacle(world):
    convert(world, connection={"secret": {"name": "late", "namespace": TARGET}})
    look(world)
    world.create("v1", "Secret", TARGET, "late", type="Opaque")
    assert look(world)[1]["stage"] == "CreatingPod"
    assert set(world.conditions("Conversion", "c")) == {"Advisory"}


def test_the_secret_is_needed_for_the_start_only(world):
    convert(world)
    look(world)
    world.api.delete("Secret", TARGET, "connection")
    set_phase(world, "Running")
    assert look(world)[1]["stage"] == "PodRunning"


def test_a_deleted_conversion_takes_its_pod_along_though_it_lives_elsewhere(world):
    convert(world)
    look(world)
    world.gone("Conversion", PLANS, "c")
    assert pods(world) == []


def test_pods_lead_to_their_conversion_also_when_that_is_gone(world):
    convert(world)
    look(world)
    [found] = pods(world)
    assert list(world.conversions.triggers()["Pod"](found)) == [(PLANS, "c")]
    world.api.delete("Conversion", PLANS, "c")
    [key] = world.conversions.triggers()["Pod"](found)
    asyncio.run(world.conversions.reconcile(*key))
    assert pods(world) == []
    assert list(world.conversions.triggers()["Pod"]({"metadata": {"name": "other"}})) == []


# Inspections


TOLD = {
    "passed": False,
    "all_concerns": [{"id": "a", "category": "Warning", "label": "A", "message": "a."}],
    "os_info": {"name": "linux", "distro": "debian", "major_version": "12", "architecture": "x86_64"},
    "filesystems": [{"device": "/dev/sda1", "type": "ext4", "uuid": "u"}, {"device": "/dev/sda2", "type": "swap", "uuid": ""}],
    "mountpoints": [{"device": "/dev/sda1", "mount_point": "/"}],
}


def leave(world, result):
    """As the program of the pod does at its end."""
    [found] = pods(world)
    folder = world.state.pod(found["metadata"]["uid"])
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(result))


def test_stages_and_results_of_an_inspection(world):
    convert(world, **INSPECTION)
    look(world)
    leave(world, {"inspection": TOLD})
    seen = story(world, "Succeeded")
    assert [stage for _phase, stage, _message in seen] == ["CreatingPod", "PodRunning", "FetchingResults", "Finished", "Finished"]
    assert seen[-1][0] == "Succeeded"
    status = world.get("Conversion", "c")["status"]
    assert status["snapshot"] == {"moref": "snapshot-1", "owned": False}
    assert status["inspectionResult"] == {
        "allChecksPassed": False,
        "concerns": TOLD["all_concerns"],
        "osInfo": {"name": "linux", "distro": "debian", "version": "12", "arch": "x86_64"},
        "filesystems": [{"device": "/dev/sda1", "type": "ext4", "uuid": "u"}, {"device": "/dev/sda2", "type": "swap"}],
        "mountpoints": [{"device": "/dev/sda1", "mountPoint": "/"}],
    }


@pytest.mark.parametrize(
    ("end", "result", "why"),
    [
        ("Failed", {"error": "the VM has no snapshot-1 (any more)"}, "the VM has no snapshot-1 (any more)"),
        ("Failed", None, "the inspection pod left no results"),
        ("Succeeded", None, "the inspection pod left no results"),
    ],
)
def test_an_inspection_that_fails_tells_why(world, end, result, why):
    convert(world, **INSPECTION)
    look(world)
    if result:
        leave(world, result)
    seen = story(world, end)
    look(world)
    assert look(world)[1]["message"] == f"The conversion has failed: {why}"
    assert seen[-1][0] == "Failed"


def test_the_pod_of_an_inspection(world):
    keys = {"type": "LUKS", "secret": {"name": "keys", "namespace": TARGET}}
    world.create("v1", "Secret", TARGET, "keys", type="Opaque")
    convert(world, **INSPECTION, diskEncryption=keys, podSettings={"serviceAccount": "mover"})
    look(world)
    [made] = pods(world)
    container = container_of(made)
    assert made["metadata"]["generateName"] == "c-deep-inspection-"
    assert made["metadata"]["labels"] == {"conversion": "c", "conversion-type": "DeepInspection", "forklift.app": "deep-inspection"}
    assert made["spec"]["serviceAccountName"] == "mover"
    assert made["spec"]["initContainers"][0]["image"] == "vddk:8"
    assert container["name"] == "deep-inspection"
    assert container["env"] == [{"name": "SNAPSHOT_MOREF", "value": "snapshot-1"}, {"name": "VM_MOREF", "value": "1"}]
    assert "envFrom" not in container  # credentials are in files only
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {"/etc/luks": "luks", "/opt": "vddk-vol-mount", "/etc/secret": "connection-secret"}
    secrets = {volume["name"]: volume["secret"]["secretName"] for volume in made["spec"]["volumes"] if "secret" in volume}
    assert secrets == {"luks": "keys", "connection-secret": "connection"}
    assert images.argv(container)[-1].endswith("datapath.inspection")


def test_inspections_with_clevis_and_of_old_file_systems(world):
    convert(world, **INSPECTION, diskEncryption={"type": "Clevis"}, xfsCompatibility=True)
    look(world)
    container = container_of(pods(world)[0])
    assert {"name": "V2V_NBDE_CLEVIS", "value": "true"} in container["env"]
    assert "xfs" in container["image"]
    assert images.argv(container)[-1].endswith("datapath.inspection")


# The pod itself


def conversion_of(**changes):
    spec = {
        "type": "Remote",
        "vm": {"id": "1"},
        "connection": {"secret": {"name": "connection", "namespace": TARGET}},
        "targetNamespace": TARGET,
        "disks": [],
        **changes,
    }
    return {"metadata": {"name": "c", "namespace": PLANS, "labels": {"plan": "p"}}, "spec": spec}


def container_of(made):
    return made["spec"]["containers"][0]


def test_block_and_filesystem_disks_are_mounted_in_their_own_way():
    made = pod(
        conversion_of(
            disks=[
                {"name": "a", "namespace": TARGET, "volumeMode": "Block", "devicePath": "/dev/block0"},
                {"name": "b", "namespace": TARGET, "volumeMode": "Filesystem", "mountPath": "/mnt/disks/disk1"},
            ]
        ),
        Settings(),
    )
    assert container_of(made)["volumeDevices"] == [{"name": "a", "devicePath": "/dev/block0"}]
    assert {"name": "b", "mountPath": "/mnt/disks/disk1"} in container_of(made)["volumeMounts"]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in made["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert claims == ["a", "b"]


def test_kvm_is_asked_for_unless_the_conversion_does_without():
    assert container_of(pod(conversion_of(), Settings()))["resources"]["limits"]["devices.kubevirt.io/kvm"] == "1"
    made = pod(conversion_of(podSettings={"requestKVM": False, "nodeSelector": {"disk": "fast"}}), Settings())
    assert "devices.kubevirt.io/kvm" not in container_of(made)["resources"]["limits"]
    assert made["spec"]["nodeSelector"] == {"disk": "fast"}


def test_pod_settings_reach_the_pod():
    made = pod(
        conversion_of(
            image="example.test/v2v:1",
            podSettings={
                "generateName": "p-1-",
                "serviceAccount": "mover",
                "affinity": {"nodeAffinity": {}},
                "transferNetworkAnnotations": {"k8s.v1.cni.cncf.io/networks": "[]"},
            },
        ),
        Settings(),
    )
    assert made["metadata"]["generateName"] == "p-1-"
    assert made["metadata"]["annotations"] == {"k8s.v1.cni.cncf.io/networks": "[]"}
    assert made["metadata"]["labels"] == {"plan": "p", "conversion": "c", "conversion-type": "Remote", "forklift.app": "virt-v2v"}
    assert made["spec"]["serviceAccountName"] == "mover"
    assert made["spec"]["affinity"] == {"nodeAffinity": {}}
    assert container_of(made)["image"] == "example.test/v2v:1"


def test_container_resources_are_those_of_the_controller():
    made = container_of(pod(conversion_of(), Settings(limits_cpu="2", requests_memory="2Gi")))
    assert made["resources"]["limits"]["cpu"] == "2"
    assert made["resources"]["requests"]["memory"] == "2Gi"
