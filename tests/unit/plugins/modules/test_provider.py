from __future__ import annotations

import base64
import hashlib
import json
import ssl

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import certificates

OVA = {"name": "src", "namespace": "mig", "type": "ova", "url": "nfs.example.com:/exports"}
CLUSTER = {"name": "old", "namespace": "mig", "type": "openshift", "url": "https://api.old.example.com:6443"}


@pytest.fixture
def connected(plane, conditions_of_status):
    """A provider controller that finds every provider well, and remembers which version of its Secret it has tried."""

    def decide(provider):
        reference = provider["spec"]["secret"]
        secret = plane.api.find("Secret", reference.get("namespace"), reference["name"]) if reference else None
        status = conditions_of_status(provider, "Ready", "ConnectionTestSucceeded", "InventoryCreated")
        return {**status, "phase": "Ready", **({"secretResourceVersion": secret["metadata"]["resourceVersion"]} if secret else {})}

    return plane.controller("Provider", decide)


def secret_data(plane, name="old"):
    return {k: base64.b64decode(v).decode() for k, v in plane.do("get", "Secret", "mig", name)["data"].items()}


def test_ova_provider_from_nothing_to_absent(plane, run, connected):
    predicted = run("provider", check_mode=True, **OVA)
    assert predicted["changed"]
    assert plane.do("list", "Provider", "mig") == plane.do("list", "Secret", "mig") == []

    made = run("provider", **OVA)
    assert made["changed"]
    assert made["provider"]["status"]["phase"] == "Ready"
    assert made["provider"]["spec"] == {"type": "ova", "url": OVA["url"], "secret": {"name": "src", "namespace": "mig"}}
    secret = plane.do("get", "Secret", "mig", "src")
    assert secret["metadata"]["labels"] == {"createdForProviderType": "ova", "createdForResourceType": "providers"}
    assert [o["uid"] for o in secret["metadata"]["ownerReferences"]] == [made["provider"]["metadata"]["uid"]]
    assert secret_data(plane, "src") == {"url": OVA["url"], "insecureSkipVerify": "false"}

    for check_mode in (False, True):
        again = run("provider", check_mode=check_mode, **OVA)
        assert not again["changed"]
        assert again["diff"]["before"] == again["diff"]["after"]

    assert run("provider", check_mode=True, name="src", namespace="mig", state="absent")["changed"]
    gone = run("provider", name="src", namespace="mig", state="absent")
    assert gone["changed"]
    assert gone["diff"]["before"]["secret"]["data"] == {"url": "<hidden>", "insecureSkipVerify": "<hidden>"}
    assert gone["diff"]["after"] == {"provider": {}, "secret": {}}
    assert gone["provider"] is None
    assert plane.do("list", "Provider", "mig") == plane.do("list", "Secret", "mig") == []
    assert not run("provider", name="src", namespace="mig", state="absent")["changed"]


def test_check_mode_predicts_what_happens(plane, run, connected):
    predicted = run("provider", check_mode=True, secret={"token": "hush"}, **CLUSTER)
    made = run("provider", secret={"token": "hush"}, **CLUSTER)
    assert predicted["diff"] == made["diff"]
    assert made["diff"]["before"] == {"provider": {}, "secret": {}}
    assert made["diff"]["after"]["provider"]["spec"]["secret"] == {"name": "old", "namespace": "mig"}
    assert "hush" not in json.dumps([predicted, made])
    assert base64.b64encode(b"hush").decode() not in json.dumps([predicted, made])


def test_rotation_writes_the_secret_and_waits_until_it_was_tried(plane, run, connected):
    run("provider", secret={"token": "one"}, **CLUSTER)
    plane.controller(
        "Secret", lambda secret: plane.api.patch("Provider", "mig", "old", {"metadata": {"annotations": {"seen": "new"}}}) and None
    )
    assert run("provider", check_mode=True, secret={"token": "two"}, **CLUSTER)["changed"]
    assert secret_data(plane)["token"] == "one"
    rotated = run("provider", secret={"token": "two"}, **CLUSTER)
    assert rotated["changed"]
    assert secret_data(plane)["token"] == "two"
    assert rotated["diff"]["before"]["provider"] == rotated["diff"]["after"]["provider"]
    assert rotated["diff"]["after"]["secret"]["data"] == {
        "token": "<hidden, changed>",
        "insecureSkipVerify": "<hidden>",
        "url": "<hidden>",
    }
    secret = plane.do("get", "Secret", "mig", "old")
    assert rotated["provider"]["status"]["secretResourceVersion"] == secret["metadata"]["resourceVersion"]
    assert not run("provider", secret={"token": "two"}, **CLUSTER)["changed"]


