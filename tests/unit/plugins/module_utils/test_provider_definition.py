from __future__ import annotations

import base64

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import PROVIDER_TYPES
from ansible_collections.vmshift.mtv.plugins.module_utils.provider_definition import (
    URLS,
    certificate_url,
    secret_manifest,
    secret_problems,
    secret_warnings,
    settings_of,
    settings_problems,
    settings_warnings,
    stored_secret_problems,
    url_problems,
)


@pytest.mark.parametrize(
    ("type", "url"),
    [
        ("openshift", ""),
        ("openshift", "https://api.example.com:6443"),
        ("vsphere", "https://vc.example.com/sdk"),
        ("ovirt", "https://engine/ovirt-engine/api"),
        ("openstack", "http://keystone:5000/v3"),
        ("ova", "nfs.example.com:/exports/ova"),
        ("ova", "127.0.0.1:/x"),
        ("ec2", ""),
        ("hyperv", "10.0.0.5"),
        ("hyperv", "hyperv1.example.com"),
        ("ova", "files:/exports with blanks"),
    ],
)
def test_urls_that_fit(type, url):
    assert url_problems(type, url) == []


@pytest.mark.parametrize(
    ("type", "url"),
    [
        ("openshift", "api.example.com:6443"),
        ("vsphere", "vc.example.com"),
        ("vsphere", "https://vc.example.com"),
        ("ovirt", "https://engine/"),
        ("openstack", ""),
        ("ova", "nfs://nfs.example.com/exports"),
        ("ova", "nfs://nfs.example.com:/exports"),
        ("ova", "nfs.example.com:exports"),
        ("ova", "/exports"),
        ("ova", ""),
        ("ova", "server :/x"),
        ("hyperv", " "),
        ("hyperv", "https://10.0.0.5:5986"),
    ],
)
def test_urls_that_do_not_fit(type, url):
    (problem,) = url_problems(type, url)
    assert problem.startswith("url: ")
    assert type in problem
    assert URLS[type][1] in problem


COMPLETE = {
    "openshift": {"token": "t"},
    "vsphere": {"user": "u", "password": "p", "ca_cert": "PEM"},
    "ovirt": {"user": "u", "password": "p", "insecure_skip_verify": True},
    "openstack": {"user": "u", "password": "p"},
    "ova": {},
    "ec2": {"region": "r", "target_access_key_id": "i", "target_secret_access_key": "s"},
    "hyperv": {"user": "u", "password": "p", "smb_url": "//server/share", "ca_cert": "PEM"},
}


@pytest.mark.parametrize("type", PROVIDER_TYPES)
def test_complete_credentials_have_no_problems(type):
    assert secret_problems(type, COMPLETE[type]) == []


@pytest.mark.parametrize(("type", "option"), [(t, o) for t, given in COMPLETE.items() for o in given])
def test_each_needed_option_is_named_when_it_is_missing(type, option):
    problems = secret_problems(type, {k: v for k, v in COMPLETE[type].items() if k != option})
    assert len(problems) == 1
    assert option in problems[0]


@pytest.mark.parametrize(
    ("type", "given", "said"),
    [
        ("ova", {"token": "t"}, "token does not belong to a provider of type ova"),
        ("vsphere", {"user": "u", "password": "p", "ca_cert": "x", "insecure_skip_verify": True}, "exclude each other"),
        ("ec2", {**COMPLETE["ec2"], "access_key_id": "a"}, "give access_key_id and secret_access_key together or neither"),
        ("ec2", {"region": "r", "target_access_key_id": "i"}, "needs target_secret_access_key"),
        ("openstack", {}, "auth_type password needs user and password, or user_id and password."),
        ("openstack", {"auth_type": "token"}, "auth_type token needs token."),
        ("openstack", {"auth_type": "token", "token": "t", "user": "u", "password": "p"}, "auth_type token does not use password, user."),
        ("openstack", {"user": "u", "password": "p", "token": "t"}, "auth_type password does not use token."),
        ("openstack", {"user": "u", "user_id": "i", "password": "p"}, "give user or user_id, not both."),
        (
            "openstack",
            {"auth_type": "applicationcredential", "application_credential_name": "n", "application_credential_secret": "s"},
            "needs application_credential_id and application_credential_secret, or application_credential_name and "
            "application_credential_secret and user.",
        ),
        (
            "openstack",
            {"auth_type": "applicationcredential", "application_credential_id": "n", "application_credential_secret": "s", "password": "p"},
            "auth_type applicationcredential does not use password.",
        ),
        ("hyperv", {**COMPLETE["hyperv"], "smb_url": "server/share"}, "smb_url takes smb://SERVER/SHARE; this is 'server/share'"),
        ("hyperv", {**COMPLETE["hyperv"], "smb_url": "smb://server"}, "smb_url takes"),
        ("hyperv", {**COMPLETE["hyperv"], "smb_user": "u"}, "give smb_user and smb_password together or neither"),
    ],
)
def test_problems_of_credentials(type, given, said):
    assert said in " ".join(secret_problems(type, given))


