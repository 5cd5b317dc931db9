"""The lab's OpenStack, read by the collector: it answers as a cloud does, and what its volumes hold is known."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from module_runs import run_module

from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import inventory
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.session import Credentials, try_connection


@pytest.fixture(scope="module")
def read(openstack: OpenStack) -> dict[str, list[dict[str, Any]]]:
    return inventory.OpenStackInventory(Credentials(openstack.url, openstack.secret())).collect().resources


def one(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = [item for item in items if item["name"] == name]
    assert len(found) == 1
    return found[0]


def test_a_server_that_boots_from_a_volume(openstack: OpenStack, read: dict[str, Any]) -> None:
    server, facts = one(read["vms"], "web-1"), openstack.server("web-1")
    assert (server["id"], server["status"], server["path"]) == (facts["id"], "ACTIVE", "shop/web-1")
    assert "imageID" not in server
    assert [volume["ID"] for volume in server["attachedVolumes"]] == [disk["id"] for disk in facts["disks"]]
    assert set(server["addresses"]) == {"internal", "vlan-120"}
    address = server["addresses"]["internal"][0]
    assert address["OS-EXT-IPS:type"] == "fixed" and address["OS-EXT-IPS-MAC:mac_addr"]


def test_a_server_that_boots_from_an_image(openstack: OpenStack, read: dict[str, Any]) -> None:
    server = one(read["vms"], "app-1")
    assert server["status"] == "SHUTOFF" and server["imageID"] == openstack.images["guest"]
    image = next(image for image in read["images"] if image["id"] == server["imageID"])
    assert (image["diskFormat"], image["status"], image["properties"]["os_distro"]) == ("qcow2", "active", "debian")
    assert image["virtualSize"] > image["sizeBytes"] > 0
    flavor = next(flavor for flavor in read["flavors"] if flavor["id"] == server["flavorID"])
    assert (flavor["vcpus"], flavor["ram"], flavor["extraSpecs"]["hw:cpu_cores"]) == (2, 1024, "2")


def test_volumes_know_their_type_and_what_they_were_made_of(openstack: OpenStack, read: dict[str, Any]) -> None:
    root, data = (next(v for v in read["volumes"] if v["id"] == disk["id"]) for disk in openstack.server("web-1")["disks"])
    assert (root["volumeType"], root["bootable"], root["status"], root["size"]) == ("fast", "true", "in-use", 1)
    assert data["volumeType"] == "slow"
    assert root["volumeImageMetadata"]["image_id"] == openstack.images["guest"]
    assert {type["name"] for type in read["volumetypes"]} >= {"fast", "slow"}


def test_only_the_project_of_the_user_is_read(openstack: OpenStack, read: dict[str, Any]) -> None:
    assert [project["name"] for project in read["projects"]] == ["shop"]
    assert {server["tenantID"] for server in read["vms"]} == {openstack.project_id}
    assert [region["id"] for region in read["regions"]] == ["RegionOne"]


def test_a_volume_holds_the_bytes_that_its_sum_is_of(openstack: OpenStack) -> None:
    disk = openstack.server("web-1")["disks"][1]
    share = hashlib.md5(f"127.0.0.1:/{disk['type']}".encode(), usedforsecurity=False).hexdigest()
    file = openstack.folder / "data/cinder" / share / f"volume-{disk['id']}"
    with file.open("rb") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == disk["sha256"]
    assert file.stat().st_blocks * 512 < disk["size"] // 4  # sparse


@pytest.fixture(scope="module")
def token(openstack: OpenStack) -> str:
    with openstack.connect() as cloud:
        return str(cloud.auth_token)


@pytest.fixture(scope="module")
def application(openstack: OpenStack) -> Any:
    with openstack.connect() as cloud:
        made = cloud.identity.create_application_credential(cloud.current_user_id, name="mtv")
        yield made
        cloud.identity.delete_application_credential(cloud.current_user_id, made.id)


def test_every_way_to_log_in(openstack: OpenStack, token: str, application: Any) -> None:
    given = openstack.secret()
    common = {key: given[key] for key in ("regionName", "cacert")}
    project = {"projectName": given["projectName"], "domainName": given["domainName"]}
    with openstack.connect() as cloud:
        user = cloud.current_user_id
    for login in (
        {"username": given["username"], "password": given["password"], **project},
        {"userID": user, "password": given["password"], "projectID": openstack.project_id},
        {"username": given["username"], "password": given["password"], "userDomainID": "default", **project},
        {"authType": "token", "token": token, "projectID": openstack.project_id},
        {"authType": "applicationcredential", "applicationCredentialID": application.id, "applicationCredentialSecret": application.secret},
        {
            "authType": "applicationcredential",
            "applicationCredentialName": "mtv",
            "applicationCredentialSecret": application.secret,
            "username": given["username"],
            "domainName": "Default",
        },
    ):
        try_connection(Credentials(openstack.url, {**common, **login}))


@pytest.mark.parametrize(
    ("wrong", "kind", "told"),
    [
        ({"password": "wrong-password"}, AUTH, "refuses the credentials"),
        ({"projectName": "nobody's"}, AUTH, "refuses the credentials"),
        ({"cacert": "", "ca.crt": ""}, CONNECTION, "certificate"),
        ({"regionName": "Atlantis"}, DATA, "Atlantis"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(openstack: OpenStack, wrong: dict[str, str], kind: str, told: str) -> None:
    with pytest.raises(SourceError, match=told) as failure:
        inventory.OpenStackInventory(Credentials(openstack.url, {**openstack.secret(), **wrong})).collect()
    assert failure.value.kind == kind
    assert "\n" not in failure.value.message and "wrong-password" not in failure.value.message


def test_certificates_can_be_left_unverified(openstack: OpenStack) -> None:
    try_connection(Credentials(openstack.url, {**openstack.secret(), "cacert": "", "insecureSkipVerify": "true"}))


@pytest.mark.parametrize("place", ["image", "nothing"])
def test_another_address_is_no_keystone(openstack: OpenStack, place: str) -> None:
    url = openstack.endpoints["glance"] if place == "image" else "https://127.0.0.1:1/v3"
    with pytest.raises(SourceError) as failure:
        try_connection(Credentials(url, openstack.secret()))
    assert failure.value.kind == CONNECTION and url in failure.value.message


@pytest.mark.parametrize("way", ["password", "application credential"])
def test_a_task_reads_a_project_and_judges_its_servers(openstack: OpenStack, application: Any, way: str) -> None:
    login = {"project_name": openstack.project, "domain_name": openstack.domain, "region": openstack.region}
    given: dict[str, Any] = {"user": openstack.user, "password": openstack.password, "login": login}
    if way != "password":
        login = {"application_credential_id": application.id, "application_credential_secret": application.secret}
        given = {"login": {"auth_type": "applicationcredential", **login}}
    common = {
        "type": "openstack",
        "url": openstack.url,
        "ca_cert": openstack.ca,
        "vms": ["web-1", "pinned-1"],
        "resources": ["volumetypes"],
    }
    result = run_module("source_vm_info", {**common, **given})
    assert [vm["path"] for vm in result["vms"]] == ["shop/web-1", "shop/pinned-1"], result
    assert {concern["vm"] for concern in result["concerns"]} == {"pinned-1"}
    assert {concern["id"] for concern in result["concerns"]} >= {"openstack.cpu.shares.defined", "openstack.bios.boot_menu.enabled"}
    assert {type["name"] for type in result["resources"]["volumetypes"]} >= {"fast", "slow"}
