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
