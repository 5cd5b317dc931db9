"""VirtualMachineExports, with their real servers."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import json
import os
import random
import ssl
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.vmshift.mtv.controlplane.apiserver import pki
from ansible_collections.vmshift.mtv.controlplane.cluster import processes, supervisor
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import IMMEDIATE_CLASS
from ansible_collections.vmshift.mtv.controlplane.datapath import export_server, http_disk

EXPORTS = "export.kubevirt.io/v1"
MIB = 1 << 20
Object = dict[str, Any]


def content() -> bytes:
    """A disk of 6 MiB with a hole in it."""
    noise = random.Random(3).randbytes(MIB + 5)
    return noise + bytes(4 * MIB) + noise[: MIB - 5]


@pytest.fixture
def source(cluster: Any) -> Any:
    """A VM that is off, with two disks: one on a file system, one block device. Their files are at hand as `files`."""
    pki.ensure_pki(cluster.state)
    for name, mode in (("root", "Filesystem"), ("data", "Block")):
        cluster.claim(name, "6Mi", storageClassName=IMMEDIATE_CLASS, volumeMode=mode)
    cluster.machine("web", ("root", "data"), runStrategy="Halted")
    return cluster


def export(cluster: Any, name: str = "web", kind: str = "VirtualMachine", source: str = "", **spec: Any) -> Object:
    group = {"VirtualMachine": "kubevirt.io", "PersistentVolumeClaim": ""}.get(kind, "snapshot.kubevirt.io")
    of = {"apiGroup": group, "kind": kind, "name": source or name}
    return cluster.make(EXPORTS, "VirtualMachineExport", name, spec={"source": of, **spec})


async def filled(cluster: Any) -> None:
    """Its disks have content."""
    for name in ("root", "data"):
        claim = await cluster.until(lambda name=name: bound(cluster, name))
        path = cluster.state.volume(claim["spec"]["volumeName"])
        http_disk._empty(path)
        with path.open("r+b") as file:
            for offset in (0, 5 * MIB):
                os.pwrite(file.fileno(), content()[offset : offset + (MIB + 4096 if not offset else MIB)], offset)


def bound(cluster: Any, name: str) -> Object | None:
    claim = cluster.api.get("PersistentVolumeClaim", "tgt", name)
    return claim if claim.get("status", {}).get("phase") == "Bound" else None


def ready(export: Object) -> Object | None:
    return next((c for c in export.get("status", {}).get("conditions") or () if c["type"] == "Ready"), None)


async def waits(cluster: Any, export: Object, reason: str) -> Object:
    await cluster.until(lambda: (ready(cluster.get(export)) or {}).get("reason") == reason)
    return cluster.get(export)["status"]


class Client:
    """Asks with the token of an export, and trusts what its links say."""

    def __init__(self, cluster: Any, export: Object) -> None:
        self.links = cluster.get(export)["status"]["links"]
        secret = cluster.api.get("Secret", "tgt", cluster.get(export)["status"]["tokenSecretRef"])
        self.token = base64.b64decode(secret["data"]["token"]).decode()

    def url(self, form: str, volume: str = "root", kind: str = "external") -> str:
        [found] = [v for v in self.links[kind]["volumes"] if v["name"] == volume]
        return {f["format"]: f["url"] for f in found["formats"]}[form]

    def get(self, url: str, **headers: str) -> Any:
        context = ssl.create_default_context(cadata=self.links["external"]["cert"])
        request = urllib.request.Request(url, headers={"x-kubevirt-export-token": self.token, **headers})
        return urllib.request.urlopen(request, context=context, timeout=20)

    async def read(self, url: str, **headers: str) -> bytes:
        return await asyncio.to_thread(lambda: self.get(url, **headers).read())

    async def refused(self, url: str, **headers: str) -> int:
        with pytest.raises(urllib.error.HTTPError) as error:
            await self.read(url, **headers)
        return error.value.code


async def serving(cluster: Any, **spec: Any) -> tuple[Object, Client]:
    cluster.run()
    await filled(cluster)
    made = export(cluster, **spec)
    await cluster.phase_is(made, "Ready")
    return made, Client(cluster, made)


async def test_each_form_of_a_disk_is_its_real_bytes(source):
    made, client = await serving(source)
    disk = hashlib.sha256(content()).digest()
    assert hashlib.sha256(await client.read(client.url("raw"))).digest() == disk
    assert hashlib.sha256(await client.read(client.url("raw", "data", "internal"))).digest() == disk
    packed = await client.read(client.url("gzip", "data"))
    assert hashlib.sha256(gzip.decompress(packed)).digest() == disk
    assert len(packed) < 3 * MIB
    with tarfile.open(fileobj=io.BytesIO(await client.read(client.url("tar.gz")))) as archive:
        assert [(m.name, hashlib.sha256(archive.extractfile(m).read()).digest()) for m in archive] == [("./disk.img", disk)]
    folder = client.url("dir")
    assert b"disk.img" in await client.read(folder)
    assert hashlib.sha256(await client.read(f"{folder}disk.img")).digest() == disk
    with pytest.raises(KeyError):
        client.url("tar.gz", "data")  # of a block device there is no folder
    meta = source.get(made)["status"]
    assert (meta["virtualMachineName"], meta["serviceName"], meta["tokenSecretRef"]) == ("web", "virt-export-web", "export-token-web")
    assert client.url("gzip").endswith("/api/export.kubevirt.io/v1/namespaces/tgt/virtualmachineexports/web/volumes/root/disk.img.gz")


async def test_parts_of_a_disk_and_its_map(source):
    _made, client = await serving(source)
    raw = client.url("raw")
    reply = await asyncio.to_thread(client.get, raw, Range=f"bytes={MIB - 3}-{MIB + 7}")
    assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes {MIB - 3}-{MIB + 7}/{6 * MIB}")
    assert reply.read() == content()[MIB - 3 : MIB + 8]
    found = json.loads(await client.read(raw + http_disk.MAP_SUFFIX))
    assert found["size"] == 6 * MIB
    assert sum(length for _offset, length in found["data"]) < 3 * MIB
    covered = bytearray(6 * MIB)
    for offset, length in found["data"]:
        covered[offset : offset + length] = content()[offset : offset + length]
    assert bytes(covered) == content()


async def test_nobody_without_the_token(source):
    _made, client = await serving(source)
    raw, manifest = client.url("raw"), client.links["external"]["manifests"][0]["url"]
    for url in (raw, client.url("gzip"), raw + http_disk.MAP_SUFFIX, manifest):
        assert await client.refused(url, **{"x-kubevirt-export-token": ""}) == 401
        assert await client.refused(url, **{"x-kubevirt-export-token": client.token[:-1]}) == 401
    assert await client.refused(raw.replace("disk.img", "other")) == 404
    by_query = f"{raw}?x-kubevirt-export-token={client.token}"
    assert len(await client.read(by_query, **{"x-kubevirt-export-token": ""})) == 6 * MIB
    [pod] = source.api.list("Pod", "tgt", {"kubevirt.io.virt-export-service": "web"})
    pid = json.loads((source.folder(pod) / "process.json").read_text())["pid"]
    assert client.token not in Path(f"/proc/{pid}/cmdline").read_text() + source.log(pod) + json.dumps(pod)


async def test_the_manifests_tell_what_the_vm_is_made_of(source):
    source.make(
        "instancetype.kubevirt.io/v1beta1",
        "VirtualMachineInstancetype",
        "small",
        spec={"cpu": {"guest": 3}, "memory": {"guest": "96Mi"}},
    )
    source.api.patch("VirtualMachine", "tgt", "web", {"spec": {"instancetype": {"name": "small", "kind": "VirtualMachineInstancetype"}}})
    _made, client = await serving(source)
    all, header = (m["url"] for m in client.links["external"]["manifests"])
    found = json.loads(await client.read(all, Accept="application/json"))
    assert [item["kind"] for item in found["items"]] == ["ConfigMap", "VirtualMachine", "DataVolume", "DataVolume"]
    authority, machine, _other, volume = found["items"]
    assert authority["data"]["ca.pem"].strip() == client.links["external"]["cert"]
    assert "instancetype" not in machine["spec"]
    assert (machine["spec"]["template"]["spec"]["domain"]["cpu"], machine["spec"]["template"]["spec"]["domain"]["memory"]) == (
        {"sockets": 3, "cores": 1, "threads": 1},
        {"guest": "96Mi"},
    )
    assert "status" not in machine
    assert "uid" not in machine["metadata"]
    assert volume["spec"]["source"]["http"] == {
        "url": client.url("gzip"),
        "certConfigMap": "export-ca-cm-web",
        "secretExtraHeaders": ["header-secret-web"],
    }
    documents = list(yaml.safe_load_all(await client.read(all)))
    assert documents == found["items"]
    [secret] = yaml.safe_load_all(await client.read(header))
    assert secret["stringData"] == {"token": f"x-kubevirt-export-token:{client.token}"}


async def test_what_was_made_goes_with_the_export(source):
    made, client = await serving(source)
    source.api.delete("VirtualMachineExport", "tgt", "web")
    kinds = ("Pod", "Service", "ConfigMap", "Secret")
    await source.until(lambda: not any(source.api.list(kind, "tgt") for kind in kinds))

    def gone() -> bool:
        try:
            client.get(client.url("raw"))
        except OSError:
            return True
        return False

    await source.until(gone)
    assert source.find(made) is None


async def test_it_expires(source, monkeypatch):
    made, _client = await serving(source, ttlDuration="4s")
    await source.until(lambda: source.find(made) is None)
    await source.until(lambda: not source.api.list("Pod", "tgt"))


async def test_only_while_the_vm_is_off(source):
    source.run()
    await filled(source)
    source.api.patch("VirtualMachine", "tgt", "web", {"spec": {"runStrategy": "Always"}})
    await source.running("web")
    made = export(source)
    status = await waits(source, made, "InUse")
    assert (status["phase"], ready(source.get(made))["message"]) == ("Pending", "Virtual Machine tgt/web is running")
    assert "tokenSecretRef" not in status
    source.api.patch("VirtualMachine", "tgt", "web", {"spec": {"runStrategy": "Halted"}})
    await source.phase_is(made, "Ready")
    source.api.patch("VirtualMachine", "tgt", "web", {"spec": {"runStrategy": "Always"}})
    await waits(source, made, "InUse")
    await source.until(lambda: not source.api.list("Pod", "tgt", {"kubevirt.io.virt-export-service": "web"}))


async def test_a_server_that_was_killed_serves_again_at_the_same_place_with_the_same_token(source):
    made, client = await serving(source)
    [pod] = source.api.list("Pod", "tgt", {"kubevirt.io.virt-export-service": "web"})
    os.kill(json.loads((source.folder(pod) / "process.json").read_text())["pid"], 9)
    await source.until(lambda: [r for r, _m in source.events(made) if "Failed" in r] == ["ExporterPodFailedOrCompleted"])
    await source.until(lambda: [p for p in source.api.list("Pod", "tgt") if p["metadata"]["uid"] != pod["metadata"]["uid"]])
    await source.phase_is(made, "Ready")
    again = Client(source, made)
    assert (again.links, again.token) == (client.links, client.token)
    assert len(await again.read(again.url("raw"))) == 6 * MIB


async def test_it_goes_on_when_the_control_plane_was_ended(source):
    made, client = await serving(source)
    [pod] = source.api.list("Pod", "tgt")
    await source.restart()
    assert len(await client.read(client.url("raw"))) == 6 * MIB
    await source.settle()
    assert [p["metadata"]["uid"] for p in source.api.list("Pod", "tgt")] == [pod["metadata"]["uid"]]
    assert source.phase(made) == "Ready"


async def test_its_server_ends_with_the_control_plane_and_is_started_again_with_it(source):
    made, client = await serving(source)
    [pod] = source.api.list("Pod", "tgt")
    await source.end()
    await asyncio.to_thread(processes.stop_guests, source.state)
    assert not supervisor.processes_of(source.folder(pod))
    source._open()
    source.run()
    await source.until(lambda: [p for p in source.api.list("Pod", "tgt") if p["metadata"]["uid"] != pod["metadata"]["uid"]])
    await source.phase_is(made, "Ready")
    assert len(await client.read(client.url("raw"))) == 6 * MIB


async def test_one_claim_and_a_token_of_the_users_own(source):
    source.make("v1", "Secret", "mine", data={"token": "c2VjcmV0"})
    made, client = await serving(source, name="disk", kind="PersistentVolumeClaim", source="data", tokenSecretRef="mine")
    assert client.token == "secret"
    assert "manifests" not in client.links["external"]
    assert hashlib.sha256(await client.read(client.url("raw", "data"))).digest() == hashlib.sha256(content()).digest()
    source.api.delete("VirtualMachineExport", "tgt", "disk")
    await source.until(lambda: not source.api.list("Pod", "tgt"))
    assert [s["metadata"]["name"] for s in source.api.list("Secret", "tgt")] == ["mine"]
    assert source.find(made) is None


async def test_what_cannot_be_exported_says_so(source):
    source.machine("bare", (), runStrategy="Halted")
    source.machine("lost", ("absent",), runStrategy="Halted")
    source.machine("typed", ("root",), runStrategy="Halted", instancetype={"name": "absent"})
    source.run()
    await filled(source)
    for name, phase, reason in (
        ("bare", "Skipped", "VMNoVolumes"),
        ("lost", "Pending", "VolumesNotPopulated"),
        ("typed", "Pending", "InstancetypeNotFound"),
        ("absent", "Pending", "VMNotFound"),
    ):
        status = await waits(source, export(source, name), reason)
        assert status["phase"] == phase
    await waits(source, export(source, "snap", kind="VirtualMachineSnapshot"), "SourceNotSupported")
    await waits(source, export(source, "long", source="web", ttlDuration="tomorrow"), "TTLNotValid")


async def test_a_quota_is_waited_for(source):
    source.make("v1", "ResourceQuota", "none", spec={"hard": {"pods": "0"}})
    source.run()
    await filled(source)
    made = export(source)
    await waits(source, made, "FailedCreate")
    assert "exceeded quota: none" in ready(source.get(made))["message"]
    source.api.delete("ResourceQuota", "tgt", "none")
    await source.phase_is(made, "Ready")


def test_a_port_that_is_taken_has_an_exit_code_of_its_own(tmp_path):
    assert export_server._fail(tmp_path, "Address already in use", 2) == 2
    assert (tmp_path / "termination-message").read_text() == "Address already in use"
