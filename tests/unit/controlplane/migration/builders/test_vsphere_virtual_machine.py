"""From a VM of vSphere to a VirtualMachine."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration.builders import vsphere
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import vms

LABELS = {"migration": "run-uid", "plan": "plan-uid", "plan-name": "p", "plan-namespace": "ns", "resource": "vm-config", "vmID": "vm-1"}
POD = {"type": "pod"}
NAD = {"type": "multus", "namespace": "tgt", "name": "vlan"}
UUID = "63d40cc5-9cba-5cc1-884a-f7f19070ecea"


def disk(number=0, **other):
    file = f"[ds] app/app_{number}.vmdk"
    serial = f"b95003e9-7241-514a-9ba0-82a06c0d23{number:02}"
    return {"key": 2000 + number, "file": file, "bus": "scsi", "serial": serial, "shared": False, "rdm": False, **other}


def source(**other):
    return {
        "id": "vm-1",
        "name": "app",
        "uuid": UUID,
        "powerState": "poweredOn",
        "connectionState": "connected",
        "firmware": "bios",
        "cpuCount": 4,
        "coresPerSocket": 2,
        "memoryMB": 2048,
        "disks": [disk()],
        "nics": [{"network": {"id": "network-1"}, "mac": "00:0c:29:63:65:61", "order": 0, "pciAddress": "", "startConnected": True}],
        **other,
    }


def build(vm=None, *, spec=None, status=None, pairs=(("network-1", POD),), **other):
    vm = vm or source()
    plan = {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"targetNamespace": "tgt", **(spec or {})}}
    disks = vms.ordered_disks(vm)
    claims = {d["file"]: f"pvc-{n}" for n, d in enumerate(disks)}
    made = {"disks": disks, "claims": claims, "labels": LABELS, "networks": [NetworkPair(*pair) for pair in pairs], **other}
    return vsphere.virtual_machine(vm, plan, {"id": vm["id"], "name": vm["name"], **(status or {})}, **made)


def template(*args, **kwargs):
    return build(*args, **kwargs)["spec"]["template"]["spec"]


def domain(*args, **kwargs):
    return template(*args, **kwargs)["domain"]


def devices(*args, **kwargs):
    return domain(*args, **kwargs)["devices"]


def test_what_a_plain_vm_becomes():
    assert build(status={"restorePowerState": "On"}) == {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "app", "namespace": "tgt", "labels": {**LABELS, "guestConverted": "true"}},
        "spec": {
            "runStrategy": "Always",
            "template": {
                "metadata": {
                    "labels": {"app": "app"},
                    "annotations": {"vm.kubevirt.io/flavor": "", "vm.kubevirt.io/os": "", "vm.kubevirt.io/workload": ""},
                },
                "spec": {
                    "domain": {
                        "cpu": {"sockets": 2, "cores": 2},
                        "memory": {"guest": "2Gi"},
                        "firmware": {"bootloader": {"bios": {}}, "serial": UUID},
                        "devices": {
                            "disks": [{"name": "vol-0", "serial": "b95003e9-7241-514a-9", "disk": {"bus": "virtio"}, "bootOrder": 1}],
                            "interfaces": [{"name": "net-0", "model": "virtio", "macAddress": "00:0c:29:63:65:61", "masquerade": {}}],
                            "inputs": [{"name": "tablet", "type": "tablet", "bus": "virtio"}],
                            "tpm": {"enabled": False},
                        },
                        "resources": {},
                    },
                    "networks": [{"name": "net-0", "pod": {}}],
                    "volumes": [{"name": "vol-0", "persistentVolumeClaim": {"claimName": "pvc-0"}}],
                },
            },
        },
    }


@pytest.mark.parametrize(
    ("spec", "disk_bus", "nic", "tablet"),
    [
        ({"skipGuestConversion": True, "useCompatibilityMode": True}, "sata", "e1000e", "usb"),
        ({"skipGuestConversion": True}, "sata", "e1000e", "usb"),  # the CRD's default
        ({"skipGuestConversion": True, "useCompatibilityMode": False}, "virtio", "virtio", "virtio"),
        ({"useCompatibilityMode": True}, "virtio", "virtio", "virtio"),  # a converted guest has its drivers
    ],
)
def test_devices_of_a_raw_copy(spec, disk_bus, nic, tablet):
    found = devices(spec=spec)
    assert [d["disk"]["bus"] for d in found["disks"]] == [disk_bus]
    assert [i["model"] for i in found["interfaces"]] == [nic]
    assert [i["bus"] for i in found["inputs"]] == [tablet]
    assert build(spec=spec)["metadata"]["labels"]["guestConverted"] == ("false" if spec.get("skipGuestConversion") else "true")


def test_disks_are_numbered_by_bus_and_key():
    disks = [disk(3), disk(1), disk(0, bus="nvme"), disk(2, bus="sata"), disk(4, bus="usb")]
    volumes = template(source(disks=disks))["volumes"]
    assert len(volumes) == 5
    files = [d["file"] for d in vms.ordered_disks(source(disks=disks))]
    assert files == [f"[ds] app/app_{n}.vmdk" for n in (2, 1, 3, 0, 4)]


@pytest.mark.parametrize(
    ("status", "boots"),
    [
        ({}, 0),
        ({"detectedBootDisk": 1}, 1),
        ({"rootDisk": "/dev/sdc1", "detectedBootDisk": 1}, 2),
        ({"rootDisk": "/dev/vg/root", "detectedBootDisk": 1}, 0),  # no letter to read
        ({"detectedBootDisk": -1}, 0),
        ({"rootDisk": "/dev/sdz"}, None),
    ],
)
def test_which_disk_boots(status, boots):
    found = devices(source(disks=[disk(n) for n in range(3)]), status=status)["disks"]
    assert [n for n, d in enumerate(found) if d.get("bootOrder") == 1] == ([] if boots is None else [boots])


def test_shared_disks_say_so():
    found = devices(source(disks=[disk(), disk(1, shared=True)]))["disks"]
    assert "shareable" not in found[0]
    assert (found[1]["shareable"], found[1]["cache"]) == (True, "none")


def test_a_raw_device_is_a_lun_where_that_is_wanted():
    rdm = source(disks=[disk(rdm=True, shared=True)])
    assert "lun" not in devices(rdm)["disks"][0]
    assert devices(rdm, spec={"rdmAsLun": True})["disks"][0]["lun"] == {"bus": "scsi"}
    assert "lun" not in devices(rdm, spec={"rdmAsLun": True}, status={"rdmAsLun": False})["disks"][0]  # the VM's own wish wins
    reserving = devices(rdm, status={"rdmAsLun": True, "scsiReservation": True})["disks"][0]
    assert reserving["lun"] == {"bus": "scsi", "reservation": True}
    assert reserving["errorPolicy"] == "report"


def test_a_disk_without_a_claim_fails():
    with pytest.raises(ValueError, match=r"Disk \[ds\] app/app_0.vmdk has no PersistentVolumeClaim"):
        build(claims={})
    with pytest.raises(ValueError, match="no disk to boot from"):
        build(source(disks=[]))


def test_a_snapshot_in_the_middle_of_a_migration_changes_no_disk():
    claims = {"[ds] app/app_0.vmdk": "pvc-0"}
    assert template(source(disks=[disk(file="[ds] app/app_0-000002.vmdk")]), claims=claims)["volumes"][0]["name"] == "vol-0"


def test_nics_keep_address_slot_and_unplugged_cable():
    nics = [
        {"network": {"id": "network-1"}, "mac": "m1", "pciAddress": "0000:03:00.0", "startConnected": True},
        {"network": {"id": "network-2"}, "mac": "m2", "pciAddress": "", "startConnected": False},
    ]
    found = template(source(nics=nics), pairs=(("network-1", POD), ("network-2", NAD)))
    assert found["domain"]["devices"]["interfaces"] == [
        {"name": "net-0", "model": "virtio", "macAddress": "m1", "pciAddress": "0000:03:00.0", "masquerade": {}},
        {"name": "net-1", "model": "virtio", "macAddress": "m2", "state": "down", "bridge": {}},
    ]
    assert found["networks"][1] == {"name": "net-1", "multus": {"networkName": "tgt/vlan"}}


def test_a_nic_on_an_unmapped_network_fails():
    with pytest.raises(ValueError, match="network-1"):
        build(pairs=())


def test_names_follow_the_templates():
    spec = {"volumeNameTemplate": "{{.PVCName}}-{{.VolumeIndex}}", "networkNameTemplate": "{{.NetworkType}}-{{.NetworkIndex}}"}
    found = template(spec=spec)
    assert [v["name"] for v in found["volumes"]] == [d["name"] for d in found["domain"]["devices"]["disks"]] == ["pvc-0-0"]
    assert [n["name"] for n in found["networks"]] == ["pod-0"]
    assert template(spec=spec, status={"volumeNameTemplate": "d{{.VolumeIndex}}"})["volumes"][0]["name"] == "d0"


def test_a_long_volume_name_is_cut_and_a_repeated_one_refused():
    spec = {"volumeNameTemplate": "{{.PVCName}}"}
    claims = {"[ds] app/app_0.vmdk": "p" * 62 + "-9"}
    assert template(spec=spec, claims=claims)["volumes"][0]["name"] == "p" * 62
    two = source(disks=[disk(), disk(1)])
    with pytest.raises(ValueError, match='volumeNameTemplate "root" gives several times "root"'):
        build(two, spec={"volumeNameTemplate": "root"})
    with pytest.raises(ValueError, match='networkNameTemplate "a_b" gives the invalid name "a_b"'):
        build(spec={"networkNameTemplate": "a_b"})


@pytest.mark.parametrize(
    ("vm", "loader", "features"),
    [
        ({"firmware": "efi", "secureBoot": False}, {"efi": {"secureBoot": False}}, None),
        ({"firmware": "efi", "secureBoot": True}, {"efi": {"secureBoot": True}}, {"smm": {"enabled": True}}),
        ({"firmware": ""}, {"bios": {}}, None),
    ],
)
def test_firmware(vm, loader, features):
    found = domain(source(**vm))
    assert found["firmware"]["bootloader"] == loader
    assert found.get("features") == features


def test_a_tpm_keeps_its_content():
    assert devices(source(tpmEnabled=True))["tpm"] == {"persistent": True}


@pytest.mark.parametrize(
    ("vm", "spec", "status", "policy"),
    [
        ({}, {}, {}, None),
        ({"nestedHVEnabled": True}, {}, {}, "optional"),
        ({"nestedHVEnabled": True}, {"enableNestedVirtualization": False}, {}, "disable"),
        ({}, {"enableNestedVirtualization": False}, {"enableNestedVirtualization": True}, "optional"),
    ],
)
def test_nested_virtualization(vm, spec, status, policy):
    features = domain(source(**vm), spec=spec, status=status)["cpu"].get("features")
    expected = None if policy is None else [{"name": "vmx", "policy": policy}, {"name": "svm", "policy": policy}]
    assert features == expected


def test_an_instance_type_takes_the_place_of_cpu_and_memory():
    built = build(instance_type={"kind": "VirtualMachineInstancetype", "name": "u1.small"})
    assert built["spec"]["instancetype"] == {"kind": "VirtualMachineInstancetype", "name": "u1.small"}
    assert {"cpu", "memory"} & set(built["spec"]["template"]["spec"]["domain"]) == set()


def test_the_clock_is_that_of_the_host():
    assert domain(timezone="Europe/Prague")["clock"] == {"timezone": "Europe/Prague"}
    assert "clock" not in domain()


@pytest.mark.parametrize(
    ("wanted", "was", "windows", "strategy"),
    [
        (None, "On", False, "Always"),
        (None, "Off", False, "Halted"),
        ("off", "On", False, "Halted"),
        ("on", "Off", False, "Always"),
        ("auto", "Off", True, "Always"),
        ("off", "On", True, "Halted"),
    ],
)
def test_power_after_the_migration(wanted, was, windows, strategy):
    status = {"restorePowerState": was, **({"targetPowerState": wanted} if wanted else {})}
    assert build(status=status, awaits_reboots=windows)["spec"]["runStrategy"] == strategy


def test_labels_nodes_and_affinity_of_the_target():
    affinity = {"nodeAffinity": {}}
    spec = {"targetLabels": {"tier": "db"}, "targetNodeSelector": {"zone": "a"}, "targetAffinity": affinity}
    built = build(spec=spec)["spec"]["template"]
    assert built["metadata"]["labels"] == {"app": "app", "tier": "db"}
    assert built["spec"]["nodeSelector"] == {"zone": "a"}
    assert built["spec"]["affinity"] == affinity


def tag(name, description=""):
    return {"id": f"urn:{name}", "name": name, "description": description, "categoryID": "c", "usedBy": []}


def labels_of(built):
    found = built["metadata"]["labels"]
    return {key.partition("/")[2]: value for key, value in found.items() if key.startswith("vsphere.forklift.konveyor.io/")}


def test_tags_become_labels():
    vm = source(tags=[tag("Owner", "platform-team"), tag("cost", "cc-1"), tag("", "nameless")])
    assert labels_of(build(vm)) == {"Owner": "platform-team", "cost": "cc-1"}
    assert labels_of(build(vm, spec={"tagMapping": {"labelTags": ["owner"]}})) == {"Owner": "platform-team"}
    assert labels_of(build(vm, spec={"tagMapping": {"disabled": True, "labelTags": ["owner"]}})) == {}
    assert "annotations" not in build(vm)["metadata"]


def test_custom_attributes_become_annotations_and_changed_names_are_told():
    vm = source(
        tags=[tag("two words", "a value!")],
        customDef=[{"key": 1, "name": "app name"}, {"key": 2, "name": "!?"}, {"key": 3, "name": "unset"}],
        customValues=[{"key": 1, "value": "Shop; 1"}, {"key": 2, "value": "x"}],
    )
    built = build(vm)
    assert labels_of(built) == {"two_words": "a_value"}
    annotations = built["metadata"]["annotations"]
    assert annotations.pop("vsphere.forklift.konveyor.io/app_name") == "Shop; 1"
    assert json.loads(annotations.pop("forklift.konveyor.io/sanitized-metadata")) == {
        "tag.name.two words": "two_words",
        "tag.value.two words": "a_value",
        "customAttribute.name.app name": "app_name",
    }
    assert annotations == {}


def test_a_renamed_vm_remembers_what_it_was():
    built = build(source(name="My App"), status={"newName": "my-app"})
    assert built["metadata"]["annotations"] == {"openshift.io/display-name": "My App", "original-ID": "vm-1"}
    assert built["spec"]["template"]["metadata"]["labels"]["app"] == "my-app"


@pytest.mark.parametrize(
    ("vm", "spec", "said"),
    [
        ({"isTemplate": True}, {}, "is a template"),
        ({"connectionState": "orphaned"}, {}, "is not connected"),
        ({"changeTrackingEnabled": False}, {"type": "warm"}, "Changed Block Tracking"),
        ({"changeTrackingEnabled": False}, {"warm": True}, "Changed Block Tracking"),
    ],
)
def test_what_cannot_be_migrated_is_refused(vm, spec, said):
    with pytest.raises(ValueError, match=said):
        build(source(**vm), spec=spec)
