from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import storage, volumes
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import IMMEDIATE_CLASS

NFS = {
    "accessModes": ["ReadOnlyMany"],
    "capacity": {"storage": "1Gi"},
    "nfs": {"server": "localhost", "path": "/exports"},
    "persistentVolumeReclaimPolicy": "Retain",
    "volumeMode": "Filesystem",
}


def _nfs(cluster: Any, **spec: Any) -> Any:
    return cluster.api.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "share"}, "spec": {**NFS, **spec}})


def _wants_nfs(cluster: Any, name: str = "claim", **spec: Any) -> Any:
    wanted = {"accessModes": ["ReadOnlyMany"], "storageClassName": "", "volumeMode": "Filesystem", "volumeName": "share", **spec}
    return cluster.claim(name, "1Gi", **wanted)


async def test_immediate_claim_becomes_a_sparse_file(cluster: Any) -> None:
    cluster.run()
    claim = await cluster.phase_is(cluster.claim("disk", "1Gi", storageClassName=IMMEDIATE_CLASS), "Bound")
    volume = cluster.api.get("PersistentVolume", None, claim["spec"]["volumeName"])
    uid = claim["metadata"]["uid"]
    assert volume["metadata"]["name"] == f"pvc-{uid}"
    assert volume["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    assert volume["metadata"]["annotations"] == {"pv.kubernetes.io/provisioned-by": "local.vmshift.io"}
    assert volume["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "disk", "namespace": "tgt", "uid": uid},
        "csi": {"driver": "local.vmshift.io", "volumeHandle": f"pvc-{uid}"},
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": "vmshift-immediate",
        "volumeMode": "Filesystem",
    }
    assert volume["status"]["phase"] == "Bound"
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert claim["metadata"]["annotations"] == {
        "volume.beta.kubernetes.io/storage-provisioner": "local.vmshift.io",
        "volume.kubernetes.io/storage-provisioner": "local.vmshift.io",
        "pv.kubernetes.io/bind-completed": "yes",
        "pv.kubernetes.io/bound-by-controller": "yes",
    }
    assert claim["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    stat = cluster.state.volume(volume["metadata"]["name"]).stat()
    assert (stat.st_size, stat.st_blocks, stat.st_mode & 0o777) == (1 << 30, 0, 0o600)


async def test_default_class_waits_for_a_pod(cluster: Any) -> None:
    cluster.run()
    claim = cluster.claim("disk")
    await cluster.until(lambda: "WaitForFirstConsumer" in dict(cluster.events(claim)))
    assert cluster.get(claim)["spec"]["storageClassName"] == "vmshift-local"
    assert cluster.phase(claim) == "Pending"
    assert not list(cluster.state.volumes.iterdir())
    cluster.pod("true", volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}])
    bound = await cluster.phase_is(claim, "Bound")
    assert bound["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == "localhost"


async def test_claim_that_the_disk_cannot_hold_stays_pending(cluster: Any) -> None:
    cluster.run()
    claim = cluster.claim("disk", "1Pi", storageClassName=IMMEDIATE_CLASS)
    await cluster.until(lambda: "ProvisioningFailed" in dict(cluster.events(claim)))
    message = dict(cluster.events(claim))["ProvisioningFailed"]
    assert message.startswith('failed to provision volume with StorageClass "vmshift-immediate": 1.0 PiB are asked for, ')
    assert cluster.phase(claim) == "Pending"
    assert not list(cluster.state.volumes.iterdir())


async def test_claim_without_a_size(cluster: Any) -> None:
    cluster.run()
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": IMMEDIATE_CLASS, "resources": {"requests": {"memory": "1Mi"}}}
    claim = cluster.make("v1", "PersistentVolumeClaim", "disk", spec=spec)
    await cluster.until(lambda: "ProvisioningFailed" in dict(cluster.events(claim)))
    assert "'' is no quantity of bytes, such as 10Gi" in dict(cluster.events(claim))["ProvisioningFailed"]


def test_room_counts_what_other_volumes_may_still_take(tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(volumes.shutil, "disk_usage", lambda _path: usage._replace(free=10 << 20))
    volumes.allocate(cluster.state, "one", 6 << 20)
    with pytest.raises(volumes.NoRoom, match=r"5.0 MiB are asked for, 4.0 MiB can be given: .* 10.0 MiB free, 6.0 MiB of them promised"):
        volumes.allocate(cluster.state, "two", 5 << 20)
    cluster.state.volume("one").write_bytes(b"x" * (6 << 20))
    monkeypatch.setattr(volumes.shutil, "disk_usage", lambda _path: usage._replace(free=4 << 20))
    volumes.allocate(cluster.state, "two", 4 << 20)
    assert cluster.state.volume("two").stat().st_size == 4 << 20


def test_sizes_are_whole_sectors(cluster: Any) -> None:
    volumes.allocate(cluster.state, "odd", 1000)
    assert cluster.state.volume("odd").stat().st_size == 1024


async def test_released_volume_goes_with_its_file(cluster: Any) -> None:
    cluster.run()
    claim = await cluster.phase_is(cluster.claim("disk", storageClassName=IMMEDIATE_CLASS), "Bound")
    path = cluster.state.volume(claim["spec"]["volumeName"])
    assert path.exists()
    cluster.api.delete("PersistentVolumeClaim", "tgt", "disk")
    await cluster.until(lambda: not cluster.api.list("PersistentVolume"))
    assert cluster.find(claim) is None
    assert not path.exists()


async def test_claim_in_use_outlives_its_deletion(cluster: Any) -> None:
    cluster.run()
    claim = await cluster.phase_is(cluster.claim("disk", storageClassName=IMMEDIATE_CLASS), "Bound")
    pod = cluster.pod("sleep 60", volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}])
    await cluster.phase_is(pod, "Running")
    cluster.api.delete("PersistentVolumeClaim", "tgt", "disk")
    await cluster.settle()
    assert "deletionTimestamp" in cluster.get(claim)["metadata"]
    assert cluster.state.volume(claim["spec"]["volumeName"]).exists()
    cluster.api.delete("Pod", "tgt", pod["metadata"]["name"])
    await cluster.until(lambda: cluster.find(claim) is None and not cluster.api.list("PersistentVolume"))


