"""source_vm_info: options that are refused before anything is asked, OVA files, and a vCenter with what can go wrong there."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def read(run: Any) -> Any:
    """The module, which knows no cluster."""

    def call(**params: Any) -> dict[str, Any]:
        return run("source_vm_info", kubeconfig="OMIT", **params)

    return call


@pytest.fixture
def login(vsphere: Any) -> dict[str, Any]:  # noqa: F811
    return {"url": vsphere.url, "user": vsphere.user, "password": vsphere.password, "ca_cert": vsphere.ca}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"user": "", "password": ""}, "user and password: give the login of the source"),
        ({"password": ""}, "password: give the login"),
        ({"ca_cert": "no certificate"}, "ca_cert: this is no certificate in PEM"),
        ({"ca_cert_file": "/nowhere"}, "ca_cert_file: /nowhere cannot be read"),
        ({"thumbprint": "AA:BB"}, "'AA:BB' is not a SHA-1 thumbprint"),
        ({"url": "http://vc/sdk"}, "'http://vc/sdk' is not the URL of a vSphere endpoint"),
        ({"vms": [{"namespace": "x"}]}, "vms[0]: 'namespace' is not known for providers of type vsphere"),
        ({"vms": [{"name": "web", "target_name": "x"}]}, "vms[0]: unknown option 'target_name'"),
        ({"vms": [{}]}, "vms[0]: "),
        ({"exclude": [7]}, "exclude[0]: give the name or id of a VM"),
        ({"resources": ["volumes"]}, "resources: a source of type vsphere has no 'volumes'; it has networks, datastores"),
    ],
)
def test_options_that_make_no_sense(read: Any, given: dict[str, Any], said: str) -> None:
    result = read(**{"url": "https://127.0.0.1:1/sdk", "user": "u", "password": "secret-word", **given})
    assert result["failed"] and said in result["msg"]
    assert "secret-word" not in str({key: value for key, value in result.items() if key != "invocation"})


def test_nobody_at_the_url(read: Any) -> None:
    result = read(url="https://127.0.0.1:1/sdk", user="someone", password="some-secret", insecure_skip_verify=True)
    assert result["msg"] == "cannot connect to https://127.0.0.1:1/sdk: connection refused."
    assert result["warnings"] == ["The certificate of the source is not verified (insecure_skip_verify)."]


def test_login_from_the_environment(read: Any, login: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMWARE_USER", login.pop("user"))
    monkeypatch.setenv("VMWARE_PASSWORD", login.pop("password"))
    assert [vm["name"] for vm in read(vms=["web-1"], **login)["vms"]] == ["web-1"]


def test_vms_come_in_the_order_of_their_entries_with_their_concerns(read: Any, login: dict[str, Any]) -> None:
    result = read(vms=["no-tools", {"folder": "db"}], resources=["datastores"], **login)
    assert [vm["name"] for vm in result["vms"]] == ["no-tools", "db-1"]
    assert {(c["vm"], c["id"]) for c in result["concerns"]} >= {("no-tools", "vmware.vm_missing_ip.detected")}
    assert [concern["vm_id"] for concern in result["concerns"]][0] == result["vms"][0]["id"]
    assert [item["name"] for item in result["resources"]["datastores"]] == ["LocalDS_0", "LocalDS_1"]
    assert result["changed"] is False


def test_sessions_are_closed(read: Any, login: dict[str, Any], vsphere: Any) -> None:  # noqa: F811
    before = vsphere.statistics()["calls"]
    read(vms=["web-1"], **login)
    after = vsphere.statistics()["calls"]
    assert after["Login"] - before.get("Login", 0) == after["Logout"] - before.get("Logout", 0) == 1


def test_tags_that_cannot_be_read_are_a_warning(read: Any, login: dict[str, Any], vsphere: Any) -> None:  # noqa: F811
    vsphere.faults({"path": "/rest", "times": 1, "status": 500})
    result = read(vms=["web-1"], **login)
    assert result["vms"][0]["tags"] == []
    assert "tags" in result["warnings"][0]


def test_appliances(read: Any, tmp_path: Any) -> None:
    assert read(type="ova", url=f"localhost:{tmp_path}")["vms"] == []
    assert "must have the form server:/path" in read(type="ova", url="x")["msg"]


@pytest.fixture
def engine_login(ovirt: Any) -> dict[str, Any]:
    return {"type": "ovirt", "url": ovirt.url, "user": ovirt.user, "password": ovirt.password, "ca_cert": ovirt.ca}


def test_an_engine(read: Any, engine_login: dict[str, Any]) -> None:
    result = read(vms=[{"cluster": "Edge"}, "broken"], resources=["storagedomains", "servercpus"], **engine_login)
    assert [vm["path"] for vm in result["vms"]] == ["Edge/Edge/twin", "Default/Default/broken"]
    assert {(c["vm"], c["id"]) for c in result["concerns"] if c["category"] == "Critical"} == {
        ("broken", "ovirt.disk.illegal_images.detected"),
        ("broken", "ovirt.disk.illegal_or_locked_status"),
    }
    assert {(c["vm"], c["id"]) for c in result["concerns"]} >= {("twin", "ovirt.cluster.ksm_enabled")}
    assert [item["name"] for item in result["resources"]["storagedomains"]] == ["data-nfs", "data-block", "edge-nfs"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"password": "other-secret"}, "refuses the credentials of admin@internal"),
        ({"password": ""}, "password: give the login"),
        ({"ca_cert": "OMIT", "thumbprint": "AA:BB"}, "thumbprint: a source of type ovirt is verified by ca_cert"),
        ({"url": "http://engine/api"}, "it looks like https://engine.example.com/ovirt-engine/api"),
        ({"resources": ["datastores"]}, "a source of type ovirt has no 'datastores'; it has networks, nicprofiles"),
        ({"vms": [{"folder": "x"}]}, "vms[0]: 'folder' is not known for providers of type ovirt"),
    ],
)
def test_an_engine_that_cannot_be_read_as_asked(read: Any, engine_login: dict[str, Any], given: dict[str, Any], said: str) -> None:
    result = read(**{key: value for key, value in {**engine_login, **given}.items() if value != "OMIT"})
    assert result["failed"] and said in result["msg"]
    assert "other-secret" not in str({key: value for key, value in result.items() if key != "invocation"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "login: auth_type password needs user and password, or user_id and password."),
        ({"login": {"auth_type": "token"}}, "login: auth_type token needs token."),
        (
            {"login": {"token": "secret-word"}, "user": "someone", "password": "secret-word"},
            "login: auth_type password does not use token.",
        ),
        ({"login": {"auth_type": "token", "token": "secret-word"}, "thumbprint": "AA:BB"}, "thumbprint: a source of type openstack"),
        (
            {"login": {"user_id": "7"}, "password": "secret-word", "insecure_skip_verify": True},
            "cannot be asked to log in: Connection refused.",
        ),
        (
            {"login": {"user_id": "7"}, "password": "secret-word", "resources": ["disks"]},
            "has no 'disks'; it has projects, regions, images",
        ),
    ],
)
def test_a_cloud_that_cannot_be_read_as_asked(read: Any, given: dict[str, Any], said: str) -> None:
    pytest.importorskip("openstack")
    result = read(type="openstack", url="https://127.0.0.1:1/v3", **given)
    assert result["failed"] and said in result["msg"]
    assert "secret-word" not in str({key: value for key, value in result.items() if key != "invocation"})