def test_an_old_failure_does_not_end_the_wait_for_new_credentials(plane, run, conditions_of_status):
    def decide(provider):
        secret = plane.api.get("Secret", "mig", "old")
        good = base64.b64decode(secret["data"]["token"]) == b"good"
        if good and provider["metadata"].get("annotations") is None:
            return None  # not tried yet
        if good:
            status = conditions_of_status(provider, "Ready", "InventoryCreated")
            return {**status, "secretResourceVersion": secret["metadata"]["resourceVersion"]}
        return conditions_of_status(provider, "ConnectionAuthFailed", category="Critical", message="401")

    plane.controller("Provider", decide)
    failed = run("provider", secret={"token": "bad"}, **CLUSTER)
    assert failed["failed"]
    assert "ConnectionAuthFailed=True: 401" in failed["msg"]
    assert failed["changed"]
    assert failed["conditions"][0]["type"] == "ConnectionAuthFailed"

    plane.later(2.0, "patch", "Provider", "mig", "old", {"metadata": {"annotations": {"tried": "yes"}}})
    assert run("provider", secret={"token": "good"}, **CLUSTER)["provider"]["status"]["conditions"][0]["type"] == "Ready"


def test_an_old_success_does_not_end_the_wait_for_new_credentials(plane, run, conditions_of_status):
    def decide(provider):
        secret = plane.api.get("Secret", "mig", "old")
        tried = (provider["metadata"].get("annotations") or {}).get("tried", "one")
        if base64.b64decode(secret["data"]["token"]).decode() != tried:
            return None  # not tried yet: the status stays as it was
        version = secret["metadata"]["resourceVersion"]
        return {**conditions_of_status(provider, "Ready", "InventoryCreated"), "secretResourceVersion": version}

    plane.controller("Provider", decide)
    run("provider", secret={"token": "one"}, **CLUSTER)
    plane.later(2.0, "patch", "Provider", "mig", "old", {"metadata": {"annotations": {"tried": "two"}}})
    rotated = run("provider", secret={"token": "two"}, **CLUSTER)
    version = plane.do("get", "Secret", "mig", "old")["metadata"]["resourceVersion"]
    assert rotated["provider"]["status"]["secretResourceVersion"] == version


def test_no_secret_is_made_for_a_provider_that_the_server_refuses(plane, run):
    refused = run("provider", secret={"token": "t"}, labels={"no such key!": "x"}, **CLUSTER)
    assert refused["failed"]
    assert "no such key!" in refused["msg"]
    assert plane.do("list", "Secret", "mig") == []


