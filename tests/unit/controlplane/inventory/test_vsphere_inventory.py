"""The inventory of a vCenter over HTTP, beside recorded answers of MTV's, and how it follows what happens there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere


vim = pytest.importorskip("pyVmomi").vim

#: Keys that are there only when there is something to say.
OPTIONAL = {"filesystemType", "winDriveLetter", "deviceName", "lunUuid", "physicalMode", "vvolId", "mode", "serial"}


@pytest.fixture(autouse=True)
def unharmed(vsphere: VSphere) -> Iterator[None]:
    """The vCenter is shared: a test's faults end with it."""
    yield
    vsphere.faults()
    vsphere.deny()


@pytest.fixture
async def provider(inventory: Any, api: Any, vsphere: VSphere) -> Any:
    """A loaded provider."""
    login = {"user": vsphere.user, "password": vsphere.password, "ca.crt": vsphere.ca}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in login.items()}
    secret = {"data": data}
    for name in ("mig",):
        if not api.find("Namespace", "", name):
            api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    provider = api.create({
        "apiVersion": "forklift.konveyor.io/v1beta1",
        "kind": "Provider",
        "metadata": {"name": "vc", "namespace": "mig"},
        "spec": {"type": "vsphere", "url": vsphere.url, "secret": {"name": "vc", "namespace": "mig"}},
    })  # fmt: skip
    await inventory.load(provider, secret)
    yield provider
    inventory.drop(provider["metadata"]["uid"])


@pytest.fixture
def ask(service: Any, provider: Any) -> Any:
    async def get(path: str) -> Any:
        status, body, _headers = await service.get(f"/providers/vsphere/{provider['metadata']['uid']}{path}")
        assert status == 200, path
        return body

    return get


def recorded(golden: Any, name: str) -> Any:
    return json.loads((golden / "vsphere" / f"{name}.json").read_text())["body"]


