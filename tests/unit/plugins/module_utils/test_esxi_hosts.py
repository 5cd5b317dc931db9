"""Which ESXi hosts a task means, and where they are reached."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import esxi_hosts
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError

ONE = {
    "id": "host-23",
    "name": "esx1",
    "path": "/DC0/host/C0/esx1",
    "networkAdapters": [{"name": "Management Network", "ipAddress": "10.0.0.1"}, {"name": "Migration", "ipAddress": "10.1.0.1"}],
    "networking": {
        "vNICs": [
            {"device": "vmk0", "portGroup": "Management Network", "ipAddress": "10.0.0.1"},
            {"device": "vmk1", "portGroup": "Migration", "ipAddress": "10.1.0.1"},
            {"device": "vmk2", "portGroup": "", "ipAddress": ""},
        ]
    },
}
TWIN = {**ONE, "id": "host-9", "path": "/DC0/host/C1/esx1", "networkAdapters": [], "networking": None}
OTHER = {**ONE, "id": "host-44", "name": "esx2", "path": "/DC0/host/C0/esx2", "networkAdapters": [{"name": "M", "ipAddress": "10.0.0.2"}]}
OTHER["networking"] = {"vNICs": [{"device": "vmk0", "portGroup": "M", "ipAddress": "10.0.0.2"}]}


def entry(**given):
    return {"path": "hosts[0]", **given}


def test_hosts_are_meant_by_id_name_and_path():
    items = [ONE, TWIN, OTHER]
    assert esxi_hosts.resolved(entry(id="host-9"), items) is TWIN
    assert esxi_hosts.resolved(entry(name="esx2"), items) is OTHER
    assert esxi_hosts.resolved(entry(name="C1/esx1"), items) is TWIN


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "esx1"}, "hosts[0]: there are several hosts 'esx1': esx1 (id host-23), esx1 (id host-9); give the id."),
        ({"name": "esx"}, "hosts[0]: there is no host 'esx'; there are: esx1 (id host-23), esx1 (id host-9), esx2 (id host-44)."),
        ({"id": "esx2"}, "hosts[0]: there is no host 'esx2'; there are:"),
    ],
)
def test_a_host_that_is_not_clear_is_refused_with_candidates(given, said):
    with pytest.raises(TalkError) as error:
        esxi_hosts.resolved(entry(**given), [ONE, TWIN, OTHER])
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("given", "adapter", "expected"),
    [
        ({"ip_address": "1.2.3.4"}, "Migration", "1.2.3.4"),
        ({"adapter": "Migration"}, None, "10.1.0.1"),
        ({"adapter": "vmk1"}, "Management Network", "10.1.0.1"),
        ({}, "Management Network", "10.0.0.1"),
    ],
)
def test_the_address_is_given_or_that_of_an_adapter(given, adapter, expected):
    assert esxi_hosts.address(entry(**given), ONE, adapter) == expected


def test_an_only_address_needs_no_adapter():
    assert esxi_hosts.address(entry(), OTHER, None) == "10.0.0.2"


@pytest.mark.parametrize(
    ("item", "adapter", "said"),
    [
        (ONE, None, "hosts[0]: give the ip_address or the adapter of esx1; its adapters are: Management Network (10.0.0.1), Migration"),
        (ONE, "vmk2", "hosts[0]: esx1 has no address there on the adapter 'vmk2'; its adapters are:"),
        (ONE, "migration", "on the adapter 'migration'"),
        (TWIN, "vmk0", "its adapters are: none with an address."),
        ({**ONE, "networkAdapters": [{"name": "M", "ipAddress": a} for a in ("1.1.1.1", "2.2.2.2")]}, "M", "has several addresses"),
    ],
)
def test_an_address_that_is_not_clear_is_refused_with_the_adapters(item, adapter, said):
    with pytest.raises(TalkError) as error:
        esxi_hosts.address(entry(), item, adapter)
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["10.0.0.5", "10.0.0.5:8443", "fe80::1", "[fe80::1]", "esx1.example.com", "esx1:443", None])
def test_addresses(text):
    esxi_hosts.check_address(text, "o")


@pytest.mark.parametrize("text", ["https://esx1/sdk", "esx 1", "10.0.0.256", "10.0.0", "-x", "esx1:port", "a/b"])
def test_what_is_no_address(text):
    with pytest.raises(TalkError, match="^o: give an IP address or a host name; this is "):
        esxi_hosts.check_address(text, "o")


def cr(called, provider="vc", **spec):
    return {"metadata": {"name": called}, "spec": {"provider": {"name": provider, "namespace": "mig"}, **spec}}


def test_a_host_that_stands_for_it_already_is_found():
    vc = {"name": "vc", "namespace": "mig"}
    by_id, by_name = cr("a", id="host-23", name="other"), cr("b", name="/DC0/host/C0/esx2")
    hosts = [cr("c", provider="else", id="host-23"), by_id, by_name]
    assert esxi_hosts.existing(hosts, vc, ONE) is by_id
    assert esxi_hosts.existing(hosts, vc, OTHER) is by_name
    assert esxi_hosts.existing(hosts, vc, TWIN) is None
    assert esxi_hosts.of_provider(hosts, vc) == [by_id, by_name]
    assert esxi_hosts.meant(hosts[1:], entry(id="host-23")) == [by_id]
    assert esxi_hosts.meant([cr("d", name="esx2")], entry(name="C0/esx2"))[0]["metadata"]["name"] == "d"


def test_names_and_manifests():
    assert esxi_hosts.host_name("vc.prod", "host-23") == "vc.prod-host-23"
    vc = {"name": "vc", "namespace": "mig"}
    host = esxi_hosts.host_manifest("vc-host-23", "mig", vc, ONE, "10.0.0.1")
    assert host["spec"] == {"provider": vc, "id": "host-23", "name": "esx1", "ipAddress": "10.0.0.1"}
    assert esxi_hosts.with_secret(host, "s")["spec"]["secret"] == {"name": "s", "namespace": "mig"}
    secret = esxi_hosts.secret_manifest("s", "vc", ONE, host, {"user": "u", "password": "p", "insecure_skip_verify": True})
    assert secret["metadata"]["labels"] == {"createdForResourceType": "hosts", "createdForResource": "host-23"}
    assert {key: value for key, value in secret["stringData"].items() if value is not None} == {
        "user": "u",
        "password": "p",
        "ip": "10.0.0.1",
        "provider": "vc",
        "insecureSkipVerify": "true",
    }
    bare = esxi_hosts.secret_manifest("s", "vc", ONE, host, {"ca_cert": "PEM"})["stringData"]
    assert "user" not in bare and "insecureSkipVerify" not in bare
    assert bare["ca.crt"] == bare["cacert"] == "PEM"
