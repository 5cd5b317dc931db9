"""Admission webhooks: what they fill in, what they refuse and in which words."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError

LABELS = {"createdForResourceType": "providers", "createdForProviderType": "ova"}


def secret(plane: Any, labels: dict[str, str], name: str = "s", **data: str) -> dict[str, Any]:
    return plane.create("Secret", "mig", name, metadata={"labels": labels}, stringData=data)


def refused(caught: pytest.ExceptionInfo[ApiError], webhook: str) -> str:
    """The refusal, after checking that it has the form of one by a webhook."""
    status = caught.value.status()
    assert status["code"] == 400 and "reason" not in status and "details" not in status
    start = f'admission webhook "{webhook}.forklift.konveyor" denied the request: '
    assert status["message"].startswith(start)
    return status["message"][len(start) :]


def plan_spec(plane: Any, **changes: Any) -> dict[str, Any]:
    return {
        "provider": {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": plane.context.namespace}},
        "map": {"network": {"name": "net", "namespace": "mig"}, "storage": {"name": "sto", "namespace": "mig"}},
        "targetNamespace": "target",
        "vms": [{"name": "web"}],
        **changes,
    }


@pytest.fixture
def ready(plane: Any) -> None:
    """All that an OVA plan refers to."""
    plane.host()
    source = plane.provider("mig", "src", "ova", url="s:/e")
    ends = {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": plane.context.namespace}}
    assert source["metadata"]["namespace"] == "mig"
    for kind, name in (("NetworkMap", "net"), ("StorageMap", "sto")):
        plane.create(kind, "mig", name, spec={"provider": ends, "map": []})


def test_secret_without_labels_is_nobodys_business(plane: Any) -> None:
    created = secret(plane, {}, insecureSkipVerify="maybe")
    assert list(created["data"]) == ["insecureSkipVerify"]


def test_insecure_is_written_out(plane: Any) -> None:
    created = secret(plane, LABELS, url="s:/e")
    assert base64.b64decode(created["data"]["insecureSkipVerify"]) == b"false"
    assert base64.b64decode(secret(plane, LABELS, "t", insecureSkipVerify="T")["data"]["insecureSkipVerify"]) == b"T"


def test_insecure_must_be_a_boolean(plane: Any) -> None:
    with pytest.raises(ApiError) as caught:
        secret(plane, LABELS, insecureSkipVerify="maybe")
    assert "maybe" in refused(caught, "ca-mutatur")


def test_url_of_an_ova_secret_never_changes(plane: Any) -> None:
    secret(plane, LABELS, url="s:/e")
    plane.api.patch("Secret", "mig", "s", {"stringData": {"note": "x"}})
    with pytest.raises(ApiError) as caught:
        plane.api.patch("Secret", "mig", "s", {"stringData": {"url": "s:/other"}})
    assert refused(caught, "secrets") == "Updating the URL field of an existing OVA provider is forbidden."


def test_finalizer_is_added_on_creation_only(plane: Any) -> None:
    created = plane.create("Provider", "mig", "p", spec={"type": "ova", "url": "s:/e", "secret": {}})
    assert created["metadata"]["finalizers"] == ["forklift/ova-provider"]
    assert "finalizers" not in plane.api.patch("Provider", "mig", "p", {"metadata": {"finalizers": None}})["metadata"]
    assert "finalizers" not in plane.create("Provider", "mig", "q", spec={"type": "openshift", "url": "", "secret": {}})["metadata"]


@pytest.mark.usefixtures("ready")
def test_plan_takes_the_transfer_network_of_its_destination(plane: Any) -> None:
    annotation = {"forklift.konveyor.io/defaultTransferNetwork": "default/fast"}
    plane.api.patch("Provider", plane.context.namespace, "host", {"metadata": {"annotations": annotation}})
    assert "transferNetwork" not in plane.create("Plan", "mig", "before", spec=plan_spec(plane))["spec"]
    plane.create("NetworkAttachmentDefinition", "default", "fast", spec={"config": "{}"})
    created = plane.create("Plan", "mig", "after", spec=plan_spec(plane, preserveStaticIPs=False))
    assert created["spec"]["transferNetwork"] == {"name": "fast", "namespace": "default"}
    assert created["spec"]["preserveStaticIPs"] is False
    assert created["metadata"]["annotations"] == {"populatorLabels": "True"}
    own = {"name": "other", "namespace": "target"}
    assert plane.create("Plan", "mig", "own", spec=plan_spec(plane, transferNetwork=own))["spec"]["transferNetwork"] == own


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provider.source": {"name": "zz", "namespace": "mig"}}, 'providers.forklift.konveyor.io "zz" not found'),
        ({"provider.destination": {"name": "zz", "namespace": "mig"}}, 'providers.forklift.konveyor.io "zz" not found'),
        ({"provider.source": {}}, "resource name may not be empty"),
        ({"provider.source": {"name": "src"}}, "an empty namespace may not be set when a resource name is provided"),
        ({"map.storage": {"name": "zz", "namespace": "mig"}}, 'storagemaps.forklift.konveyor.io "zz" not found'),
    ],
)
def test_plan_with_absent_references(plane: Any, changes: dict[str, Any], message: str) -> None:
    spec = plan_spec(plane)
    for path, value in changes.items():
        part, key = path.split(".")
        spec[part][key] = value
    with pytest.raises(ApiError) as caught:
        plane.create("Plan", "mig", "p", spec=spec)
    assert refused(caught, "plans") == message


@pytest.mark.usefixtures("ready")
def test_plan_can_be_archived_when_all_around_it_is_gone(plane: Any) -> None:
    plane.create("Plan", "mig", "p", spec=plan_spec(plane))
    plane.api.delete("StorageMap", "mig", "sto")
    assert plane.api.patch("Plan", "mig", "p", {"spec": {"archived": True}})["spec"]["archived"]
    plane.api.patch("Provider", "mig", "src", {"metadata": {"finalizers": None}})
    plane.api.delete("Provider", "mig", "src")
    plane.api.delete("Provider", plane.context.namespace, "host")
    plane.api.patch("Plan", "mig", "p", {"metadata": {"labels": {"a": "b"}}})


@pytest.mark.usefixtures("ready")
def test_plan_with_static_storage(plane: Any) -> None:
    plane.create("StorageClass", "", "manual", provisioner="kubernetes.io/no-provisioner")
    pairs = [{"source": {"name": "d"}, "destination": {"storageClass": name}} for name in ("manual", "")]
    plane.api.patch("StorageMap", "mig", "sto", {"spec": {"map": pairs}})
    with pytest.raises(ApiError) as caught:
        plane.create("Plan", "mig", "p", spec=plan_spec(plane))
    assert refused(caught, "plans") == "Static storage class(es) found: [manual]"
    plane.create("Plan", "mig", "warm", spec=plan_spec(plane, type="warm"))


@pytest.mark.usefixtures("ready")
def test_luks_is_for_sources_that_are_converted(plane: Any) -> None:
    encrypted = [{"name": "web", "luks": {"name": "keys", "namespace": "mig"}}]
    plane.create("Plan", "mig", "p", spec=plan_spec(plane, vms=encrypted))
    plane.provider("mig", "cluster", "openshift")
    ends = {**plan_spec(plane)["provider"], "source": {"name": "cluster", "namespace": "mig"}}
    with pytest.raises(ApiError) as caught:
        plane.create("Plan", "mig", "q", spec=plan_spec(plane, vms=encrypted, provider=ends))
    assert refused(caught, "plans") == "migration of encrypted disks from source provider of type openshift is not supported"


@pytest.mark.usefixtures("ready")
def test_migration_needs_its_plan(plane: Any) -> None:
    with pytest.raises(ApiError) as caught:
        plane.create("Migration", "mig", "m", spec={"plan": {"name": "zz", "namespace": "mig"}})
    assert refused(caught, "migrations") == 'plans.forklift.konveyor.io "zz" not found'
    plane.create("Plan", "mig", "p", spec=plan_spec(plane))
    plane.create("Migration", "mig", "m", spec={"plan": {"name": "p", "namespace": "mig"}})


HOST_LABELS = {"createdForResourceType": "hosts", "createdForResource": "host-23"}


def plain(created: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in created["data"].items()}


def test_the_secret_of_an_esxi_host_takes_over_what_its_provider_says(plane: Any) -> None:
    secret(plane, {}, "creds", user="root", password="x", insecureSkipVerify="true")
    where = {"type": "vsphere", "url": "https://esxi/sdk", "secret": {"name": "creds", "namespace": "mig"}}
    plane.create("Provider", "mig", "esxi", spec={**where, "settings": {"sdkEndpoint": "esxi"}})
    plane.create("Provider", "mig", "vc", spec=where)
    theirs = {"user": "root", "password": "x", "insecureSkipVerify": "true"}
    assert plain(secret(plane, HOST_LABELS, "a", provider="esxi", ip="10.0.0.5")) == {**theirs, "provider": "esxi", "ip": "10.0.0.5"}
    own = secret(plane, HOST_LABELS, "b", provider="vc", user="me", password="y")
    assert plain(own) == {"provider": "vc", "user": "me", "password": "y", "insecureSkipVerify": "true"}
    with pytest.raises(ApiError) as caught:
        secret(plane, HOST_LABELS, "c", provider="vc", ip="10.0.0.5")
    assert refused(caught, "secrets") == "missing credentials on Host secret"


@pytest.mark.parametrize("spec", [{}, {"plan": "p"}])
def test_misshapen_objects_are_left_to_validation(plane: Any, spec: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        plane.create("Migration", "mig", "m", spec=spec)
    assert caught.value.code == 422
    with pytest.raises(ApiError) as caught:
        plane.create("Plan", "mig", "p", spec={"provider": [], "map": 1})
    assert caught.value.code == 422


def test_recorded_requests_get_the_recorded_answers(plane: Any, recorded: Any) -> None:
    plane.host()
    plane.provider(plane.context.namespace, "vc", "vsphere")
    plane.namespace("hooks-adm")
    kinds = {"secrets": "Secret", "providers": "Provider", "plans": "Plan", "migrations": "Migration"}
    checked = 0
    for line in recorded("webhook-denials/requests.jsonl"):
        request, expected = line["request"], line["response"]
        parts = request["path"].split("/")
        try:
            if request["method"] == "POST":
                answer, code = plane.api.create(json.loads(json.dumps(request["body"]))), 201
            else:
                answer, code = plane.api.patch(kinds[parts[5]], parts[4], parts[6], request["body"]), 200
        except ApiError as error:
            answer, code = error.status(), error.code
        assert code == expected["status"], line["name"]
        if code >= 400:
            body = json.loads(json.dumps(expected["body"]).replace(" nutanix]", "]"))
            assert answer == body, line["name"]
        else:
            assert sorted(answer.get("data", {})) == sorted(expected["body"].get("data", {})), line["name"]
            assert answer.get("spec") == expected["body"].get("spec"), line["name"]
            for field in ("annotations", "labels", "finalizers"):
                assert answer["metadata"].get(field) == expected["body"]["metadata"].get(field), line["name"]
        checked += 1
    assert checked > 20
