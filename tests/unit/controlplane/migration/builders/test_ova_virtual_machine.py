"""From a VM of an OVA file to a VirtualMachine."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.migration.builders import base, ova
from ansible_collections.vmshift.mtv.controlplane.migration.builders.base import NetworkPair, Nic

LABELS = {"migration": "run-uid", "plan": "plan-uid", "plan-name": "p", "plan-namespace": "ns", "resource": "vm-config", "vmID": "id-1"}
POD = {"type": "pod"}
NAD = {"type": "multus", "namespace": "tgt", "name": "net-a"}
IGNORED = {"type": "ignored"}


def disk(number, **other):
    return {
        "ID": f"disk-{number}",
        "Name": f"app-disk{number}.vmdk",
        "FilePath": "/ova/app.ova",
        "DiskId": f"vmdisk{number}",
        "Capacity": 1,
        "CapacityAllocationUnits": "byte * 2^30",
        **other,
    }


def source(**other):
    return {
        "id": "id-1",
        "name": "app",
        "uuid": "uuid-1",
        "firmware": "",
        "secureBoot": False,
        "cpuCount": 2,
        "coresPerSocket": 0,
        "memoryMB": 2048,
        "memoryUnits": "byte * 2^20",
        "nics": [{"Name": "n", "MAC": "", "Network": "VM Network", "Config": None}],
        "disks": [disk(1)],
        **other,
    }


def build(vm=None, *, spec=None, status=None, pairs=(("VM Network", POD),), claims=None):
    vm = vm or source()
    plan = {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"targetNamespace": "tgt", **(spec or {})}}
    found = {ova.disk_source(d): f"pvc-{d['ID']}" for d in vm["disks"] or ()} if claims is None else claims
    networks = [NetworkPair(name, destination) for name, destination in pairs]
    return ova.virtual_machine(
        vm, plan, {"id": vm["id"], "name": vm["name"], **(status or {})}, networks=networks, claims=found, labels=LABELS
    )


def domain(*args, **kwargs):
    return build(*args, **kwargs)["spec"]["template"]["spec"]["domain"]


def test_labels_say_whose_it_is_and_that_the_guest_was_converted():
    built = build()
    assert built["metadata"] == {"name": "app", "namespace": "tgt", "labels": {**LABELS, "guestConverted": "true"}}
    assert build(spec={"skipGuestConversion": True})["metadata"]["labels"]["guestConverted"] == "false"


def test_a_renamed_vm_remembers_what_it_was():
    built = build(source(name="My App"), status={"newName": "my-app"})
    assert built["metadata"]["name"] == "my-app"
    assert built["metadata"]["annotations"] == {"openshift.io/display-name": "My App", "original-ID": "id-1"}
    assert built["spec"]["template"]["metadata"]["labels"]["app"] == "my-app"


@pytest.mark.parametrize(
    ("inventory", "converted", "bootloader"),
    [
        ("", "", {"bios": {}}),
        ("", "bios", {"bios": {}}),
        ("bios", "", {"bios": {}}),
        ("efi", "", {"efi": {"secureBoot": False}}),
        ("UEFI", "", {"efi": {"secureBoot": False}}),
        ("", "uefi", {"efi": {"secureBoot": False}}),
        ("efi", "bios", {"efi": {"secureBoot": False}}),
    ],
)
def test_firmware_is_that_of_the_inventory_else_what_virt_v2v_found(inventory, converted, bootloader):
    built = domain(source(firmware=inventory), status={"firmware": converted})
    assert built["firmware"] == {"bootloader": bootloader, "serial": "uuid-1"}
    assert "features" not in built


def test_secure_boot_comes_with_smm():
    built = domain(source(firmware="efi", secureBoot=True))
    assert built["firmware"]["bootloader"] == {"efi": {"secureBoot": True}}
    assert built["features"] == {"smm": {"enabled": True}}


def test_secure_boot_means_nothing_to_bios():
    built = domain(source(firmware="bios", secureBoot=True))
    assert built["firmware"]["bootloader"] == {"bios": {}}
    assert "features" not in built


@pytest.mark.parametrize(
    ("count", "per_socket", "sockets", "cores"), [(2, 0, 2, 1), (4, 2, 2, 2), (4, 4, 1, 4), (3, 2, 3, 1), (1, 8, 1, 1), (0, 0, 1, 1)]
)
def test_cpus_are_split_into_sockets(count, per_socket, sockets, cores):
    assert domain(source(cpuCount=count, coresPerSocket=per_socket))["cpu"] == {"sockets": sockets, "cores": cores}


@given(st.integers(1, 512), st.integers(-1, 64))
def test_no_cpu_is_lost(count, per_socket):
    found = base.cpu(count, per_socket)
    assert found["sockets"] * found["cores"] == count


@pytest.mark.parametrize(
    ("amount", "units", "guest"),
    [(2048, "byte * 2^20", "2Gi"), (2, "byte * 2^30", "2Gi"), (1537, "MegaBytes", "1537Mi"), (2048, "", "2Gi")],
)
def test_memory_in_any_unit(amount, units, guest):
    assert domain(source(memoryMB=amount, memoryUnits=units))["memory"] == {"guest": guest}


def test_disks_are_virtio_in_the_order_of_the_source():
    vm = source(disks=[disk(2), disk(1)])
    built = build(vm)["spec"]["template"]["spec"]
    assert built["domain"]["devices"]["disks"] == [
        {"name": "vol-0", "serial": "vmdisk2", "disk": {"bus": "virtio"}},
        {"name": "vol-1", "serial": "vmdisk1", "disk": {"bus": "virtio"}},
    ]
    assert built["volumes"] == [
        {"name": "vol-0", "persistentVolumeClaim": {"claimName": "pvc-disk-2"}},
        {"name": "vol-1", "persistentVolumeClaim": {"claimName": "pvc-disk-1"}},
    ]


def test_a_disk_without_pvc_is_an_error():
    with pytest.raises(ValueError, match="app-disk1.vmdk has no PersistentVolumeClaim"):
        build(claims={})


@pytest.mark.parametrize(("own", "serial"), [("vmdisk1", "vmdisk1"), ("a b/c#1", "abc1"), ("x" * 30, "x" * 20)])
def test_serials_fit_what_virtio_carries(own, serial):
    assert base.serial(own, "id-1", "disk-1") == serial


def test_a_disk_without_serial_gets_one_of_its_own():
    first, again, other = base.serial("", "id-1", "d1"), base.serial("", "id-1", "d1"), base.serial("", "id-1", "d2")
    assert first == again != other
    assert len(first) == 20


def test_pod_network_is_masqueraded():
    built = build(source(nics=[{"Name": "n", "MAC": "00:50:56:aa:bb:cc", "Network": "VM Network", "Config": None}]))
    spec = built["spec"]["template"]["spec"]
    assert spec["domain"]["devices"]["interfaces"] == [
        {"name": "net-0", "model": "virtio", "macAddress": "00:50:56:aa:bb:cc", "masquerade": {}}
    ]
    assert spec["networks"] == [{"name": "net-0", "pod": {}}]


def test_nad_is_bridged_and_an_unknown_mac_is_left_to_the_cluster():
    spec = build(pairs=[("VM Network", NAD)])["spec"]["template"]["spec"]
    assert spec["domain"]["devices"]["interfaces"] == [{"name": "net-0", "model": "virtio", "bridge": {}}]
    assert spec["networks"] == [{"name": "net-0", "multus": {"networkName": "tgt/net-a"}}]


def nics(*networks):
    return [Nic(network, f"00:00:00:00:00:0{index}") for index, network in enumerate(networks)]


def test_ignored_nics_are_left_out_and_the_others_counted_on():
    interfaces, targets = base.networks(nics("a", "b", "c"), [NetworkPair("a", POD), NetworkPair("b", IGNORED), NetworkPair("c", NAD)])
    assert [i["name"] for i in interfaces] == [t["name"] for t in targets] == ["net-0", "net-1"]
    assert [i["macAddress"][-1] for i in interfaces] == ["0", "2"]


def test_several_nads_of_one_network_are_dealt_out_in_turn():
    other = {**NAD, "name": "net-b"}
    _unused, targets = base.networks(nics("a", "a", "a"), [NetworkPair("a", NAD), NetworkPair("a", other)])
    assert [t["multus"]["networkName"] for t in targets] == ["tgt/net-a", "tgt/net-b", "tgt/net-a"]


def test_an_unmapped_network_is_an_error_that_names_it():
    with pytest.raises(ValueError, match='no entry for network "VM Network"'):
        build(pairs=[("other", POD)])


@pytest.mark.parametrize(
    ("wanted", "was", "strategy"),
    [
        (None, None, "Halted"),
        (None, "On", "Always"),
        (None, "Off", "Halted"),
        (None, "Unknown", "Halted"),
        ("auto", "On", "Always"),
        ("auto", None, "Halted"),
        ("on", "Off", "Always"),
        ("off", "On", "Halted"),
    ],
)
def test_run_strategy(wanted, was, strategy):
    assert base.run_strategy(wanted, was) == strategy


def test_the_vms_own_power_state_wins_over_the_plans():
    built = build(spec={"targetPowerState": "off"}, status={"targetPowerState": "on"})
    assert built["spec"]["runStrategy"] == "Always"
    assert build(spec={"targetPowerState": "on"})["spec"]["runStrategy"] == "Always"
    assert "running" not in built["spec"]


def test_placement_and_labels_of_the_plan_are_for_the_pod_template():
    affinity = {"nodeAffinity": {}}
    built = build(spec={"targetLabels": {"tier": "db"}, "targetNodeSelector": {"zone": "a"}, "targetAffinity": affinity})
    template = built["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "app", "tier": "db"}
    assert template["spec"]["nodeSelector"] == {"zone": "a"}
    assert template["spec"]["affinity"] == affinity
    assert "tier" not in built["metadata"]["labels"]


@pytest.mark.parametrize(
    ("plan", "own", "policy"), [(None, None, None), (True, None, "optional"), (True, False, "disable"), (None, True, "optional")]
)
def test_nested_virtualization_is_the_vms_wish_before_the_plans(plan, own, policy):
    built = domain(spec={"enableNestedVirtualization": plan}, status={"enableNestedVirtualization": own})
    assert built["cpu"].get("features") == ([{"name": n, "policy": policy} for n in ("vmx", "svm")] if policy else None)


def test_a_vm_without_nics_and_disks_is_built():
    spec = build(source(nics=None, disks=None))["spec"]["template"]["spec"]
    assert spec["networks"] == spec["volumes"] == spec["domain"]["devices"]["disks"] == []


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6), st.lists(st.sampled_from([POD, NAD, IGNORED]), min_size=3, max_size=3))
def test_every_nic_that_is_not_ignored_gets_a_network_of_the_same_name(networks, destinations):
    pairs = dict(zip("abc", destinations, strict=True))
    interfaces, targets = base.networks(nics(*networks), [NetworkPair(n, d) for n, d in pairs.items()])
    assert len(interfaces) == len(targets) == sum(pairs[n] != IGNORED for n in networks)
    assert [i["name"] for i in interfaces] == [t["name"] for t in targets] == [f"net-{n}" for n in range(len(targets))]


GOLDEN = next((p / "shared/golden" for p in Path(__file__).absolute().parents if (p / "shared/golden").is_dir()), None)


@pytest.mark.skipif(GOLDEN is None, reason="no recorded scenarios here")
def test_it_builds_what_forklift_built():
    lines = (GOLDEN / "scenarios/ova/trace.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    recorded = next(r["object"] for r in records if r.get("kind") == "VirtualMachine" and r.get("object"))
    plan = next(r["object"] for r in records if r.get("kind") == "Plan" and r.get("object"))
    inventory = json.loads((GOLDEN / "inventory/ova/workloads-id-796051fce57ca1d00b2bc0ec8c895c524e29.json").read_text())["body"]
    expected = copy.deepcopy(recorded)
    for field in ("creationTimestamp", "generation", "uid"):
        del expected["metadata"][field]
    del expected["spec"]["template"]["metadata"]["creationTimestamp"]  # Go's way of saying nothing
    claim = recorded["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    labels = {k: v for k, v in recorded["metadata"]["labels"].items() if k != "guestConverted"}
    built = ova.virtual_machine(
        inventory,
        plan,
        {"id": inventory["id"], "name": inventory["name"], "firmware": "bios"},
        networks=[NetworkPair("VM Network", {"type": "multus", "namespace": "tgt-ova", "name": "net-a"})],
        claims={"/ova/app1.ova::app1-disk1.vmdk": claim},
        labels=labels,
    )
    assert built == expected
