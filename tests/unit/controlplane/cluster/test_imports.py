"""DataVolumes that are filled from vSphere, with an importer that only does what a test wants."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import datavolumes, images, imports, pods
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import IMMEDIATE_CLASS

CDI = "cdi.kubevirt.io/v1beta1"
STORAGE = {"resources": {"requests": {"storage": "2Mi"}}, "storageClassName": IMMEDIATE_CLASS}
VDDK = {
    "backingFile": "[ds] web/web.vmdk",
    "secretRef": "vc",
    "thumbprint": "AA:BB",
    "url": "https://vc.example/sdk",
    "uuid": "u-1",
    "initImageURL": "registry.example/vddk:8",
}
#: Ends with the exit code in the file `go`, which is taken away.
WAITS = """
echo '{"done": 5, "total": 20}' > progress.json
env > environment.part
mv environment.part environment
until test -s go; do sleep 0.02; done
code=$(cat go); rm go
test $code = 0 || echo "Unable to process data: gone" > termination-message
exit $code
"""


@pytest.fixture(autouse=True)
def importer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "importer.sh"
    script.write_text(WAITS)
    monkeypatch.setitem(images.IMAGES, images.IMPORTER_IMAGE, lambda _container: ["sh", str(script)])
    monkeypatch.setattr(datavolumes, "LOOK_AGAIN", 0.05)
    monkeypatch.setattr(pods, "FIRST_BACKOFF", 0.05)


@pytest.fixture
def volume(cluster: Any) -> Any:
    """Makes the DataVolume "disk"."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in {"accessKeyId": "me", "secretKey": "s3cret"}.items()}
    cluster.make("v1", "Secret", "vc", data=data)

    def make(*, annotations: Any = None, storage: Any = None, **spec: Any) -> Any:
        meta = {"annotations": {"forklift.konveyor.io/disk-source": "x", **(annotations or {})}}
        return cluster.make(
            CDI, "DataVolume", "disk", metadata=meta, spec={"source": {"vddk": VDDK}, "storage": storage or STORAGE, **spec}
        )

    return make


