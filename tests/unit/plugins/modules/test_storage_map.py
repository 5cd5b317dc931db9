from __future__ import annotations

import pytest

MAP = {"name": "disks", "namespace": "mig", "source": "src"}
FULL = {"storage_class": "fast", "volume_mode": "Block", "access_mode": "ReadWriteMany"}


@pytest.fixture
def world(plane, conditions_of_status):
    source = plane.provider("src", url="nfs:/x")
    host = plane.provider("host", type="openshift", namespace="mig")
    plane.inventory[f"providers/ova/{source['metadata']['uid']}/storages"] = [{"id": "d-1", "name": "web-disk1.vmdk"}]
    plane.inventory[f"providers/openshift/{host['metadata']['uid']}/storageclasses"] = [
        {"id": "s", "name": "fast"},
        {"id": "t", "name": "slow"},
    ]
    plane.controller("StorageMap", lambda obj: conditions_of_status(obj, "Ready"))


def test_from_nothing_to_absent(plane, run, world):
    pairs = [{"source": "web-disk1.vmdk", "destination": FULL}]
    assert run("storage_map", check_mode=True, pairs=pairs, **MAP)["changed"]
    made = run("storage_map", pairs=pairs, **MAP)
    assert made["storage_map"]["spec"]["map"] == [
        {
            "source": {"name": "web-disk1.vmdk"},
            "destination": {"storageClass": "fast", "volumeMode": "Block", "accessMode": "ReadWriteMany"},
        }
    ]
    assert not run("storage_map", pairs=pairs, **MAP)["changed"]
    changed = run("storage_map", pairs=[{"source": {"id": "d-1"}, "destination": "slow"}], **MAP)
    assert changed["diff"]["after"]["spec"]["map"] == [{"source": {"id": "d-1"}, "destination": {"storageClass": "slow"}}]
    assert run("storage_map", name="disks", namespace="mig", state="absent")["changed"]
    assert plane.do("list", "StorageMap", "mig") == []


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (
            {"source": "db-disk1.vmdk", "destination": "fast"},
            "pairs[0].source: 'db-disk1.vmdk' does not exist there; there are: web-disk1.vmdk (id d-1)",
        ),
        ({"source": "web-disk1.vmdk", "destination": "medium"}, "pairs[0].destination: 'medium' does not exist there; there are: fast"),
        ({"source": "web-disk1.vmdk", "destination": {**FULL, "volume_mode": "block"}}, "'block' is not one of Filesystem, Block"),
        ({"source": "web-disk1.vmdk", "destination": ""}, "give the name of a storage class"),
    ],
)
def test_nothing_is_made_of_bad_options(plane, run, world, pair, said):
    result = run("storage_map", pairs=[pair], **MAP)
    assert result["failed"]
    assert said in result["msg"]
    assert plane.do("list", "StorageMap", "mig") == []


def storage_class(name, *defaults):
    meta = {"creationTimestamp": "2026-01-01T00:00:00Z", "annotations": dict.fromkeys(defaults, "true")}
    return {"id": name, "name": name, "namespace": "", "object": {"metadata": meta}}


def test_auto_maps_the_disks_of_the_chosen_vms_to_the_default_class(plane, run, world):
    uids = {p["metadata"]["name"]: p["metadata"]["uid"] for p in plane.do("list", "Provider")}
    disks = {
        name: [{"ID": f"{name}-1", "Name": f"{name}-disk1.vmdk"}, {"ID": f"{name}-2", "Name": f"{name}-disk2.vmdk"}]
        for name in ("web", "db")
    }
    plane.inventory[f"providers/ova/{uids['src']}/vms"] = [{"id": n, "name": n, "disks": d} for n, d in disks.items()]
    plane.inventory[f"providers/ova/{uids['src']}/storages"] = [{"id": d["ID"], "name": d["Name"]} for n in disks for d in disks[n]]
    classes = [storage_class("fast"), storage_class("slow", "storageclass.kubernetes.io/is-default-class")]
    plane.inventory[f"providers/openshift/{uids['host']}/storageclasses"] = classes
    given = {**MAP, "auto": True, "vms": [{"regex": "web"}], "pairs": [{"source": "web-disk1.vmdk", "destination": "fast"}]}
    made = run("storage_map", **given)
    assert [(g["source"]["name"], g["destination"], g["rule"]) for g in made["guesses"]] == [
        ("web-disk2.vmdk", {"storageClass": "slow"}, "default")
    ]
    assert [(p["source"], p["destination"]["storageClass"]) for p in made["storage_map"]["spec"]["map"]] == [
        ({"name": "web-disk1.vmdk"}, "fast"),
        ({"id": "web-2", "name": "web-disk2.vmdk"}, "slow"),
    ]
    assert not run("storage_map", **given)["changed"]
    plane.inventory[f"providers/openshift/{uids['host']}/storageclasses"] = [storage_class("fast"), storage_class("slow")]
    failed = run("storage_map", **given)
    assert "auto: no storage class was found for storage 'web-disk2.vmdk' of VM 'web'" in failed["msg"]


