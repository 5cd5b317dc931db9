"""Job templates by name: the hook module against a double of Ansible Automation Platform's API, over HTTPS."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

TOKEN = "aap-token-value"
TEMPLATES = [
    {"id": 7, "name": "Register in CMDB", "type": "job_template", "summary_fields": {"organization": {"id": 1, "name": "Ops"}}},
    {"id": 8, "name": "Notify", "type": "job_template", "summary_fields": {"organization": {"id": 1, "name": "Ops"}}},
    {"id": 9, "name": "Notify", "type": "job_template", "summary_fields": {"organization": {"id": 2, "name": "Dev"}}},
    {"id": 10, "name": "Register DNS", "type": "job_template", "summary_fields": {}},
]
ANNOTATION = "forklift.konveyor.io/aap-job-template-name"


class Platform:
    """`roots`: what /api/ answers; `answer`: a status instead of anything."""

    def __init__(self, pki):
        self.root = {"description": "AWX REST API", "current_version": "/api/v2/", "available_versions": {"v2": "/api/v2/"}}
        self.answer = 0
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                url = urlsplit(self.path)
                outer.asked.append(self.path)
                status, body = outer.reply(url.path, {k: v[0] for k, v in parse_qs(url.query).items()}, self.headers["Authorization"])
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "https://elsewhere.example.com/api/")
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args):
                pass  # a client that does not trust the certificate

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "server.crt", pki / "server.key")
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def reply(self, path, query, authorization):
        if self.answer == 200:
            return 200, b"<html>a portal</html>"
        if self.answer:
            return self.answer, {"detail": "no"}
        if path == "/api/":
            return 200, self.root
        if authorization != f"Bearer {TOKEN}":
            return 401, {"detail": "Authentication credentials were not provided."}
        prefix = (self.root.get("current_version") or "/api/controller/v2/").rstrip("/")
        if path != f"{prefix}/job_templates/":
            return 404, {"detail": "Not found."}
        found = [
            t
            for t in TEMPLATES
            if query.get("name", t["name"]) == t["name"] and query.get("name__icontains", "").lower() in t["name"].lower()
        ]
        size = int(query.get("page_size", 25))
        return 200, {"count": len(found), "next": None, "previous": None, "results": found[:size]}

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def platform(plane):
    found = Platform(plane.state.pki)
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
