from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.controlplane.cluster.storage import IMMEDIATE_CLASS

CDI = "cdi.kubevirt.io/v1beta1"


def _volume(cluster: Any, *, source: Any = None, **spec: Any) -> Any:
    if "pvc" not in spec:
        storage = {"resources": {"requests": {"storage": "2Mi"}}, **spec.pop("storage", {})}
        spec["storage"] = storage
    meta = {"labels": {"plan": "p"}, "annotations": {"forklift.konveyor.io/disk-source": "/ova/a.ova::d"}}
    return cluster.make(CDI, "DataVolume", "disk", metadata=meta, spec={"source": source or {"blank": {}}, **spec})


def _claim(cluster: Any) -> Any:
    return cluster.api.get("PersistentVolumeClaim", "tgt", "disk")


async def test_blank_volume_goes_through_the_phases_that_clients_know(cluster: Any) -> None:
    seen: list[tuple[Any, ...]] = []

    def note(_event: str, kind: str, obj: Any) -> None:
        if kind == "DataVolume" and obj.get("status"):
            status = obj["status"]
            seen.append((status["phase"], status["progress"], *((c["status"], c["reason"], c["message"]) for c in status["conditions"])))

    cluster.api.subscribe(note)
    cluster.run()
    volume = await cluster.phase_is(_volume(cluster, storage={"storageClassName": IMMEDIATE_CLASS}), "Succeeded")
    idle, bound = ("False", "", ""), ("True", "Bound", "")
    assert list(dict.fromkeys(seen)) == [
        ("Pending", "N/A", ("False", "Pending", "PVC disk Pending"), idle, idle),
        ("ImportScheduled", "0.0%", ("True", "Bound", "PVC disk Bound"), ("False", "Pending", ""), idle),
        ("ImportInProgress", "1.0%", bound, ("True", "Pod is running", ""), idle),
        ("Succeeded", "100.0%", bound, ("False", "Completed", "Import Complete"), ("True", "", "")),
    ]
    assert [c["type"] for c in volume["status"]["conditions"]] == ["Bound", "Running", "Ready"]
    assert volume["status"]["claimName"] == "disk"


async def test_claim_of_a_volume(cluster: Any) -> None:
    cluster.run()
    volume = await cluster.phase_is(_volume(cluster), "PendingPopulation")
    claim = _claim(cluster)
    assert claim["metadata"]["labels"] == {"plan": "p", "app": "containerized-data-importer"}
    assert claim["metadata"]["annotations"] == {
        "forklift.konveyor.io/disk-source": "/ova/a.ova::d",
        "cdi.kubevirt.io/storage.contentType": "kubevirt",
    }
    assert claim["metadata"]["ownerReferences"] == [
        {
            "apiVersion": CDI,
            "kind": "DataVolume",
            "name": "disk",
            "uid": volume["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "2Mi"}},
        "storageClassName": "vmshift-local",
        "volumeMode": "Filesystem",
    }


async def test_volume_that_waits_for_its_first_consumer(cluster: Any) -> None:
    cluster.run()
    volume = await cluster.phase_is(_volume(cluster), "PendingPopulation")
    cluster.pod("true", volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}])
    await cluster.phase_is(volume, "Succeeded")


async def test_immediate_binding_can_be_asked_for(cluster: Any) -> None:
    cluster.run()
    meta = {"annotations": {"cdi.kubevirt.io/storage.bind.immediate.requested": "true"}}
    storage = {"resources": {"requests": {"storage": "1Mi"}}}
    volume = cluster.make(CDI, "DataVolume", "disk", metadata=meta, spec={"source": {"blank": {}}, "storage": storage})
    await cluster.phase_is(volume, "Succeeded")


async def test_profile_of_the_class_completes_the_claim(cluster: Any) -> None:
    cluster.run()
    await cluster.until(lambda: cluster.api.get("StorageProfile", None, "vmshift-local").get("status"))
    assert cluster.api.get("StorageProfile", None, "vmshift-local")["status"] == {
        "provisioner": "local.vmshift.io",
        "storageClass": "vmshift-local",
        "cloneStrategy": "copy",
        "claimPropertySets": [
            {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"},
            {"accessModes": ["ReadWriteOnce"], "volumeMode": "Block"},
        ],
    }
    wanted = [{"accessModes": ["ReadWriteMany"], "volumeMode": "Block"}]
    cluster.api.patch("StorageProfile", None, "vmshift-local", {"spec": {"claimPropertySets": wanted}})
    _volume(cluster)
    await cluster.until(lambda: cluster.api.find("PersistentVolumeClaim", "tgt", "disk"))
    assert (_claim(cluster)["spec"]["accessModes"], _claim(cluster)["spec"]["volumeMode"]) == (["ReadWriteMany"], "Block")


async def test_new_class_gets_a_profile(cluster: Any) -> None:
    cluster.run()
    cluster.api.create({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "x"}, "provisioner": "other"})
    await cluster.until(lambda: (cluster.api.find("StorageProfile", None, "x") or {}).get("status"))
    assert "claimPropertySets" not in cluster.api.get("StorageProfile", None, "x")["status"]


async def test_claim_as_given(cluster: Any) -> None:
    cluster.run()
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}, "storageClassName": IMMEDIATE_CLASS}
    await cluster.phase_is(_volume(cluster, pvc=spec), "Succeeded")
    assert _claim(cluster)["spec"]["accessModes"] == ["ReadWriteMany"]


async def test_source_that_is_not_available(cluster: Any) -> None:
    cluster.run()
    volume = _volume(cluster, source={"s3": {"url": "s3://x/y"}})
    await cluster.until(lambda: cluster.events(volume))
    why = "this control plane makes DataVolumes of these sources only: blank, vddk, pvc, http; not s3"
    assert cluster.events(volume) == [("SourceNotSupported", why)]
    assert cluster.get(volume)["status"]["conditions"][0]["message"] == why
    assert cluster.api.list("PersistentVolumeClaim") == []


async def test_volume_that_makes_no_valid_claim(cluster: Any) -> None:
    cluster.run()
    volume = cluster.make(CDI, "DataVolume", "disk", spec={"source": {"blank": {}}, "storage": {}})
    await cluster.until(lambda: cluster.events(volume))
    (reason, message), *_unused = cluster.events(volume)
    assert reason == "ErrClaimNotValid"
    assert "spec.resources" in message


async def test_claim_of_somebody_else_is_not_taken(cluster: Any) -> None:
    cluster.claim("disk", storageClassName=IMMEDIATE_CLASS)
    cluster.run()
    volume = _volume(cluster)
    await cluster.until(lambda: cluster.events(volume))
    assert cluster.events(volume) == [("ErrClaimNotOwned", "PVC disk exists and does not belong to this DataVolume")]
    assert cluster.phase(volume) == "Pending"


async def test_deleted_volume_takes_its_claim_along_unless_handed_over(cluster: Any) -> None:
    cluster.run()
    await cluster.phase_is(_volume(cluster, storage={"storageClassName": IMMEDIATE_CLASS}), "Succeeded")
    cluster.api.delete("DataVolume", "tgt", "disk")
    await cluster.until(lambda: not cluster.api.list("PersistentVolume"))
    await cluster.phase_is(_volume(cluster, storage={"storageClassName": IMMEDIATE_CLASS}), "Succeeded")
    cluster.api.patch("PersistentVolumeClaim", "tgt", "disk", {"metadata": {"ownerReferences": None}})
    cluster.api.delete("DataVolume", "tgt", "disk")
    await cluster.settle()
    assert cluster.phase(_claim(cluster)) == "Bound"
