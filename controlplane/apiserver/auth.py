"""Bearer tokens: the administrator's, and those of service accounts."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.pki import write_private
from ansible_collections.vmshift.mtv.controlplane.apiserver.rbac import ADMINISTRATORS, AUTHENTICATED, Access, User, allowed

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.state import State

Object = dict[str, Any]

ADMIN = User("admin", (ADMINISTRATORS, AUTHENTICATED))
AUDIENCE = "https://kubernetes.default.svc.cluster.local"
_TOKEN_SECRET = "kubernetes.io/service-account-token"
_HEADER = {"alg": "HS256", "typ": "JWT"}


class Tokens:
    """Issues tokens, tells whose they are and what their users may do."""

    def __init__(self, api: Api, state: State) -> None:
        self._api = api
        self._ca = state.pki / "ca.crt"
        state.prepare()
        self.admin = _kept(state.pki / "admin.token")
        self._key = _kept(state.pki / "service-accounts.key").encode()
        api.admission.append(self._fill_token_secret)

    def authenticate(self, token: str, audiences: Iterable[str] = (AUDIENCE,)) -> User | None:
        """The user of a valid token that is meant for one of `audiences` (as a rule: for this server)."""
        if not token.isascii():  # bytes that are no text cannot even be compared
            return None
        if hmac.compare_digest(token.encode(), self.admin.encode()):
            return ADMIN
        claims = self._verified(token)
        if claims is None or not set(claims["aud"]).intersection(audiences):
            return None
        return self._service_account(claims)

    def authorize(self, user: User, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """Whether `user` may. `resource` is the plural name, with a subresource after a slash."""
        return allowed(self._api, user, Access(verb, group, resource, namespace or "", name or ""))

    def issue(self, account: Object, seconds: int | None = 3600, audiences: tuple[str, ...] = (AUDIENCE,), **bound_to: Object) -> str:
        """A token for a ServiceAccount. `seconds` None: valid as long as the account and what it is bound to."""
        meta = account["metadata"]
        issued = int(time.time())
        claims: Object = {"iss": AUDIENCE, "aud": list(audiences), "iat": issued, "sub": _user_name(meta["namespace"], meta["name"])}
        if seconds is not None:
            claims["exp"] = issued + seconds
        claims["kubernetes.io"] = {"namespace": meta["namespace"], "serviceaccount": {"name": meta["name"], "uid": meta["uid"]}, **bound_to}
        signed = f"{_encoded(_HEADER)}.{_encoded(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def _verified(self, token: str) -> Object | None:
        signed, _unused, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        try:
            claims = json.loads(_decoded(signed.partition(".")[2]))
        except (ValueError, binascii.Error):
            return None
        return claims if claims.get("exp", time.time() + 1) > time.time() else None

    def _service_account(self, claims: Object) -> User | None:
        """The account must still be the one the token was issued for; a token Secret must still be there."""
        bound = claims["kubernetes.io"]
        namespace, about = bound["namespace"], bound["serviceaccount"]
        account = self._api.find("ServiceAccount", namespace, about["name"])
        if account is None or account["metadata"]["uid"] != about["uid"]:
            return None
        if "secret" in bound and self._api.find("Secret", namespace, bound["secret"]["name"]) is None:
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(_user_name(namespace, about["name"]), groups, about["uid"])

    def _signature(self, text: str) -> str:
        return _unpadded(hmac.new(self._key, text.encode(), hashlib.sha256).digest())

    def _fill_token_secret(self, operation: str, kind: str, new: Object | None, _old: Object | None) -> None:
        """Secrets of type kubernetes.io/service-account-token get a lasting token of the account they name."""
        if operation != "CREATE" or kind != "Secret" or new is None or new.get("type") != _TOKEN_SECRET:
            return
        meta = new["metadata"]
        name = meta.get("annotations", {}).get("kubernetes.io/service-account.name", "")
        account = self._api.find("ServiceAccount", meta["namespace"], name)
        if account:
            meta["annotations"]["kubernetes.io/service-account.uid"] = account["metadata"]["uid"]
            filled = {
                "token": self.issue(account, None, secret={"name": meta["name"]}).encode(),
                "namespace": meta["namespace"].encode(),
                "ca.crt": self._ca.read_bytes() if self._ca.exists() else b"",
            }
            new["data"] = {**new.get("data", {}), **{key: base64.b64encode(value).decode() for key, value in filled.items()}}


def _kept(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_hex(32).encode())
    return path.read_text()


def _user_name(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def _unpadded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _encoded(value: Object) -> str:
    return _unpadded(json.dumps(value, separators=(",", ":")).encode())


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
