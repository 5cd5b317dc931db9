"""The host module against the embedded API server; the tests write what MTV's controllers would."""

from __future__ import annotations

import base64
import json
import re

import pytest

ESX1 = {"id": "host-23", "name": "esx1", "path": "/DC/host/C/esx1", "networkAdapters": [{"name": "M", "ipAddress": "10.0.0.1"}]}
ESX2 = {"id": "host-44", "name": "esx2", "path": "/DC/host/C/esx2", "networkAdapters": [{"name": "M", "ipAddress": "10.0.0.2"}]}
LOGIN = {"user": "root", "password": "hush-hush"}
GIVEN = {"namespace": "mig", "provider": "vc", "hosts": [{"name": "esx1"}, {"id": "host-44", "ip_address": "10.9.0.2"}], "secret": LOGIN}


@pytest.fixture
def world(plane, conditions_of_status):
    """A vCenter with two hosts, ready; Hosts become ready when their Secrets hold the right password."""
    encoded = {"user": "dQ==", "password": "cA==", "insecureSkipVerify": base64.b64encode(b"true").decode()}
    plane.make("Secret", "vc", "mig", "v1", data=encoded)
    provider = plane.provider("vc", "vsphere", url="https://vc/sdk", secret={"name": "vc", "namespace": "mig"})
    plane.do("update_status", {**provider, "status": conditions_of_status(provider, "Ready")})
    plane.inventory[f"providers/vsphere/{provider['metadata']['uid']}/hosts"] = [ESX1, ESX2]
    plane.tried = []

    def decide(host):
        if (host.get("status") or {}).get("observedGeneration") == host["metadata"]["generation"]:
            return None  # as MTV, which looks at a Host when its spec has changed
        secret = plane.api.find("Secret", "mig", host["spec"]["secret"]["name"])
        password = base64.b64decode(secret["data"].get("password", "")).decode()
        plane.tried.append((host["spec"]["id"], password))
        if password == "wrong":
            return conditions_of_status(host, "ConnectionTestFailed", category="Critical", message="refused")
        return conditions_of_status(host, "Validated", "ConnectionTestSucceeded", "Ready")

    plane.controller("Host", decide)
    return plane


def data(plane, name):
    return {k: base64.b64decode(v).decode() for k, v in plane.do("get", "Secret", "mig", name)["data"].items()}


def secrets(plane):
    return sorted(s["metadata"]["name"] for s in plane.do("list", "Secret", "mig"))


def test_two_hosts_from_nothing_to_absent(world, run):
    predicted = run("host", check_mode=True, **GIVEN)
    assert predicted["changed"]
    assert world.do("list", "Host", "mig") == []
    made = run("host", **GIVEN, labels={"wave": "1"})
    assert made["changed"]
    assert [h["metadata"]["name"] for h in made["hosts"]] == ["vc-host-23", "vc-host-44"]
    assert made["hosts"][0]["spec"] == {
        "id": "host-23",
        "name": "esx1",
        "ipAddress": "10.0.0.1",
        "provider": {"name": "vc", "namespace": "mig"},
        "secret": {"name": "vc-host-23", "namespace": "mig"},
    }
    assert made["hosts"][1]["spec"]["ipAddress"] == "10.9.0.2"
    assert made["hosts"][1]["metadata"]["labels"] == {"wave": "1"}
    secret = world.do("get", "Secret", "mig", "vc-host-44")
    assert secret["metadata"]["labels"] == {"createdForResourceType": "hosts", "createdForResource": "host-44"}
    assert [o["uid"] for o in secret["metadata"]["ownerReferences"]] == [made["hosts"][1]["metadata"]["uid"]]
    known = {"user": "root", "password": "hush-hush", "provider": "vc", "ip": "10.9.0.2", "insecureSkipVerify": "true"}
    assert data(world, "vc-host-44") == known

    for check_mode in (False, True):
        again = run("host", check_mode=check_mode, **GIVEN)
        assert not again["changed"]
        assert again["diff"]["before"] == again["diff"]["after"]
        assert again["hosts"][0]["status"]["conditions"][-1]["type"] == "Ready"

    one = {"namespace": "mig", "provider": "vc", "state": "absent", "hosts": [{"name": "esx2"}]}
    assert run("host", check_mode=True, **one)["changed"]
    assert run("host", **one)["hosts"] == []
    assert not run("host", **one)["changed"]
    assert secrets(world) == ["vc", "vc-host-23"]
    world.do("delete", "Provider", "mig", "vc")
    everything = {"namespace": "mig", "provider": "vc", "state": "absent"}
    gone = run("host", **everything)
    assert gone["changed"]
    assert gone["diff"]["before"]["secrets"][0]["data"]["password"] == "<hidden>"
    assert world.do("list", "Host", "mig") == []
    assert secrets(world) == ["vc"]
    assert not run("host", **everything)["changed"]