SCOPE_OPTIONS = """project_name project_id user_domain_name user_domain_id project_domain_name project_domain_id domain_name domain_id
    default_domain region availability"""
SCOPE = dict.fromkeys(SCOPE_OPTIONS.split(), "x")


@pytest.mark.parametrize(
    "login",
    [
        {"auth_type": "password", "user": "u", "password": "p"},
        {"user_id": "u", "password": "p"},
        {"auth_type": "token", "token": "t"},
        {"auth_type": "applicationcredential", "application_credential_id": "i", "application_credential_secret": "s"},
        {"auth_type": "applicationcredential", "application_credential_name": "n", "application_credential_secret": "s", "user": "u"},
    ],
)
def test_every_way_to_log_in_to_openstack_goes_with_every_scope(login):
    assert secret_problems("openstack", {**login, **SCOPE, "ca_cert": "PEM"}) == []
    assert secret_warnings("openstack", {**login, **SCOPE}) == []


def test_what_is_not_safe_or_will_hardly_work_is_warned_of():
    (domain,) = secret_warnings("openstack", {"user": "u", "password": "p"})
    assert "the domain of user too; give one of user_domain_name, user_domain_id" in domain
    assert "does not verify" in secret_warnings("openshift", {"token": "t", "insecure_skip_verify": True})[0]
    assert secret_warnings("vsphere", {"insecure_skip_verify": True}) == []


def test_values_never_show_in_problems():
    for type in PROVIDER_TYPES:
        assert "hush" not in " ".join(secret_problems(type, {"password": "hush", "token": "hush", "secret_access_key": "hush"}))


def test_secret_holds_exactly_the_keys_of_the_type():
    secret = secret_manifest("creds", "mig", "ovirt", "https://e/ovirt-engine/api", {"user": "u", "password": "p", "ca_cert": "PEM"})
    assert secret["metadata"]["labels"] == {"createdForProviderType": "ovirt", "createdForResourceType": "providers"}
    assert secret["stringData"] == {
        "user": "u",
        "password": "p",
        "ca.crt": "PEM",
        "cacert": "PEM",
        "insecureSkipVerify": "false",
        "url": "https://e/ovirt-engine/api",
    }


def test_options_become_the_keys_mtv_reads():
    data = secret_manifest("c", "n", "openstack", "http://k", {"user": "u", "auth_type": "token", "insecure_skip_verify": True})[
        "stringData"
    ]
    assert {k: v for k, v in data.items() if v} == {"username": "u", "authType": "token", "insecureSkipVerify": "true", "url": "http://k"}
    assert "insecureSkipVerify" not in secret_manifest("c", "n", "ec2", "", {})["stringData"]


def test_without_a_certificate_none_stays():
    data = secret_manifest("c", "n", "vsphere", "https://v/sdk", {"user": "u", "password": "p", "insecure_skip_verify": True})["stringData"]
    assert (data["ca.crt"], data["cacert"], data["insecureSkipVerify"]) == (None, None, "true")


def encoded(**data):
    return {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}


