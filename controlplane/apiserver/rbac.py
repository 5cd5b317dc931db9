"""Role-based access: what RoleBindings and ClusterRoleBindings allow a user."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api

Object = dict[str, Any]

#: Who sent the request that is being carried out; None: a part of the control plane itself.
acting: ContextVar[User | None] = ContextVar("acting", default=None)

ADMINISTRATORS = "system:masters"
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True)
class User:
    """Who sent a request."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""

    def info(self) -> Object:
        """authentication.k8s.io/v1 UserInfo"""
        return {"username": self.name, **({"uid": self.uid} if self.uid else {}), "groups": list(self.groups)}


@dataclass(frozen=True)
class Access:
    """What a request wants to do. `resource` may carry a subresource: "pods/log"."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


# Everybody may ask what they may do.
_FOR_ALL: tuple[Object, ...] = (
    {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], "verbs": ["create"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
)


def allowed(api: Api, user: User, access: Access) -> bool:
    """Administrators may do everything; others what a binding grants them."""
    return ADMINISTRATORS in user.groups or any(_grants(rule, access) for rule in _rules(api, user, access.namespace))


def _rules(api: Api, user: User, namespace: str) -> Iterator[Object]:
    if AUTHENTICATED in user.groups:
        yield from _FOR_ALL
    bindings = api.list("ClusterRoleBinding") + (api.list("RoleBinding", namespace) if namespace else [])
    for binding in bindings:
        if any(_is_subject(subject, user, binding["metadata"].get("namespace", "")) for subject in binding.get("subjects") or ()):
            reference = binding.get("roleRef") or {}
            kind = reference.get("kind", "")
            if kind in ("Role", "ClusterRole"):
                role = api.find(kind, namespace if kind == "Role" else "", reference.get("name", ""))
                yield from (role or {}).get("rules") or ()


def _is_subject(subject: Object, user: User, binding_namespace: str) -> bool:
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.get('namespace') or binding_namespace}:{name}"
    return name in user.groups if kind == "Group" else kind == "User" and name == user.name


def _grants(rule: Object, access: Access) -> bool:
    plain, _unused, subresource = access.resource.partition("/")
    resources = ("*", access.resource, *((f"*/{subresource}",) if subresource else (plain,)))
    return (
        any(verb in ("*", access.verb) for verb in rule.get("verbs") or ())
        and any(group in ("*", access.group) for group in rule.get("apiGroups") or ())
        and any(resource in resources for resource in rule.get("resources") or ())
        and (not rule.get("resourceNames") or access.name in rule["resourceNames"])
    )