async def test_claim_of_a_pod_that_ended_can_be_deleted(cluster: Any) -> None:
    cluster.run()
    claim = cluster.claim("disk")
    pod = cluster.pod("true", volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}])
    await cluster.phase_is(pod, "Succeeded")
    cluster.api.delete("PersistentVolumeClaim", "tgt", "disk")
    await cluster.until(lambda: cluster.find(claim) is None)


async def test_share_and_claim_that_names_it_are_bound(cluster: Any) -> None:
    cluster.run()
    volume, claim = _nfs(cluster), _wants_nfs(cluster)
    bound = await cluster.phase_is(claim, "Bound")
    assert bound["metadata"]["annotations"] == {"pv.kubernetes.io/bind-completed": "yes"}
    assert bound["status"] == {"phase": "Bound", "accessModes": ["ReadOnlyMany"], "capacity": {"storage": "1Gi"}}
    share = cluster.get(volume)
    assert share["metadata"]["annotations"] == {"pv.kubernetes.io/bound-by-controller": "yes"}
    assert share["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
    assert share["status"]["phase"] == "Bound"
    cluster.api.delete("PersistentVolumeClaim", "tgt", "claim")
    await cluster.phase_is(volume, "Released")  # kept: its policy is Retain
    cluster.api.delete("PersistentVolume", None, "share")
    await cluster.until(lambda: cluster.find(volume) is None)


async def test_claim_before_its_share(cluster: Any) -> None:
    cluster.run()
    claim = _wants_nfs(cluster)
    await cluster.settle()
    assert cluster.phase(claim) == "Pending"
    _nfs(cluster)
    await cluster.phase_is(claim, "Bound")


async def test_share_of_another_claim(cluster: Any) -> None:
    cluster.run()
    _nfs(cluster)
    await cluster.phase_is(_wants_nfs(cluster, "first"), "Bound")
    second = _wants_nfs(cluster, "second")
    await cluster.until(lambda: ("FailedBinding", 'volume "share" already bound to a different claim.') in cluster.events(second))
    assert cluster.phase(second) == "Pending"


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ({"storageClassName": "other"}, "storageClassName does not match"),
        ({"volumeMode": "Block"}, "incompatible volumeMode"),
        ({"accessModes": ["ReadWriteMany"]}, "incompatible accessMode"),
        ({"resources": {"requests": {"storage": "2Gi"}}}, "requested PV is too small"),
    ],
)
async def test_share_that_does_not_fit(cluster: Any, claim: dict[str, Any], why: str) -> None:
    cluster.run()
    _nfs(cluster)
    wanted = _wants_nfs(cluster, **claim)
    await cluster.until(lambda: ("VolumeMismatch", f'Cannot bind to requested volume "share": {why}') in cluster.events(wanted))
    assert cluster.phase(wanted) == "Pending"