def test_check_mode_predicts_what_happens(world, run):
    assert run("host", check_mode=True, **GIVEN)["diff"] == run("host", **GIVEN)["diff"]


def test_changed_credentials_are_tried_at_once(world, run):
    run("host", **GIVEN)
    world.tried.clear()
    changed = {**GIVEN, "secret": {**LOGIN, "password": "another-one"}}
    assert run("host", check_mode=True, **changed)["changed"]
    assert world.tried == []
    rotated = run("host", **changed)
    assert rotated["changed"]
    assert world.tried == [("host-23", "another-one"), ("host-44", "another-one")]
    assert rotated["hosts"][0]["spec"]["secret"]["name"] == "vc-host-23-2"
    assert secrets(world) == ["vc", "vc-host-23-2", "vc-host-44-2"]
    assert not run("host", **changed)["changed"]
    assert "another-one" not in json.dumps(rotated)

    failed = run("host", **{**GIVEN, "secret": {**LOGIN, "password": "wrong"}})
    # Whichever of them was heard of first.
    assert re.match(
        r"ESXi host (esx1: Host mig/vc-host-23|esx2: Host mig/vc-host-44) did not become ready: .*=True: refused", failed["msg"]
    )
    assert failed["changed"]
    assert failed["conditions"][0]["type"] == "ConnectionTestFailed"
    assert secrets(world) == ["vc", "vc-host-23", "vc-host-44"]
    assert run("host", **GIVEN)["changed"]
    assert secrets(world) == ["vc", "vc-host-23-2", "vc-host-44-2"]


def test_all_hosts_that_are_known_to_fail_are_named(world, run, conditions_of_status):
    def refuse(host):
        return conditions_of_status(host, "ConnectionTestFailed", category="Critical", message="refused")

    world.controller("Host", refuse)
    run("host", **GIVEN, wait=False)
    failed = run("host", **GIVEN)["msg"]
    assert "ESXi host esx1: " in failed and "ESXi host esx2: " in failed
    assert failed.count("ConnectionTestFailed=True: refused") == 2


def test_a_host_that_somebody_made_is_taken_over(world, run):
    reference = {"name": "vc", "namespace": "mig"}
    world.make("Secret", "theirs", "mig", "v1", data={"user": "dQ==", "password": "cA=="})
    spec = {"provider": reference, "id": "host-23", "ipAddress": "1.1.1.1", "secret": {"name": "theirs", "namespace": "mig"}}
    world.make("Host", "from-the-console", spec=spec)
    taken = run("host", **{**GIVEN, "hosts": [{"name": "esx1"}]})
    assert taken["changed"]
    assert [h["metadata"]["name"] for h in world.do("list", "Host", "mig")] == ["from-the-console"]
    assert taken["hosts"][0]["spec"]["secret"]["name"] == "from-the-console"
    assert data(world, "theirs") == {"user": "u", "password": "p"}


