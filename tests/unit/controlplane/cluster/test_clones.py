"""DataVolumes that are clones: a claim copied by a pod, once nothing writes into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster.storage import IMMEDIATE_CLASS

CONTENT = b"boot" + bytes(300_000) + b"root" * 20_000


def file_of(cluster: Any, claim: Any) -> Path:
    return cluster.context.state.volume(cluster.get(claim)["spec"]["volumeName"])


@pytest.fixture
def original(cluster: Any) -> Any:
    return cluster.claim("golden", "2Mi", storageClassName=IMMEDIATE_CLASS)


async def filled(cluster: Any, claim: Any) -> Any:
    await cluster.phase_is(claim, "Bound")
    with file_of(cluster, claim).open("r+b") as file:
        file.write(CONTENT)
    return claim


def clone(cluster: Any, size: str = "4Mi", mode: str = "Filesystem", **source: str) -> Any:
    storage = {"storageClassName": IMMEDIATE_CLASS, "volumeMode": mode, "resources": {"requests": {"storage": size}}}
    spec = {"source": {"pvc": {"name": "golden", "namespace": "tgt", **source}}, "storage": storage}
    return cluster.make("cdi.kubevirt.io/v1beta1", "DataVolume", "copy", spec=spec)


@pytest.mark.parametrize("mode", ["Filesystem", "Block"])
async def test_a_clone_holds_what_its_original_holds(cluster: Any, original: Any, mode: str) -> None:
    cluster.run()
    await filled(cluster, original)
    volume = clone(cluster, mode=mode)
    phases = []
    cluster.api.subscribe(lambda _event, kind, obj: phases.append((obj.get("status") or {}).get("phase")) if kind == "DataVolume" else None)
    await cluster.phase_is(volume, "Succeeded")
    copy = file_of(cluster, cluster.api.get("PersistentVolumeClaim", "tgt", "copy"))
    assert copy.read_bytes() == CONTENT + bytes((4 << 20) - len(CONTENT))
    assert copy.stat().st_blocks * 512 < 1 << 20  # holes are not filled
    assert set(filter(None, phases)) <= {"Pending", "CloneScheduled", "CloneInProgress", "Succeeded"}
    assert file_of(cluster, original).read_bytes()[: len(CONTENT)] == CONTENT
    assert not [pod for pod in cluster.api.list("Pod", "tgt") if "deletionTimestamp" not in pod["metadata"]]


async def test_an_original_in_use_is_waited_for(cluster: Any, original: Any) -> None:
    cluster.run()
    await filled(cluster, original)
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/data"}]}
    writer = cluster.pod("sleep 600", container=mounts, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "golden"}}])
    await cluster.phase_is(writer, "Running")
    volume = clone(cluster)
    await cluster.until(lambda: cluster.events(volume))
    name = writer["metadata"]["name"]
    assert cluster.events(volume) == [
        ("CloneSourceNotUsable", f"the PersistentVolumeClaim golden that is to be cloned is in use by {name}")
    ]
    cluster.api.delete("Pod", "tgt", name)
    await cluster.phase_is(volume, "Succeeded")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": "nothing"}, "the PersistentVolumeClaim nothing that is to be cloned does not exist"),
        ({"size": "1Mi"}, "the PersistentVolumeClaim golden that is to be cloned is larger than this volume"),
        ({"namespace": "default"}, "this control plane clones within a namespace: default is not tgt"),
    ],
)
async def test_what_cannot_be_cloned(cluster: Any, original: Any, arguments: dict[str, str], why: str) -> None:
    cluster.run()
    await filled(cluster, original)
    volume = clone(cluster, **arguments)
    await cluster.until(lambda: cluster.events(volume))
    assert cluster.events(volume) == [("CloneSourceNotUsable", why)]
    assert cluster.get(volume)["status"]["phase"] == "Pending"
    assert not cluster.api.list("Pod", "tgt")


async def test_a_restarted_control_plane_finishes_a_clone(cluster: Any, original: Any) -> None:
    cluster.run()
    await filled(cluster, original)
    volume = clone(cluster)
    await cluster.until(lambda: cluster.api.list("Pod", "tgt"))
    await cluster.restart()
    await cluster.phase_is(volume, "Succeeded")
    assert file_of(cluster, cluster.api.get("PersistentVolumeClaim", "tgt", "copy")).read_bytes()[: len(CONTENT)] == CONTENT
