"""The phase PreflightInspection: the Conversion it asks for, what it makes of its end, and what is left of it."""

from __future__ import annotations

from base64 import b64decode
from types import SimpleNamespace

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import cleanup
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import WARM, Traits
from ansible_collections.vmshift.mtv.controlplane.migration.phases import inspection
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError, VmRun
from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings
from ansible_collections.vmshift.mtv.controlplane.migration.sources import vsphere_access
from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Inspection
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import PLANS, TARGET, World

CONNECTION = {"user": "YWRtaW4=", "password": "Z2VoZWlt", "url": "aHR0cHM6Ly92Yy9zZGs="}
INSPECTED = Traits("vsphere", converts=True, virt_v2v_copies=False, warm=True, inspected=True)
WARNING = {"id": "multiple-os", "category": "Warning", "label": "Several", "message": "Several."}
CRITICAL = {"id": "not-enough-space", "category": "Critical", "label": "Full", "message": "Full."}


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.create("v1", "Namespace", "", TARGET)
    return world


def work_in(world, spec=None, **vm):
    """A VM whose first snapshot is there."""
    plan = {"metadata": {"uid": "plan", "namespace": PLANS, "name": "p"}, "spec": {"targetNamespace": TARGET, **(spec or {})}}
    nowhere = SimpleNamespace()  # nothing of the destination is asked
    run = SimpleNamespace(
        api=world.api,
        plan=plan,
        spec=plan["spec"],
        migration={"metadata": {"uid": "run"}},
        source=SimpleNamespace(
            inspection=lambda _work: Inspection(dict(CONNECTION), "vddk:8"), itinerary=lambda _plan: WARM, traits=lambda _work: INSPECTED
        ),
        target=SimpleNamespace(objects=nowhere, is_host=False),
        target_namespace=TARGET,
        settings=Settings(),
        resumes=False,
    )
    pipeline = [{"name": "PreflightInspection", "phase": "Running"}]
    begun = {"phase": "PreflightInspection", "pipeline": pipeline}
    status = {"id": "vm-1", "name": "app", **begun, "warm": {"precopies": [{"snapshot": "snapshot-1"}]}, **vm}
    return VmRun(run, status, {"id": "vm-1", "name": "app"})


def made(world):
    [found] = world.api.list("Conversion", PLANS)
    return found


def ends(world, phase, *concerns, **status):
    result = {"allChecksPassed": not concerns, "concerns": list(concerns)}
    world.api.update_status({**made(world), "status": {"phase": phase, "inspectionResult": result, **status}})


def test_the_conversion_that_is_asked_for(world):
    work = work_in(world)
    assert inspection.inspect(work) is inspection.inspect(work) is False
    found = made(world)
    assert found["metadata"]["generateName"] == "p-vm-1-"
    own = {"conversion-type": "DeepInspection", "forklift.app": "deep-inspection"}
    assert found["metadata"]["labels"] == {**work.labels, **own}
    [secret] = world.api.list("Secret", PLANS, work.labels)
    assert found["spec"] == {
        "type": "DeepInspection",
        "vm": {"id": "vm-1", "name": "app"},
        "connection": {"secret": {"name": secret["metadata"]["name"], "namespace": PLANS}},
        "targetNamespace": PLANS,
        "settings": {"SNAPSHOT_MOREF": "snapshot-1"},
        "vddkImage": "vddk:8",
        "xfsCompatibility": False,
    }
    assert secret["metadata"]["generateName"] == "p-vm-1-di-"
    assert secret["metadata"]["labels"] == {**work.labels, "isConnection": "true", "conversion-type": "DeepInspection"}
    assert secret["data"] == CONNECTION


def test_what_plan_and_vm_ask_for_reaches_it(world):
    world.create("v1", "Secret", PLANS, "mine", type="Opaque", data={"key": "YQ=="})
    work = work_in(world, {"xfsCompatibility": True, "serviceAccount": "mover"}, luks={"name": "mine"}, rootDisk="/dev/sdb1")
    inspection.inspect(work)
    spec = made(world)["spec"]
    [keys] = world.api.list("Secret", PLANS, {"isLUKS": "true"})
    assert keys["metadata"]["generateName"] == "p-vm-1-di-luks-"
    assert keys["data"] == {"key": "YQ=="}
    assert spec["diskEncryption"] == {"type": "LUKS", "secret": {"name": keys["metadata"]["name"], "namespace": PLANS}}
    assert spec["settings"]["V2V_RootDisk"] == "/dev/sdb1"
    assert spec["xfsCompatibility"] is True
    assert spec["podSettings"]["serviceAccount"] == "mover"


def test_clevis_goes_before_keys(world):
    inspection.inspect(work_in(world, nbdeClevis=True, luks={"name": "gone"}))
    assert made(world)["spec"]["diskEncryption"] == {"type": "Clevis"}


def test_keys_that_are_gone(world):
    with pytest.raises(PhaseError, match='Secret "gone" not found'):
        inspection.inspect(work_in(world, luks={"name": "gone"}))
    assert world.api.list("Conversion", PLANS) == []


