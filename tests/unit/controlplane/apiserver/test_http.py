"""The API over HTTPS, as any Kubernetes client meets it."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

Object = dict[str, Any]

GROUP = "/apis/try.example.com/v1"
WIDGETS = f"{GROUP}/namespaces/team/widgets"
MAPS = "/api/v1/namespaces/team/configmaps"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def widget(name: str, spec: Object | None = None, **metadata: Any) -> Object:
    return {"apiVersion": "try.example.com/v1", "kind": "Widget", "metadata": {"name": name, **metadata}, "spec": spec or {"size": 1}}


async def test_health_and_version_need_no_token(client: Any) -> None:
    for path in ("/healthz", "/readyz", "/livez"):
        assert await client.call("GET", path, token="") == (200, "ok")
    status, version = await client.call("GET", "/version", token="")
    assert status == 200 and version["gitVersion"].startswith("v1.")


async def test_tokens_are_needed(client: Any) -> None:
    for token in ("", "wrong"):
        status, body = await client.call("GET", "/api/v1/namespaces", token=token)
        assert (status, body["kind"], body["reason"]) == (401, "Status", "Unauthorized")


async def test_the_server_proves_who_it_is(client: Any) -> None:
    async with aiohttp.ClientSession() as stranger:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stranger.get(f"{client.url}/healthz")


async def test_discovery(client: Any, widgets: Kind) -> None:
    assert (await client.call("GET", "/api"))[1]["versions"] == ["v1"]
    groups = {group["name"]: group for group in (await client.call("GET", "/apis"))[1]["groups"]}
    assert groups["forklift.konveyor.io"]["preferredVersion"]["groupVersion"] == "forklift.konveyor.io/v1beta1"
    core = {resource["name"]: resource for resource in (await client.call("GET", "/api/v1"))[1]["resources"]}
    assert {"pods", "pods/log", "pods/status", "secrets", "services/proxy", "serviceaccounts/token"} <= core.keys()
    assert core["namespaces"]["namespaced"] is False
    ours = {resource["name"]: resource for resource in (await client.call("GET", GROUP))[1]["resources"]}
    assert ours["widgets"]["shortNames"] == ["wg"] and ours["widgets/status"]["verbs"] == ["get", "patch", "update"]
    assert (await client.call("GET", "/apis/try.example.com"))[1]["kind"] == "APIGroup"
    assert (await client.call("GET", "/apis/none.example.com"))[0] == 404


async def test_openapi_follows_the_kinds(client: Any, served: Any, widgets: Kind) -> None:
    _status, index = await client.call("GET", "/openapi/v3")
    status, document = await client.call("GET", index["paths"]["apis/try.example.com/v1"]["serverRelativeURL"])
    assert status == 200 and document["openapi"].startswith("3.")
    assert "immutable" in client.headers["Cache-Control"]
    served.api.delete("CustomResourceDefinition", None, "widgets.try.example.com")
    assert "apis/try.example.com/v1" not in (await client.call("GET", "/openapi/v3"))[1]["paths"]
    assert (await client.call("GET", "/openapi/v3/apis/try.example.com/v1"))[0] == 404


async def test_the_life_of_an_object(client: Any, widgets: Kind) -> None:
    status, made = await client.call("POST", WIDGETS, widget("a"))
    assert status == 201 and made["metadata"]["namespace"] == "team"
    assert (await client.call("GET", f"{WIDGETS}/a")) == (200, made)
    status, patched = await client.call("PATCH", f"{WIDGETS}/a", {"spec": {"size": 2}}, content_type=MERGE)
    assert (status, patched["metadata"]["generation"]) == (200, 2)
    patched["spec"] = {"size": 3}
    status, replaced = await client.call("PUT", f"{WIDGETS}/a", patched)
    assert (status, replaced["spec"]["size"]) == (200, 3)
    status, gone = await client.call("DELETE", f"{WIDGETS}/a")
    assert (status, gone["status"], gone["details"]["uid"]) == (200, "Success", made["metadata"]["uid"])
    status, body = await client.call("GET", f"{WIDGETS}/a")
    assert (status, body["message"]) == (404, 'widgets.try.example.com "a" not found')


async def test_managers_are_named_by_field_manager_or_user_agent(client: Any, widgets: Kind) -> None:
    _status, made = await client.call("POST", f"{WIDGETS}?fieldManager=me", widget("a"))
    assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["me"]
    _status, made = await client.call("POST", WIDGETS, widget("b"), User_Agent="kubectl/v1.33 (linux)")
    assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["kubectl"]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "code", "reason"),
    [
        ("POST", WIDGETS, "{", {}, 400, "BadRequest"),
        ("POST", WIDGETS, "[1]", {}, 400, "BadRequest"),
        ("POST", WIDGETS, '{"spec": {"size": NaN}}', {}, 400, "BadRequest"),
        ("POST", WIDGETS, '{"spec": {"size": 1e999}}', {}, 400, "BadRequest"),
        ("POST", WIDGETS, '{"spec": {"color": "\\ud800"}}', {}, 400, "BadRequest"),
        ("POST", WIDGETS, b'{"spec": {"color": "\xff"}}', {}, 400, "BadRequest"),
        ("POST", WIDGETS, "[" * 100_000, {}, 400, "BadRequest"),
        ("POST", WIDGETS, {**widget("a"), "kind": "Gadget"}, {}, 400, "BadRequest"),
        ("POST", WIDGETS, {**widget("a"), "apiVersion": "v1"}, {}, 400, "BadRequest"),
        ("POST", WIDGETS, widget("a", namespace="other"), {}, 400, "BadRequest"),
        ("PUT", f"{WIDGETS}/a", widget("b", resourceVersion="1"), {}, 400, "BadRequest"),
        ("PUT", f"{WIDGETS}/there", widget("there"), {}, 422, "Invalid"),
        ("POST", f"{WIDGETS}?dryRun=Some", widget("a"), {}, 400, "BadRequest"),
        ("POST", WIDGETS, "x", {"content_type": "application/vnd.kubernetes.cbor"}, 415, "UnsupportedMediaType"),
        ("PATCH", f"{WIDGETS}/there", {}, {"content_type": "application/strategic-merge-patch+json"}, 415, "UnsupportedMediaType"),
        ("PATCH", f"{WIDGETS}/there", {}, {"content_type": "application/json"}, 415, "UnsupportedMediaType"),
        ("PATCH", f"{WIDGETS}/there", [], {"content_type": MERGE}, 400, "BadRequest"),
        ("PATCH", f"{WIDGETS}/there", widget("there"), {"content_type": APPLY}, 422, "Invalid"),
        ("PATCH", f"{WIDGETS}/there?fieldManager=x", "a: [", {"content_type": APPLY}, 400, "BadRequest"),
        ("DELETE", f"{WIDGETS}/there?propagationPolicy=Sideways", None, {}, 400, "BadRequest"),
        ("DELETE", f"{WIDGETS}/there", {"preconditions": {"uid": "other"}}, {}, 409, "Conflict"),
        ("PUT", WIDGETS, {}, {}, 405, "MethodNotAllowed"),
        ("POST", f"{WIDGETS}/there", {}, {}, 405, "MethodNotAllowed"),
        ("POST", f"{GROUP}/widgets", widget("a"), {}, 405, "MethodNotAllowed"),
        ("GET", f"{GROUP}/nothings", None, {}, 404, "NotFound"),
        ("GET", f"{WIDGETS}/there/scale", None, {}, 404, "NotFound"),
        ("GET", "/nowhere", None, {}, 404, "NotFound"),
        ("GET", "/api/v1/namespaces//pods", None, {}, 404, "NotFound"),
        ("GET", f"{WIDGETS}?labelSelector=%3D%3Dx", None, {}, 400, "BadRequest"),
        ("GET", f"{WIDGETS}?fieldSelector=spec.size%3D1", None, {}, 400, "BadRequest"),
        ("GET", f"{WIDGETS}?continue=x", None, {}, 400, "BadRequest"),
        ("GET", f"{WIDGETS}?watch=1&resourceVersion=x", None, {}, 400, "BadRequest"),
        ("GET", f"{WIDGETS}?watch=1&sendInitialEvents=true", None, {}, 422, "Invalid"),
        ("GET", WIDGETS, None, {"Accept": "application/vnd.kubernetes.protobuf"}, 406, "NotAcceptable"),
        ("POST", WIDGETS, "x" * 4_000_000, {}, 413, "RequestEntityTooLarge"),
    ],
)
async def test_refusals(
    client: Any, widgets: Kind, method: str, path: str, body: Any, headers: dict[str, str], code: int, reason: str
) -> None:
    await client.call("POST", WIDGETS, widget("there"))
    status, answer = await client.call(method, path, body, **headers)
    assert (status, answer["kind"], answer["status"], answer["reason"], answer["code"]) == (code, "Status", "Failure", reason, code), answer


async def test_an_error_of_the_server_tells_nothing_of_its_inside(client: Any, served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(served.api.store, "get", broken)
    status, body = await client.call("GET", f"{MAPS}/a")
    assert (status, body["reason"]) == (500, "InternalError") and "secret" not in body["message"]


async def test_unknown_fields_warn_or_fail(client: Any, widgets: Kind) -> None:
    status, _body = await client.call("POST", WIDGETS, widget("a", {"size": 1, 'ju"nk': 1}))
    assert status == 201 and client.headers["Warning"] == '299 - "unknown field \\"spec.ju\\"nk\\""'
    status, _body = await client.call("POST", f"{WIDGETS}?fieldValidation=Ignore", widget("b", {"size": 1, "junk": 1}))
    assert status == 201 and "Warning" not in client.headers
    status, body = await client.call("POST", f"{WIDGETS}?fieldValidation=Strict", widget("c", {"size": 1, "junk": 1}))
    assert status == 400 and 'unknown field "spec.junk"' in body["message"]


async def test_bodies_may_be_yaml(client: Any, widgets: Kind) -> None:
    yaml = (
        "apiVersion: try.example.com/v1\nkind: Widget\nmetadata: {name: a, annotations: {when: '2026-01-01'}}\n"
        "spec: {size: 1, free: {at: 2026-01-01}}\n"
    )
    status, made = await client.call("POST", WIDGETS, yaml, content_type="application/yaml")
    assert status == 201 and made["spec"]["free"] == {"at": "2026-01-01"}
    status, applied = await client.call("PATCH", f"{WIDGETS}/b?fieldManager=x", yaml.replace("name: a", "name: b"), content_type=APPLY)
    assert status == 201
    status, _again = await client.call("PATCH", f"{WIDGETS}/b?fieldManager=x", applied | {"metadata": {"name": "b"}}, content_type=APPLY)
    assert status == 200


async def test_lists_page_through_everything_once(client: Any, widgets: Kind) -> None:
    for number in range(5):
        await client.call("POST", WIDGETS, widget(f"w{number}", labels={"odd": str(number % 2)}))
    _status, whole = await client.call("GET", WIDGETS)
    assert (whole["kind"], whole["apiVersion"], len(whole["items"])) == ("WidgetList", "try.example.com/v1", 5)
    seen, token = [], ""
    for left in (3, 1, None):
        _status, page = await client.call("GET", f"{WIDGETS}?limit=2&continue={token}")
        assert page["metadata"].get("remainingItemCount") == left
        assert page["metadata"]["resourceVersion"] == whole["metadata"]["resourceVersion"]
        seen += page["items"]
        token = page["metadata"].get("continue", "")
    assert seen == whole["items"] and not token
    _status, odd = await client.call("GET", f"{GROUP}/widgets?labelSelector=odd%3D1&fieldSelector=metadata.namespace%3Dteam")
    assert [item["metadata"]["name"] for item in odd["items"]] == ["w1", "w3"]


async def test_tables(client: Any, widgets: Kind) -> None:
    await client.call("POST", WIDGETS, widget("a", {"size": 3}))
    status = {"status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}}
    await client.call("PATCH", f"{WIDGETS}/a/status", status, content_type=MERGE)
    _status, table = await client.call("GET", WIDGETS, Accept=TABLE)
    assert [(c["name"], c["priority"]) for c in table["columnDefinitions"]] == [("Name", 0), ("SIZE", 0), ("READY", 1)]
    assert table["rows"][0]["cells"] == ["a", 3, "True"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata" and "spec" not in table["rows"][0]["object"]
    _status, table = await client.call("GET", f"{WIDGETS}/a?includeObject=Object", Accept=TABLE)
    assert table["rows"][0]["object"]["spec"]["size"] == 3
    partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    _status, listed = await client.call("GET", WIDGETS, Accept=partial)
    assert listed["kind"] == "PartialObjectMetadataList" and "spec" not in listed["items"][0]
    _status, whole = await client.call("GET", f"{WIDGETS}/a")
    assert listed["items"][0] == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": whole["metadata"]}


async def test_delete_options(client: Any, served: Any, widgets: Kind) -> None:
    _status, owner = await client.call("POST", WIDGETS, widget("owner"))
    reference = {"apiVersion": owner["apiVersion"], "kind": "Widget", "name": "owner", "uid": owner["metadata"]["uid"]}
    await client.call("POST", WIDGETS, widget("child", ownerReferences=[reference]))
    await client.call("DELETE", f"{WIDGETS}/owner?dryRun=All")
    assert (await client.call("GET", f"{WIDGETS}/owner"))[0] == 200
    await client.call("DELETE", f"{WIDGETS}/owner", {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"})
    assert (await client.call("GET", f"{WIDGETS}/child"))[0] == 200
    await client.call("POST", WIDGETS, widget("held", finalizers=["x.example/y"]))
    status, held = await client.call("DELETE", f"{WIDGETS}/held")
    assert status == 200 and held["metadata"]["deletionTimestamp"]
    status, deleted = await client.call("DELETE", f"{WIDGETS}?fieldSelector=metadata.name%3Dchild")
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["child"]
    assert [obj["metadata"]["name"] for obj in served.api.list(widgets)] == ["held"]


async def test_jobs_leave_their_pods_behind_unless_told(client: Any) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}}
    jobs, pods = "/apis/batch/v1/namespaces/team/jobs", "/api/v1/namespaces/team/pods"
    for query, left in (("", 200), ("?propagationPolicy=Background", 404)):
        status, made = await client.call("POST", jobs, job)
        assert status == 201, made
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": made["metadata"]["uid"]}
        status, body = await client.call(
            "POST", pods, {"metadata": {"name": f"p{left}", "ownerReferences": [owner]}, "spec": template["spec"]}
        )
        assert status == 201, body
        await client.call("DELETE", f"{jobs}/j{query}")
        assert ("Warning" in client.headers) == (not query)
        assert (await client.call("GET", f"{pods}/p{left}"))[0] == left


async def test_services_are_proxied_with_the_callers_token(client: Any, served: Any) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "forklift-inventory", "namespace": "team"},
        "spec": {"ports": [{"port": 1}]},
    }
    services = "/api/v1/namespaces/team/services"
    assert (await client.call("GET", f"{services}/forklift-inventory/proxy/x"))[0] == 404
    served.api.create(service)
    served.api.create({**service, "metadata": {"name": "other", "namespace": "team"}})
    for name in ("forklift-inventory", "https:forklift-inventory:8443", "forklift-inventory:api"):
        status, body = await client.call("GET", f"{services}/{name}/proxy/providers/ova?detail=1")
        assert status == 200
        assert body == {"path": "providers/ova", "query": "detail=1", "token": f"Bearer {client.token}"}
    assert (await client.call("GET", f"{services}/other/proxy/"))[0] == 503


async def test_ports_of_pods_are_proxied(client: Any, served: Any) -> None:
    pods = "/api/v1/namespaces/team/pods"
    assert (await client.call("GET", f"{pods}/p:2112/proxy/metrics"))[0] == 404
    container = {"name": "main", "image": "i"}
    meta = {"name": "p", "namespace": "team"}
    served.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}})
    for name in ("p:2112", "http:p:2112"):
        assert await client.call("GET", f"{pods}/{name}/proxy/metrics") == (200, "p says metrics")
    for name in ("p", "p:8080", "p:x"):
        status, body = await client.call("GET", f"{pods}/{name}/proxy/metrics")
        assert (status, body["reason"]) == (503, "ServiceUnavailable")
    assert (await client.call("POST", f"{pods}/p:2112/proxy/shutdown"))[0] == 405


async def test_reviews_answer_who_may_what(client: Any, served: Any) -> None:
    account = served.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bob", "namespace": "team"}})
    token = served.tokens.issue(account)
    access = "/apis/authorization.k8s.io/v1/"
    asked = {"verb": "get", "group": "", "resource": "pods", "subresource": "log", "namespace": "team"}

    async def may(path: str, spec: Object, token: str | None = None) -> bool:
        status, body = await client.call("POST", access + path, {"spec": spec}, token=token)
        assert status == 201, body
        return body["status"]["allowed"]

    bob = {"user": "system:serviceaccount:team:bob", "resourceAttributes": asked}
    assert await may("selfsubjectaccessreviews", {"resourceAttributes": asked})
    assert not await may("selfsubjectaccessreviews", {"resourceAttributes": asked}, token)
    assert not await may("subjectaccessreviews", bob)
    rules = [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]
    rbac = "rbac.authorization.k8s.io"
    served.api.create({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": "r", "namespace": "team"}, "rules": rules})
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "r", "namespace": "team"},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "bob", "namespace": "team"}],
    }
    served.api.create(binding)
    assert await may("subjectaccessreviews", bob)
    assert await may("selfsubjectaccessreviews", {"resourceAttributes": asked}, token)
    assert not await may("selfsubjectaccessreviews", {"resourceAttributes": {**asked, "namespace": "default"}}, token)
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    _status, known = await client.call("POST", reviews, {"spec": {"token": token}})
    assert known["status"]["authenticated"] and known["status"]["user"]["username"] == bob["user"]
    _status, unknown = await client.call("POST", reviews, {"spec": {"token": "x"}})
    assert unknown["status"]["authenticated"] is False
    assert (await client.call("GET", reviews))[0] == 405


async def test_users_without_rights_are_told_what_is_missing(client: Any, served: Any, widgets: Kind) -> None:
    account = served.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bob", "namespace": "team"}})
    status, body = await client.call("GET", f"{WIDGETS}/a", token=served.tokens.issue(account))
    assert (status, body["reason"]) == (403, "Forbidden")
    assert body["message"] == (
        'widgets.try.example.com "a" is forbidden: User "system:serviceaccount:team:bob" cannot get resource "widgets" in API group '
        '"try.example.com" in the namespace "team"'
    )
    status, body = await client.call("GET", "/api/v1/nodes", Impersonate_User="eve")
    assert (status, body["message"].split(" cannot ")[0]) == (403, 'nodes is forbidden: User "eve"')
    impersonating = {"token": served.tokens.issue(account), "Impersonate_User": "admin"}
    assert (await client.call("GET", "/api/v1/nodes", **impersonating))[0] == 403


async def test_tokens_of_service_accounts_on_request(client: Any, served: Any) -> None:
    served.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bob", "namespace": "team"}})
    path = "/api/v1/namespaces/team/serviceaccounts/bob/token"
    status, request = await client.call("POST", path, {"spec": {"expirationSeconds": 600}})
    assert status == 201 and request["status"]["expirationTimestamp"].endswith("Z")
    assert (await client.call("GET", "/api", token=request["status"]["token"]))[0] == 200
    assert (await client.call("POST", path, {"spec": {"expirationSeconds": 5}}))[0] == 400
