"""Inventories of providers: loading, changes, failures."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.inventory.cache import Inventory, SourceError
from ansible_collections.vmshift.mtv.controlplane.inventory.collectors import OvaCollector
from ansible_collections.vmshift.mtv.controlplane.inventory.items import Snapshot


async def load(inventory, provider) -> Snapshot:
    await inventory.load(provider, None)
    known = inventory.get(provider["metadata"]["uid"])
    assert isinstance(known, Snapshot)
    return known


@pytest.fixture
def quick(monkeypatch) -> None:
    """Sources are read again at once."""
    monkeypatch.setattr(OvaCollector, "refresh_every", 0.0)
    monkeypatch.setattr(Inventory, "tick", 0.02)


async def until(condition, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.02)


async def test_loaded_vms_are_validated_and_linked(inventory, appliances) -> None:
    appliances.add("web", hotplug="true")
    provider = appliances.provider()
    assert inventory.get(provider["metadata"]["uid"]) is None
    known = await load(inventory, provider)
    vm = known.collection("vms")[0]
    assert known.loaded and (known.type, known.uid) == ("ova", provider["metadata"]["uid"])
    assert [concern["id"] for concern in vm["concerns"]] == ["ova.cpu_memory.hotplug.enabled"]
    assert (vm["revisionValidated"], vm["policyVersion"], known.revision(vm["id"])) == (1, 5, 1)
    assert vm["selfLink"] == f"providers/ova/{known.uid}/vms/{vm['id']}"
    workload = known.workload(vm["id"])
    assert workload["selfLink"] == f"providers/ova/{known.uid}/workloads/{vm['id']}" and "path" not in workload
    with pytest.raises(KeyError):
        known.workload("nobody")


async def test_references(inventory, appliances) -> None:
    for name in ("web", "db"):
        appliances.add(name)
    known = await load(inventory, appliances.provider())
    web = known.find("vms", {"name": "web"})[0]
    assert known.find("vms", {"id": web["id"], "name": "db"}) == [web]
    assert known.find("vms", {"name": "nobody"}) == known.find("vms", {"id": "nobody"}) == []
    assert len(known.find("disks", {"name": "disk1.vmdk"})) == 2
    assert known.find("networks", {"name": "VM Network"})[0]["id"] == known.find("vms", {"name": "db"})[0]["networks"][0]["ID"]


async def test_changed_vm_gets_a_new_revision_and_is_validated_again(inventory, appliances, quick) -> None:
    appliances.add("web")
    appliances.add("db")
    told: list[tuple[str, str, Any]] = []
    known = await load(inventory, appliances.provider())
    stop = inventory.subscribe(lambda *change: told.append(change))
    watching = asyncio.create_task(inventory.watch_sources())
    try:
        appliances.add("web", size=128, hotplug="true")
        await until(lambda: told)
        web, db = known.find("vms", {"name": "web"})[0], known.find("vms", {"name": "db"})[0]
        assert (known.revision(web["id"]), web["revisionValidated"], known.revision(db["id"])) == (2, 2, 1)
        assert [concern["id"] for concern in web["concerns"]] == ["ova.cpu_memory.hotplug.enabled"]
        assert (known.uid, "vms", web) in told and (known.uid, "disks", None) in told
        assert not [vm for _unused, _unused, vm in told if vm and vm["name"] == "db"]

        told.clear()
        (appliances.folder / "web.ova").unlink()
        await until(lambda: told)
        assert (known.uid, "vms", None) in told
        assert [vm["name"] for vm in known.collection("vms")] == ["db"]
        assert known.find("vms", {"name": "web"}) == []
        assert known.revision(web["id"]) == 0
    finally:
        watching.cancel()
    stop()


async def test_unchanged_sources_tell_nobody(inventory, appliances, quick, monkeypatch) -> None:
    appliances.add("web")
    readings = []
    real = OvaCollector.collect
    monkeypatch.setattr(OvaCollector, "collect", lambda self: readings.append(1) or real(self))
    known = await load(inventory, appliances.provider())
    told: list[Any] = []
    inventory.subscribe(lambda *change: told.append(change))
    watching = asyncio.create_task(inventory.watch_sources())
    await until(lambda: len(readings) > 5)
    watching.cancel()
    assert not told
    assert known.revision(known.collection("vms")[0]["id"]) == 1


async def test_bad_archive_is_a_problem_said_once(inventory, appliances, quick, caplog) -> None:
    appliances.add("web")
    (appliances.folder / "broken.ova").write_bytes(b"no tar at all" * 100)
    caplog.set_level(logging.WARNING)
    known = await load(inventory, appliances.provider())
    watching = asyncio.create_task(inventory.watch_sources())
    await asyncio.sleep(0.3)
    watching.cancel()
    assert known.problems == ["broken.ova is not an uncompressed tar archive, as an OVA must be, or is damaged"]
    assert [vm["name"] for vm in known.collection("vms")] == ["web"]
    assert [record.getMessage() for record in caplog.records] == [f"provider mig/ova-src: {known.problems[0]}"]


async def test_source_that_fails_for_a_while_keeps_its_items(inventory, appliances, quick, caplog) -> None:
    appliances.add("web")
    caplog.set_level(logging.WARNING)
    known = await load(inventory, appliances.provider())
    away = appliances.folder.rename(appliances.folder.with_name("away"))
    watching = asyncio.create_task(inventory.watch_sources())
    await until(lambda: known.problems)
    assert known.loaded and [vm["name"] for vm in known.collection("vms")] == ["web"]
    assert known.problems == [f"the folder {appliances.folder} cannot be read: no such file or directory"]
    away.rename(appliances.folder)
    await until(lambda: not known.problems)
    watching.cancel()
    assert len(caplog.records) == 1


async def test_file_that_breaks_and_is_repaired_is_told_each_time(inventory, appliances, quick) -> None:
    appliances.add("web")
    whole = (appliances.folder / "web.ova").read_bytes()
    known = await load(inventory, appliances.provider())
    told: list[tuple[str, str]] = []
    inventory.subscribe(lambda uid, collection, _vm: told.append((uid, collection)))
    watching = asyncio.create_task(inventory.watch_sources())
    for content in (whole[:1000], whole):
        told.clear()
        (appliances.folder / "web.ova").write_bytes(content)
        await until(lambda: (known.uid, "problems") in told)
        assert [problem.split()[0] for problem in known.problems] == (["web.ova"] if content != whole else [])
    watching.cancel()


async def test_source_that_cannot_be_read_is_not_loaded(inventory, appliances) -> None:
    provider = appliances.provider(url=f"localhost:{appliances.folder}/absent")
    for look in (inventory.test, inventory.load):
        with pytest.raises(SourceError) as refused:
            await look(provider, None)
        assert refused.value.kind == "connection" and "absent cannot be read" in refused.value.message
    assert not inventory.get(provider["metadata"]["uid"]).loaded
    (appliances.folder / "absent").mkdir()
    await inventory.load(provider, None)
    assert inventory.get(provider["metadata"]["uid"]).loaded


async def test_types_that_cannot_be_read(inventory, appliances) -> None:
    provider = appliances.provider()
    provider["spec"]["type"] = "ec2"
    with pytest.raises(SourceError, match="providers of type 'ec2' cannot be read by this control plane, only .*, vsphere"):
        await inventory.load(provider, None)


async def test_loading_twice_reads_once_and_a_new_url_reads_again(inventory, appliances, tmp_path, monkeypatch) -> None:
    appliances.add("web")
    readings = []
    real = OvaCollector.collect
    monkeypatch.setattr(OvaCollector, "collect", lambda self: readings.append(1) or real(self))
    provider = appliances.provider()
    await asyncio.gather(*(inventory.load(provider, None) for _unused in range(10)))
    assert len(readings) == 1
    (tmp_path / "empty").mkdir()
    provider["spec"] = {**provider["spec"], "url": f"localhost:{tmp_path}/empty"}
    known = await load(inventory, provider)
    assert (len(readings), known.collection("vms")) == (2, [])


async def test_dropped_while_it_is_loaded(inventory, appliances, api) -> None:
    appliances.add("web")
    provider = appliances.provider()
    loading = asyncio.create_task(inventory.load(provider, None))
    await asyncio.sleep(0)
    inventory.drop(provider["metadata"]["uid"])
    await loading
    assert inventory.get(provider["metadata"]["uid"]) is None


async def test_deleted_provider_is_forgotten(inventory, appliances, api) -> None:
    provider = appliances.provider()
    await inventory.load(provider, None)
    watching = asyncio.create_task(inventory.watch_sources())
    await asyncio.sleep(0)
    api.delete("Provider", "mig", "ova-src")
    watching.cancel()
    assert inventory.get(provider["metadata"]["uid"]) is None


async def test_reading_that_hangs_is_given_up_and_not_doubled(inventory, appliances, monkeypatch) -> None:
    monkeypatch.setattr(OvaCollector, "deadline", 0.1)
    started = []
    monkeypatch.setattr(
        "ansible_collections.vmshift.mtv.plugins.module_utils.sources.ova.collect", lambda *_unused: started.append(1) or time.sleep(0.6)
    )
    provider = appliances.provider()
    for _unused in range(3):
        with pytest.raises(SourceError, match=r"did not answer within 0 s"):
            await inventory.load(provider, None)
    assert len(started) == 1


async def test_source_that_hangs_holds_up_no_other(inventory, appliances, quick, monkeypatch) -> None:
    slow, fast = appliances.provider("slow"), appliances.provider("fast")
    for provider in (slow, fast):
        await inventory.load(provider, None)
    hanging = inventory.get(slow["metadata"]["uid"]).collector
    real = OvaCollector.collect
    readings: list[str] = []

    async def collect(self):
        readings.append("slow" if self is hanging else "fast")
        if self is hanging:
            await asyncio.sleep(60)
        return await real(self)

    monkeypatch.setattr(OvaCollector, "collect", collect)
    watching = asyncio.create_task(inventory.watch_sources())
    await until(lambda: readings.count("fast") > 3)
    watching.cancel()
    assert readings.count("slow") == 1


async def test_this_cluster_is_read_live(inventory, host, api) -> None:
    provider = host()
    await inventory.load(provider, None)
    known = inventory.get(provider["metadata"]["uid"])
    told: list[Any] = []
    inventory.subscribe(lambda *change: told.append(change))
    watching = asyncio.create_task(inventory.watch_sources())
    await asyncio.sleep(0)
    assert {item["name"] for item in known.collection("namespaces")} == {"konveyor-forklift", "mig", "other"}
    nad = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "spec": {"config": "{}"}}
    for namespace in ("mig", "other"):
        api.create({**nad, "metadata": {"name": "net", "namespace": namespace}})
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}})  # plans do not refer to namespaces
    watching.cancel()
    assert told == [(known.uid, "networkattachmentdefinitions", None)] * 2
    assert len(known.find("networkattachmentdefinitions", {"name": "net"})) == 2
    for reference in ({"name": "net", "namespace": "mig"}, {"name": "mig/net"}):
        assert [item["namespace"] for item in known.find("networkattachmentdefinitions", reference)] == ["mig"]
    assert known.collection("kubevirts") == []


async def test_host_provider_of_another_namespace_sees_only_that(inventory, host, api) -> None:
    for namespace in ("mig", "other"):
        meta = {"name": "claim", "namespace": namespace}
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        api.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec})
    provider = host("mig")
    await inventory.load(provider, None)
    known = inventory.get(provider["metadata"]["uid"])
    assert [item["namespace"] for item in known.collection("persistentvolumeclaims")] == ["mig"]
    assert [item["name"] for item in known.collection("namespaces")] == ["mig"]
