from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.vmshift.mtv.plugins.module_utils import connection
from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import ClusterError, EventStream, connect


def params(**given):
    result = ArgumentSpecValidator(AUTH_ARGUMENT_SPEC).validate(given)
    assert not result.error_messages
    return result.validated_parameters


def test_request_carries_token_and_parses_json(kube, cluster):
    kube.answer = lambda request, handler: kube.send(handler, 200, {"kind": "Namespace"})
    assert cluster.request("GET", "/api/v1/namespaces/a", query={"dryRun": "All", "left": None}) == {"kind": "Namespace"}
    request = kube.requests[0]
    assert request.headers["authorization"] == "Bearer s3cret"
    assert request.query == {"dryRun": "All"}


def test_text_comes_back_as_text(kube, cluster):
    kube.answer = lambda request, handler: kube.send(handler, 200, "line 1\nline 2\n")
    assert cluster.request("GET", "/log", text=True) == "line 1\nline 2\n"


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (200, {}, "answered 200 (text/plain), which no Kubernetes API server does: check host"),
        (302, {"Location": "https://console.example/"}, "answered 302 to https://console.example/, which no Kubernetes API server does"),
    ],
)
def test_what_is_no_api_server_is_told(kube, cluster, status, headers, said):
    kube.answer = lambda request, handler: kube.send(handler, status, "<html>Welcome</html>", headers)
    with pytest.raises(ClusterError) as caught:
        cluster.request("GET", "/x")
    assert said in str(caught.value)
    assert "Welcome" not in str(caught.value)


def test_the_page_of_a_proxy_does_not_become_the_message(kube, cluster):
    kube.answer = lambda request, handler: kube.send(handler, 404, "<html><body>Not here</body></html>")
    with pytest.raises(ClusterError, match=r"^GET /x answered 404\.$"):
        cluster.request("GET", "/x")


def test_refusal_says_what_the_server_said(kube, cluster):
    status = {"kind": "Status", "reason": "Forbidden", "message": 'plans is forbidden: User "x" cannot list'}
    kube.answer = lambda request, handler: kube.send(handler, 403, status)
    with pytest.raises(ClusterError, match='User "x" cannot list') as caught:
        cluster.request("GET", "/plans")
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")


def test_refused_credentials_are_named_without_being_shown(kube, cluster):
    kube.answer = lambda request, handler: kube.send(handler, 401, {"message": "Unauthorized"})
    with pytest.raises(ClusterError, match="does not accept the credentials") as caught:
        cluster.request("GET", "/plans")
    assert "s3cret" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_busy_server_is_asked_again_after_the_time_it_names(kube, cluster, method):
    answers = iter([(429, {"Retry-After": "1"}), (503, {"Retry-After": "0"}), (200, {})])

    def answer(request, handler):
        status, headers = next(answers)
        kube.send(handler, status, {"kind": "Status"}, headers)

    kube.answer = answer
    begin = time.monotonic()
    assert cluster.request(method, "/x", body={"a": 1} if method == "POST" else None) == {"kind": "Status"}
    assert len(kube.requests) == 3
    assert time.monotonic() - begin >= 1


def hang_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


@pytest.fixture
def no_pauses(monkeypatch):
    """The pauses that were made, without making them."""
    made = []
    monkeypatch.setattr(connection.time, "sleep", made.append)
    return made


def test_lost_connection_is_tried_again_only_when_repeating_is_safe(kube, cluster, no_pauses):
    def answer(request, handler):
        if len(kube.requests) == 1:
            hang_up(handler)
        else:
            kube.send(handler, 200, {"ok": True})

    kube.answer = answer
    assert cluster.request("PATCH", "/x", body={}) == {"ok": True}
    kube.requests.clear()
    with pytest.raises(ClusterError) as caught:
        cluster.request("POST", "/x", body={})
    assert (caught.value.reason, caught.value.unclear) == ("ConnectionLost", True)
    assert len(kube.requests) == 1


def test_an_answer_that_breaks_off_is_asked_for_again(kube, cluster, no_pauses):
    def answer(request, handler):
        if len(kube.requests) == 1:
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b'{"half":')
            hang_up(handler)
        else:
            kube.send(handler, 200, {"ok": True})

    kube.answer = answer
    assert cluster.request("GET", "/x") == {"ok": True}


@pytest.mark.parametrize(("status", "asked"), [(500, 3), (502, 5), (503, 5), (504, 5)])
def test_trouble_that_may_pass_is_waited_for_when_repeating_is_safe(kube, cluster, no_pauses, status, asked):
    kube.answer = lambda request, handler: kube.send(handler, status, {"kind": "Status", "message": "etcdserver: leader changed"})
    with pytest.raises(ClusterError, match="leader changed"):
        cluster.request("GET", "/x")
    assert (len(kube.requests), len(no_pauses)) == (asked, asked - 1)
    kube.requests.clear()
    with pytest.raises(ClusterError) as caught:
        cluster.request("POST", "/x", body={})
    assert caught.value.unclear
    assert len(kube.requests) == 1


def test_who_never_answers_is_asked_twice(kube, cluster, no_pauses, monkeypatch):
    monkeypatch.setattr(connection, "REPLY_SECONDS", 0.2)
    released = threading.Event()
    kube.answer = lambda request, handler: released.wait(30)
    with pytest.raises(ClusterError, match="cannot be reached: Read timed out") as caught:
        cluster.request("GET", "/x")
    released.set()
    assert (caught.value.reason, len(kube.requests)) == ("Stalled", 2)