def test_an_address_changes_without_credentials(world, run):
    run("host", **GIVEN)
    moved = {"namespace": "mig", "provider": "vc", "hosts": [{"name": "esx1", "ip_address": "10.5.0.1"}]}
    assert run("host", **moved)["hosts"][0]["spec"]["ipAddress"] == "10.5.0.1"
    assert data(world, "vc-host-23") == {**data(world, "vc-host-44"), "ip": "10.5.0.1"}
    assert not run("host", **moved)["changed"]


def test_secrets_of_others_are_used_and_left(world, run):
    given = {"namespace": "mig", "provider": "vc", "hosts": [{"name": "esx1"}], "secret_name": "theirs"}
    assert run("host", **given)["msg"] == "secret_name: the Secret mig/theirs does not exist."
    world.make("Secret", "theirs", "mig", "v1", data={"user": "dQ=="})
    assert run("host", **given)["msg"] == "secret_name: the Secret mig/theirs has no password."
    predicted = run("host", check_mode=True, **given)
    assert predicted["changed"]
    assert predicted["warnings"] == ["secret_name: the Secret mig/theirs has no password."]
    world.do("patch", "Secret", "mig", "theirs", {"data": {"password": "cA=="}})
    assert run("host", **given)["hosts"][0]["spec"]["secret"] == {"name": "theirs", "namespace": "mig"}
    assert not run("host", **given)["changed"]
    run("host", namespace="mig", provider="vc", state="absent")
    assert secrets(world) == ["theirs", "vc"]


def test_each_host_may_have_its_own_credentials(world, run):
    own = [{"name": "esx1"}, {"name": "esx2", "secret": {"user": "me", "password": "not-for-all", "insecure_skip_verify": False}}]
    result = run("host", **{**GIVEN, "hosts": own})
    assert data(world, "vc-host-23")["user"] == "root"
    assert data(world, "vc-host-44") == {
        "user": "me",
        "password": "not-for-all",
        "provider": "vc",
        "ip": "10.0.0.2",
        "insecureSkipVerify": "false",
    }
    assert "not-for-all" not in json.dumps(result)


def test_the_authority_of_the_provider_counts_for_its_hosts(world, run):
    authority = (world.state.pki / "ca.crt").read_text()
    theirs = {"ca.crt": base64.b64encode(authority.encode()).decode(), "insecureSkipVerify": base64.b64encode(b"false").decode()}
    world.do("patch", "Secret", "mig", "vc", {"data": theirs})
    run("host", **{**GIVEN, "hosts": [{"name": "esx1"}]})
    assert (data(world, "vc-host-23")["ca.crt"], data(world, "vc-host-23")["insecureSkipVerify"]) == (authority, "false")


