"""API groups that something beside the objects answers for, as aggregated API servers do in a cluster."""

from __future__ import annotations

from typing import Any

GROUP = "/apis/switches.try.example.com"
PRESS = f"{GROUP}/v1/namespaces/team/widgets/w/press"


async def test_discovery_lists_the_group(client: Any) -> None:
    _code, groups = await client.call("GET", "/apis")
    assert [g["preferredVersion"]["groupVersion"] for g in groups["groups"] if g["name"] == "switches.try.example.com"] == [
        "switches.try.example.com/v1"
    ]
    assert (await client.call("GET", GROUP))[1]["versions"] == [{"groupVersion": "switches.try.example.com/v1", "version": "v1"}]
    code, listed = await client.call("GET", f"{GROUP}/v1")
    assert (code, listed["resources"][0]["name"]) == (200, "widgets/press")
    assert (await client.call("GET", f"{GROUP}/v2"))[0] == 404


async def test_answers_with_and_without_content(client: Any) -> None:
    assert await client.call("PUT", PRESS) == (202, "")
    assert await client.call("PUT", PRESS, {"tell": True}) == (200, {"of": "team/w"})
    assert await client.call("GET", PRESS) == (200, {"of": "team/w"})
    code, status = await client.call("PUT", PRESS.replace("/w/", "/broken/"))
    assert (code, status["reason"], status["message"]) == (409, "Conflict", "it is broken")
    assert (await client.call("PUT", PRESS, "no json"))[0] == 400


async def test_what_is_not_there(client: Any) -> None:
    assert (await client.call("DELETE", PRESS))[0] == 405
    for path in (
        PRESS + "/more",
        PRESS.replace("press", "pull"),
        f"{GROUP}/v1/widgets",
        PRESS.replace("/v1/", "/v2/"),
        f"{GROUP}/v1/x/team/widgets/w/press",
    ):
        code, status = await client.call("PUT", path)
        assert (code, status["reason"]) == (404, "NotFound"), path


async def test_access_is_that_of_the_group(client: Any, served: Any) -> None:
    account = served.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bob", "namespace": "team"}})
    token = served.tokens.issue(account)
    code, status = await client.call("PUT", PRESS, token=token)
    assert code == 403
    assert 'cannot update resource "widgets/press" in API group "switches.try.example.com" in the namespace "team"' in status["message"]
    rule = {"apiGroups": ["switches.try.example.com"], "resources": ["widgets/press"], "verbs": ["update"]}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "press", "namespace": "team"}}
    served.api.create({**rbac, "kind": "Role", "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": "bob", "namespace": "team"}
    served.api.create({**rbac, "kind": "RoleBinding", "roleRef": {"kind": "Role", "name": "press"}, "subjects": [subject]})
    assert (await client.call("PUT", PRESS, token=token))[0] == 202
    assert (await client.call("GET", PRESS, token=token))[0] == 403
    assert (await client.call("PUT", PRESS, token="wrong"))[0] == 401