def test_a_server_that_restarts_is_waited_for(kube, cluster, monkeypatch):
    kube.answer = lambda request, handler: kube.send(handler, 200, {"ok": True})
    cluster.request("GET", "/x")
    cluster._pools.clear()  # or the connection would be kept
    kube.close()
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            kube.open()

    monkeypatch.setattr(connection.time, "sleep", pause)
    assert cluster.request("POST", "/x", body={}) == {"ok": True}
    assert len(pauses) == 3


def test_nothing_listens(kube, cluster, no_pauses):
    kube.close()
    with pytest.raises(ClusterError, match=r"http://127.0.0.1:\d+ cannot be reached: .*refused") as caught:
        cluster.request("GET", "/x")
    assert caught.value.status == 0
    assert "object at 0x" not in str(caught.value)
    assert no_pauses == []  # a wrong URL is not waited for


def test_warning_headers_are_collected_once(kube, cluster):
    header = {"Warning": '299 - "unknown field \\"spec.foo\\"", 299 - "old"'}
    kube.answer = lambda request, handler: kube.send(handler, 200, {}, header)
    cluster.request("GET", "/x")
    cluster.request("GET", "/x")
    assert cluster.warnings == ['unknown field "spec.foo"', "old"]


def test_impersonation_sends_every_group(kube):
    kube.answer = lambda request, handler: kube.send(handler, 200, {})
    connect(params(host=kube.url, api_key="t", impersonate_user="amy", impersonate_groups=["one", "two"])).request("GET", "/x")
    headers = kube.requests[0].headers
    assert headers["Impersonate-User"] == "amy"
    assert headers.get_all("Impersonate-Group") == ["one", "two"]


def test_basic_authentication(kube):
    kube.answer = lambda request, handler: kube.send(handler, 200, {})
    connect(params(host=kube.url, username="amy", password="pw")).request("GET", "/x")
    assert kube.requests[0].headers["authorization"].startswith("Basic ")


def test_environment_variables_of_kubernetes_core(kube, monkeypatch):
    kube.answer = lambda request, handler: kube.send(handler, 200, {})
    for name, value in {"HOST": kube.url + "/", "API_KEY": "from-env", "VERIFY_SSL": "no", "IMPERSONATE_GROUPS": "a,b"}.items():
        monkeypatch.setenv("K8S_AUTH_" + name, value)
    given = params()
    assert given["validate_certs"] is False
    connect(given).request("GET", "/x")
    assert kube.requests[0].headers["authorization"] == "Bearer from-env"
    assert kube.requests[0].headers.get_all("Impersonate-Group") == ["a", "b"]


def kubeconfig(url, user):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": url}}, {"name": "dead", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u"}},
            {"name": "two", "context": {"cluster": "dead", "user": "u"}},
        ],
    }


def test_kubeconfig_file_dictionary_and_context(kube, tmp_path):
    kube.answer = lambda request, handler: kube.send(handler, 200, {})
    config = kubeconfig(kube.url, {"token": "from-file"})
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    for given in ({"kubeconfig": str(path)}, {"kubeconfig": config}):
        connect(params(**given)).request("GET", "/x")
        assert kube.requests[-1].headers["authorization"] == "Bearer from-file"
    assert connect(params(kubeconfig=str(path), context="two")).host == "http://127.0.0.1:9"
    connect(params(kubeconfig=str(path), context="two", host=kube.url, api_key="over")).request("GET", "/x")
    assert kube.requests[-1].headers["authorization"] == "Bearer over"


def test_exec_plugin_gives_the_token(kube, tmp_path):
    kube.answer = lambda request, handler: kube.send(handler, 200, {})
    credential = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-exec"}}'
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "echo", "args": [credential], "interactiveMode": "Never"},
    }
    connect(params(kubeconfig=kubeconfig(kube.url, user))).request("GET", "/x")
    assert kube.requests[0].headers["authorization"] == "Bearer from-exec"


def test_api_key_wins_over_a_plugin_that_refreshes_its_token(kube):
    kube.answer = lambda request, handler: kube.send(handler, 200, {})
    status = '"status":{"token":"from-exec","expirationTimestamp":"2020-01-01T00:00:00Z"}'
    credential = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",' + status + "}"
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "echo", "args": [credential], "interactiveMode": "Never"}}
    connect(params(kubeconfig=kubeconfig(kube.url, user), api_key="mine")).request("GET", "/x")
    assert kube.requests[0].headers["authorization"] == "Bearer mine"


def test_missing_kubeconfig_is_named():
    with pytest.raises(ClusterError, match="kubeconfig /no/such/file does not exist"):
        connect(params(kubeconfig="/no/such/file"))


def test_unusable_kubeconfig_is_named_without_its_content(tmp_path):
    path = tmp_path / "config"
    path.write_text("users: [{name: u, user: {token: hush}}]\nclusters: {broken")
    with pytest.raises(ClusterError) as caught:
        connect(params(kubeconfig=str(path)))
    assert str(path) in str(caught.value)
    assert "hush" not in str(caught.value)


def test_unverified_tls_is_said_in_a_warning():
    assert "not verified" in connect(params(host="https://h", api_key="x", validate_certs=False)).warnings[0]
    assert connect(params(host="https://h", api_key="x")).warnings == []


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_may_come_in_many_parts(size):
    events = [{"type": "ADDED", "object": {"name": "ü"}}, {"type": "BOOKMARK", "object": {}}]
    sent = b"\n".join(json.dumps(event, ensure_ascii=False).encode() for event in events) + b"\n\n"

    class Response:
        def stream(self, **_options):
            return (sent[at : at + size] for at in range(0, len(sent), size))

        def close(self):
            pass

    assert list(EventStream(Response())) == events
