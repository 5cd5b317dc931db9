"""The source adapter of another cluster, over objects in a dictionary."""

from __future__ import annotations

from base64 import b64decode
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import labels
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError, VmRun
from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings
from ansible_collections.vmshift.mtv.controlplane.migration.sources.openshift import RUN_STRATEGY, OpenShiftSource, size_of

Object = dict[str, Any]
PLAN = {"metadata": {"uid": "p", "name": "plan", "namespace": "mig"}, "spec": {"targetNamespace": "tgt"}}


class Cluster:
    """As many verbs as the adapter uses."""

    def __init__(self, *objects: Object) -> None:
        self.objects = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in objects}

    def find(self, kind: str, namespace: str | None, name: str) -> Object | None:
        return self.objects.get((kind, namespace, name))

    def list(self, kind: str, namespace: str | None = None, wanted: Any = None) -> Any:
        found = [o for (k, ns, _name), o in self.objects.items() if k == kind and namespace in (None, ns)]
        return [o for o in found if (wanted or {}).items() <= (o["metadata"].get("labels") or {}).items()]

    def create(self, obj: Object) -> Object:
        obj["metadata"].setdefault("uid", f"uid-{obj['metadata']['name']}")
        if obj["kind"] == "VirtualMachineExport":  # as on every cluster that is not this one
            obj["metadata"].setdefault("annotations", {labels.ORIGIN: "uid-kube-system"})
        self.objects[obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]] = obj
        return obj

    def patch(self, kind: str, namespace: str | None, name: str, patch: Object) -> Object:
        obj = self.objects[kind, namespace, name]
        for part, fields in patch.items():
            for key, value in fields.items():
                obj[part][key] = {**(obj[part].get(key) or {}), **value} if isinstance(value, dict) else value
        notes = obj["metadata"].get("annotations") or {}
        obj["metadata"]["annotations"] = {key: value for key, value in notes.items() if value is not None}
        return obj

    def delete(self, kind: str, namespace: str | None, name: str, **_unused: Any) -> None:
        del self.objects[kind, namespace, name]


def obj(kind: str, name: str, namespace: str | None = "src", **fields: Any) -> Object:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"}, **fields}


def machine(**spec: Any) -> Object:
    volumes = [{"name": "root", "persistentVolumeClaim": {"claimName": "root"}}, {"name": "set", "secret": {"secretName": "setup"}}]
    template = {"metadata": {}, "spec": {"domain": {"devices": {}}, "networks": [{"name": "a", "pod": {}}], "volumes": volumes}}
    return obj("VirtualMachine", "web", spec={"runStrategy": "Always", "template": template, **spec})


def claim(**status: Any) -> Object:
    spec = {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}
    return obj("PersistentVolumeClaim", "root", spec=spec, **status)


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, *more: Object, **spec: Any) -> None:
        self.source = Cluster(machine(**spec), claim(), obj("Secret", "setup", data={"a": "b"}, type="Opaque"), *more)
        self.target = Cluster()
        self.here = Cluster(obj("Namespace", "kube-system", None))
        item = {"id": "uid-web", "name": "web", "namespace": "src", "object": self.source.find("VirtualMachine", "src", "web")}
        collections = {
            "vms": [item],
            "persistentvolumeclaims": [{"id": "c", "name": "root", "namespace": "src", "object": claim()}],
            "storageclasses": [{"id": "s", "name": "fast", "namespace": ""}],
            "networkattachmentdefinitions": [],
        }

        def find(collection: str, ref: Object) -> Any:
            return [i for i in collections[collection] if ref.get("id", i["id"]) == i["id"] and ref.get("name", i["name"]) == i["name"]]

        inventory = SimpleNamespace(collection=collections.get, find=find, loaded=True)
        self.adapter = OpenShiftSource(self.here, {"spec": {"type": "openshift", "url": "https://x"}}, inventory)  # type: ignore[arg-type]
        monkeypatch.setattr(self.adapter, "_cluster", lambda: nullcontext(self.source))
        run = SimpleNamespace(
            api=self.here,
            plan=PLAN,
            spec=PLAN["spec"],
            migration={"metadata": {"uid": "m"}},
            source=self.adapter,
            target=SimpleNamespace(objects=self.target, is_host=True),
            destination={"spec": {"type": "openshift", "url": ""}},
            settings=Settings(),
            resumes=False,
            finds_disks_copied=False,
            target_namespace="tgt",
            storage_map={"spec": {"map": [{"source": {"name": "fast"}, "destination": {"storageClass": "slow"}}]}},
            network_map={"spec": {"map": [{"source": {"type": "pod"}, "destination": {"type": "pod"}}]}},
        )
        self.run = run
        self.vm: Object = {
            "id": "uid-web",
            "name": "web",
            "phase": "CreateDataVolumes",
            "pipeline": [{"name": "Initialize", "phase": "Running"}],
        }
        self.work = VmRun(run, self.vm, item)  # type: ignore[arg-type]

    def vm_there(self) -> Object:
        found = self.source.find("VirtualMachine", "src", "web")
        assert found
        return found

    def serve(self, **status: Any) -> Object:
        [export] = self.source.list("VirtualMachineExport")
        link = {"cert": "PEM", "volumes": [{"name": "root", "formats": [{"format": "raw", "url": "r"}, {"format": "gzip", "url": "z"}]}]}
        export["status"] = {"phase": "Ready", "tokenSecretRef": "t", "links": {"external": link}, **status}
        self.source.create(obj("Secret", "t", data={"token": "dG9rZW4="}))
        return export