# --- offload plugins ------------------------------------------------------------------------------------------------

XCOPY = {"vsphere_xcopy_config": {"secret_ref": "array", "storage_vendor_product": "ontap"}}


@pytest.fixture
def vsphere(plane, world):
    source = plane.provider("vc", "vsphere", "konveyor-forklift")
    plane.inventory[f"providers/vsphere/{source['metadata']['uid']}/datastores"] = [{"id": "datastore-1", "name": "san"}]

    def pairs(plugin):
        return {
            **MAP,
            "source": {"name": "vc", "namespace": "konveyor-forklift"},
            "pairs": [{"source": "san", "destination": "fast", "offload_plugin": plugin}],
        }

    return pairs


def test_the_secret_of_a_storage_array_must_lie_where_mtv_looks_for_it(plane, run, vsphere):
    failed = run("storage_map", **vsphere(XCOPY))
    assert failed["msg"] == (
        "pairs[0].offload_plugin: the Secret konveyor-forklift/array does not exist; it must lie in the namespace of the source provider."
    )
    plane.make("Secret", "array", "mig", "v1", stringData={"STORAGE_HOSTNAME": "h"})
    assert run("storage_map", **vsphere(XCOPY))["failed"]
    plane.make("Secret", "array", "konveyor-forklift", "v1", stringData={"STORAGE_HOST": "h"})
    assert "the Secret konveyor-forklift/array has no key STORAGE_HOSTNAME" in run("storage_map", **vsphere(XCOPY))["msg"]
    predicted = run("storage_map", check_mode=True, **vsphere(XCOPY))
    assert predicted["changed"] and any("STORAGE_HOSTNAME" in w for w in predicted["warnings"])
    assert plane.do("list", "StorageMap", "mig") == []


def test_a_storage_array_copies_the_disks(plane, run, vsphere):
    plane.make("Secret", "array", "konveyor-forklift", "v1", stringData={"STORAGE_HOSTNAME": "h", "STORAGE_PASSWORD": "canary-7"})
    made = run("storage_map", **vsphere(XCOPY))
    (pair,) = made["storage_map"]["spec"]["map"]
    assert pair["offloadPlugin"] == {"vsphereXcopyConfig": {"secretRef": "array", "storageVendorProduct": "ontap"}}
    assert not run("storage_map", **vsphere(XCOPY))["changed"] and "canary-7" not in str(made)
    hosts = {"vsphere_xcopy_config": {**XCOPY["vsphere_xcopy_config"], "dedicated_migration_hosts": ["host-1"]}}
    assert run("storage_map", **vsphere(hosts))["changed"]
    imported = run("storage_map", **vsphere({"csi_volume_import": XCOPY["vsphere_xcopy_config"]}))
    assert imported["storage_map"]["spec"]["map"][0]["offloadPlugin"] == {
        "csiVolumeImport": {"secretRef": "array", "storageVendorProduct": "ontap"}
    }


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        ({}, "one of the following is required: vsphere_xcopy_config, csi_volume_import"),
        ({**XCOPY, "csi_volume_import": XCOPY["vsphere_xcopy_config"]}, "mutually exclusive"),
        ({"vsphere_xcopy_config": {"secret_ref": "array"}}, "missing required arguments: storage_vendor_product"),
        ({"vsphere_xcopy_config": {"secret_ref": "array", "storage_vendor_product": "floppy"}}, "floppy"),
    ],
)
def test_offload_plugins_that_are_none(plane, run, vsphere, plugin, said):
    plane.make("Secret", "array", "konveyor-forklift", "v1", stringData={"STORAGE_HOSTNAME": "h"})
    failed = run("storage_map", **vsphere(plugin))
    assert failed["failed"] and said in failed["msg"] and plane.do("list", "StorageMap", "mig") == []


@pytest.mark.mtv("2.12.1")
def test_what_an_older_mtv_does_not_know_is_refused(plane, run, vsphere):
    plane.make("Secret", "array", "konveyor-forklift", "v1", stringData={"STORAGE_HOSTNAME": "h"})
    failed = run("storage_map", **vsphere({"csi_volume_import": XCOPY["vsphere_xcopy_config"]}))
    assert failed["msg"] == (
        "pairs[].offload_plugin.csi_volume_import: the MTV of this cluster does not know this option; MTV 2.12.2 and newer do."
    )