def test_hosts_of_an_esxi_provider_need_no_credentials(world, run):
    world.do("patch", "Provider", "mig", "vc", {"spec": {"settings": {"sdkEndpoint": "esxi"}}})
    provider = world.do("get", "Provider", "mig", "vc")
    world.do("update_status", {**provider, "status": {**provider["status"], "observedGeneration": provider["metadata"]["generation"]}})
    given = {"namespace": "mig", "provider": "vc", "hosts": [{"name": "esx1"}]}
    assert run("host", **given)["changed"]
    assert "user" not in data(world, "vc-host-23")
    # The webhook takes over the login of the provider, and that stays.
    world.do("patch", "Secret", "mig", "vc-host-23", {"data": {"user": "dQ==", "password": "cA=="}})
    assert not run("host", **given)["changed"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hosts": "OMIT"}, "state is present but all of the following are missing: hosts"),
        ({"hosts": [{}]}, "one of the following is required: id, name found in hosts"),
        ({"hosts": [{"name": "x", "id": "y"}]}, "mutually exclusive: id|name"),
        ({"hosts": [{"name": "esx1", "ip_address": "1.2.3.4", "adapter": "M"}]}, "mutually exclusive: ip_address|adapter"),
        ({"hosts": [{"name": "esx3"}]}, "hosts[0]: there is no host 'esx3'; there are: esx1 (id host-23), esx2 (id host-44)."),
        ({"hosts": [{"name": "esx1"}, {"id": "host-23"}]}, "hosts[1]: esx1 (id host-23) is meant by hosts[0] already."),
        ({"hosts": [{"name": "esx1", "ip_address": "https://esx1"}]}, "hosts[0].ip_address: give an IP address or a host name"),
        ({"adapter": "vMotion"}, "hosts[0]: esx1 has no address there on the adapter 'vMotion'; its adapters are: M (10.0.0.1)."),
        ({"secret": "OMIT"}, "hosts[0]: give secret (user, password) or secret_name, here or for all hosts."),
        ({"secret": {"user": "root"}}, "secret: give user and password."),
        ({"secret": {**LOGIN, "ca_cert": "PEM"}}, "secret.ca_cert: this is no certificate in PEM"),
        ({"secret": {**LOGIN, "ca_cert_file": "/no/such"}}, "secret.ca_cert_file: /no/such cannot be read"),
        ({"secret": {**LOGIN, "thumbprint": "AB" * 32}}, "secret.thumbprint: MTV compares SHA-1 fingerprints"),
        ({"hosts": [{"name": "esx1", "secret": {"password": "x"}}]}, "hosts[0].secret: give user and password."),
        ({"secret_name": "s"}, "mutually exclusive: secret|secret_name"),
        ({"provider": "other"}, "provider: the provider mig/other does not exist; in the namespace mig there are vc (vsphere)."),
    ],
)
def test_nothing_is_made_of_bad_options(world, run, options, said):
    result = run("host", **{**GIVEN, **options})
    assert result["failed"]
    assert said in result["msg"]
    assert world.do("list", "Host", "mig") == []
    assert secrets(world) == ["vc"]


def test_certificates_and_not_verifying_exclude_each_other(world, run):
    text = (world.state.pki / "ca.crt").read_text()
    result = run("host", **{**GIVEN, "secret": {**LOGIN, "ca_cert": text, "insecure_skip_verify": True}})
    assert result["msg"] == "secret: certificates and insecure_skip_verify: true exclude each other."


def test_providers_of_other_types_have_no_hosts(plane, run):
    plane.provider("src", "ova", url="h:/x")
    result = run("host", **{**GIVEN, "provider": "src"})
    assert result["msg"] == "provider: only providers of type vsphere have hosts; this one is of type ova."


def test_what_admission_has_against_one_host_is_heard_before_any_is_made(world, run, monkeypatch):
    from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError

    def refuse(_operation, kind, new, _old):
        if kind == "Secret" and new and new["metadata"]["name"] == "vc-host-44":
            raise ApiError(400, "", 'admission webhook "secrets.forklift.konveyor" denied the request: cannot log in')

    world.api.admission.append(refuse)
    assert "cannot log in" in run("host", **GIVEN)["msg"]
    assert world.do("list", "Host", "mig") == []
    assert secrets(world) == ["vc"]


def test_check_mode_before_the_provider_is_made(plane, run):
    predicted = run("host", check_mode=True, **GIVEN)
    assert predicted["changed"]
    said = " ".join(predicted["warnings"])
    assert "the provider mig/vc does not exist" in said
    assert "The hosts were not looked up" in said


def test_a_host_with_a_warning_is_ready_and_says_so(world, run, conditions_of_status):
    def decide(host):
        status = conditions_of_status(host, "Ready")
        yellow = {"type": "HostStatusNotGreen", "status": "True", "category": "Warn", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        return {**status, "conditions": [*status["conditions"], {**yellow, "message": 'Host overallStatus is "yellow"'}]}

    world.controller("Host", decide)
    result = run("host", **{**GIVEN, "hosts": [{"name": "esx1"}]})
    assert any("(ESXi host esx1): HostStatusNotGreen" in warning for warning in result["warnings"])
