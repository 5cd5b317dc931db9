"""The roles that every cluster has, and what everybody may do: seeded once, bound by whoever gives rights to others (access.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
READ = ["get", "list", "watch"]
WRITE = ["create", "update", "patch", "delete", "deletecollection"]
#: What the aggregated roles of a cluster with MTV, CDI and KubeVirt speak about. Secrets are nothing for those who only look.
GROUPS = [
    "forklift.konveyor.io",
    "kubevirt.io",
    "subresources.kubevirt.io",
    "export.kubevirt.io",
    "cdi.kubevirt.io",
    "k8s.cni.cncf.io",
    "batch",
]
CORE = ["configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/log", "pods/status", "serviceaccounts", "services"]
INVENTORY = "forklift-inventory"


def roles(namespace: str) -> Iterator[Object]:
    """`namespace` is that of the controllers, whose inventory service judges by itself who may read what, as behind its Route."""
    look = [_rule([""], [*CORE, "namespaces"], READ), _rule(GROUPS, ["*"], READ)]
    work = [_rule([""], [*CORE, "secrets"], READ + WRITE), _rule([""], ["namespaces"], READ), _rule(GROUPS, ["*"], READ + WRITE)]
    # Not to write them: nothing here keeps a user from giving himself more than he has.
    rights = [_rule([RBAC], ["roles", "rolebindings"], READ), _rule([""], ["serviceaccounts/token"], ["create"])]
    yield _role("cluster-admin", [_rule(["*"], ["*"], ["*"])])
    yield _role("admin", [*work, *rights])
    yield _role("edit", work)
    yield _role("view", look)
    # As OpenShift's basic-user: what one must know to ask for storage.
    yield _role("basic-user", [_rule(["storage.k8s.io"], ["storageclasses"], READ), _rule(["cdi.kubevirt.io"], ["storageprofiles"], READ)])
    everybody = [{"kind": "Group", "apiGroup": RBAC, "name": "system:authenticated"}]
    yield binding("basic-users", "basic-user", everybody)
    reach = [_rule([""], ["services", "services/proxy"], ["get"], INVENTORY)]
    yield {**_role("reach-inventory", reach), "kind": "Role", "metadata": {"name": "reach-inventory", "namespace": namespace}}
    yield binding("reach-inventory", "reach-inventory", everybody, namespace, kind="Role")


def binding(name: str, role: str, subjects: list[Object], namespace: str = "", kind: str = "ClusterRole") -> Object:
    """A RoleBinding in `namespace`, or a ClusterRoleBinding."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": subjects,
    }


def _role(name: str, rules: list[Object]) -> Object:
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}


def _rule(groups: list[str], resources: list[str], verbs: list[str], *names: str) -> Object:
    # The API server sees the service by the name that the proxy's path has: https:NAME:PORT.
    named = {"resourceNames": [shown for name in names for shown in (name, f"https:{name}:8443")]} if names else {}
    return {"apiGroups": groups, "resources": resources, "verbs": verbs, **named}
