from __future__ import annotations

import base64

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import PROVIDER_TYPES
from ansible_collections.vmshift.mtv.plugins.module_utils.provider_definition import (
    URLS,
    secret_keys_missing,
    secret_manifest,
    secret_problems,
    settings_of,
    settings_problems,
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
        ("hyperv", " "),
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
        ("ec2", {**COMPLETE["ec2"], "access_key_id": "a"}, "access_key_id and secret_access_key together"),
        ("openstack", {"auth_type": "token"}, "auth_type token needs token"),
        ("openstack", {"auth_type": "applicationcredential", "application_credential_name": "n"}, "application_credential_secret"),
        ("hyperv", {**COMPLETE["hyperv"], "smb_url": "server/share"}, "smb_url takes smb://SERVER/SHARE"),
    ],
)
def test_problems_of_credentials(type, given, said):
    assert said in " ".join(secret_problems(type, given))


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
        "cacert": None,
        "insecureSkipVerify": "false",
        "url": "https://e/ovirt-engine/api",
    }


def test_options_become_the_keys_mtv_reads():
    data = secret_manifest("c", "n", "openstack", "http://k", {"user": "u", "auth_type": "token", "insecure_skip_verify": True})[
        "stringData"
    ]
    assert {k: v for k, v in data.items() if v} == {"username": "u", "authType": "token", "insecureSkipVerify": "true", "url": "http://k"}
    assert "insecureSkipVerify" not in secret_manifest("c", "n", "ec2", "", {})["stringData"]


def test_missing_keys_of_an_existing_secret():
    assert secret_keys_missing("vsphere", {"user": "dQ=="}) == ["password"]
    assert secret_keys_missing("ova", {}) == ["url"]
    assert secret_keys_missing("ova", {"url": base64.b64encode(b"a:/b").decode()}) == []


def test_settings_are_strings_and_unknown_ones_are_named():
    assert settings_of({"a": True, "b": 5986, "c": None}) == {"a": "true", "b": "5986", "c": None}
    assert settings_problems("vsphere", {"vddkInitImage": "i"}) == []
    assert "sdkEndpoint is not known for a provider of type ova" in settings_problems("ova", {"sdkEndpoint": "esxi"})[0]
