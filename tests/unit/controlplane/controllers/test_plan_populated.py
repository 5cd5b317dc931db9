"""Plans whose disks volume populators fetch: real controllers, pods and bytes, over a source of files."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ansible_collections.vmshift.mtv.controlplane.cluster import images, processes, supervisor
from ansible_collections.vmshift.mtv.controlplane.controllers import populator
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration import populated_world
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.populated_world import (
    CONTROLLERS,
    FORKLIFT,
    PLANS,
    SIZE,
    TARGET,
    World,
)


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Not running yet."""
    populated_world.act(monkeypatch)
    made = World(tmp_path / "state", tmp_path / "source")
    yield made
    await made.end()
    await asyncio.to_thread(processes.stop_all, made.state.pods, 0.1)


async def test_a_vm_arrives_with_its_bytes_and_nothing_else_is_left(world: World) -> None:
    world.run()
    world.plan()
    world.migration()
    vm = await world.ended("Succeeded")
    assert world.are_disks_those_of_the_source()
    assert [(step["name"], step["phase"]) for step in vm["pipeline"]] == [
        ("Initialize", "Completed"),
        ("DiskTransfer", "Completed"),
        ("ConvertOpenstackSnapshot", "Pending"),  # as with Forklift
        ("VirtualMachineCreation", "Completed"),
    ]
    transfer = world.step("DiskTransfer")
    assert transfer["progress"] == {"completed": 2, "total": 2}
    names = [f"forklift-migration-vm-vm-1-volume-v{n}" for n in (1, 2)]
    assert [(task["name"], task["phase"], task["reason"]) for task in transfer["tasks"]] == [
        (name, "Completed", "Transfer completed.") for name in names
    ]
    machine = world.api.get("VirtualMachine", TARGET, "web")
    assert machine["spec"]["runStrategy"] == "Always" and vm["restorePowerState"] == "On"
    assert machine["metadata"]["labels"]["guestConverted"] == "false"
    assert machine["spec"]["template"]["spec"]["domain"]["devices"]["interfaces"][0]["model"] == "e1000e"
    assert world.power == {"vm-1": "Off"}
    for claim in world.api.list("PersistentVolumeClaim", TARGET):
        assert [owner["kind"] for owner in claim["metadata"]["ownerReferences"]] == ["VirtualMachine"]
    await world.until(lambda: not [left for left in world.left() if "virt-launcher" not in left])