@pytest.fixture
def bench(monkeypatch):
    return Bench(monkeypatch)


def test_an_export_is_made_once_and_waited_for(bench):
    assert bench.adapter.prepare(bench.work) is False
    [export] = bench.source.list("VirtualMachineExport")
    assert export["spec"] == {"source": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "web"}, "ttlDuration": "12h0m0s"}
    assert export["metadata"]["labels"] == labels.of_run(PLAN, "m", "uid-web")
    export["status"] = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False", "reason": "InUse", "message": "it runs"}]}
    assert bench.adapter.prepare(bench.work) is False
    assert bench.work.step["reason"] == "The export of the VM is not ready yet: InUse; it runs"
    bench.serve()
    assert bench.adapter.prepare(bench.work) is True
    assert "reason" not in bench.work.step
    assert b64decode(bench.adapter.secret_data(bench.work, "isDV")["token"]) == b"x-kubevirt-export-token:token"
    assert bench.adapter.config_data(bench.work) == {"ca.pem": "PEM"}


def test_the_disk_is_read_in_its_compressed_form(bench, monkeypatch):
    bench.adapter.prepare(bench.work)
    bench.serve()
    bench.target.create({**obj("ConfigMap", "ca", "tgt"), "metadata": {"name": "ca", "namespace": "tgt", "labels": bench.work.labels}})
    [disk] = bench.work.disks
    assert (disk.source, disk.size, disk.storage) == ("src/root", 1 << 30, {"storageClass": "slow"})
    assert bench.adapter.content(bench.work, disk, "headers") == {
        "http": {"url": "z", "certConfigMap": "ca", "secretExtraHeaders": ["headers"]}
    }
    bench.serve(links={"external": {"volumes": [{"name": "root", "formats": [{"format": "raw", "url": "r"}]}]}})
    with pytest.raises(PhaseError, match="does not offer the disk root as gzip or tar.gz, but as raw"):
        bench.adapter.content(bench.work, disk, "headers")


def test_exports_of_others_are_left_alone(monkeypatch):
    bench = Bench(monkeypatch, obj("VirtualMachineExport", "web", spec={}))
    with pytest.raises(PhaseError, match="VirtualMachineExport src/web already exists at the source and does not belong"):
        bench.adapter.prepare(bench.work)
    bench.adapter.release(bench.vm)
    assert len(bench.source.list("VirtualMachineExport")) == 1


def test_an_export_that_the_source_has_made_itself_stays(bench):
    bench.adapter.prepare(bench.work)
    [export] = bench.source.list("VirtualMachineExport")
    export["metadata"]["annotations"] = {}
    bench.adapter.release(bench.vm)
    assert bench.source.list("VirtualMachineExport") == [export]


def test_a_vm_without_anything_to_export_fails(bench):
    bench.adapter.prepare(bench.work)
    bench.serve(phase="Skipped", conditions=[{"type": "Ready", "status": "False", "reason": "VMNoVolumes", "message": ""}])
    with pytest.raises(PhaseError, match="has nothing to serve: VMNoVolumes"):
        bench.adapter.prepare(bench.work)