@pytest.mark.parametrize(
    ("type", "data", "said"),
    [
        ("openshift", {}, ["a provider of type openshift needs token."]),
        ("openshift", {"token": "t"}, []),
        ("vsphere", {"user": "u"}, ["a provider of type vsphere needs password, ca.crt (or insecureSkipVerify: true)."]),
        ("vsphere", {"user": "u", "password": "p", "insecureSkipVerify": "true"}, []),
        ("vsphere", {"user": "u", "password": "p", "ca_crt": "PEM"}, []),
        ("vsphere", {"user": "u", "password": "p", "cacert": "PEM", "insecureSkipVerify": "false"}, []),
        (
            "ovirt",
            {"user": "u", "password": "p", "ca_crt": "x", "insecureSkipVerify": "1"},
            ["ca.crt and insecureSkipVerify: true exclude"],
        ),
        ("openstack", {"username": "u"}, ["authType password needs username and password, or userID and password."]),
        ("openstack", {"authType": "kerberos"}, ["authType takes password, token, applicationcredential; this is 'kerberos'."]),
        ("openstack", {"authType": "token", "token": "t", "password": "p"}, ["authType token does not use password."]),
        ("ova", {}, ["it needs url."]),
        ("ova", {"url": "a:/b"}, []),
        ("ec2", {"region": "r", "accessKeyId": "a"}, ["needs targetAccessKeyId, targetSecretAccessKey.", "give accessKeyId and secretAcc"]),
        ("hyperv", {"username": "u", "password": "p", "smbUrl": "x", "insecureSkipVerify": "true"}, ["smbUrl takes smb://SERVER/SHARE"]),
    ],
)
def test_problems_of_an_existing_secret_are_told_in_its_own_keys(type, data, said):
    problems = stored_secret_problems(type, encoded(**data))
    assert len(problems) == len(said)
    assert all(part in problem for part, problem in zip(said, problems, strict=True))


def test_what_cannot_be_decoded_counts_as_missing():
    assert "needs token" in stored_secret_problems("openshift", {"token": "?"})[0]


def test_settings_are_strings():
    assert settings_of({"a": True, "b": 5986, "c": None}) == {"a": "true", "b": "5986", "c": None}


@pytest.mark.parametrize(
    ("type", "given"),
    [
        (
            "vsphere",
            {
                "vddkInitImage": "registry.example.com:5000/vddk@sha256:" + "0" * 64,
                "sdkEndpoint": "esxi",
                "useVddkAioOptimization": True,
                "vddkConfig": "VixDiskLib.nfcAio.Session.BufSizeIn64KB=16\nVixDiskLib.nfcAio.Session.BufCount=4",
                "esxiCloneMethod": "ssh",
            },
        ),
        ("ova", {"applianceManagement": False}),
        ("ec2", {"target-az": "eu-central-1a", "target-region": "eu-central-1"}),
        ("hyperv", {"managementType": "cluster", "winrmPort": 5986}),
        ("ovirt", {"brand-new": "x", "sdkEndpointOfTheFuture": None}),
        ("vsphere", {"sdkEndpoint": None}),
    ],
)
def test_settings_that_fit(type, given):
    assert settings_problems(type, given) == []


@pytest.mark.parametrize(
    ("type", "given", "said"),
    [
        ("ova", {"sdkEndpoint": "esxi"}, "sdkEndpoint belongs to providers of type vsphere; type ova takes applianceManagement."),
        ("ovirt", {"target-az": "a"}, "target-az belongs to providers of type ec2; type ovirt takes none."),
        ("vsphere", {"sdkEndpoint": "ESXi"}, "sdkEndpoint takes vcenter or esxi; this is 'ESXi'."),
        ("vsphere", {"useVddkAioOptimization": "yes"}, "useVddkAioOptimization takes true or false; this is 'yes'."),
        ("vsphere", {"esxiCloneMethod": "scp"}, "esxiCloneMethod takes vib or ssh"),
        ("vsphere", {"vddkInitImage": "registry/VDDK:8"}, "vddkInitImage takes an image such as"),
        ("hyperv", {"managementType": "farm"}, "managementType takes standalone or cluster"),
        ("hyperv", {"winrmPort": 0}, "winrmPort takes a port from 1 to 65535; this is '0'."),
        ("hyperv", {"winrmPort": "https"}, "winrmPort takes a port"),
    ],
)
def test_settings_that_do_not_fit(type, given, said):
    (problem,) = settings_problems(type, given)
    assert problem.startswith("settings: ")
    assert said in problem


def test_settings_that_nobody_knows_are_warned_of():
    assert settings_warnings("vsphere", {"vddkInitImage": "i"}) == []
    assert (
        "brandNew is not known for a provider of type ova, which takes applianceManagement" in settings_warnings("ova", {"brandNew": 1})[0]
    )


def test_where_a_provider_shows_its_certificate():
    assert certificate_url("vsphere", "https://vc/sdk", {}) == "https://vc/sdk"
    assert certificate_url("hyperv", "10.0.0.5", {}) == "https://10.0.0.5:5986"
    assert certificate_url("hyperv", "fe80::1", {"winrmPort": "443"}) == "https://[fe80::1]:443"
