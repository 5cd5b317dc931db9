"""Plan validation: each rule breaks a plan that is otherwise fit, and says so in the recorded words."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import Conflict
from ansible_collections.vmshift.mtv.controlplane.controllers import conversion_tools
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.network_map import NetworkMapReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import validate
from ansible_collections.vmshift.mtv.controlplane.controllers.storage_map import StorageMapReconciler
from ansible_collections.vmshift.mtv.controlplane.datapath.tools import TOOLS

Object = dict[str, Any]
Changes = dict[str, Any]

WEB, DB = " id:vm-web name:'web' ", " id:vm-db name:'db' "


@pytest.fixture(autouse=True)
def all_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion_tools.tools, "missing", lambda names: [])


def ova_vm(name: str, *, networks: tuple[str, ...] = ("lan",), disks: tuple[str, ...] = ("disk-1",), macs: tuple[str, ...] = ()) -> Object:
    nics = [{"Name": f"nic {i}", "Network": net, "MAC": macs[i] if i < len(macs) else ""} for i, net in enumerate(networks)]
    return {
        "id": f"vm-{name}",
        "name": name,
        "networks": [{"ID": f"id-{net}", "Name": net} for net in dict.fromkeys(networks)],
        "nics": nics,
        "disks": [{"ID": disk, "Name": f"{disk}.vmdk", "Capacity": 2} for disk in disks],
        "concerns": [],
    }


class Bench:
    """An OVA plan that is fit to run, and what tests change about it."""

    def __init__(self, plane: Any, new_items: Any) -> None:
        self.plane = plane
        self.vms = [ova_vm("web"), ova_vm("db", networks=("lan", "backup")), ova_vm("Big App")]
        storages = [{"id": f"disk-{i}", "name": f"disk-{i}.vmdk"} for i in (1, 2)]
        networks = [{"id": f"id-{name}", "name": name} for name in ("lan", "backup")]
        self.items = new_items({"vms": self.vms, "networks": networks, "storages": storages})
        plane.namespace("target")
        plane.create("StorageClass", "", "fast", provisioner="local.example")
        plane.host()
        plane.provider("mig", "src", "ova", self.items, url="s:/e")
        self.ends = {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": plane.context.namespace}}
        multus = {"type": "multus", "name": "vlan", "namespace": "target"}
        plane.create("NetworkAttachmentDefinition", "target", "vlan", spec={"config": "{}"})
        self.network_map("net", {"lan": {"type": "pod"}, "backup": multus})
        self.storage_map("sto", ("disk-1",))
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

    def network_map(self, name: str, pairs: dict[str, Object], key: str = "name") -> None:
        listed = [{"source": {key: source}, "destination": destination} for source, destination in pairs.items()]
        self.plane.create("NetworkMap", "mig", name, spec={"provider": self.ends, "map": listed})
        asyncio.run(NetworkMapReconciler(self.plane.context).reconcile("mig", name))

    def storage_map(self, name: str, disks: tuple[str, ...]) -> None:
        listed = [{"source": {"id": disk}, "destination": {"storageClass": "fast"}} for disk in disks]
        self.plane.create("StorageMap", "mig", name, spec={"provider": self.ends, "map": listed})
        asyncio.run(StorageMapReconciler(self.plane.context).reconcile("mig", name))

    def target_vm(self, namespace: str, name: str, *macs: str, labels: dict[str, str] | None = None) -> None:
        interfaces = [{"name": f"net-{i}", "bridge": {}, "macAddress": mac} for i, mac in enumerate(macs)]
        template = {"spec": {"domain": {"devices": {"interfaces": interfaces}}}}
        spec = {"runStrategy": "Halted", "template": template}
        self.plane.create("VirtualMachine", namespace, name, spec=spec, metadata={"labels": labels or {}})

    def found(self, before: list[Object] | None = None) -> list[Object]:
        conditions = Conditions(before or [])
        validate(self.plane.context, self.plan, conditions)
        return [{k: v for k, v in c.items() if k not in ("lastTransitionTime", "status")} for c in conditions.finish()]

    def only(self) -> Object:
        [condition] = self.found()
        return condition

    def set(self, **spec: Any) -> None:
        self.plan["spec"].update(spec)


@pytest.fixture
def bench(plane: Any, new_items: Any) -> Bench:
    return Bench(plane, new_items)


def test_plan_that_is_fit_gets_no_condition(bench: Bench) -> None:
    assert bench.found() == []
    bench.set(vms=[{"id": "vm-web"}, {"name": "db"}])
    assert bench.found() == []


@pytest.mark.parametrize(
    ("spec", "type", "category", "reason", "message", "items"),
    [
        ({"type": "live"}, "MigrationTypeNotValid", "Critical", "NotSupported", "`live` migration from the source provider", None),
        ({"type": "conversion"}, "MigrationTypeNotValid", "Critical", "NotSupported", "`conversion` migration", None),
        ({"warm": True}, "WarmMigrationNotReady", "Critical", "NotSupported", "Warm migration from the source", None),
        ({"vms": [{"targetName": "x"}]}, "VMRefNotValid", "Critical", "NotSet", "Either `ID` or `Name` required.", None),
        ({"vms": [{"name": "zz"}]}, "VMNotFound", "Critical", "NotFound", "VM not found.", [" id: name:'zz' "]),
        ({"vms": [{"name": "web"}, {"id": "vm-z"}]}, "VMNotFound", "Critical", "NotFound", "VM not found.", [" id:vm-z name:'' "]),
        ({"vms": [{"name": "web"}, {"id": "vm-web"}]}, "DuplicateVM", "Critical", "NotUnique", "Duplicate (source) VM.", [WEB]),
        (
            {"vms": [{"name": "web", "targetName": "a"}, {"name": "db", "targetName": "a"}]},
            "DuplicateVM",
            "Critical",
            "NotUnique",
            "Duplicate targetName.",
            [DB],
        ),
        (
            {"vms": [{"name": "Big App"}]},
            "TargetNameNotValid",
            "Warn",
            "NotValid",
            "Target VM name does not comply with DNS1123 RFC",
            [" id:vm-Big App name:'Big App' "],
        ),
        ({"vms": [{"name": "web", "targetName": "Web_1"}]}, "NotValid", "Critical", None, "TargetName is invalid.", [WEB]),
        (
            {"vms": [{"name": "web", "volumeNameTemplate": "{{.Nope}}"}]},
            "NotValid",
            "Critical",
            None,
            "VM volume name template is invalid.",
            [WEB],
        ),
        (
            {"vms": [{"name": "web", "networkNameTemplate": "N{{.NetworkIndex}}"}]},
            "NotValid",
            "Critical",
            None,
            "VM network name template is invalid.",
            [WEB],
        ),
        ({"volumeNameTemplate": "{{.VolumeIndex"}, "NotValid", "Critical", None, "Volume name template is invalid.", None),
        ({"networkNameTemplate": "NIC_{{.NetworkIndex}}"}, "NotValid", "Critical", None, "Network name template is invalid.", None),
        (
            {"pvcNameTemplate": "Disk{{.DiskIndex}}"},
            "NotValid",
            "Critical",
            None,
            "VM PVC name template is invalid.",
            [f"{WEB} template:Disk{{{{.DiskIndex}}}} error:Template output is invalid k8s label [Disk0]"],
        ),
        (
            {"vms": [{"name": "web", "luks": {"name": "k", "namespace": "mig"}, "nbdeClevis": True}]},
            "LuksAndClevisIncompatibility",
            "Warn",
            "NotValid",
            "LUKS keys and Clevis cannot be configured together",
            [WEB],
        ),
        ({"virtV2vImage": "nope"}, "VirtV2vImageNotValid", "Critical", "NotValid", "A fully-qualified image is required", None),
        ({"serviceAccount": "zz"}, "ServiceAccountNotValid", "Critical", "NotFound", "'zz' not found in target namespace 'target'.", None),
        (
            {"transferNetwork": {"name": "zz", "namespace": "target"}},
            "TransferNetworkNotValid",
            "Critical",
            "NotFound",
            "Transfer network is not valid.",
            None,
        ),
        (
            {"transferNetwork": {"name": "vlan", "namespace": "target"}},
            "TransferNetworkMissingDefaultRoute",
            "Warn",
            "NotValid",
            "Transfer network missing default route annotation.",
            None,
        ),
        (
            {"conversionTempStorageClass": "fast"},
            "NotValid",
            "Critical",
            None,
            "Both ConversionTempStorageClass and ConversionTempStorageSize",
            None,
        ),
        (
            {"conversionTempStorageClass": "fast", "conversionTempStorageSize": "10 GB"},
            "NotValid",
            "Critical",
            None,
            "'10 GB' is not a valid Kubernetes resource quantity",
            None,
        ),
        (
            {"conversionTempStorageClass": "zz", "conversionTempStorageSize": "10Gi"},
            "NotValid",
            "Critical",
            None,
            '"zz" not found in the cluster.',
            None,
        ),
        (
            {"conversionTempStorageClass": "fast", "conversionTempStorageSize": "1.5Gi"},
            "NotValid",
            "Advisory",
            None,
            'No capacity information found for ConversionTempStorageClass "fast".',
            None,
        ),
    ],
)
def test_one_thing_wrong_with_the_spec(
    bench: Bench, spec: Changes, type: str, category: str, reason: str | None, message: str, items: list[str] | None
) -> None:
    bench.set(**spec)
    condition = bench.only()
    assert (condition["type"], condition["category"], condition.get("reason")) == (type, category, reason)
    assert message in condition["message"]
    assert condition.get("items") == items


@pytest.mark.parametrize(("name", "reason"), [("", "NotSet"), ("Bad_NS", "NotValid")])
def test_target_namespace(bench: Bench, name: str, reason: str) -> None:
    bench.network_map("pods", {"lan": {"type": "pod"}})
    bench.plan["spec"]["map"]["network"]["name"] = "pods"
    bench.set(targetNamespace=name)
    expected = {"type": "NamespaceNotValid", "category": "Critical", "message": "Target namespace is not valid.", "reason": reason}
    assert bench.only() == expected


@pytest.mark.parametrize(
    ("what", "reference", "type", "reason"),
    [
        ("network", {"name": "zz", "namespace": "mig"}, "NetworkMapRefNotValid", "NotFound"),
        ("network", {"name": "net"}, "NetworkMapRefNotValid", "NotSet"),
        ("storage", {"name": "zz", "namespace": "mig"}, "StorageRefNotValid", "NotFound"),
        ("storage", {}, "StorageRefNotValid", "NotSet"),
    ],
)
def test_map_references(bench: Bench, what: str, reference: Object, type: str, reason: str) -> None:
    bench.plan["spec"]["map"][what] = reference
    assert (bench.only()["type"], bench.only()["reason"]) == (type, reason)


def test_after_a_blocked_prerequisite_nothing_more_is_looked_at(bench: Bench) -> None:
    bench.network_map("broken", {"lan": {"type": "multus", "name": "zz", "namespace": "target"}})
    bench.plan["spec"]["map"]["network"]["name"] = "broken"
    bench.set(vms=[{"name": "zz"}], type="live", targetNamespace="")
    assert [c["type"] for c in bench.found()] == ["NamespaceNotValid", "NetworkMapNotReady", "NetMapDestinationNADNotValid"]


def test_nad_of_a_third_namespace(bench: Bench) -> None:
    bench.plane.create("NetworkAttachmentDefinition", "other", "vlan", spec={"config": "{}"})
    bench.plane.create("NetworkAttachmentDefinition", "default", "vlan", spec={"config": "{}"})
    for name in ("default", "other"):
        bench.network_map(name, {"lan": {"type": "multus", "name": "vlan", "namespace": name}})
    bench.plan["spec"]["map"]["network"]["name"] = "default"
    assert bench.found() == []
    bench.plan["spec"]["map"]["network"]["name"] = "other"
    condition = bench.only()
    assert (condition["type"], condition["reason"]) == ("NetMapDestinationNADNotValid", "NotValid")
    assert "Destination NAD other/vlan must be in either the target namespace (target)" in condition["message"]


def test_source_provider_that_is_not_ready_stops_everything(bench: Bench) -> None:
    provider = bench.plane.api.get("Provider", "mig", "src")
    bench.plane.api.update_status({**provider, "status": {"conditions": []}})
    bench.set(targetNamespace="")
    assert bench.only()["type"] == "SourceProviderNotReady"


def test_destination_must_be_openshift(bench: Bench) -> None:
    bench.plan["spec"]["provider"] = {"source": bench.ends["source"], "destination": bench.ends["source"]}
    assert (bench.only()["type"], bench.only()["reason"]) == ("DestinationProviderNotValid", "TypeNotValid")


def test_nothing_is_said_while_the_inventory_is_loaded_anew(bench: Bench) -> None:
    bench.items.loaded = False
    with pytest.raises(Conflict):
        bench.found()


def test_running_plan_is_not_asked_about_its_vms(bench: Bench) -> None:
    executing = {"type": "Executing", "status": "True", "category": "Advisory", "durable": True, "lastTransitionTime": "x"}
    bench.set(vms=[{"name": "zz"}])
    assert [c["type"] for c in bench.found([executing])] == ["Executing"]


def test_migrated_vms_are_left_alone(bench: Bench) -> None:
    bench.target_vm("target", "web")
    succeeded = {"type": "Succeeded", "status": "True"}
    bench.set(vms=[{"name": "web"}, {"name": "db"}])
    bench.plan["status"] = {"migration": {"vms": [{"id": "vm-web", "name": "web", "conditions": [succeeded]}, {"id": "vm-db"}]}}
    assert bench.found() == []
    bench.items.collections["vms"].pop(0)
    assert bench.found() == []


def test_but_a_migrated_vm_is_a_conflict_for_its_own_source(bench: Bench) -> None:
    """Recorded in fail-then-retry: such a plan can never be run again."""
    bench.vms[0] = bench.items.collections["vms"][0] = ova_vm("web", macs=("00:16:3e:00:00:01",))
    bench.target_vm("target", "web", "00:16:3e:00:00:01", labels={"plan": "plan-uid", "vmID": "vm-web"})
    succeeded = {"type": "Succeeded", "status": "True"}
    bench.set(vms=[{"name": "web"}, {"name": "db"}])
    bench.plan["status"] = {"migration": {"vms": [{"id": "vm-web", "name": "web", "conditions": [succeeded]}, {"id": "vm-db"}]}}
    condition = bench.only()
    assert (condition["type"], condition["category"], condition["reason"]) == ("MacConflicts", "Critical", "NotValid")
    assert condition["items"] == [WEB]
    assert condition["message"] == f"VM {WEB} has MAC address conflicts: MACs 00:16:3e:00:00:01 conflict with destination VM target/web"


def test_vm_of_an_ambiguous_name(bench: Bench) -> None:
    bench.items.collections["vms"].append({**ova_vm("web"), "id": "vm-other"})
    condition = bench.only()
    assert (condition["type"], condition["reason"], condition["items"]) == ("DuplicateVM", "Ambiguous", [" id: name:'web' "])


def test_vm_that_exists_at_the_destination(bench: Bench) -> None:
    bench.target_vm("elsewhere", "web")
    assert bench.found() == []
    bench.target_vm("target", "web")
    assert (bench.only()["type"], bench.only()["items"]) == ("VMAlreadyExists", [WEB])
    bench.set(vms=[{"name": "web", "targetName": "shop"}])
    assert bench.found() == []
    bench.target_vm("target", "shop")
    assert bench.only()["type"] == "VMAlreadyExists"
    bench.plan["status"] = {"migration": {"vms": [{"id": "vm-web", "name": "web"}]}}
    assert bench.found() == [], "a VM that this plan is about to make, or made"


def test_mac_that_is_in_use(bench: Bench) -> None:
    bench.items.collections["vms"][:2] = [ova_vm("web", macs=("00:16:3E:00:00:01",)), ova_vm("db", macs=("00:16:3e:00:00:02",))]
    bench.set(vms=[{"name": "web"}, {"name": "db"}])
    bench.target_vm("a", "one", "00:16:3e:00:00:01", "00:16:3e:00:00:09")
    condition = bench.only()
    assert condition["items"] == [WEB]
    expected = f"VM {WEB} has MAC address conflicts: MACs 00:16:3E:00:00:01 conflict with destination VM a/one"
    assert (condition["type"], condition["message"]) == ("MacConflicts", expected)


@pytest.mark.parametrize("key", ["name", "id"])
def test_two_interfaces_on_the_pod_network(bench: Bench, key: str) -> None:
    pod = {"type": "pod"}
    prefix = "id-" if key == "id" else ""
    bench.network_map("pods", {f"{prefix}lan": pod, f"{prefix}backup": pod}, key)
    bench.plan["spec"]["map"]["network"]["name"] = "pods"
    assert bench.found() == []
    bench.set(vms=[{"name": "db"}])
    assert (bench.only()["type"], bench.only()["items"]) == ("VMMultiplePodNetworkMappings", [DB])


def test_gaps_in_the_maps(bench: Bench) -> None:
    bench.items.collections["vms"][0] = ova_vm("web", networks=("lan", "unknown"), disks=("disk-1", "disk-2"))
    found = [(c["type"], c["reason"], c["items"]) for c in bench.found()]
    assert found == [("VMNetworksNotMapped", "NotValid", [WEB]), ("VMStorageNotMapped", "NotValid", [WEB])]


def test_concerns_and_disk_sizes(bench: Bench) -> None:
    bench.vms[0]["concerns"] = [
        {"id": "ova.source.unsupported", "category": "Warning", "label": "Unsupported source"},
        {"id": "x", "category": "Critical", "label": "Disk is empty"},
        {"id": "y", "category": "Critical", "label": "Too old"},
    ]
    bench.vms[0]["disks"][0]["Capacity"] = 0
    found = {c["type"]: c for c in bench.found()}
    assert list(found) == ["UnsupportedOVFExportSource", "InvalidDiskSizes", "VMCriticalConcerns"]
    assert found["UnsupportedOVFExportSource"]["category"] == "Warn"
    assert found["VMCriticalConcerns"]["items"] == [f"{WEB} (Disk is empty)", f"{WEB} (Too old)"]


def test_of_one_type_the_last_finding_shows(bench: Bench) -> None:
    bench.set(
        vms=[{"name": "web", "targetName": "Bad_", "pvcNameTemplate": "{{"}], volumeNameTemplate="{{", conversionTempStorageClass="zz"
    )
    assert bench.only()["message"].startswith("Both ConversionTempStorageClass")
    bench.plan["spec"].pop("conversionTempStorageClass")
    assert bench.only()["message"] == "Volume name template is invalid."
    bench.plan["spec"].pop("volumeNameTemplate")
    assert bench.only()["message"] == "TargetName is invalid."


def test_capacity_that_nobody_knows_hides_nothing(bench: Bench) -> None:
    bench.set(volumeNameTemplate="{{", conversionTempStorageClass="fast", conversionTempStorageSize="10Gi")
    assert bench.only()["message"] == "Volume name template is invalid."


def test_pvc_template_of_the_vm_comes_before_that_of_the_plan(bench: Bench) -> None:
    bench.set(pvcNameTemplate="{{.Nope}}", vms=[{"name": "web", "pvcNameTemplate": "{{.TargetVmName}}-{{.DiskIndex}}"}])
    assert bench.found() == []
    bench.set(vms=[{"name": "Big App"}])
    [_unused, problem] = bench.found()
    assert problem["items"] == [
        " id:vm-Big App name:'Big App'  template:{{.Nope}} error:Template execution failed caused by: 'template: template:1:2: executing "
        "\"template\" at <.Nope>: can't evaluate field Nope in type v1beta1.PVCNameTemplateData'"
    ]
    bench.set(pvcNameTemplate="{{.TargetVmName}}")
    assert [c["type"] for c in bench.found()] == ["TargetNameNotValid"]


def test_transfer_network(bench: Bench) -> None:
    api = bench.plane.api
    bench.plane.create("NetworkAttachmentDefinition", "default", "fast", spec={"config": "{}"})
    bench.plane.create("NetworkAttachmentDefinition", "other", "fast", spec={"config": "{}"})
    bench.set(transferNetwork={"name": "fast", "namespace": "other"})
    assert "other/fast is in a different namespace than the target namespace target." in bench.only()["message"]
    bench.set(transferNetwork={"name": "fast", "namespace": "default"})
    for route, types in (("10.0.0.1", []), ("none", []), ("fe80::1", []), ("x", ["TransferNetworkNotValid"])):
        patch = {"metadata": {"annotations": {"forklift.konveyor.io/route": route}}}
        api.patch("NetworkAttachmentDefinition", "default", "fast", patch)
        assert [c["type"] for c in bench.found()] == types, route


def test_layer_3_network_in_the_target_namespace(bench: Bench) -> None:
    config = '{"type": "ovn-k8s-cni-overlay", "topology": "layer3"}'
    bench.plane.create("NetworkAttachmentDefinition", "target", "plain", spec={"config": config})
    assert bench.found() == []
    labels = {"labels": {"k8s.ovn.org/user-defined-network": ""}}
    bench.plane.create("NetworkAttachmentDefinition", "target", "broken", spec={"config": "{"}, metadata=labels)
    bench.plane.create("NetworkAttachmentDefinition", "target", "udn", spec={"config": config}, metadata=labels)
    assert (bench.only()["type"], bench.only()["reason"]) == ("UnsupportedUserDefinedNetwork", "NotSupported")


def test_service_account_is_needed_where_hooks_run_too(bench: Bench) -> None:
    bench.plane.create("ServiceAccount", "target", "mover")
    bench.set(serviceAccount="mover")
    assert bench.found() == []
    hook = {"step": "PreHook", "hook": {"name": "h", "namespace": "mig"}}
    bench.plane.ready(bench.plane.create("Hook", "mig", "h", spec={"image": "quay.io/a/b", "playbook": "LQ=="}))
    bench.set(vms=[{"name": "web", "hooks": [hook]}])
    found = {c["type"]: c["message"] for c in bench.found()}
    assert found == {"ServiceAccountNotValid": "ServiceAccount 'mover' not found in plan namespace 'mig'."}
    bench.set(serviceAccount="default")
    assert bench.found() == []


def test_what_this_control_plane_cannot_run_of_hooks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = {"step": "PreHook", "hook": {"name": "h", "namespace": "mig"}}
    bench.plane.ready(bench.plane.create("Hook", "mig", "h", spec={"image": "quay.io/a/b"}))
    bench.set(vms=[{"name": "web", "hooks": [hook]}])
    found = bench.only()
    assert (found["type"], found["category"], found["reason"]) == ("HooksNotSupported", "Critical", "NotSupported")
    assert found["message"].startswith("This control plane pulls no images")
    bench.plane.api.patch("Hook", "mig", "h", {"spec": {"playbook": "LQ=="}})
    assert bench.found() == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert bench.only()["reason"] == "NotInstalled" and "install the package ansible-runner" in bench.only()["message"]
    bench.plane.api.patch("Hook", "mig", "h", {"spec": {"image": None, "playbook": None, "aap": {"jobTemplateId": 7}}})
    assert bench.found() == []


def test_hooks(bench: Bench) -> None:
    bench.plane.create("Hook", "mig", "unready", spec={"image": "quay.io/a/b"})
    bench.plane.ready(bench.plane.create("Hook", "mig", "ok", spec={"image": "quay.io/a/b", "serviceAccount": "zz"}))
    hooks = [
        {"step": "MidHook", "hook": {"name": "unready", "namespace": "mig"}},
        {"step": "PreHook", "hook": {"name": "gone", "namespace": "mig"}},
        {"step": "PostHook", "hook": {"name": "ok", "namespace": "mig"}},
        {"step": "PreHook", "hook": {"name": "ok"}},
    ]
    bench.set(vms=[{"name": "web", "hooks": hooks}])
    gone, unready, ok = (
        f"VM: {WEB} hook: &ObjectReference{{Kind:,Namespace:mig,Name:{name},UID:,APIVersion:,ResourceVersion:,FieldPath:,}}"
        for name in ("gone", "unready", "ok")
    )
    assert [(c["type"], c["reason"], c["items"]) for c in bench.found()] == [
        ("HookNotValid", "NotFound", [gone]),  # NotSet came before, of the same type
        ("HookNotReady", "NotFound", [unready]),
        ("HookStepNotValid", "NotValid", [f"VM: {WEB} step: MidHook"]),
        ("HookServiceAccountNotValid", "NotFound", [ok]),
        ("HooksNotSupported", "NotSupported", [unready, ok]),
    ]


def test_restricted_controller_namespace_warns(bench: Bench) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    bench.plane.api.patch("Namespace", None, bench.plane.context.namespace, {"metadata": {"labels": labels}})
    assert (bench.only()["type"], bench.only()["category"]) == ("RestrictedPodSecurity", "Warn")


def test_missing_tools_block_and_name_the_packages(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion_tools.tools, "missing", lambda names: [TOOLS[name] for name in names if name == "virt-v2v"])
    condition = bench.only()
    assert (condition["type"], condition["category"], condition["reason"]) == ("ConversionToolMissing", "Critical", "NotFound")
    assert condition["items"] == ["virt-v2v: package virt-v2v (Debian, Ubuntu) or virt-v2v (Fedora, RHEL)"]


@pytest.mark.parametrize(
    ("image", "valid"),
    [
        ("quay.io/kubev2v/forklift-virt-v2v:latest", True),
        ("registry.local:5000/v2v@sha256:" + "a" * 64, True),
        ("library/v2v", True),
        ("v2v:latest", False),
        ("quay.io/Upper/v2v", False),
        ("quay.io/v2v:", False),
        ("quay.io//v2v", False),
    ],
)
def test_conversion_images(bench: Bench, image: str, valid: bool) -> None:
    bench.set(virtV2vImage=image)
    assert (bench.found() == []) is valid


# --- OpenShift sources ----------------------------------------------------------------------------------------------


def openshift_vm(name: str, networks: list[Object], volumes: list[Object], mac: str = "", **extra: Any) -> Object:
    interfaces = [{"name": "a", "macAddress": mac}] if mac else []
    template = {"spec": {"networks": networks, "volumes": volumes, "domain": {"devices": {"interfaces": interfaces}}}}
    item = {"id": f"uid-{name}", "name": name, "namespace": "apps", "object": {"metadata": {}, "spec": {"template": template}}}
    return {**item, **extra}


@pytest.fixture
def cluster(bench: Bench, new_items: Any) -> Bench:
    """The bench with another cluster as the source."""
    claims = [{"id": "c", "name": "web-root", "namespace": "apps", "object": {"spec": {"storageClassName": "gold"}}}]
    classes = [{"id": "sc", "name": "gold", "namespace": "", "object": {}}]
    nads = [{"id": "n", "name": "vlan", "namespace": "nets", "object": {}}]
    volumes = [{"persistentVolumeClaim": {"claimName": "web-root"}}, {"cloudInitNoCloud": {}}]
    vms = [openshift_vm("web", [{"pod": {}}, {"multus": {"networkName": "nets/vlan"}}], volumes, mac="02:00:00:00:00:01")]
    collections = {"vms": vms, "persistentvolumeclaims": claims, "storageclasses": classes, "networkattachmentdefinitions": nads}
    bench.items = new_items(collections)
    bench.vms = vms
    bench.plane.provider("mig", "cluster", "openshift", bench.items)
    bench.ends = {**bench.ends, "source": {"name": "cluster", "namespace": "mig"}}
    pairs = [
        {"source": {"type": "pod"}, "destination": {"type": "pod"}},
        {"source": {"name": "vlan", "namespace": "nets"}, "destination": {"type": "ignored"}},
    ]
    bench.plane.create("NetworkMap", "mig", "ocp-net", spec={"provider": bench.ends, "map": pairs})
    pair = {"source": {"name": "gold"}, "destination": {"storageClass": "fast"}}
    bench.plane.create("StorageMap", "mig", "ocp-sto", spec={"provider": bench.ends, "map": [pair]})
    asyncio.run(NetworkMapReconciler(bench.plane.context).reconcile("mig", "ocp-net"))
    asyncio.run(StorageMapReconciler(bench.plane.context).reconcile("mig", "ocp-sto"))
    maps = {"network": {"name": "ocp-net", "namespace": "mig"}, "storage": {"name": "ocp-sto", "namespace": "mig"}}
    bench.set(provider=bench.ends, map=maps, vms=[{"name": "web", "namespace": "apps"}])
    return bench


def test_plan_from_another_cluster(cluster: Bench) -> None:
    cluster.target_vm("elsewhere", "web", "02:00:00:00:00:01")
    assert cluster.found() == [], "a cold source VM is off: its MAC address is free"
    cluster.set(pvcNameTemplate="{{.SourcePVCNamespace}}-{{.SourcePVCName}}")
    assert cluster.found() == []


def test_gaps_in_maps_of_another_cluster(cluster: Bench) -> None:
    spec = cluster.vms[0]["object"]["spec"]["template"]["spec"]
    spec["networks"].append({"multus": {"networkName": "near"}})
    spec["volumes"].append({"dataVolume": {"name": "not-there"}})
    assert [c["type"] for c in cluster.found()] == ["VMNetworksNotMapped", "VMStorageNotMapped"]


def test_live_migration_needs_its_feature_gate_on_both_clusters(cluster: Bench, new_items: Any) -> None:
    cluster.set(type="live")
    cluster.target_vm("elsewhere", "web", "02:00:00:00:00:01")
    assert [c["type"] for c in cluster.found()] == ["MigrationTypeNotValid", "VMPowerStateUnsupported", "MacConflicts"]
    gate = {"configuration": {"developerConfiguration": {"featureGates": ["decentralizedLiveMigration"]}}}
    kubevirt = [{"id": "k", "name": "kubevirt", "namespace": "kubevirt", "object": {"spec": gate}}]
    cluster.items.collections["kubevirts"] = kubevirt
    host = cluster.plane.inventory.known[cluster.plane.host()["metadata"]["uid"]]
    host.collections["kubevirts"] = kubevirt
    cluster.vms[0]["instance"] = {}
    cluster.vms[0]["object"]["status"] = {"conditions": [{"type": "StorageLiveMigratable", "status": "False"}]}
    assert [c["type"] for c in cluster.found()] == ["VMMigrationTypeUnsupported", "MacConflicts"]


# --- recordings -----------------------------------------------------------------------------------------------------

# What only vSphere has, or what is decided differently here: one unknown VM beside a valid one and an absent hook get a condition.
OF_VSPHERE = {"warm-no-cbt", "warm-snapshot", "tools-not-running", "type-conversion", "warm-no-vddk", "raw-no-vddk", "two-pod-nics"}
SILENT = {"hook-missing": "HookNotValid", "missing-vm-and-good-vm": "VMNotFound"}
ONLY_HERE = "HooksNotSupported"
NOT_HERE = ("NetMapPreservingIPsOnPodNetwork", "ValidatingVDDK", "VDDKInvalid", "Ready")


def recorded_inventory(new_items: Any) -> Any:
    """The VMs of the recordings, as an OVA source has them."""
    vms = []
    for number, id in ((1, "vm-56"), (37, "vm-164"), (38, "vm-167"), (43, "vm-182"), (44, "vm-185")):
        vm = ova_vm(
            f"app-{number:02}", networks=("DC0_DVPG0",), disks=("datastore-51",), macs=("00:0c:29:63:65:61",) if number == 1 else ()
        )
        vms.append({**vm, "id": id, "networks": [{"ID": "dvportgroup-12", "Name": "DC0_DVPG0"}]})
    networks = [{"id": "dvportgroup-12", "name": "DC0_DVPG0"}, {"id": "dvportgroup-14", "name": "DC0_DVPG1"}]
    storages = [{"id": "datastore-51", "name": "LocalDS_0"}, {"id": "datastore-53", "name": "LocalDS_1"}]
    return new_items({"vms": vms, "networks": networks, "storages": storages})


def recorded_objects(path: Path) -> list[Object]:
    """What was applied before the plans were."""
    documents = []
    for part in re.split(r"^---$", path.read_text(), flags=re.MULTILINE):
        step = re.search(r"# step \d+ at t=([\d.]+)s", part)
        if step and float(step[1]) > 3:
            break
        documents.append(yaml.safe_load(part))
    return [d for d in documents if d and d["kind"] not in ("Namespace", "Provider", "Secret")]


def test_recorded_plans_get_the_recorded_conditions(plane: Any, new_items: Any, recorded: Any, golden: Path) -> None:
    variants = recorded("plan-not-ready/variants.json")
    plane.host()
    for name in ("block-sc", "file-sc"):
        plane.create("StorageClass", "", name, provisioner="local.example")
    plane.provider("konveyor-forklift", "vc", "ova", recorded_inventory(new_items), url="s:/e")
    plane.create("Provider", "notready", "broken", spec={"type": "ova", "url": "s:/e", "secret": {}})
    plane.namespace("notready", "tgt-notready", "tgt-cold")
    for obj in recorded_objects(golden / "plan-not-ready" / "input.yaml"):
        plane.api.create(obj)
    conflicting = {"spec": {"domain": {"devices": {"interfaces": [{"name": "a", "bridge": {}, "macAddress": "00:0c:29:63:65:61"}]}}}}
    plane.create("VirtualMachine", "tgt-cold", "app-01", spec={"runStrategy": "Halted", "template": conflicting})
    for kind, reconciler in (("NetworkMap", NetworkMapReconciler), ("StorageMap", StorageMapReconciler)):
        for obj in plane.api.list(kind):
            asyncio.run(reconciler(plane.context).reconcile(obj["metadata"]["namespace"], obj["metadata"]["name"]))
    plane.ready(plane.api.get("Hook", "notready", "okhook"))
    checked = 0
    for variant in variants:
        name = variant["name"]
        if name in OF_VSPHERE or variant["spec"]["provider"]["source"]["name"] == "novddk":
            continue
        plan = {"metadata": {"name": name, "namespace": "notready", "uid": name}, "spec": variant["spec"]}
        conditions = Conditions()
        validate(plane.context, plan, conditions)
        found = [{k: v for k, v in c.items() if k != "lastTransitionTime"} for c in conditions.finish() if c["type"] != ONLY_HERE]
        expected = [{k: v for k, v in c.items() if k != "lastTransitionTime"} for c in variant["conditions"] or []]
        expected = [c for c in expected if c["type"] not in NOT_HERE]
        if name in SILENT:
            assert [c["type"] for c in found] == [SILENT[name]]
        else:
            assert found == expected, name
        checked += 1
    assert checked > 30
