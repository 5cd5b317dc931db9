"""A kubeconfig for somebody with fewer rights: a ServiceAccount, what it may do, and a token as `kubectl create token` gives it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import yaml

from ansible_collections.vmshift.mtv.controlplane import roles
from ansible_collections.vmshift.mtv.controlplane.lifetime import StartError, holder
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, connect

Object = dict[str, Any]

PROVIDER_READER = "read-host-provider"
_DAY = 86400


def kubeconfig(state: State, namespaces: Sequence[str], *, read_only: bool, days: float = 30) -> str:
    """A kubeconfig as text, for a control plane that runs. Raises StartError.

    Rights are those of the ClusterRole `view` (read_only) or `edit` in each of `namespaces`; without namespaces one may only read,
    everywhere.
    """
    if not namespaces and not read_only:
        raise StartError(f"whoever may do everything uses {state.kubeconfig}; give --read-only, or --namespace once or more often")
    if not state.kubeconfig.exists() or holder(state) is None:
        raise StartError(f"no control plane serves {state.root}: start it first")
    try:
        cluster = connect({"kubeconfig": str(state.kubeconfig)})
        return _made(cluster, state, namespaces, "view" if read_only else "edit", days)
    except ClusterError as error:
        raise StartError(str(error)) from error


def _made(cluster: Cluster, state: State, namespaces: Sequence[str], role: str, days: float) -> str:
    home = namespaces[0] if namespaces else "default"
    name = f"vmshift-{role}" if namespaces else f"vmshift-cluster-{role}"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": home}
    for namespace in namespaces:
        cluster.request("GET", f"/api/v1/namespaces/{namespace}")
    _ensure(cluster, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": home}})
    for namespace in namespaces:
        _ensure(cluster, roles.binding(f"{name}-of-{home}", role, [subject], namespace))
    if not namespaces:
        _ensure(cluster, roles.binding(name, role, [subject]))
    elif controllers := _controller_namespace(cluster):
        _allow_host_provider(cluster, controllers, f"{name}-of-{home}", subject)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": max(int(days * _DAY), 600)}}
    answer = cluster.request("POST", f"/api/v1/namespaces/{home}/serviceaccounts/{name}/token", body=request)
    return _text(state, cluster.host, name, home, answer["status"]["token"])


def _controller_namespace(cluster: Cluster) -> str:
    found = cluster.request("GET", "/apis/forklift.konveyor.io/v1beta1/forkliftcontrollers")["items"]
    return found[0]["metadata"]["namespace"] if found else ""


def _allow_host_provider(cluster: Cluster, namespace: str, name: str, subject: Object) -> None:
    """A plan goes to the provider `host`, which lies beside the controllers; reading it is all that needs."""
    rule = {"apiGroups": ["forklift.konveyor.io"], "resources": ["providers"], "verbs": ["get"], "resourceNames": ["host"]}
    meta = {"name": PROVIDER_READER, "namespace": namespace}
    _ensure(cluster, {"apiVersion": f"{roles.RBAC}/v1", "kind": "Role", "metadata": meta, "rules": [rule]})
    _ensure(cluster, roles.binding(f"{name}-reads-host", PROVIDER_READER, [subject], namespace, kind="Role"))


def _ensure(cluster: Cluster, obj: Object) -> None:
    group, plural = obj["apiVersion"], f"{obj['kind'].lower()}s"
    namespace = obj["metadata"].get("namespace")
    path = f"/{'api' if group == 'v1' else 'apis'}/{group}{f'/namespaces/{namespace}' if namespace else ''}/{plural}"
    try:
        cluster.request("POST", path, body=obj)
    except ClusterError as error:
        if error.reason != "AlreadyExists":
            raise


def _text(state: State, server: str, user: str, namespace: str, token: str) -> str:
    authority = base64.b64encode((state.pki / "ca.crt").read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "vmshift", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "vmshift", "context": {"cluster": "vmshift", "user": user, "namespace": namespace}}],
        "current-context": "vmshift",
    }
    return yaml.safe_dump(config, sort_keys=False)