def test_it_is_waited_for(world):
    work = work_in(world)
    inspection.inspect(work)
    ends(world, "Running")
    assert inspection.inspect(work) is False
    ends(world, "Succeeded")
    assert inspection.inspect(work) is True
    assert "conditions" not in work.vm


def test_concerns_are_a_condition_of_the_vm(world):
    work = work_in(
        world, conditions=[{"type": "Other", "status": "True", "category": "Advisory", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    )
    inspection.inspect(work)
    ends(world, "Succeeded", WARNING)
    assert inspection.inspect(work) is True
    other, told = work.vm["conditions"]
    assert other["type"] == "Other"
    assert (told["type"], told["category"], told["reason"]) == ("InspectionHasConcerns", "Warning", "MultipleOs")
    assert (told["message"], told["items"], told["durable"]) == ("Several.", ["Several."], True)


@pytest.mark.parametrize("category", ["Critical", "Error"])
def test_critical_concerns_end_the_migration_of_the_vm(world, category):
    work = work_in(world)
    inspection.inspect(work)
    ends(world, "Succeeded", WARNING, {**CRITICAL, "category": category})
    with pytest.raises(PhaseError) as ended:
        inspection.inspect(work)
    assert ended.value.reasons == ("VM deep inspection found critical concerns", "Full.")
    [told] = work.vm["conditions"]
    assert (told["category"], told["reason"], told["items"]) == (category, "NotEnoughSpace", ["Several.", "Full."])


def test_an_inspection_that_failed(world):
    work = work_in(world)
    inspection.inspect(work)
    ends(world, "Failed", message="The conversion has failed: no appliance")
    with pytest.raises(PhaseError) as ended:
        inspection.inspect(work)
    assert ended.value.reasons == ("Deep inspection failed.", "The conversion has failed: no appliance")


def test_an_inspection_that_is_refused(world):
    work = work_in(world)
    inspection.inspect(work)
    condition = {
        "type": "VDDKImageNotSet",
        "status": "True",
        "category": "Critical",
        "message": "No image.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    world.api.update_status({**made(world), "status": {"conditions": [condition]}})
    with pytest.raises(PhaseError) as ended:
        inspection.inspect(work)
    assert ended.value.reasons == ("Deep inspection failed.", "No image.")


def test_what_keeps_its_pod_from_being_made_is_told(world):
    work = work_in(world)
    inspection.inspect(work)
    refused = {
        "type": "PodRefused",
        "status": "True",
        "category": "Warn",
        "message": "No quota.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    world.api.update_status({**made(world), "status": {"conditions": [refused]}})
    assert inspection.inspect(work) is False
    assert work.step["reason"] == "No quota."
    ends(world, "Running", pod={"namespace": PLANS, "name": "i"})
    assert inspection.inspect(work) is False
    assert "reason" not in work.step


def test_an_inspection_that_was_canceled_begins_anew(world):
    work = work_in(world)
    inspection.inspect(work)
    before = made(world)["metadata"]["uid"]
    ends(world, "Canceled")
    assert inspection.inspect(work) is inspection.inspect(work) is False
    assert made(world)["metadata"]["uid"] != before
    assert len(world.api.list("Secret", PLANS, work.labels)) == 1


@pytest.mark.parametrize("succeeded", [True, False])
def test_nothing_of_it_stays(world, succeeded):
    """Here, where it ran; the VM goes elsewhere."""
    there = World(world.state.root.parent / "there").api
    work = work_in(world)
    inspection.inspect(work)
    pod = {"containers": [{"name": "deep-inspection", "image": "x"}]}
    meta = {"name": "i", "namespace": PLANS, "labels": made(world)["metadata"]["labels"]}
    world.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod})
    if succeeded:
        cleanup.after_success(world.api, there, work.plan, work.vm)
    else:
        cleanup.of_vm(world.api, there, work.plan, work.vm, keeps_target=False)
    assert {kind: world.api.list(kind, PLANS, work.labels) for kind in ("Conversion", "Pod", "Secret")} == {
        "Conversion": [],
        "Pod": [],
        "Secret": [],
    }


def test_nothing_of_it_stays_when_the_plan_is_gone(world):
    there = World(world.state.root.parent / "there").api
    work = work_in(world)
    inspection.inspect(work)
    cleanup.of_absent_plan(world.api, there, PLANS, "p")
    assert world.api.list("Conversion", PLANS) == world.api.list("Secret", PLANS, work.labels) == []


def test_the_connection_is_that_of_the_provider_with_its_address(world):
    world.api.delete("Secret", PLANS, "src")
    world.create("v1", "Secret", PLANS, "src", type="Opaque", data={"user": "YQ==", "password": "Yg==", "cacert": "Yw=="})
    reference = {"name": "src", "namespace": PLANS}
    provider = {"spec": {"url": "https://vc/sdk", "secret": reference}, "status": {"fingerprint": "62:88"}}
    data = {key: b64decode(value).decode() for key, value in vsphere_access.connection(world.api, provider).items()}
    assert data == {"user": "a", "password": "b", "cacert": "c", "url": "https://vc/sdk", "fingerprint": "62:88"}
