"""What this server serves: /version, /api, /apis and the resource lists below them."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind, Registry

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.endpoints import Aggregated

Object = dict[str, Any]

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_PROXY_VERBS = ["create", "delete", "get", "patch", "update"]
# Subresources beside status: resource -> (name, kind, verbs, group and version of the kind when another)
SUBRESOURCES: dict[str, tuple[tuple[str, str, list[str], str], ...]] = {
    "pods": (("log", "Pod", ["get"], ""), ("proxy", "PodProxyOptions", ["get"], "")),
    "services": (("proxy", "ServiceProxyOptions", _PROXY_VERBS, ""),),
    "serviceaccounts": (("token", "TokenRequest", ["create"], "authentication.k8s.io/v1"),),
}


def version() -> Object:
    """The Kubernetes release whose API this is."""
    return {
        "major": "1",
        "minor": "33",
        "gitVersion": "v1.33.0+vmshift",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": f"linux/{platform.machine()}",
    }


def versions(address: str) -> Object:
    """/api"""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def groups(registry: Registry, aggregated: Iterable[Aggregated] = ()) -> Object:
    """/apis"""
    names = dict.fromkeys(kind.group for kind in registry.all() if kind.group)
    listed = [*(_group(registry, name) for name in names), *(_described(api.group, api.versions) for api in aggregated)]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def aggregated(api: Aggregated, rest: list[str]) -> Object | None:
    """/apis/GROUP and, with its version in `rest`, /apis/GROUP/VERSION"""
    if not rest:
        return {"kind": "APIGroup", "apiVersion": "v1", **_described(api.group, api.versions)}
    if rest[0] not in api.versions:
        return None
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{api.group}/{rest[0]}", "resources": api.resources()}


def group(registry: Registry, name: str) -> Object | None:
    """/apis/GROUP"""
    if not any(kind.group == name for kind in registry.all()):
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(registry, name)}


def resources(registry: Registry, group: str, version: str) -> Object | None:
    """/api/v1 and /apis/GROUP/VERSION"""
    kinds = [kind for kind in registry.all() if (kind.group, kind.version) == (group, version)]
    if not kinds:
        return None
    listed = [resource for kind in kinds for resource in _resources(kind)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": kinds[0].api_version, "resources": listed}


def _group(registry: Registry, name: str) -> Object:
    return _described(name, dict.fromkeys(kind.version for kind in registry.all() if kind.group == name))


def _described(name: str, versions: Iterable[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resources(kind: Kind) -> list[Object]:
    base: Object = {"singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind}
    main = {"name": kind.plural, **base, "verbs": ["create"] if kind.virtual else _VERBS}
    if kind.short_names:
        main["shortNames"] = list(kind.short_names)
    if kind.categories:
        main["categories"] = list(kind.categories)
    listed = [main]
    if kind.status:
        listed.append({"name": f"{kind.plural}/status", **base, "singularName": "", "verbs": ["get", "patch", "update"]})
    for name, sub_kind, verbs, api_version in SUBRESOURCES.get(kind.resource, ()):
        sub = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": True, "kind": sub_kind, "verbs": verbs}
        if api_version:
            sub["group"], sub["version"] = api_version.split("/")
        listed.append(sub)
    return listed