async def test_claims_and_populators_are_as_forklift_makes_them(world: World) -> None:
    world.run()
    world.say("hold")
    world.plan(transferNetwork={"name": "fast", "namespace": TARGET}, serviceAccount="mover")
    world.create("v1", "ServiceAccount", TARGET, "mover")
    world.create("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", TARGET, "fast", spec={"config": "{}"})
    world.migration()
    pods = await world.fetching()
    run = world.api.get("Migration", PLANS, "run")["metadata"]["uid"]
    plan = world.api.get("Plan", PLANS, "p")["metadata"]["uid"]
    claim = next(c for c in world.api.list("PersistentVolumeClaim", TARGET, {"imageID": "v1"}))
    assert {"migration": run, "plan": plan, "vmID": "vm-1"}.items() <= claim["metadata"]["labels"].items()
    reference = claim["spec"]["dataSourceRef"]
    assert (reference["apiGroup"], reference["kind"]) == ("forklift.konveyor.io", "OpenstackVolumePopulator")
    assert claim["metadata"]["annotations"]["forklift.konveyor.io/serviceAccount"] == "mover"
    # A file system needs a tenth for itself.
    assert claim["spec"]["resources"]["requests"]["storage"] == str(-(-SIZE * 10 // 9))
    found = world.api.get("OpenstackVolumePopulator", TARGET, reference["name"])
    assert found["metadata"]["name"].startswith("forklift-migration-vm-vm-1-volume-v1-")
    assert found["spec"]["transferNetwork"] == {"name": "fast", "namespace": TARGET}
    secret = world.api.get("Secret", TARGET, found["spec"]["secretName"])
    assert secret["metadata"]["labels"]["isPopulator"] == "true" and secret["data"].keys() == {"password"}
    assert {pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] for pod in pods} == {f"{TARGET}/fast"}
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == {"mover"}
    await world.until(lambda: world.step("DiskTransfer")["progress"]["completed"] > 0 or world.step("DiskTransfer")["phase"] == "Running")
    world.unsay("hold")
    await world.ended("Succeeded")


@pytest.mark.parametrize(
    ("source", "wanted", "strategy"), [("Off", None, "Halted"), ("On", "off", "Halted"), ("Off", "on", "Always"), ("On", "auto", "Always")]
)
async def test_the_target_runs_as_is_asked_for_or_as_the_source_did(world: World, source: str, wanted: str | None, strategy: str) -> None:
    world.power["vm-1"] = source
    world.run()
    world.plan(**({"targetPowerState": wanted} if wanted else {}))
    world.migration()
    await world.ended("Succeeded")
    assert world.api.get("VirtualMachine", TARGET, "web")["spec"]["runStrategy"] == strategy


async def test_an_image_of_another_format_is_made_raw_before_there_is_a_vm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = images.IMAGES[images.IMAGE_CONVERTER_IMAGE]
    waits = ["sh", "-c", f'until test -e {world.source}/go; do sleep 0.02; done; exec "$@"', "sh"]
    monkeypatch.setitem(images.IMAGES, images.IMAGE_CONVERTER_IMAGE, lambda container: [*waits, *convert(container)])
    world.as_qcow2("v2")
    world.run()
    world.plan(targetPowerState="off")
    world.migration()
    await world.until(lambda: world.api.list("Job", TARGET), 40)
    claim = next(c for c in world.api.list("PersistentVolumeClaim", TARGET, {"imageID": "v2"}))
    assert claim["metadata"]["annotations"]["forklift.konveyor.io/source-format"] == "qcow2"
    await world.until_phase("ConvertOpenstackSnapshot")
    await world.settle(1.0)
    assert world.vm()["phase"] == "ConvertOpenstackSnapshot" and world.api.find("VirtualMachine", TARGET, "web") is None
    world.say("go")
    await world.ended("Succeeded")
    assert world.are_disks_those_of_the_source()
    await world.until(lambda: not world.left())


async def test_an_image_that_cannot_be_converted_ends_the_vm_with_its_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.vmshift.mtv.controlplane.cluster import pods

    monkeypatch.setattr(pods, "FIRST_BACKOFF", 0.3)
    world.as_qcow2("v2")
    broken = bytearray((world.source / "volumes" / "v2").read_bytes())
    broken[4:8] = b"\xff\xff\xff\xff"  # no version of qcow2
    (world.source / "volumes" / "v2").write_bytes(broken)
    world.run()
    world.plan()
    world.migration()
    vm = await world.ended("Failed")
    assert "could not be converted from qcow2" in vm["error"]["reasons"][0]
    assert "qemu-img" in vm["error"]["reasons"][0]
    assert world.api.find("VirtualMachine", TARGET, "web") is None


async def test_a_populator_that_keeps_failing_ends_the_vm_with_its_reason_and_a_retry_succeeds(world: World) -> None:
    world.run()
    world.say("fail", "the image store answers 503")
    world.plan(deleteVmOnFailMigration=True)
    world.migration()
    vm = await world.ended("Failed")
    first, told = vm["error"]["reasons"][:2]
    assert first.startswith("populator pod failed for PVC ") and first.endswith(". Please check the pod logs")
    assert told == "the image store answers 503"
    assert world.api.list("VirtualMachine", TARGET) == [] and world.power == {"vm-1": "Off"}
    assert not list(world.source.glob("forklift-migration-*"))
    world.unsay("fail")
    world.migration("again")
    await world.ended("Succeeded", "again")
    assert world.are_disks_those_of_the_source() and len(world.disks()) == 2
    await world.until(lambda: not [left for left in world.left() if "virt-launcher" not in left])


async def test_populator_pods_are_kept_for_those_who_want_them(world: World) -> None:
    spec = {"controller_retain_populator_pods": "true", "controller_filesystem_overhead": 0}
    world.create(FORKLIFT, "ForkliftController", CONTROLLERS, "forklift-controller", spec=spec)
    world.run()
    world.plan(targetPowerState="off")
    world.migration()
    await world.ended("Succeeded")
    await world.until(lambda: len(world.left()) == 2)
    assert {pod["status"]["phase"] for pod in world.pods()} == {"Succeeded"} and len(world.pods()) == 2
    assert {c["spec"]["resources"]["requests"]["storage"] for c in _claims(world)} == {"1Mi"}


async def test_what_cannot_be_prepared_at_the_source_ends_the_vm(world: World) -> None:
    (world.source / "volumes" / "v2").unlink()
    world.run()
    world.plan()
    world.migration()
    vm = await world.ended("Failed")
    assert vm["error"] == {"phase": "CreateDataVolumes", "reasons": ["The volume v2 of the source is gone."]}
    assert not list(world.source.glob("forklift-migration-*"))


async def test_a_canceled_vm_leaves_nothing_and_runs_again_where_it_ran(world: World) -> None:
    world.run()
    world.say("hold")
    world.plan(deleteVmOnFailMigration=True)
    world.migration()
    await world.fetching()
    world.api.patch("Migration", PLANS, "run", {"spec": {"cancel": [{"id": "vm-1"}]}})
    await world.ended("Canceled")
    assert world.power == {"vm-1": "On"}
    await world.until(lambda: not world.left() and not world.api.list("PersistentVolumeClaim", TARGET))
    await world.until(lambda: not world.api.list("PersistentVolume") and not list(world.state.volumes.iterdir()))


async def test_a_plan_that_is_deleted_takes_what_it_made_along(world: World) -> None:
    world.run()
    world.say("hold")
    world.plan()
    world.migration()
    await world.fetching()
    world.api.delete("Plan", PLANS, "p")

    def at_target() -> list[str]:
        return [left for left in world.left() if not left.startswith("forklift-migration")]

    await world.until(lambda: not at_target() and not world.api.list("PersistentVolumeClaim", TARGET))


async def test_an_archived_plan_of_a_failed_vm_leaves_nothing(world: World) -> None:
    world.run()
    world.say("fail", "no")
    world.plan(deleteVmOnFailMigration=True)
    world.migration()
    await world.ended("Failed")
    assert world.api.list("PersistentVolumeClaim", TARGET)
    world.api.patch("Plan", PLANS, "p", {"spec": {"archived": True}})
    await world.until(lambda: "Archived" in world.conditions(world.api.get("Plan", PLANS, "p")))
    await world.until(lambda: not world.left() and not world.api.list("PersistentVolumeClaim", TARGET))


async def test_a_quota_that_is_too_small_shows_as_the_reason_of_the_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(populator, "QUOTA_RETRY", 0.2)
    world.run()
    # Each disk needs its size twice while it is fetched: the second temporary claim does not fit.
    room = -(-SIZE * 10 // 9)
    world.make("v1", "ResourceQuota", "small", spec={"hard": {"requests.storage": str(room * 3)}})
    world.say("hold")  # the first disk would be whole, and the second one let in, before anybody has looked
    world.plan(targetPowerState="off")
    world.migration()
    reason = await world.until(
        lambda: (
            world.vm()["phase"] == "CopyDisks" and "exceeded quota" in (found := world.step("DiskTransfer").get("reason", "")) and found
        ),
        40,
    )
    assert reason.startswith("PopulatorPVCCreationError;") and "exceeded quota: small" in reason
    world.unsay("hold")
    # When the first disk is whole, its temporary claim goes, and so the second one fits.
    await world.ended("Succeeded")
    assert world.are_disks_those_of_the_source()


@pytest.mark.parametrize("phase", ["CreateDataVolumes", "CopyDisks", "CreateVM"])
async def test_a_control_plane_that_dies_in_a_phase_goes_on(world: World, phase: str) -> None:
    world.run()
    world.plan(targetPowerState="off")
    world.migration()
    await world.until_phase(phase)
    await world.restart()
    await world.ended("Succeeded")
    assert world.are_disks_those_of_the_source() and len(world.api.list("VirtualMachine", TARGET)) == 1
    await world.until(lambda: not world.left())


async def test_killed_populators_are_started_again_and_the_bytes_are_whole(world: World) -> None:
    world.run()
    world.say("hold")
    world.plan(targetPowerState="off")
    world.migration()
    for pod in await world.fetching():
        for pid in supervisor.processes_of(world.folder(pod)):
            os.kill(pid, signal.SIGKILL)
    await world.until(lambda: "1" in str([c["metadata"]["annotations"].get("recreations") for c in _claims(world)]))
    world.unsay("hold")
    await world.ended("Succeeded")
    assert world.are_disks_those_of_the_source()
    await world.until(lambda: not world.left())


def _claims(world: World) -> list[Any]:
    return [c for c in world.api.list("PersistentVolumeClaim", TARGET) if "dataSourceRef" in c["spec"]]
