"""Tokens and rights."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
from ansible_collections.vmshift.mtv.controlplane.apiserver.rbac import User
from ansible_collections.vmshift.mtv.controlplane.state import State

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture
def tokens(api: Api, tmp_path: Path) -> Tokens:
    return Tokens(api, State(tmp_path / "state"))


@pytest.fixture
def account(api: Api) -> Object:
    return api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bob", "namespace": "team"}})


def test_the_admin_token_stays_and_is_private(api: Api, tokens: Tokens, tmp_path: Path) -> None:
    assert len(tokens.admin) > 30
    assert Tokens(api, State(tmp_path / "state")).admin == tokens.admin
    assert (tmp_path / "state/pki/admin.token").stat().st_mode & 0o077 == 0
    user = tokens.authenticate(tokens.admin)
    assert user and tokens.authorize(user, "delete", "any.example", "things", "anywhere", "x")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "..", "e30.e30."])
def test_other_tokens_are_nobodys(tokens: Tokens, token: str) -> None:
    assert tokens.authenticate(token) is None


def test_service_account_tokens_are_true_to_their_account(api: Api, tokens: Tokens, account: Object) -> None:
    token = tokens.issue(account)
    user = tokens.authenticate(token)
    assert user and user.name == "system:serviceaccount:team:bob"
    assert "system:serviceaccounts:team" in user.groups
    header, claims, signature = token.split(".")
    forged = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged["kubernetes.io"]["serviceaccount"]["name"] = "eve"
    body = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    assert tokens.authenticate(f"{header}.{body}.{signature}") is None
    api.delete("ServiceAccount", "team", "bob")
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bob", "namespace": "team"}})
    assert tokens.authenticate(token) is None  # another account of the same name


def test_tokens_for_others_are_no_use_here(tokens: Tokens, account: Object) -> None:
    token = tokens.issue(account, audiences=("vault",))
    assert tokens.authenticate(token) is None
    assert tokens.authenticate(token, ["vault", "x"])


def test_tokens_expire(tokens: Tokens, account: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tokens.issue(account, 600)
    assert tokens.authenticate(token)
    later = time.time() + 601
    monkeypatch.setattr(time, "time", lambda: later)
    assert tokens.authenticate(token) is None


def test_token_secrets_last_as_long_as_they_are_there(api: Api, tokens: Tokens, account: Object) -> None:
    meta = {"name": "bob-token", "namespace": "team", "annotations": {"kubernetes.io/service-account.name": "bob"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/service-account-token"}
    data = {key: base64.b64decode(value).decode() for key, value in api.create(secret)["data"].items()}
    assert data["namespace"] == "team"
    assert tokens.authenticate(data["token"])
    api.delete("Secret", "team", "bob-token")
    assert tokens.authenticate(data["token"]) is None


BOB = User("system:serviceaccount:team:bob", ("system:serviceaccounts", "system:authenticated"))


@pytest.mark.parametrize(
    ("rule", "asked", "allowed"),
    [
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}, ("list", "", "pods"), True),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, ("list", "", "pods"), False),
        ({"apiGroups": ["apps"], "resources": ["pods"], "verbs": ["*"]}, ("get", "", "pods"), False),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, ("get", "x.y", "pods/log"), True),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, ("get", "", "pods/log"), False),
        ({"apiGroups": [""], "resources": ["*/log"], "verbs": ["get"]}, ("get", "", "pods/log"), True),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}, ("get", "", "pods", "team", "a"), True),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}, ("get", "", "pods", "team", "b"), False),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, ("get", "", "pods", "other"), False),
    ],
)
def test_roles_grant_what_they_say_in_their_namespace(
    api: Api, tokens: Tokens, rule: Object, asked: tuple[str, ...], allowed: bool
) -> None:
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    api.create({"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "system:some"}, "rules": [rule]})
    binding: Object = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "team"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:some"},
        "subjects": [{"kind": "ServiceAccount", "name": "bob"}],
    }
    verb, group, resource, *where = asked
    assert not tokens.authorize(BOB, verb, group, resource, *(where or ["team"]))
    api.create(binding)
    assert tokens.authorize(BOB, verb, group, resource, *(where or ["team"])) is allowed
    assert not tokens.authorize(User("someone else"), verb, group, resource, *(where or ["team"]))


def test_cluster_role_bindings_hold_everywhere(api: Api, tokens: Tokens) -> None:
    rule = {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get"]}
    api.create({"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "r"}, "rules": [rule]})
    api.create(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "b"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "r"},
            "subjects": [{"kind": "Group", "name": "system:serviceaccounts"}],
        }
    )
    assert tokens.authorize(BOB, "get", "", "nodes") and tokens.authorize(BOB, "get", "", "pods", "anywhere")
    assert not tokens.authorize(User("u"), "get", "", "nodes")