def test_a_secret_with_another_owner_stays(plane, run, connected):
    run("provider", secret={"token": "t"}, **CLUSTER)
    owners = plane.do("get", "Secret", "mig", "old")["metadata"]["ownerReferences"]
    other = plane.make("ConfigMap", "other", "mig", "v1")
    owners.append({"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other["metadata"]["uid"]})
    plane.do("patch", "Secret", "mig", "old", {"metadata": {"ownerReferences": owners}})
    run("provider", name="old", namespace="mig", state="absent")
    assert plane.do("find", "Secret", "mig", "old")


def authority(plane):
    """Where the certificate of a real authority lies."""
    return plane.state.pki / "ca.crt"


def test_certificates_come_from_text_or_file_and_go_when_they_are_left_out(plane, run, connected):
    text = authority(plane).read_text()
    assert run("provider", secret={"token": "t", "ca_cert": text}, **CLUSTER)["changed"]
    assert secret_data(plane)["ca.crt"] == secret_data(plane)["cacert"] == text
    assert not run("provider", secret={"token": "t", "ca_cert_file": str(authority(plane))}, **CLUSTER)["changed"]
    insecure = run("provider", secret={"token": "t", "insecure_skip_verify": True}, **CLUSTER)
    assert insecure["changed"]
    assert "does not verify whom it sends the credentials to" in insecure["warnings"][0]
    assert secret_data(plane) == {"token": "t", "insecureSkipVerify": "true", "url": CLUSTER["url"]}


def test_the_certificate_of_the_provider_is_taken_when_its_fingerprint_is_given(plane, run, connected):
    server = ssl.PEM_cert_to_DER_cert((plane.state.pki / "server.crt").read_text())
    given = {**CLUSTER, "url": plane.url}
    secret = {"token": "t", "ca_fingerprint": hashlib.sha256(server).hexdigest()}
    predicted = run("provider", check_mode=True, **given, secret=secret)
    assert plane.do("list", "Secret", "mig") == []
    made = run("provider", **given, secret=secret)
    assert made["changed"]
    assert made["diff"] == predicted["diff"]
    assert ssl.PEM_cert_to_DER_cert(secret_data(plane)["ca.crt"]) == server
    # The provider is asked once: then the Secret has the certificate, wherever the provider is.
    assert not run("provider", **given, secret=secret)["changed"]
    sha1 = {"token": "t", "ca_fingerprint": certificates.shown(server, "sha1")}
    assert not run("provider", **given, secret=sha1)["changed"]
    moved = run("provider", **{**CLUSTER, "url": "https://127.0.0.1:1"}, secret=secret)
    assert moved["changed"]
    assert ssl.PEM_cert_to_DER_cert(secret_data(plane)["ca.crt"]) == server


def test_nothing_is_written_when_the_provider_shows_another_certificate(plane, run):
    server = ssl.PEM_cert_to_DER_cert((plane.state.pki / "server.crt").read_text())
    other = hashlib.sha256(b"another").hexdigest()
    result = run("provider", **{**CLUSTER, "url": plane.url}, secret={"token": "hush", "ca_fingerprint": other})
    host = plane.url.removeprefix("https://")
    assert result["msg"] == (
        f"secret: ca_fingerprint: {host} shows another certificate, with the SHA-256 fingerprint {certificates.shown(server)}; "
        "is it the right server?"
    )
    assert plane.do("list", "Provider", "mig") == plane.do("list", "Secret", "mig") == []


def test_a_certificate_beside_the_one_with_the_fingerprint_is_not_kept(plane, run, connected):
    server = (plane.state.pki / "server.crt").read_text()
    given = {**CLUSTER, "url": plane.url}
    run("provider", **given, secret={"token": "t", "ca_cert": server + authority(plane).read_text()})
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(server)).hexdigest()
    assert run("provider", **given, secret={"token": "t", "ca_fingerprint": fingerprint})["changed"]
    assert certificates.certificates_in(secret_data(plane)["ca.crt"]) == [ssl.PEM_cert_to_DER_cert(server)]


def test_only_what_is_given_changes(plane, run, connected):
    run("provider", secret={"token": "t"}, **CLUSTER)
    result = run("provider", name="old", namespace="mig", labels={"wave": "1"})
    assert result["changed"]
    assert result["provider"]["spec"]["url"] == CLUSTER["url"]
    assert result["provider"]["spec"]["secret"] == {"name": "old", "namespace": "mig"}
    assert result["diff"]["after"]["provider"] == {"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider"} | {
        "metadata": {"name": "old", "namespace": "mig", "labels": {"wave": "1"}},
        "spec": {},
    }


def test_settings_are_merged_and_removed(plane, run, connected):
    run("provider", **OVA, settings={"applianceManagement": True})
    result = run("provider", name="src", namespace="mig", settings={"other": "x"})
    assert result["provider"]["spec"]["settings"] == {"applianceManagement": "true", "other": "x"}
    assert "settings: other is not known" in result["warnings"][0]
    removed = run("provider", name="src", namespace="mig", settings={"other": None})
    assert removed["provider"]["spec"]["settings"] == {"applianceManagement": "true"}


def test_the_provider_of_the_cluster_itself_needs_no_secret(plane, run, connected):
    made = run("provider", name="host", namespace="mig", type="openshift")
    assert made["provider"]["spec"] == {"type": "openshift", "secret": {}}
    assert plane.do("list", "Secret", "mig") == []
    assert not run("provider", name="host", namespace="mig", type="openshift")["changed"]


def test_secret_of_another_tool(plane, run, connected):
    wanted = {**CLUSTER, "secret_name": "theirs"}
    absent = run("provider", **wanted)
    assert absent["msg"] == "secret_name: the Secret mig/theirs does not exist."
    plane.make("Secret", "theirs", "mig", "v1", data={"user": "dQ=="})
    assert run("provider", **wanted)["msg"] == "secret_name: the Secret mig/theirs does not fit: a provider of type openshift needs token."
    assert plane.do("list", "Provider", "mig") == []
    plane.do("patch", "Secret", "mig", "theirs", {"data": {"token": "dQ=="}})
    assert run("provider", **wanted)["provider"]["spec"]["secret"]["name"] == "theirs"
    run("provider", name="old", namespace="mig", state="absent")
    assert plane.do("get", "Secret", "mig", "theirs")


def test_given_credentials_go_into_the_secret_that_is_named(plane, run, connected):
    made = run("provider", secret={"token": "t"}, secret_name="elsewhere", **CLUSTER)
    assert made["provider"]["spec"]["secret"]["name"] == "elsewhere"
    assert secret_data(plane, "elsewhere")["token"] == "t"
    # Without the name again: it is the Secret that belongs to the provider.
    assert run("provider", secret={"token": "t2"}, **CLUSTER)["changed"]
    assert secret_data(plane, "elsewhere")["token"] == "t2"
    assert [s["metadata"]["name"] for s in plane.do("list", "Secret", "mig")] == ["elsewhere"]


def test_a_secret_shared_with_others_is_not_written_into(plane, run, connected):
    plane.make("Secret", "shared", "mig", "v1", data={"token": "dQ=="})
    run("provider", secret_name="shared", **CLUSTER)
    result = run("provider", secret={"token": "own"}, **CLUSTER)
    assert result["provider"]["spec"]["secret"]["name"] == "old"
    assert secret_data(plane, "shared") == {"token": "u"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"type": "OMIT"}, "type: the provider mig/src does not exist yet"),
        ({"url": "nfs://x/y"}, "without nfs:// in front"),
        ({"secret": {"token": "hush"}}, "token does not belong to a provider of type ova"),
        ({"type": "vsphere", "url": "https://vc/sdk"}, "needs credentials: give secret (user, password) or secret_name"),
        ({"type": "openstack", "url": "https://k"}, "needs credentials: give secret (user, password and more) or secret_name"),
        ({"type": "openshift", "url": "OMIT", "secret": {"token": "hush"}}, "the cluster that MTV runs on, which needs no credentials"),
        (
            {"type": "openshift", "url": "https://a", "secret": {"token": "hush", "ca_cert": "PEM"}},
            "ca_cert: this is no certificate in PEM",
        ),
        ({"secret": {"ca_cert_file": "/no/such.pem"}}, "secret: ca_cert_file: /no/such.pem cannot be read: No such file"),
        ({"secret": {"ca_fingerprint": "AB:CD"}}, "secret: ca_fingerprint: 'AB:CD' is no fingerprint"),
        ({"secret": {"ca_fingerprint": "AB" * 32}}, "ca_cert does not belong to a provider of type ova"),
        ({"secret": {"ca_cert": "x", "ca_cert_file": "/x"}}, "mutually exclusive: ca_cert|ca_cert_file|ca_fingerprint found in secret"),
        ({"settings": {"sdkEndpoint": "esxi"}}, "settings: sdkEndpoint belongs to providers of type vsphere"),
        ({"settings": {"applianceManagement": "maybe"}}, "settings: applianceManagement takes true or false"),
        ({"type": "vsphere", "url": "https://vc/sdk", "secret": {"user": "u"}}, "needs password, ca_cert (or insecure_skip_verify: true)"),
    ],
)
def test_nothing_is_made_of_bad_options(plane, run, params, said):
    result = run("provider", **{**OVA, **params})
    assert result["failed"]
    assert said in result["msg"]
    assert "hush" not in result["msg"]
    assert plane.do("list", "Provider", "mig") == plane.do("list", "Secret", "mig") == []