def test_an_export_that_is_gone_is_told(bench):
    bench.adapter.prepare(bench.work)
    assert bench.adapter.lost(bench.work) == ""
    bench.adapter.release(bench.vm)
    assert "src/web at the source is gone" in bench.adapter.lost(bench.work)
    with pytest.raises(PhaseError, match="is gone"):
        bench.adapter.secret_data(bench.work, "isDV")


@pytest.mark.parametrize(
    ("spec", "off", "note"),
    [
        ({"runStrategy": "Always"}, {"runStrategy": "Halted"}, "Always"),
        ({"runStrategy": "RerunOnFailure"}, {"runStrategy": "Halted"}, "RerunOnFailure"),
        ({"runStrategy": None, "running": True}, {"runStrategy": None, "running": False}, "running"),
    ],
)
def test_a_vm_that_was_switched_off_runs_again_as_it_did(monkeypatch, spec, off, note):
    bench = Bench(monkeypatch, **spec)
    item = bench.work.source_vm
    assert (bench.adapter.power_state(item), bench.adapter.is_off(item)) == ("On", False)
    bench.adapter.power_off(item)
    assert {key: bench.vm_there()["spec"][key] for key in off} == off
    assert bench.vm_there()["metadata"]["annotations"] == {RUN_STRATEGY: note}
    bench.source.create(obj("VirtualMachineInstance", "web", status={"phase": "Running"}))
    assert bench.adapter.is_off(item) is False
    bench.source.find("VirtualMachineInstance", "src", "web")["status"]["phase"] = "Succeeded"
    assert bench.adapter.is_off(item) is True
    bench.adapter.power_on(item)
    assert {key: bench.vm_there()["spec"][key] for key in spec} == spec
    assert bench.vm_there()["metadata"]["annotations"] == {}


def test_a_vm_that_is_off_already_is_not_touched(monkeypatch):
    bench = Bench(monkeypatch, runStrategy="Halted")
    bench.adapter.power_off(bench.work.source_vm)
    assert "annotations" not in bench.vm_there()["metadata"]
    assert bench.adapter.power_state(bench.work.source_vm) == "Off"


def test_the_note_goes_when_the_vm_has_moved(bench):
    bench.adapter.power_off(bench.work.source_vm)
    bench.adapter.release(bench.vm)
    assert RUN_STRATEGY in bench.vm_there()["metadata"]["annotations"]
    bench.adapter.release({**bench.vm, "conditions": [{"type": "Succeeded", "status": "True"}]})
    assert bench.vm_there()["metadata"]["annotations"] == {}


def test_another_vm_of_that_name_is_not_the_one(bench):
    bench.vm_there()["metadata"]["uid"] = "another"
    with pytest.raises(PhaseError, match="VM src/web is gone from the source"):
        bench.adapter.power_off(bench.work.source_vm)


def test_what_would_fail_at_the_end_is_refused_at_the_begin(bench):
    assert bench.adapter.refusal(bench.work) == ""
    bench.target.create(obj("Secret", "setup", "tgt", data={"a": "other"}, type="Opaque"))
    assert bench.adapter.refusal(bench.work) == "Secret tgt/setup already exists and differs from that of the source VM."
    bench.target.create(obj("Secret", "setup", "tgt", data={"a": "b"}, type="Opaque"))
    assert bench.adapter.refusal(bench.work) == ""
    taken = bench.target.create(obj("DataVolume", "root", "tgt"))
    assert bench.adapter.refusal(bench.work).startswith("DataVolume tgt/root already exists and does not belong to this migration")
    taken["metadata"]["labels"] = labels.of_run(PLAN, "an-earlier-run", "uid-web")
    assert bench.adapter.refusal(bench.work) == ""
    bench.run.network_map["spec"]["map"] = []
    assert "no entry for the network" in bench.adapter.refusal(bench.work)
    del bench.source.objects["Secret", "src", "setup"]
    bench.run.network_map["spec"]["map"] = [{"source": {"type": "pod"}, "destination": {"type": "pod"}}]
    assert bench.adapter.refusal(bench.work) == "Secret src/setup, which the VM needs, is not there."


def test_block_devices_are_as_large_as_they_are():
    asked = claim(status={"capacity": {"storage": "2Gi"}})
    assert size_of(asked) == 1 << 30
    asked["spec"]["volumeMode"] = "Block"
    assert size_of(asked) == 2 << 30
