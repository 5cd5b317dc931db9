"""From what the services answer to items of MTV's inventory: the keys and types of its documentation."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import items, workload

#: As Nova, Glance, Cinder, Neutron and Keystone of 2026 answered.
SERVER = {
    "id": "s1",
    "name": "web-1",
    "status": "ACTIVE",
    "tenant_id": "p1",
    "user_id": "u1",
    "metadata": {"tier": "web"},
    "hostId": "h1",
    "image": "",
    "flavor": {"id": "f1", "links": []},
    "created": "2026-11-28T05:42:27Z",
    "updated": "2026-11-28T05:42:35Z",
    "addresses": {
        "internal": [
            {"version": 4, "addr": "192.168.60.15", "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:1a:2b:3c"},
        ]
    },
    "accessIPv4": "",
    "accessIPv6": "",
    "key_name": None,
    "security_groups": [{"name": "default"}],
    "progress": 0,
    "os-extended-volumes:volumes_attached": [{"id": "v1"}, {"id": "v2"}],
}
IMAGE = {
    "id": "i1",
    "name": "guest",
    "status": "active",
    "tags": [],
    "container_format": "bare",
    "disk_format": "qcow2",
    "min_disk": 0,
    "min_ram": 0,
    "owner": "p1",
    "protected": False,
    "visibility": "shared",
    "os_hidden": False,
    "os_hash_algo": "sha512",
    "os_hash_value": "abc",
    "checksum": "def",
    "size": 20971520,
    "virtual_size": 268435456,
    "created_at": "2026-11-28T05:42:01Z",
    "updated_at": "2026-11-28T05:42:03Z",
    "file": "/v2/images/i1/file",
    "schema": "/v2/schemas/image",
    "self": "/v2/images/i1",
    "stores": "fs",
    "hw_disk_bus": "virtio",
    "os_distro": "debian",
    "min_something": None,
}
VOLUME = {
    "id": "v1",
    "name": "web-1-0",
    "status": "in-use",
    "size": 1,
    "availability_zone": "nova",
    "created_at": "2026-11-28T05:42:10.123400",
    "updated_at": None,
    "attachments": [
        {
            "id": "v1",
            "attachment_id": "a1",
            "volume_id": "v1",
            "server_id": "s1",
            "host_name": "lab",
            "device": "/dev/vda",
            "attached_at": "2026-11-28T05:42:33.000000",
        }
    ],
    "description": None,
    "volume_type": "fast",
    "snapshot_id": None,
    "source_volid": None,
    "metadata": {},
    "user_id": "u1",
    "bootable": True,
    "encrypted": False,
    "replication_status": None,
    "consistencygroup_id": None,
    "multiattach": False,
    "volume_image_metadata": {"image_id": "i1", "os_distro": "debian"},
}


def test_a_server() -> None:
    found = items.vm(SERVER)
    assert found["attachedVolumes"] == [{"ID": "v1"}, {"ID": "v2"}]
    assert (found["flavorID"], found["hostID"], found["tenantID"]) == ("f1", "h1", "p1")
    assert found["fault"] == {"Code": 0, "Created": items.NEVER, "Details": "", "Message": ""}
    assert not {"imageID", "accessIPv4", "keyName"} & found.keys()  # there is nothing to say
    assert found["securityGroups"] == [{"name": "default"}]


def test_a_server_that_has_failed_says_how() -> None:
    fault = {"code": 500, "created": "2026-11-28T05:42:35Z", "message": "No valid host was found."}
    found = items.vm({**SERVER, "image": {"id": "i1"}, "fault": fault})
    assert found["fault"] == {"Code": 500, "Created": "2026-11-28T05:42:35Z", "Details": "", "Message": "No valid host was found."}
    assert found["imageID"] == "i1"


def test_what_an_image_says_beyond_its_own_keys_are_its_properties() -> None:
    found = items.image(IMAGE)
    assert found["properties"] == {"os_hash_algo": "sha512", "os_hash_value": "abc", "hw_disk_bus": "virtio", "os_distro": "debian"}
    assert (found["sizeBytes"], found["virtualSize"], found["diskFormat"]) == (20971520, 268435456, "qcow2")


def test_a_volume() -> None:
    found = items.volume(VOLUME)
    assert found["bootable"] == "true"
    assert found["createdAt"] == "2026-11-28T05:42:10.1234Z"
    assert found["attachments"][0] == {
        "AttachedAt": "2026-11-28T05:42:33Z",
        "AttachmentID": "a1",
        "Device": "/dev/vda",
        "HostName": "lab",
        "ID": "v1",
        "ServerID": "s1",
        "VolumeID": "v1",
    }
    assert not {"description", "snapshotID", "metadata"} & found.keys()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("2026-11-28T05:42:35Z", "2026-11-28T05:42:35Z"),
        ("2026-11-28T05:42:35.000000", "2026-11-28T05:42:35Z"),
        ("2026-11-28 05:42:35.120000+00:00", "2026-11-28T05:42:35.12Z"),
        (None, items.NEVER),
        ("yesterday", items.NEVER),
    ],
)
def test_times(given: str | None, told: str) -> None:
    assert items.time(given) == told


def test_a_flavor_without_swap_says_nothing_and_means_zero() -> None:
    assert items.flavor({"id": "f1", "name": "tiny", "ram": 256, "vcpus": 1, "disk": 1, "swap": ""}, {})["swap"] == 0


def test_regions_are_called_by_their_id() -> None:
    assert items.region({"id": "RegionOne", "description": "", "parent_region_id": None}) == {
        "id": "RegionOne",
        "name": "RegionOne",
        "description": "",
    }


class Collections:
    """An inventory of plain data."""

    def __init__(self, **collections: list[dict[str, Any]]) -> None:
        self._collections = collections

    def collection(self, name: str) -> list[dict[str, Any]]:
        return self._collections.get(name, [])

    def item(self, collection: str, id: str) -> dict[str, Any] | None:
        return next((item for item in self.collection(collection) if item["id"] == id), None)

    def named(self, collection: str, name: str) -> list[dict[str, Any]]:
        return [item for item in self.collection(collection) if item["name"] == name]


def whole(**more: list[dict[str, Any]]) -> Collections:
    collections: dict[str, list[dict[str, Any]]] = {
        "images": [items.image(IMAGE)],
        "volumes": [items.volume(VOLUME), items.volume({**VOLUME, "id": "v2", "volume_type": "slow", "volume_image_metadata": None})],
        "volumetypes": [items.volume_type({"id": f"t-{name}", "name": name}) for name in ("slow", "fast", "unused")],
        "networks": [items.network({"id": "n1", "name": "internal", "subnets": ["sub1"]}), items.network({"id": "n2", "name": "other"})],
        "subnets": [items.subnet({"id": "sub1", "name": "internal-4", "network_id": "n1", "cidr": "192.168.60.0/24"})],
        "snapshots": [
            items.snapshot({"id": "snap1", "name": "a", "volume_id": "v1"}),
            items.snapshot({"id": "snap2", "name": "b", "volume_id": "v9"}),
        ],
        "flavors": [items.flavor({"id": "f1", "name": "tiny", "ram": 256, "vcpus": 1}, {"hw:cpu_cores": "1"})],
    }
    return Collections(**{**collections, **more})


def test_a_server_with_all_that_it_refers_to() -> None:
    found = workload.surroundings(items.vm(SERVER), whole())
    assert [volume["id"] for volume in found["volumes"]] == ["v1", "v2"]
    assert [type["name"] for type in found["volumeTypes"]] == ["fast", "slow"]
    assert [network["id"] for network in found["networks"]] == ["n1"]
    assert [subnet["id"] for subnet in found["subnets"]] == ["sub1"]
    assert [snapshot["id"] for snapshot in found["snapshots"]] == ["snap1"]
    assert found["flavor"]["extraSpecs"] == {"hw:cpu_cores": "1"}
    assert found["image"]["id"] == "i1"  # that its volume was made of


def test_of_several_volumes_that_could_boot_the_first_device_tells_the_image() -> None:
    second = {
        **VOLUME,
        "id": "v2",
        "volume_image_metadata": {"image_id": "other"},
        "attachments": [{**VOLUME["attachments"][0], "device": "/dev/vdb"}],
    }
    inventory = whole(volumes=[items.volume(second), items.volume(VOLUME)])
    attached = {**SERVER, "os-extended-volumes:volumes_attached": [{"id": "v2"}, {"id": "v1"}]}
    assert workload.surroundings(items.vm(attached), inventory)["image"]["id"] == "i1"


def test_a_server_whose_image_is_gone() -> None:
    found = workload.surroundings(items.vm({**SERVER, "image": {"id": "gone"}}), whole())
    assert found["image"]["id"] == "" and found["image"]["properties"] == {}


def test_a_server_without_volumes_has_no_keys_about_them() -> None:
    found = workload.surroundings(items.vm({**SERVER, "os-extended-volumes:volumes_attached": []}), whole())
    assert not {"volumes", "volumeTypes", "snapshots"} & found.keys()