async def test_claims_that_nobody_serves(cluster: Any) -> None:
    cluster.api.create(
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "ceph"}, "provisioner": "rbd.example"}
    )
    cluster.run()
    classless, unknown, foreign = (cluster.claim(f"c{n}", storageClassName=c) for n, c in enumerate(("", "nix", "ceph")))
    await cluster.until(lambda: cluster.events(classless) and cluster.events(unknown) and cluster.events(foreign))
    assert cluster.events(classless)[0][0] == "FailedBinding"
    assert cluster.events(unknown) == [("ProvisioningFailed", 'storageclass.storage.k8s.io "nix" not found')]
    assert "external provisioner 'rbd.example'" in cluster.events(foreign)[0][1]
    cluster.api.create({**storage.storage_classes()[1], "metadata": {"name": "nix"}})
    await cluster.phase_is(unknown, "Bound")


async def test_files_without_a_volume_are_removed_on_start_and_others_stay(cluster: Any) -> None:
    cluster.run()
    claim = await cluster.phase_is(cluster.claim("disk", storageClassName=IMMEDIATE_CLASS), "Bound")
    kept = cluster.state.volume(claim["spec"]["volumeName"])
    kept.write_bytes(b"data" * 1000)
    leftover = cluster.state.volume("pvc-that-never-came-to-be")
    leftover.write_bytes(b"x")
    await cluster.restart()
    assert not leftover.exists()
    assert kept.read_bytes() == b"data" * 1000


async def test_binding_interrupted_after_the_volume_was_made_goes_on(cluster: Any) -> None:
    claim = cluster.claim("disk", storageClassName=IMMEDIATE_CLASS)
    name = f"pvc-{claim['metadata']['uid']}"
    volumes.allocate(cluster.state, name, 1 << 20)
    cluster.state.volume(name).write_bytes(b"a" * (1 << 20))
    storage_class = cluster.api.get("StorageClass", None, IMMEDIATE_CLASS)
    cluster.api.create(storage._volume(name, claim, storage_class))
    cluster.run()
    await cluster.phase_is(claim, "Bound")
    assert cluster.state.volume(name).read_bytes() == b"a" * (1 << 20)
    assert len(cluster.api.list("PersistentVolume")) == 1


async def test_claim_whose_volume_was_taken_away_is_lost(cluster: Any) -> None:
    cluster.run()
    claim = await cluster.phase_is(cluster.claim("disk", storageClassName=IMMEDIATE_CLASS), "Bound")
    volume = claim["spec"]["volumeName"]
    cluster.api.delete("PersistentVolume", None, volume)
    await cluster.settle()
    assert cluster.phase(claim) == "Bound"  # protected while it is bound
    cluster.api.patch("PersistentVolume", None, volume, {"metadata": {"finalizers": None}})
    await cluster.phase_is(claim, "Lost")
