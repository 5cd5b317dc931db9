"""PVCs filled by volume populators: the real controller, storage and pods, and a program that copies a file."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import images, supervisor
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import DEFAULT_CLASS, IMMEDIATE_CLASS, SELECTED_NODE
from ansible_collections.vmshift.mtv.controlplane.controllers import populator, populator_objects

FORKLIFT = "forklift.konveyor.io/v1beta1"
PROGRAM = Path(__file__).parents[3] / "rig" / "file_populator.py"
SIZE = 1 << 20
CONTENT = os.urandom(SIZE // 2) + bytes(SIZE // 2 - 1) + b"!"
LABELS = MappingProxyType({"migration": "m-1", "plan": "p-1", "vmID": "vm-1", "imageID": "img-1"})

Object = dict[str, Any]


class Source:
    """Where images lie, and a PVC that is to be filled with one."""

    def __init__(self, cluster: Any, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        folder.mkdir()
        (folder / "img-1").write_bytes(CONTENT)

    def populator(self, kind: str = "OpenstackVolumePopulator") -> Object:
        spec = {"identityUrl": str(self.folder), "secretName": "src", "imageId": "img-1"}
        if kind == "OvirtVolumePopulator":
            spec = {"engineUrl": str(self.folder), "engineSecretName": "src", "diskId": "img-1"}
        return self.cluster.make(FORKLIFT, kind, "pop-1", spec=spec)

    def claim(
        self, kind: str = "OpenstackVolumePopulator", *, labels: Mapping[str, str] | None = LABELS, size: str = "2Mi", **spec: Any
    ) -> Object:
        wanted = {
            "accessModes": ["ReadWriteOnce"],
            "dataSourceRef": {"apiGroup": "forklift.konveyor.io", "kind": kind, "name": "pop-1"},
            "resources": {"requests": {"storage": size}},
            "storageClassName": IMMEDIATE_CLASS,
            **spec,
        }
        return self.cluster.make("v1", "PersistentVolumeClaim", "disk", metadata={"labels": dict(labels or {})}, spec=wanted)

    def say(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def unsay(self, name: str) -> None:
        (self.folder / name).unlink()

    def pod(self, claim: Object) -> Object | None:
        return self.cluster.api.find("Pod", "tgt", f"populate-{claim['metadata']['uid']}")

    def prime(self, claim: Object) -> Object | None:
        return self.cluster.api.find("PersistentVolumeClaim", "tgt", f"prime-{claim['metadata']['uid']}")

    async def held(self, claim: Object) -> Object:
        """The pod of a claim, once it has copied half of the bytes and waits."""

        def half() -> Object | None:
            pod = self.pod(claim)
            told = populator.populator_progress(self.cluster.state, pod["metadata"]["uid"]) if pod else None
            return pod if told and told["done"] else None

        return await self.cluster.until(half)

    def bytes(self, claim: Object) -> bytes:
        return self.cluster.state.volume(self.cluster.get(claim)["spec"]["volumeName"]).read_bytes()

    def is_clean(self, claim: Object) -> bool:
        """Nothing temporary is left of filling a claim."""
        found = self.cluster.get(claim)
        return self.prime(claim) is None and populator_objects.FINALIZER not in found["metadata"]["finalizers"]


@pytest.fixture
def source(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    for image in (images.OPENSTACK_POPULATOR_IMAGE, images.OVIRT_POPULATOR_IMAGE):
        monkeypatch.setitem(images.IMAGES, image, lambda container: [sys.executable, str(PROGRAM), *container["args"]])
    monkeypatch.setattr(populator, "LOOK_AGAIN", 0.05)
    cluster.beside.append(populator.PopulatorReconciler)
    cluster.make("v1", "Secret", "src", data={"password": base64.b64encode(b"s3cret").decode(), "ca.crt": base64.b64encode(b"CA").decode()})
    return Source(cluster, tmp_path / "images")


@pytest.mark.parametrize("kind", ["OpenstackVolumePopulator", "OvirtVolumePopulator"])
@pytest.mark.parametrize("mode", ["Filesystem", "Block"])
async def test_a_claim_gets_the_bytes_of_its_disk(cluster: Any, source: Source, kind: str, mode: str) -> None:
    cluster.run()
    made, claim = source.populator(kind), source.claim(kind, volumeMode=mode)
    await cluster.phase_is(claim, "Bound")
    found = source.bytes(claim)
    assert hashlib.sha256(found[:SIZE]).digest() == hashlib.sha256(CONTENT).digest()
    # The image in a file system is as large as its disk; a device as its volume.
    assert len(found) == (SIZE if mode == "Filesystem" else 2 * SIZE) and not any(found[SIZE:])
    assert cluster.get(made)["status"] == {"progress": "100"}
    await cluster.until(lambda: source.is_clean(claim))
    volume = cluster.api.get("PersistentVolume", None, cluster.get(claim)["spec"]["volumeName"])
    assert volume["metadata"]["annotations"][populator_objects.POPULATED_FROM] == "tgt/pop-1"
    assert volume["status"]["phase"] == "Bound" and len(cluster.api.list("PersistentVolume")) == 1
    reasons = sorted(reason for reason, _message in cluster.events(claim) if reason.startswith("Populator"))
    assert reasons == ["PopulatorCreated", "PopulatorFinished"]


async def test_the_pod_and_the_temporary_claim_are_as_forklift_makes_them(cluster: Any, source: Source) -> None:
    cluster.run()
    source.say("hold")
    source.populator()
    claim = source.claim(size="3Mi")
    pod = await source.held(claim)
    uid, owner = claim["metadata"]["uid"], {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "disk"}
    assert pod["spec"]["containers"][0]["args"] == [
        "--volume-path=/mnt/disk.img",
        f"--endpoint={source.folder}",
        "--secret-name=src",
        "--image-id=img-1",
        "--cr-name=pop-1",
        "--cr-namespace=tgt",
        f"--owner-uid={uid}",
        f"--pvc-size={3 << 20}",
    ]
    assert pod["metadata"]["labels"] == {"pvcName": "disk", "migration": "m-1", "plan": "p-1", "vmID": "vm-1"}
    assert pod["metadata"]["ownerReferences"] == [{**owner, "uid": uid}]
    assert pod["spec"]["restartPolicy"] == "Never" and pod["spec"]["containers"][0]["name"] == "populate"
    prime = source.prime(claim)
    assert prime is not None
    assert prime["metadata"]["labels"] == {"migration": "m-1", "plan": "p-1", "vmID": "vm-1"}
    assert prime["spec"]["resources"] == claim["spec"]["resources"] and "dataSourceRef" not in prime["spec"]
    assert populator_objects.FINALIZER in cluster.get(claim)["metadata"]["finalizers"]
    assert cluster.phase(claim) == "Pending"
    source.unsay("hold")
    await cluster.phase_is(claim, "Bound")


async def test_where_a_class_waits_nothing_begins_before_a_consumer(cluster: Any, source: Source) -> None:
    cluster.run()
    source.populator()
    claim = source.claim(storageClassName=DEFAULT_CLASS)
    await cluster.settle()
    assert source.pod(claim) is None and source.prime(claim) is None
    consumer = cluster.pod("exit 0", volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}])
    await cluster.phase_is(consumer, "Succeeded")
    found = cluster.get(claim)
    assert found["status"]["phase"] == "Bound" and found["metadata"]["annotations"][SELECTED_NODE] == "localhost"
    assert source.bytes(claim) == CONTENT


async def test_progress_is_told_while_the_bytes_come(cluster: Any, source: Source) -> None:
    cluster.run()
    source.say("hold")
    made, claim = source.populator(), source.claim()
    await source.held(claim)
    await cluster.until(lambda: 0 < int((cluster.get(made).get("status") or {}).get("progress", 0)) < 100)
    source.unsay("hold")
    await cluster.phase_is(claim, "Bound")
    assert cluster.get(made)["status"]["progress"] == "100"


async def test_a_claim_waits_for_its_populator_and_its_secret(cluster: Any, source: Source) -> None:
    cluster.api.delete("Secret", "tgt", "src")
    cluster.run()
    claim = source.claim()
    await cluster.settle()
    assert source.pod(claim) is None
    source.populator()
    pod = await cluster.until(lambda: source.pod(claim))
    await cluster.until(lambda: 'secret "src" not found' in str(cluster.get(pod).get("status")))
    cluster.make("v1", "Secret", "src", data={"password": base64.b64encode(b"s3cret").decode()})
    await cluster.phase_is(claim, "Bound")


async def test_a_pod_that_fails_is_made_anew_three_times(cluster: Any, source: Source) -> None:
    cluster.run()
    source.say("fail", "the image is gone")
    source.populator()
    claim = source.claim()
    await cluster.until(lambda: any(reason == "PopulatorFailed" for reason, _message in cluster.events(claim)), seconds=40)
    pod = source.pod(claim)
    assert pod is not None and populator_objects.has_failed(cluster.get(claim), pod)
    assert cluster.get(claim)["metadata"]["annotations"]["recreations"] == "3"
    failures = [message for reason, message in cluster.events(claim) if reason == "PopulatorFailed"]
    assert failures == ["Populator failed 4 times: the image is gone"]
    assert cluster.phase(claim) == "Pending" and not cluster.get(claim)["spec"].get("volumeName")


async def test_a_pod_that_failed_once_is_made_anew_and_leaves_no_trace_in_the_volume(cluster: Any, source: Source) -> None:
    cluster.run()
    source.say("hold")
    source.populator()
    claim = source.claim()
    first = await source.held(claim)
    (source.folder / "img-1").write_bytes(bytes(SIZE // 2))  # the next attempt finds another disk: smaller, and all zeros
    source.say("fail", "gone")
    source.unsay("hold")
    await cluster.until(lambda: (pod := source.pod(claim)) and pod["metadata"]["uid"] != first["metadata"]["uid"])
    source.unsay("fail")
    await cluster.phase_is(claim, "Bound")
    assert source.bytes(claim) == bytes(SIZE // 2)


@pytest.mark.parametrize("victim", ["program", "supervisor"])
async def test_a_killed_pod_never_leaves_half_a_disk_behind(cluster: Any, source: Source, victim: str) -> None:
    cluster.run()
    source.say("hold")
    source.populator()
    claim = source.claim()
    pod = await source.held(claim)
    for pid in supervisor.processes_of(cluster.folder(pod)):
        is_supervisor = b"supervisor.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        if is_supervisor == (victim == "supervisor"):
            os.kill(pid, signal.SIGKILL)
    await cluster.until(lambda: (new := source.pod(claim)) and new["metadata"]["uid"] != pod["metadata"]["uid"])
    assert cluster.phase(claim) == "Pending"
    source.unsay("hold")
    await cluster.phase_is(claim, "Bound")
    assert source.bytes(claim) == CONTENT
    await cluster.until(lambda: source.is_clean(claim))


async def test_a_control_plane_that_died_while_bytes_came_goes_on(cluster: Any, source: Source) -> None:
    cluster.run()
    source.say("hold")
    source.populator()
    claim = source.claim()
    pod = await source.held(claim)
    await cluster.restart()
    source.unsay("hold")
    await cluster.phase_is(claim, "Bound")
    assert source.bytes(claim) == CONTENT
    assert source.pod(claim)["metadata"]["uid"] == pod["metadata"]["uid"]  # type: ignore[index]
    await cluster.until(lambda: source.is_clean(claim))


async def test_a_claim_that_is_deleted_midway_takes_all_with_it(cluster: Any, source: Source) -> None:
    cluster.run()
    source.say("hold")
    source.populator()
    claim = source.claim()
    pod = await source.held(claim)
    cluster.api.delete("PersistentVolumeClaim", "tgt", "disk")
    await cluster.until(lambda: cluster.find(claim) is None)
    assert source.pod(claim) is None
    await cluster.until(lambda: source.prime(claim) is None and not cluster.api.list("PersistentVolume"))
    await cluster.until(lambda: not supervisor.processes_of(cluster.folder(pod)))
    assert not list(cluster.state.volumes.iterdir())


async def test_a_temporary_claim_that_somebody_deletes_is_made_and_filled_anew(cluster: Any, source: Source) -> None:
    cluster.run()
    source.say("hold")
    source.populator()
    claim = source.claim()
    pod = await source.held(claim)
    cluster.api.delete("PersistentVolumeClaim", "tgt", f"prime-{claim['metadata']['uid']}")
    cluster.api.delete("Pod", "tgt", pod["metadata"]["name"])
    source.unsay("hold")
    await cluster.phase_is(claim, "Bound")
    assert source.bytes(claim) == CONTENT
    await cluster.until(lambda: source.is_clean(claim))


async def test_a_quota_keeps_the_temporary_claim_from_being_made_and_says_so(
    cluster: Any, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(populator, "QUOTA_RETRY", 0.1)
    cluster.run()
    quota = cluster.make("v1", "ResourceQuota", "small", spec={"hard": {"requests.storage": "3Mi"}})
    source.populator()
    claim = source.claim()
    told = await cluster.until(lambda: [message for reason, message in cluster.events(claim) if reason == "PopulatorPVCCreationError"])
    assert "exceeded quota: small" in told[0]
    assert cluster.phase(claim) == "Pending"
    cluster.api.patch("ResourceQuota", "tgt", quota["metadata"]["name"], {"spec": {"hard": {"requests.storage": "4Mi"}}})
    await cluster.phase_is(claim, "Bound")
    await cluster.until(lambda: source.is_clean(claim))


async def test_a_disk_that_is_larger_than_its_claim_is_no_disk_of_it(cluster: Any, source: Source) -> None:
    cluster.run()
    source.populator()
    claim = source.claim(size="512Ki")
    await cluster.until(lambda: any(reason == "PopulatorFailed" for reason, _message in cluster.events(claim)), seconds=40)
    assert f"the disk has {SIZE} bytes, and its volume only {SIZE // 2}" in str(cluster.events(claim))
    assert cluster.phase(claim) == "Pending"


async def test_the_pod_of_a_claim_without_a_migration_goes_with_the_rest(cluster: Any, source: Source) -> None:
    cluster.run()
    source.populator()
    claim = source.claim(labels=None)
    await cluster.phase_is(claim, "Bound")
    await cluster.until(lambda: source.is_clean(claim) and source.pod(claim) is None)


async def test_a_populator_of_others_is_left_to_them(cluster: Any, source: Source) -> None:
    cluster.run()
    reference = {"apiGroup": "example.com", "kind": "OpenstackVolumePopulator", "name": "pop-1"}
    source.populator()
    claim = source.claim(dataSourceRef=reference)
    assumed = ("Provisioning", "Assuming an external populator will provision the volume")
    await cluster.until(lambda: assumed in cluster.events(claim))
    assert source.pod(claim) is None and cluster.phase(claim) == "Pending"