def test_url_of_an_ova_provider_stays(run, connected):
    run("provider", **OVA)
    assert "does not let the url of an OVA provider change" in run("provider", **{**OVA, "url": "other:/x"})["msg"]


def test_silence_names_what_to_look_at(run, monkeypatch):
    from ansible_collections.vmshift.mtv.plugins.module_utils import waiting

    monkeypatch.setattr(waiting.wait_for, "__kwdefaults__", {**waiting.wait_for.__kwdefaults__, "silence": 0.5})
    result = run("provider", **OVA)
    assert "has no status at all" in result["msg"]
    assert "the Secret of the provider" in result["msg"]


def test_without_waiting(run):
    result = run("provider", wait=False, **OVA)
    assert result["changed"]
    assert "status" not in result["provider"]


#: Type -> a complete task of it, and what its Secret then holds besides url.
WHOLE = {
    "vsphere": (
        {"url": "https://vc/sdk", "secret": {"user": "u", "password": "hush", "insecure_skip_verify": True}},
        {"user": "u", "password": "hush", "insecureSkipVerify": "true"},
    ),
    "ovirt": (
        {"url": "https://e/ovirt-engine/api", "secret": {"user": "admin@internal", "password": "hush", "insecure_skip_verify": True}},
        {"user": "admin@internal", "password": "hush", "insecureSkipVerify": "true"},
    ),
    "openstack": (
        {
            "url": "https://k:5000/v3",
            "secret": {
                "auth_type": "applicationcredential",
                "application_credential_id": "i",
                "application_credential_secret": "hush",
                "region": "RegionOne",
                "availability": "internal",
            },
        },
        {
            "authType": "applicationcredential",
            "applicationCredentialID": "i",
            "applicationCredentialSecret": "hush",
            "regionName": "RegionOne",
            "availability": "internal",
            "insecureSkipVerify": "false",
        },
    ),
    "ec2": (
        {
            "secret": {
                "region": "r",
                "access_key_id": "a",
                "secret_access_key": "hush",
                "target_access_key_id": "t",
                "target_secret_access_key": "hush2",
            },
            "settings": {"target-az": "r1a", "target-region": "r"},
        },
        {"region": "r", "accessKeyId": "a", "secretAccessKey": "hush", "targetAccessKeyId": "t", "targetSecretAccessKey": "hush2"},
    ),
    "hyperv": (
        {
            "url": "10.0.0.5",
            "secret": {
                "user": "u",
                "password": "hush",
                "smb_url": "smb://s/vms",
                "smb_user": "v",
                "smb_password": "hush2",
                "insecure_skip_verify": True,
            },
            "settings": {"managementType": "cluster", "winrmPort": 5985},
        },
        {
            "username": "u",
            "password": "hush",
            "smbUrl": "smb://s/vms",
            "smbUser": "v",
            "smbPassword": "hush2",
            "insecureSkipVerify": "true",
        },
    ),
}


