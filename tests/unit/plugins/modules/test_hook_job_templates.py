"""Job templates by name: the hook module against a double of Ansible Automation Platform's API, over HTTPS."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.vmshift.mtv.tests.rig.automation import TOKEN, Platform

ANNOTATION = "forklift.konveyor.io/aap-job-template-name"


@pytest.fixture
def platform(plane):
    found = Platform(plane.state.pki / "server.crt", plane.state.pki / "server.key")
    yield found
    found.close()


@pytest.fixture
def hook(plane, run, conditions_of_status):
    plane.controller("Hook", lambda obj: conditions_of_status(obj, "Ready"))
    return lambda **given: run("hook", name="h", namespace="mig", **given)


@pytest.fixture
def aap(plane, platform):
    """Options that suffice: the connection is the hook's own."""
    keep(plane, "mig", "aap-token", token=TOKEN)
    authority = (plane.state.pki / "ca.crt").read_text()
    return {"url": platform.url, "token_secret": "aap-token", "ca_cert": authority}


def keep(plane, namespace, name, **data):
    encoded = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return plane.make("Secret", name, namespace, "v1", data=encoded)


def stored(plane):
    return plane.do("get", "Hook", "mig", "h")


def test_a_job_template_is_found_by_its_name(plane, hook, platform, aap):
    given = {**aap, "job_template": "Register in CMDB", "timeout": 60}
    predicted = hook(check_mode=True, aap=given)
    made = hook(aap=given)
    assert made["changed"]
    assert made["diff"] == predicted["diff"]
    assert stored(plane)["spec"]["aap"] == {"jobTemplateId": 7, "url": platform.url, "tokenSecret": {"name": "aap-token"}, "timeout": 60}
    assert stored(plane)["metadata"]["annotations"] == {ANNOTATION: "Register in CMDB"}
    assert not hook(aap=given)["changed"]
    assert platform.asked[0] == "/api/"
    assert platform.asked[1].startswith("/api/v2/job_templates/?name=Register+in+CMDB")
    assert TOKEN not in json.dumps([made, predicted])
    # By id, or with an image, the name of another does not stay.
    by_id = hook(aap={"job_template_id": 3, "url": platform.url, "token_secret": "aap-token"})
    assert by_id["changed"]
    assert "annotations" not in stored(plane)["metadata"]


def test_the_gateway_of_newer_versions_is_asked_under_its_prefix(plane, hook, platform, aap):
    platform.root = {"description": "AAP gateway REST API", "apis": {"gateway": "/api/gateway/", "controller": "/api/controller/"}}
    hook(aap={**aap, "job_template": "Register DNS"})
    assert stored(plane)["spec"]["aap"]["jobTemplateId"] == 10
    assert platform.asked[1].startswith("/api/controller/v2/job_templates/")


def test_the_connection_of_the_settings_counts_without_one_of_the_hook(plane, hook, platform):
    spec = {"aap_url": platform.url, "aap_token_secret_name": "central", "aap_ca_secret_name": "authority"}
    plane.make("ForkliftController", "forklift-controller", "konveyor-forklift", spec=spec)
    keep(plane, "konveyor-forklift", "central", token=TOKEN)
    keep(plane, "konveyor-forklift", "authority", ca_crt=(plane.state.pki / "ca.crt").read_text())
    assert hook(aap={"job_template": "Register DNS"})["changed"]
    assert stored(plane)["spec"]["aap"] == {"jobTemplateId": 10}
    plane.do(
        "patch",
        "ForkliftController",
        "konveyor-forklift",
        "forklift-controller",
        {"spec": {"aap_ca_secret_name": None, "aap_insecure_skip_verify": "true"}},
    )
    again = hook(aap={"job_template": "Register DNS"})
    assert not again["changed"]
    assert again["warnings"] == [f"aap: the certificate of {platform.url} is not verified."]
    refused = hook(aap={"job_template": "Register DNS", "insecure_skip_verify": False})
    assert "is not trusted" in refused["msg"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"job_template": "Notify"},
            "aap.job_template: there are several job templates 'Notify': Notify (id 8, organization Ops), Notify (id 9, organization Dev); "
            "give job_template_id.",
        ),
        (
            {"job_template": "register"},
            "aap.job_template: there is no job template 'register' that this token sees; there are: "
            "Register in CMDB (id 7, organization Ops), Register DNS (id 10).",
        ),
        ({"job_template": "Fly"}, "there are: Register in CMDB (id 7, organization Ops), Notify (id 8"),
        ({"job_template": "Notify", "ca_cert": None}, "is not trusted (unable to get local issuer certificate); give ca_cert, or insecure"),
        ({"job_template": "Notify", "ca_cert": "PEM"}, "aap.ca_cert: this is no certificate in PEM"),
        ({"job_template": "Notify", "token_secret": "absent"}, "aap.token_secret: the Secret mig/absent does not exist."),
        ({"job_template": "Notify", "token_secret": "empty"}, "aap.token_secret: the Secret mig/empty has no token."),
        ({"job_template": "Notify", "token_secret": "wrong"}, "does not accept the token in the Secret mig/wrong (401)."),
        ({"job_template": "Notify", "url": "http://aap.example.com"}, "aap.url: give an https URL, because a token is sent there"),
        ({"job_template": "Notify", "url": "https://127.0.0.1:1"}, "aap: https://127.0.0.1:1 cannot be reached: Connection refused."),
        ({"job_template": "Notify", "url": None, "token_secret": None}, "aap: give url and token_secret, or set aap_url and"),
    ],
)
def test_what_is_not_clear_or_not_reached_is_said_and_nothing_made(plane, hook, aap, given, said):
    keep(plane, "mig", "empty", other="x")
    keep(plane, "mig", "wrong", token="another-token")
    result = hook(aap={key: value for key, value in {**aap, **given}.items() if value is not None})
    assert result["failed"]
    assert said in result["msg"]
    assert "another-token" not in json.dumps(result)
    assert plane.do("list", "Hook", "mig") == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "answers 500 to /api/."),
        (403, "does not accept the token"),
        (302, "is somewhere else: it redirects to https://elsewhere.example.com/api/; give that URL."),
        (200, "does not answer like Ansible Automation Platform"),
    ],
)
def test_a_platform_in_trouble(plane, hook, platform, aap, status, said):
    platform.answer = status
    result = hook(aap={**aap, "job_template": "Notify"})
    assert said in result["msg"]
    assert plane.do("list", "Hook", "mig") == []
