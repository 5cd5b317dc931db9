"""Validation of plans for VMs from vSphere: each rule breaks a plan that is otherwise fit, and says so in the recorded words."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.controllers import conversion_tools
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.network_map import NetworkMapReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import validate
from ansible_collections.vmshift.mtv.controlplane.controllers.storage_map import StorageMapReconciler

Object = dict[str, Any]

WEB = " id:vm-1 name:'web' "
IMAGE = "quay.io/acme/vddk:8"


@pytest.fixture(autouse=True)
def all_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion_tools.tools, "missing", lambda names: [])


def disk(number: int = 0, **other: Any) -> Object:
    file = f"[fast] web/web_{number}.vmdk"
    return {"key": 2000 + number, "bus": "scsi", "file": file, "datastore": {"id": "datastore-1"}, "capacity": 1 << 30, **other}


def vm(name: str = "web", number: int = 1, **other: Any) -> Object:
    return {
        "id": f"vm-{number}",
        "name": name,
        "uuid": f"uuid-{number}",
        "host": "host-1",
        "powerState": "poweredOn",
        "toolsStatus": "toolsOk",
        "toolsRunningStatus": "guestToolsRunning",
        "changeTrackingEnabled": True,
        "snapshot": {"id": "", "kind": ""},
        "networks": [{"id": "network-1", "kind": "Network"}],
        "nics": [{"mac": f"00:0c:29:00:00:0{number}", "network": {"id": "network-1"}}],
        "guestNetworks": [{"mac": f"00:0c:29:00:00:0{number}", "ip": "192.0.2.10", "network": "lan"}],
        "disks": [disk()],
        "concerns": [],
        **other,
    }


class Bench:
    """A plan that is fit to run, and what tests change about it."""

    def __init__(self, plane: Any, new_items: Any) -> None:
        self.plane, self.vms = plane, [vm()]
        self.hosts = [{"id": "host-1", "name": "esx1", "inMaintenance": False}]
        networks = [{"id": "network-1", "name": "lan"}, {"id": "network-2", "name": "backup"}]
        datastores = [{"id": "datastore-1", "name": "fast"}, {"id": "datastore-2", "name": "slow"}]
        items = new_items({"vms": self.vms, "networks": networks, "datastores": datastores, "hosts": self.hosts})
        plane.namespace("target")
        plane.create("StorageClass", "", "block", provisioner="local.example")
        plane.host()
        self.source = plane.provider("mig", "vc", "vsphere", items, url="https://vc.example/sdk")
        self.ends = {"source": {"name": "vc", "namespace": "mig"}, "destination": {"name": "host", "namespace": plane.context.namespace}}
        plane.create("NetworkAttachmentDefinition", "target", "vlan", spec={"config": "{}"})
        self.map("NetworkMap", "net", [("lan", {"type": "multus", "name": "vlan", "namespace": "target"})])
        self.map("StorageMap", "sto", [("fast", {"storageClass": "block"})])
        self.plan: Object = {
            "apiVersion": "forklift.konveyor.io/v1beta1",
            "kind": "Plan",
            "metadata": {"name": "batch", "namespace": "mig", "uid": "plan-uid"},
            "spec": {
                "provider": self.ends,
                "map": {"network": {"name": "net", "namespace": "mig"}, "storage": {"name": "sto", "namespace": "mig"}},
                "targetNamespace": "target",
                "vms": [{"name": "web"}],
            },
        }

    def map(self, kind: str, name: str, pairs: list[tuple[str, Object]]) -> None:
        listed = [{"source": {"name": source}, "destination": destination} for source, destination in pairs]
        self.plane.create(kind, "mig", name, spec={"provider": self.ends, "map": listed})
        reconciler = {"NetworkMap": NetworkMapReconciler, "StorageMap": StorageMapReconciler}[kind]
        asyncio.run(reconciler(self.plane.context).reconcile("mig", name))

    def use(self, kind: str, name: str) -> None:
        self.plan["spec"]["map"][kind] = {"name": name, "namespace": "mig"}

    def with_image(self) -> None:
        self.source["spec"]["settings"] = {"vddkInitImage": IMAGE}
        self.plane.api.update(self.source)

    def found(self) -> dict[str, Object]:
        conditions = Conditions([])
        validate(self.plane.context, self.plan, conditions)
        return {c["type"]: {k: v for k, v in c.items() if k not in ("type", "lastTransitionTime", "status")} for c in conditions.finish()}

    def set(self, **spec: Any) -> None:
        self.plan["spec"].update(spec)

    def job(self) -> Object:
        [job] = self.plane.api.list("Job", "target")
        return job


@pytest.fixture
def bench(plane: Any, new_items: Any) -> Bench:
    return Bench(plane, new_items)


def test_a_plan_that_is_fit_gets_no_condition(bench: Bench) -> None:
    assert bench.found() == {}


def test_a_plan_that_only_converts_wants_a_claim_for_each_disk_and_no_storage_map(bench: Bench) -> None:
    bench.set(type="conversion", map={**bench.plan["spec"]["map"], "storage": {}})
    assert set(bench.found()) == {"MissingPvcForOnlyConversion"}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = bench.plane.create("PersistentVolumeClaim", "target", "web", spec=spec)
    assert set(bench.found()) == {"MissingPvcForOnlyConversion"}
    claim["metadata"]["labels"] = {"vmID": "vm-1", "vmUUID": "uuid-1"}
    bench.plane.api.update(claim)
    assert bench.found() == {}


@pytest.mark.parametrize(
    ("change", "spec", "type", "category", "reason"),
    [
        ({"networks": [{"id": "network-2"}]}, {}, "VMNetworksNotMapped", "Critical", "NotValid"),
        ({"disks": [disk(datastore={"id": "datastore-2"})]}, {}, "VMStorageNotMapped", "Critical", "NotValid"),
        ({"disks": [disk(datastore={"id": ""})]}, {}, "VMStorageNotMapped", "Critical", "NotValid"),
        ({"disks": [disk(capacity=0)]}, {}, "InvalidDiskSizes", "Critical", "NotValid"),
        ({"guestNetworks": []}, {}, "VMMissingGuestIPs", "Warn", "MissingGuestInformation"),
        ({"guestNetworks": [{"mac": "other", "ip": "192.0.2.1"}]}, {}, "VMMissingGuestIPs", "Warn", "MissingGuestInformation"),
        ({"toolsStatus": None}, {}, "GuestToolsIssue", "Critical", "NotValid"),
        ({"toolsStatus": "toolsNotInstalled"}, {}, "GuestToolsIssue", "Critical", "NotValid"),
        ({"toolsRunningStatus": "guestToolsNotRunning"}, {}, "GuestToolsIssue", "Critical", "NotValid"),
        ({"disks": [disk(rdm=True)]}, {}, "RDMDiskWarning", "Warn", "NotSupported"),
        ({"disks": [disk(mode="independent_persistent")]}, {}, "IndependentDiskWarning", "Warn", "NotSupported"),
        ({}, {"type": "conversion"}, "MissingPvcForOnlyConversion", "Critical", "NotValid"),
        (
            {"concerns": [{"id": "x", "label": "Bad", "category": "Critical"}]},
            {},
            "VMCriticalConcerns",
            "Critical",
            "NotValid",
        ),
    ],
)
def test_what_is_wrong_with_a_vm(bench: Bench, change: Object, spec: Object, type: str, category: str, reason: str) -> None:
    bench.vms[0].update(change)
    bench.set(**spec)
    found = bench.found()
    assert set(found) == {type}
    assert (found[type]["category"], found[type]["reason"]) == (category, reason)
    assert found[type]["items"] == [WEB + " (Bad)" if type == "VMCriticalConcerns" else WEB]


@pytest.mark.parametrize(
    ("change", "type", "category", "reason"),
    [
        ({"changeTrackingEnabled": False}, "VMMissingChangedBlockTracking", "Critical", "MissingChangedBlockTracking"),
        ({"snapshot": {"id": "snapshot-1"}}, "VMHasSnapshots", "Critical", "NotValid"),
        ({"consolidationNeeded": True}, "VMConsolidationNeeded", "Warn", "ConsolidationNeeded"),
        ({"disks": [disk(rdm=True, physicalMode=True)]}, "RDMDiskWarning", "Warn", "NotSupported"),
    ],
)
@pytest.mark.parametrize("warm", [{"type": "warm"}, {"warm": True}])
def test_what_a_warm_migration_needs(bench: Bench, change: Object, type: str, category: str, reason: str, warm: Object) -> None:
    bench.vms[0].update(change)
    if type != "RDMDiskWarning":
        assert bench.found() == {}
    bench.set(**warm)
    found = bench.found()
    assert set(found) == {type, "VDDKInitImageUnavailable"}
    assert (found[type]["category"], found[type]["reason"], found[type]["items"]) == (category, reason, [WEB])


def test_snapshots_see_raw_devices_in_virtual_mode(bench: Bench) -> None:
    bench.vms[0]["disks"] = [disk(rdm=True, physicalMode=False)]
    bench.set(type="warm")
    assert set(bench.found()) == {"VDDKInitImageUnavailable"}


def test_a_vm_that_is_off_needs_no_tools_and_no_addresses(bench: Bench) -> None:
    bench.vms[0].update(powerState="poweredOff", toolsStatus="", guestNetworks=[])
    assert bench.found() == {}


def test_addresses_are_not_asked_for_when_they_are_not_kept(bench: Bench) -> None:
    bench.vms[0]["guestNetworks"] = []
    bench.set(preserveStaticIPs=False)
    assert bench.found() == {}


def test_a_host_in_maintenance(bench: Bench) -> None:
    bench.hosts[0]["inMaintenance"] = True
    assert bench.found() == {
        "HostNotReady": {
            "category": "Warn",
            "reason": "InMaintenanceMode",
            "message": "VM host is in maintenance mode.",
            "items": [WEB],
        }
    }


@pytest.mark.parametrize(
    ("spec", "warned"),
    [({}, True), ({"preserveStaticIPs": True}, True), ({"preserveStaticIPs": False}, False), ({"targetNamespace": "own"}, False)],
)
def test_static_addresses_and_the_pod_network_do_not_go_together(bench: Bench, spec: Object, warned: bool) -> None:
    labels = {"k8s.ovn.org/user-defined-network": ""}
    bench.plane.create("NetworkAttachmentDefinition", "own", "udn", spec={"config": "{}"}, metadata={"labels": labels})
    bench.map("NetworkMap", "pod", [("lan", {"type": "pod"})])
    bench.use("network", "pod")
    bench.set(**spec)
    found = bench.found()
    assert ("NetMapPreservingIPsOnPodNetwork" in found) is warned
    assert not warned or found["NetMapPreservingIPsOnPodNetwork"]["message"].endswith("aren't preserved in Pod Networking migrations.")


@pytest.mark.parametrize(("address", "outside"), [("192.0.2.10", False), ("198.51.100.1", True), ("nonsense", True)])
def test_an_address_outside_of_the_network_of_the_namespace(bench: Bench, address: str, outside: bool) -> None:
    bench.plane.namespace("own")
    labels = {"k8s.ovn.org/primary-user-defined-network": ""}
    bench.plane.api.patch("Namespace", None, "own", {"metadata": {"labels": labels}})
    config = json.dumps({"type": "ovn-k8s-cni-overlay", "topology": "layer2", "subnets": "192.0.2.0/24"})
    mark = {"labels": {"k8s.ovn.org/user-defined-network": ""}}
    bench.plane.create("NetworkAttachmentDefinition", "own", "udn", spec={"config": config}, metadata=mark)
    bench.map("NetworkMap", "pod", [("lan", {"type": "pod"})])
    bench.use("network", "pod")
    bench.set(targetNamespace="own")
    bench.vms[0]["guestNetworks"][0]["ip"] = address
    assert set(bench.found()) == ({"VMIpNotMatchingUdnSubnet"} if outside else set())


# Shared disks


@pytest.fixture
def sharing(bench: Bench) -> Bench:
    """Two VMs that are off and share a disk; the plan has both."""
    shared = disk(1, shared=True)
    bench.vms[0].update(disks=[disk(), shared], powerState="poweredOff")
    bench.vms.append(vm("db", 2, disks=[disk(2), shared], powerState="poweredOff"))
    bench.set(vms=[{"name": "web"}, {"name": "db"}])
    return bench


def test_vms_that_share_a_disk_must_be_off(sharing: Bench) -> None:
    sharing.vms[1]["powerState"] = "poweredOn"
    found = sharing.found()
    message = "Virtual Machines 'db' are running with attached shared disk, please power them off"
    assert found["SharedDisks-vm-1"] == {"category": "Critical", "message": message, "items": [WEB]}
    assert "SharedDisks-vm-2" in found


def test_a_shared_disk_that_would_be_copied_twice(sharing: Bench) -> None:
    found = sharing.found()
    assert set(found) == {"SharedWarnDisks-vm-1", "SharedWarnDisks-vm-2"}
    assert found["SharedWarnDisks-vm-1"]["message"] == (
        "the shared disk '[fast] web/web_1.vmdk' will be coppied 2x,  please detach the disk from all but one of the VMs, "
        "or remove the VMs from the plan to avoid duplicating the disk"
    )
    sharing.plan["spec"]["vms"][1]["migrateSharedDisks"] = False
    assert set(sharing.found()) == {"SharedWarnDisks-vm-2"}  # nothing to attach yet


def test_shared_disks_that_are_there_already(sharing: Bench) -> None:
    annotations = {"forklift.konveyor.io/disk-source": "[fast] web/web_1.vmdk"}
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    meta = {"labels": {"shareable": "true"}, "annotations": annotations}
    sharing.plane.create("PersistentVolumeClaim", "target", "quorum", spec=spec, metadata=meta)
    assert "the disk will be duplicated" in sharing.found()["SharedWarnDisks-vm-1"]["message"]
    sharing.set(migrateSharedDisks=False)
    assert sharing.found() == {}


def test_a_shared_disk_that_cannot_be_attached(sharing: Bench) -> None:
    sharing.set(migrateSharedDisks=False)
    assert sharing.found()["SharedWarnDisks-vm-1"]["message"] == (
        "Missing shared disks PVC '[fast] web/web_1.vmdk' in namespace 'target', the VMs can be migrated but the disk will not be attached"
    )


def test_shared_disks_are_no_matter_for_a_warm_migration_but_do_not_block_it(sharing: Bench) -> None:
    sharing.set(type="warm")
    found = sharing.found()
    assert found["SharedDisks-vm-1"]["category"] == ""
    assert found["SharedDisks-vm-1"]["message"] == "The shared disks cannot be used with warm migration"


def test_copies_by_a_storage_array_are_refused(bench: Bench) -> None:
    plugin = {"vsphereXcopyConfig": {"secretRef": "s", "storageVendorProduct": "ontap"}}
    pairs = [{"source": {"name": "fast"}, "destination": {"storageClass": "block"}, "offloadPlugin": plugin}]
    bench.plane.create("StorageMap", "mig", "array", spec={"provider": bench.ends, "map": pairs})
    asyncio.run(StorageMapReconciler(bench.plane.context).reconcile("mig", "array"))
    bench.use("storage", "array")
    assert set(bench.found()) == {"OffloadNotSupported"}


# VMware's disk library


@pytest.mark.parametrize(
    ("spec", "what"),
    [({"type": "warm"}, "warm migration"), ({"skipGuestConversion": True}, "raw copy mode migration"), ({}, "")],
)
def test_which_plans_need_the_library(bench: Bench, spec: Object, what: str) -> None:
    bench.set(**spec)
    found = bench.found().get("VDDKInitImageUnavailable")
    assert (found or {}).get("message", "").startswith(f"VDDK image is required for {what}." if what else "")
    assert bool(found) is bool(what)


def test_its_image_is_tried_before_the_plan_is_ready(bench: Bench) -> None:
    bench.with_image()
    assert bench.found() == {
        "ValidatingVDDK": {"category": "Advisory", "reason": "Started", "message": "Validating VDDK init image"},
    }
    job = bench.job()
    assert job["metadata"]["name"].startswith("vddk-validator-batch")
    digest = hashlib.md5(IMAGE.encode(), usedforsecurity=False).hexdigest()
    assert job["metadata"]["labels"] == {"plan": "plan-uid", "vddk": digest}
    assert job["metadata"]["annotations"] == {"plan": "batch", "provider": "vc", "vddk": IMAGE}
    assert [c["image"] for c in job["spec"]["template"]["spec"]["initContainers"]] == [IMAGE]
    bench.found()
    assert bench.job()["metadata"]["uid"] == job["metadata"]["uid"]


@pytest.mark.parametrize(("end", "types"), [("Complete", set()), ("Failed", {"VDDKInvalid"})])
def test_what_came_of_it(bench: Bench, end: str, types: set[str]) -> None:
    bench.with_image()
    bench.found()
    job = bench.job()
    job["status"] = {"conditions": [{"type": end, "status": "True"}]}
    bench.plane.api.update_status(job)
    assert set(bench.found()) == types


def test_the_image_may_be_that_of_the_forklift_controller(bench: Bench) -> None:
    bench.plane.create("ForkliftController", bench.plane.context.namespace, "forklift-controller", spec={"vddk_image": IMAGE})
    bench.set(type="warm")
    assert set(bench.found()) == {"ValidatingVDDK"}


@pytest.mark.parametrize(
    ("spec", "inspects"),
    [
        ({}, False),
        ({"type": "warm"}, True),
        ({"warm": True, "runPreflightInspection": True}, True),
        ({"type": "warm", "runPreflightInspection": False}, False),
        ({"type": "warm", "skipGuestConversion": True}, False),
    ],
)
def test_programs_that_inspect_guests_are_needed_by_plans_that_have_them_inspected(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, spec: Object, inspects: bool
) -> None:
    virt_inspector = conversion_tools.tools.TOOLS["virt-inspector"]
    monkeypatch.setattr(conversion_tools.tools, "missing", lambda names: [virt_inspector] if "virt-inspector" in names else [])
    bench.set(**spec)
    found = bench.found().get("ConversionToolMissing")
    assert bool(found) == inspects
    if found:
        assert found["items"] == ["virt-inspector: package libguestfs-tools (Debian, Ubuntu) or guestfs-tools (Fedora, RHEL)"]