@pytest.mark.parametrize("type", WHOLE)
def test_every_type_is_made_with_the_keys_that_mtv_reads(plane, run, connected, type):
    given, data = WHOLE[type]
    made = run("provider", name="p", namespace="mig", type=type, **given)
    assert made["changed"]
    assert secret_data(plane, "p") == {**data, **({"url": given["url"]} if "url" in given else {})}
    settings = {key: str(value) for key, value in (given.get("settings") or {}).items()}
    assert {k: v for k, v in made["provider"]["spec"].get("settings", {}).items() if k in settings} == settings
    again = run("provider", name="p", namespace="mig", type=type, **given)
    assert not again["changed"]
    assert "hush" not in json.dumps([made, again])


def test_the_secret_of_another_tool_must_fit_the_type_in_every_way(plane, run, connected):
    given = {"name": "p", "namespace": "mig", "type": "hyperv", "url": "h", "secret_name": "theirs"}
    data = {"username": "dQ==", "smbUrl": base64.b64encode(b"//s").decode()}
    plane.make("Secret", "theirs", "mig", "v1", data=data)
    assert run("provider", **given)["msg"] == (
        "secret_name: the Secret mig/theirs does not fit: a provider of type hyperv needs password, ca.crt (or insecureSkipVerify: true). "
        "smbUrl takes smb://SERVER/SHARE; this is '//s'."
    )
    predicted = run("provider", check_mode=True, **given)
    assert predicted["changed"]
    assert "does not fit" in predicted["warnings"][0]
    assert plane.do("list", "Provider", "mig") == []


def test_another_type_needs_another_secret(plane, run, connected):
    run("provider", secret={"token": "t"}, **CLUSTER)
    changed = {"name": "old", "namespace": "mig", "type": "ovirt", "url": "https://e/ovirt-engine/api"}
    result = run("provider", **changed)
    assert result["msg"].startswith("secret_name: the Secret mig/old does not fit: a provider of type ovirt needs user, password, ca.crt")
    credentials = {"user": "u", "password": "p", "insecure_skip_verify": True}
    assert run("provider", **changed, secret=credentials)["provider"]["spec"]["type"] == "ovirt"


@pytest.mark.mtv("2.10")
@pytest.mark.parametrize("type", ["ec2", "hyperv"])
def test_types_that_an_old_mtv_does_not_know_are_refused(plane, run, connected, type):
    said = f"type: {type}: the MTV of this cluster does not know this option; MTV 2.11.0 and newer do."
    assert run("provider", name="p", namespace="mig", type=type, **WHOLE[type][0])["msg"] == said
    assert plane.do("list", "Provider", "mig") == plane.do("list", "Secret", "mig") == []


@pytest.mark.mtv("2.8")
def test_settings_that_an_old_mtv_does_not_know_are_refused(plane, run, connected):
    given = {**OVA, "settings": {"applianceManagement": True}}
    said = "settings: applianceManagement: the MTV of this cluster does not know this option; MTV 2.10 and newer do."
    assert run("provider", **given)["msg"] == said
    assert run("provider", **{**given, "settings": {"applianceManagement": None}})["changed"]
    # What is there already needs no question, whoever has written it.
    plane.do("patch", "Provider", "mig", "src", {"spec": {"settings": {"applianceManagement": "true"}}})
    assert not run("provider", **given)["changed"]