def alike(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two values differ in keys or types; lists by their first items, empty and absent values are like all others."""
    if ours in (None, [], "") or theirs in (None, [], ""):
        kinds = {type(value) for value in (ours, theirs)} - {type(None)}
        return [] if len(kinds) < 2 else [f"{path}: {type(ours).__name__} instead of {type(theirs).__name__}"]
    if type(ours) is not type(theirs):
        return [f"{path}: {type(ours).__name__} instead of {type(theirs).__name__}"]
    if isinstance(ours, dict):
        different = (ours.keys() ^ theirs.keys()) - OPTIONAL
        return [f"{path}: {key}" for key in different] + [
            found for key in ours.keys() & theirs.keys() for found in alike(ours[key], theirs[key], f"{path}/{key}")
        ]
    return alike(ours[0], theirs[0], f"{path}[0]") if isinstance(ours, list) else []


@pytest.mark.parametrize("detail", [0, 1])
@pytest.mark.parametrize("collection", ["folders", "datacenters", "clusters", "hosts", "networks", "datastores", "vms"])
async def test_lists_have_the_recorded_keys(ask: Any, golden: Any, collection: str, detail: int) -> None:
    found, expected = await ask(f"/{collection}?detail={detail}"), recorded(golden, f"{collection}-detail-{detail}")
    by_variant = {item.get("variant", ""): item for item in expected}
    assert found
    for item in found:
        assert alike(item, by_variant[item.get("variant", "")]) == [], item["name"]


async def test_single_items_workloads_and_the_provider_have_the_recorded_keys(ask: Any, golden: Any, vsphere: VSphere) -> None:
    web, host = vsphere.vm("web-1")["id"], (await ask("/hosts"))[0]["id"]
    assert alike(await ask(f"/vms/{web}"), recorded(golden, "vms-id-vm-56")) == []
    workload, expected = await ask(f"/workloads/{web}"), recorded(golden, "workloads-id-vm-68")
    assert alike(workload, expected) == []
    assert workload["selfLink"].endswith(f"workloads/{web}") and "path" not in workload and "path" not in workload["host"]
    assert alike(await ask(f"/hosts/{host}"), recorded(golden, "hosts-id-host-39")) == []
    about, expected = await ask(""), recorded(golden, "provider")
    assert about.keys() == expected.keys()
    counts = {key: value for key, value in about.items() if key.endswith("Count")}
    assert counts == {
        "datacenterCount": 1, "clusterCount": 1, "hostCount": 2, "vmCount": len(vsphere.vms), "networkCount": 4, "datastoreCount": 2
    }  # fmt: skip
    assert about["product"] == "VMware vCenter Server"


async def test_trees(ask: Any, golden: Any, vsphere: VSphere) -> None:
    for name, expected in (("tree/vm", "tree-vm"), ("tree/host", "tree-host")):
        different = alike(await ask(f"/{name}"), recorded(golden, expected))
        assert [line for line in different if not line.endswith(": variant")] == [], "there is no host without a cluster here"
    leaf = (await ask("/tree/host?detail=1"))["children"][0]["children"][0]["children"][0]["children"][0]
    recorded_leaf = recorded(golden, "tree-host-detail-1")["children"][0]["children"][0]["children"][0]["children"][0]
    assert alike(leaf, recorded_leaf) == []

    def paths(node: Any) -> list[str]:
        below = [path for child in node["children"] or () for path in paths(child)]
        return ([node["object"]["path"]] if node["kind"] == "VM" else []) + below

    templates = 1
    for name in ("tree/vm", "tree/host"):
        found = paths(await ask(f"/{name}"))
        assert len(found) == len(vsphere.vms) - templates and "/DC0/vm/web/web-1" in found, name


async def test_lists_leave_out_templates_and_switches(ask: Any, vsphere: VSphere) -> None:
    names = [vm["name"] for vm in await ask("/vms")]
    assert len(names) == len(vsphere.vms) - 1 and "golden-image" not in names
    assert {network["variant"] for network in await ask("/networks")} == {"Standard", "DvPortGroup"}


async def test_names_may_be_ends_of_paths(ask: Any, provider: Any, inventory: Any, vsphere: VSphere) -> None:
    assert [vm["path"] for vm in await ask("/vms?name=a/twin")] == ["/DC0/vm/a/twin"]
    assert len(await ask("/vms?name=twin")) == 2
    assert await ask("/vms?name=c/twin") == []
    known = inventory.get(provider["metadata"]["uid"])
    assert [vm["id"] for vm in known.find("vms", {"name": "b/twin"})] == [vsphere.vm("b/twin")["id"]]


async def test_vms_are_told_in_full(ask: Any, vsphere: VSphere) -> None:
    vms = {vm["path"].removeprefix("/DC0/vm/"): vm for vm in await ask("/vms")}
    db = vms["db/db-1"]
    assert [(disk["file"], disk["bus"], disk["changeTrackingEnabled"]) for disk in db["disks"]] == [
        (disk["file"], "scsi", True) for disk in vsphere.vm("db-1")["disks"]
    ]
    assert [(n["ip"], n["prefix"], n["origin"], n["mac"] == db["nics"][0]["mac"]) for n in db["guestNetworks"]] == [
        ("192.168.20.31", 24, "manual", True),
        ("fd00:20::31", 64, "manual", True),
    ]
    assert sorted(tag["name"] for tag in db["tags"]) == ["database", "production"]
    networks = {network["name"]: network["id"] for network in await ask("/networks")}
    assert [nic["network"]["id"] for nic in vms["web/web-1"]["nics"]] == [networks["VM Network"], networks["DC0_DVPG0"]]
    assert vms["misc/uefi"]["firmware"] == "efi" and vms["misc/uefi"]["secureBoot"]
    assert vms["misc/independent"]["disks"][1]["mode"] == "independent_persistent"
    assert vms["misc/with-usb"]["disks"][0]["bus"] == "ide"
    assert [d["kind"] for d in vms["misc/with-usb"]["devices"] if "USB" in d["kind"]] == ["VirtualUSBController"]
    assert vms["misc/untracked"]["snapshot"]["kind"] == "VirtualMachineSnapshot"


async def test_vms_have_concerns(ask: Any) -> None:
    concerns = {vm["name"]: {c["id"].removeprefix("vmware.") for c in vm["concerns"]} for vm in await ask("/vms")}
    assert "snapshot.detected" in concerns["untracked"] and "changed_block_tracking.disabled" in concerns["untracked"]
    assert "changed_block_tracking.disabled" not in concerns["web-1"]
    assert "disk_mode.independent" in concerns["independent"]
    assert "vm.name.invalid" in concerns["Win Server_2019 (old)"]
    assert "vm_missing_ip.detected" in concerns["no-tools"]


async def test_what_happens_on_the_vcenter_is_followed(ask: Any, inventory: Any, provider: Any, vsphere: VSphere) -> None:
    known = inventory.get(provider["metadata"]["uid"])
    id = vsphere.vm("misc/diskless")["id"]
    before = await ask(f"/vms/{id}")
    told: list[tuple[str, str | None]] = []
    inventory.subscribe(lambda _uid, collection, item: told.append((collection, item and item["name"])))
    with vsphere.session() as session:
        vm = session.object("VirtualMachine", id)

        async def refreshed() -> Any:
            await inventory._refresh(known)
            return await ask(f"/vms/{id}")

        assert (await refreshed())["revision"] == before["revision"] and not told
        session.wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=4, memoryMB=1024, changeTrackingEnabled=True)))
        session.wait(vm.Rename_Task("renamed"))
        after = await refreshed()
        assert (after["cpuCount"], after["memoryMB"], after["name"], after["path"]) == (4, 1024, "renamed", "/DC0/vm/misc/renamed")
        assert after["changeTrackingEnabled"] and after["revision"] > before["revision"] == after["revisionValidated"] - 1
        assert "vmware.changed_block_tracking.disabled" not in [concern["id"] for concern in after["concerns"]]
        assert told == [("vms", "renamed")]
        snapshot = session.wait(vm.CreateSnapshot_Task("s", "", False, False))
        assert (await refreshed())["snapshot"] == {"kind": "VirtualMachineSnapshot", "id": snapshot._moId}
        session.wait(snapshot.RemoveSnapshot_Task(False))
        assert (await refreshed())["snapshot"] == {"kind": "", "id": ""}
        folder = session.content.rootFolder.childEntity[0].vmFolder.CreateFolder("later")
        new = session.wait(folder.CreateVM_Task(
            vim.vm.ConfigSpec(name="new", files=vim.vm.FileInfo(vmPathName="[LocalDS_0] new/new.vmx"), guestId="otherGuest"),
            session.content.rootFolder.childEntity[0].hostFolder.childEntity[0].resourcePool,
        ))  # fmt: skip
        await refreshed()
        assert [vm["path"] for vm in await ask("/vms?name=new")] == ["/DC0/vm/later/new"]
        session.wait(folder.Rename_Task("renamed folder"))
        await refreshed()
        assert [vm["path"] for vm in await ask("/vms?name=new")] == ["/DC0/vm/renamed folder/new"]
        session.wait(new.Destroy_Task())
        session.wait(folder.Destroy_Task())
        session.wait(vm.Rename_Task("diskless"))
        session.wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=1, changeTrackingEnabled=False)))
        await refreshed()
        assert await ask("/vms?name=new") == []


async def test_a_source_that_fails_keeps_what_was_read_and_is_read_anew(ask: Any, inventory: Any, provider: Any, vsphere: VSphere) -> None:
    known = inventory.get(provider["metadata"]["uid"])
    before = await ask("/vms")
    vsphere.faults({"method": "WaitForUpdatesEx", "times": 1, "drop": True}, {"method": "WaitForUpdatesEx", "times": 1, "drop": True})
    await inventory._refresh(known)
    assert known.problems and "cannot connect" in known.problems[0]
    assert await ask("/vms") == before
    vsphere.faults()
    await inventory._refresh(known)
    assert known.problems == []
    assert await ask("/vms") == before, "nothing changed, so no revision did"


async def test_tags_that_cannot_be_read_leave_all_else(inventory: Any, provider: Any, vsphere: VSphere, ask: Any) -> None:
    known = inventory.get(provider["metadata"]["uid"])
    known.collector._inventory._tags_due = 0
    vsphere.faults({"path": "/rest", "times": 1, "status": 503})
    await inventory._refresh(known)
    assert len(known.problems) == 1 and "tags" in known.problems[0]
    assert len(await ask("/vms")) == len(vsphere.vms) - 1