class Import:
    """The running import of "disk"."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster

    def find(self) -> Any:
        return self.cluster.api.find("Pod", "tgt", "importer-disk")

    async def running(self, checkpoint: str = "") -> Any:
        """The pod, once it runs for this checkpoint."""

        def there() -> Any:
            pod = self.find()
            started = pod and imports.belongs(pod, {"current": checkpoint}) and (self.cluster.folder(pod) / "environment").exists()
            return pod if started else None

        return await self.cluster.until(there)

    async def end(self, checkpoint: str = "", code: int = 0, **result: Any) -> None:
        pod = await self.running(checkpoint)
        folder = self.cluster.folder(pod)
        (folder / "result.json").write_text(json.dumps({"wanted": 20, "read": 20, "kept": 0, "full": "", **result}))
        (folder / "go").write_text(str(code))

    def annotations(self) -> Any:
        found = self.cluster.api.get("PersistentVolumeClaim", "tgt", "disk")["metadata"]["annotations"]
        return {key.removeprefix("cdi.kubevirt.io/storage."): value for key, value in found.items()}


@pytest.fixture
async def running(cluster: Any) -> Import:
    cluster.run()
    return Import(cluster)


def running_condition(cluster: Any, volume: Any) -> tuple[str, str, str]:
    found = next(c for c in cluster.get(volume)["status"]["conditions"] if c["type"] == "Running")
    return found["status"], found["reason"], found["message"]


async def test_a_volume_is_filled_by_a_pod(cluster: Any, volume: Any, running: Import) -> None:
    made = volume()
    pod = await running.running()
    await cluster.phase_is(made, "ImportInProgress")
    await cluster.until(lambda: cluster.get(made)["status"]["progress"] == "25.0%")
    assert running_condition(cluster, made) == ("True", "Pod is running", "")
    assert pod["metadata"]["labels"]["app"] == "containerized-data-importer"
    assert [owner["kind"] for owner in pod["metadata"]["ownerReferences"]] == ["PersistentVolumeClaim"]
    assert pod["spec"]["restartPolicy"] == "OnFailure"
    await running.end()
    volume = await cluster.phase_is(made, "Succeeded")
    assert (volume["status"]["progress"], running_condition(cluster, made)) == ("100.0%", ("False", "Completed", "Import Complete"))
    await cluster.until(lambda: running.find() is None)
    assert ("ImportSucceeded", "Successfully imported into PVC disk") in cluster.events(made)


async def test_the_importer_is_told_what_to_fetch_and_the_password_is_in_no_argument(cluster: Any, volume: Any, running: Import) -> None:
    volume(checkpoints=[{"current": "snapshot-1", "previous": "52 aa/1"}], finalCheckpoint=True)
    pod = await running.running("snapshot-1")
    environment = dict(line.split("=", 1) for line in (cluster.folder(pod) / "environment").read_text().splitlines() if "=" in line)
    expected = {
        "IMPORTER_SOURCE": "vddk",
        "IMPORTER_ENDPOINT": "https://vc.example/sdk",
        "IMPORTER_UUID": "u-1",
        "IMPORTER_BACKING_FILE": "[ds] web/web.vmdk",
        "IMPORTER_THUMBPRINT": "AA:BB",
        "IMPORTER_ACCESS_KEY_ID": "me",
        "IMPORTER_SECRET_KEY": "s3cret",
        "IMPORTER_CURRENT_CHECKPOINT": "snapshot-1",
        "IMPORTER_PREVIOUS_CHECKPOINT": "52 aa/1",
        "IMPORTER_FINAL_CHECKPOINT": "true",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert "IMPORTER_CA" not in environment
    assert "s3cret" not in json.dumps(pod)
    await running.end("snapshot-1")


async def test_block_volumes_are_devices(cluster: Any, volume: Any, running: Import) -> None:
    volume(storage={**STORAGE, "volumeMode": "Block"})
    pod = await running.running()
    container = pod["spec"]["containers"][0]
    assert container["volumeDevices"] == [{"name": "cdi-data-vol", "devicePath": "/dev/cdi-block-volume"}]
    assert "volumeMounts" not in container
    await running.end()


async def test_checkpoint_by_checkpoint(cluster: Any, volume: Any, running: Import) -> None:
    made = volume(checkpoints=[{"current": "snapshot-1", "previous": ""}])
    first = await running.running("snapshot-1")
    annotations = running.annotations()
    assert (annotations["checkpoint.current"], annotations["checkpoint.final"]) == ("snapshot-1", "false")
    await running.end("snapshot-1")
    paused = await cluster.phase_is(made, "Paused")
    assert (paused["status"]["progress"], running_condition(cluster, made)) == ("100.0%", ("False", "Paused", ""))
    assert running.annotations()["checkpoint.copied.snapshot-1"] == first["metadata"]["uid"]
    await cluster.until(lambda: running.find() is None)

    second = {"current": "snapshot-2", "previous": "52 aa/1"}
    cluster.api.patch("DataVolume", "tgt", "disk", {"spec": {"checkpoints": [{"current": "snapshot-1", "previous": ""}, second]}})
    await running.running("snapshot-2")
    assert running.annotations()["checkpoint.previous"] == "52 aa/1"
    await running.end("snapshot-2")
    await cluster.until(lambda: "checkpoint.copied.snapshot-2" in running.annotations())
    await cluster.phase_is(made, "Paused")

    checkpoints = [*cluster.get(made)["spec"]["checkpoints"], {"current": "snapshot-3", "previous": "52 aa/2"}]
    cluster.api.patch("DataVolume", "tgt", "disk", {"spec": {"checkpoints": checkpoints, "finalCheckpoint": True}})
    await running.end("snapshot-3")
    await cluster.phase_is(made, "Succeeded")
    left = running.annotations()
    assert not [key for key in left if key.startswith("checkpoint.") and key != "checkpoint.done"]
    assert left["checkpoint.done"] == "true"


async def test_a_failed_importer_is_started_again_and_tells_why(cluster: Any, volume: Any, running: Import, monkeypatch: Any) -> None:
    monkeypatch.setattr(pods, "FIRST_BACKOFF", 0.5)
    made = volume()
    await running.end(code=1)
    await cluster.until(lambda: cluster.get(made)["status"].get("restartCount") == 1)
    await running.end(code=1)
    await cluster.until(lambda: running_condition(cluster, made) == ("False", "Error", "Unable to process data: gone"))
    assert cluster.phase(made) == "ImportInProgress"
    await cluster.until(lambda: running.annotations().get("pod.restarts") == "2")
    claim = cluster.api.get("PersistentVolumeClaim", "tgt", "disk")
    assert ("ErrImportFailed", "Unable to process data: gone") in cluster.events(claim)
    await running.end()
    done = await cluster.phase_is(made, "Succeeded")
    assert done["status"]["restartCount"] == 2


async def test_a_deleted_importer_is_made_again(cluster: Any, volume: Any, running: Import) -> None:
    made = volume()
    first = await running.running()
    cluster.api.delete("Pod", "tgt", "importer-disk")
    second = await cluster.until(lambda: (pod := running.find()) and pod["metadata"]["uid"] != first["metadata"]["uid"] and pod)
    assert second
    await running.end()
    await cluster.phase_is(made, "Succeeded")


async def test_a_restarted_control_plane_goes_on(cluster: Any, volume: Any, running: Import) -> None:
    made = volume(checkpoints=[{"current": "snapshot-1", "previous": ""}])
    await running.running("snapshot-1")
    await cluster.restart()
    await running.end("snapshot-1")
    await cluster.phase_is(made, "Paused")


async def test_a_full_copy_is_told_of(cluster: Any, volume: Any, running: Import) -> None:
    made = volume(checkpoints=[{"current": "snapshot-1", "previous": "52 aa/1"}])
    await running.end("snapshot-1", full="tracking was reset")
    await cluster.phase_is(made, "Paused")
    assert ("FullCopy", "tracking was reset") in cluster.events(made)
    claim = cluster.api.get("PersistentVolumeClaim", "tgt", "disk")
    assert claim["metadata"]["annotations"]["vmshift.mtv/full-copy"] == "tracking was reset"


async def test_a_deleted_volume_ends_its_importer(cluster: Any, volume: Any, running: Import) -> None:
    volume()
    await running.running()
    cluster.api.delete("DataVolume", "tgt", "disk")
    await cluster.until(lambda: not cluster.api.list("PersistentVolumeClaim") and not cluster.api.list("Pod"))


async def test_a_volume_that_waits_for_its_consumer_is_filled_once_it_is_bound(cluster: Any, volume: Any, running: Import) -> None:
    made = volume(storage={"resources": {"requests": {"storage": "2Mi"}}})
    await cluster.phase_is(made, "PendingPopulation")
    await cluster.settle()
    assert running.find() is None
    cluster.pod("true", volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}])
    await running.end()
    await cluster.phase_is(made, "Succeeded")


async def test_a_missing_secret_is_waited_for(cluster: Any, volume: Any, running: Import) -> None:
    cluster.api.delete("Secret", "tgt", "vc")
    made = volume()
    await cluster.until(lambda: "secret" in running_condition(cluster, made)[2] if cluster.get(made).get("status") else False)
    assert running_condition(cluster, made)[1] == "CreateContainerConfigError"
