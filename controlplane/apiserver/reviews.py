"""Kinds that are answered and never stored: who is this, and what may they do; and tokens on request."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import AUDIENCE
from ansible_collections.vmshift.mtv.controlplane.apiserver.rbac import User
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import bad_request

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens

Object = dict[str, Any]

_SHORTEST_SECONDS, _DEFAULT_SECONDS, _LONGEST_SECONDS = 600, 3600, 365 * 86400


def answer(tokens: Tokens, kind: str, review: Object, user: User) -> Object:
    """`review` of the virtual `kind` with its status. Raises ApiError 400 for one that cannot be answered."""
    spec = review.get("spec") or {}
    if kind == "TokenReview":
        return {**review, "status": _token_status(tokens, spec)}
    if kind == "SelfSubjectReview":
        return {**review, "status": {"userInfo": user.info()}}
    if kind == "SubjectAccessReview":
        if not spec.get("user") and not spec.get("groups"):
            raise bad_request("SubjectAccessReview: spec.user: Required value: at least one of user or group must be specified")
        user = User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""))
    return {**review, "status": _access_status(tokens, spec, user)}


def _token_status(tokens: Tokens, spec: Object) -> Object:
    audiences = spec.get("audiences") or [AUDIENCE]
    user = tokens.authenticate(spec.get("token", ""), audiences)
    if user is None:
        return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": user.info(), "audiences": audiences}


def _access_status(tokens: Tokens, spec: Object, user: User) -> Object:
    asked = spec.get("resourceAttributes")
    if asked is None:
        if "nonResourceAttributes" not in spec:
            raise bad_request("spec: exactly one of resourceAttributes and nonResourceAttributes must be given")
        verb = spec["nonResourceAttributes"].get("verb", "")
        return {"allowed": tokens.authorize(user, verb, "", "")}
    resource = asked.get("resource", "")
    if asked.get("subresource"):
        resource += f"/{asked['subresource']}"
    allowed = tokens.authorize(
        user, asked.get("verb", ""), asked.get("group", ""), resource, asked.get("namespace", ""), asked.get("name", "")
    )
    return {"allowed": allowed}


def token_request(tokens: Tokens, account: Object, request: Object) -> Object:
    """An answered authentication.k8s.io/v1 TokenRequest for a ServiceAccount."""
    spec = request.get("spec") or {}
    seconds = spec.get("expirationSeconds", _DEFAULT_SECONDS)
    if not isinstance(seconds, int) or seconds < _SHORTEST_SECONDS:
        raise bad_request(f"spec.expirationSeconds: Invalid value: {seconds}: may not specify a duration less than 10 minutes")
    seconds = min(seconds, _LONGEST_SECONDS)
    audiences = tuple(spec.get("audiences") or (AUDIENCE,))
    ends = datetime.fromtimestamp(time.time() + seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": account["metadata"]["name"], "namespace": account["metadata"]["namespace"]},
        "spec": {**spec, "audiences": list(audiences), "expirationSeconds": seconds},
        "status": {"token": tokens.issue(account, seconds, audiences), "expirationTimestamp": ends},
    }
