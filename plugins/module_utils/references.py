# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a task says about a provider (a name, or a name and a namespace) to the Provider object.

References are checked before anything is written: a controller says nothing at all about some objects that refer to something absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CONTROLLER_NAMESPACES, HOST_PROVIDER, is_host, provider_type
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get, list_objects

SHOWN = 10


class ReferenceProblem(TalkError):
    """An option refers to something that does not exist or is not clear."""


def source_provider(cluster: Cluster, given: Any, namespace: str, *, option: str = "source", check_mode: bool = False) -> dict[str, Any]:
    """The Provider that `given` (name, or {name, namespace}) means; without a namespace it lies in `namespace`.

    In check mode an absent one is predicted (no uid, see exists()) with a warning, because a task before this one may make it.
    """
    name, where = parse(given, option)
    where = where or namespace
    found = get(cluster, "Provider", where, name)
    if found is not None:
        return found
    problem = f"{option}: the provider {where}/{name} does not exist; {_candidates(cluster, where)}."
    if not check_mode:
        raise ReferenceProblem(problem)
    cluster.warn(f"{problem} It would have to be made first.")
    return {"kind": "Provider", "metadata": {"name": name, "namespace": where}, "spec": {}}


def destination_provider(
    cluster: Cluster, given: Any, namespace: str, *, option: str = "destination", check_mode: bool = False
) -> dict[str, Any]:
    """Like source_provider; not given, it is `host`, the cluster MTV runs on, wherever that provider lies."""
    if given is not None:
        name, where = parse(given, option)
        if where or name != HOST_PROVIDER:
            return source_provider(cluster, given, namespace, option=option, check_mode=check_mode)
    for where in dict.fromkeys((namespace, *CONTROLLER_NAMESPACES)):
        found = get(cluster, "Provider", where, HOST_PROVIDER)
        if found is not None:
            return found
    hosts = [p for p in _all_providers(cluster) if is_host(p)]
    if len(hosts) == 1:
        return hosts[0]
    if hosts:
        names = ", ".join("{namespace}/{name}".format(**p["metadata"]) for p in hosts)
        raise ReferenceProblem(f"{option}: several providers stand for this cluster ({names}): give name and namespace of one.")
    return source_provider(cluster, HOST_PROVIDER, namespace, option=option, check_mode=check_mode)


def exists(provider: Mapping[str, Any]) -> bool:
    """The object was read from the server, not predicted."""
    return "uid" in provider["metadata"]


def parse(given: Any, option: str) -> tuple[str, str | None]:
    """(name, namespace or None) of a reference as a task gives it."""
    if isinstance(given, str) and given:
        return given, None
    if isinstance(given, Mapping) and given.get("name") and set(given) <= {"name", "namespace"}:
        return given["name"], given.get("namespace") or None
    raise ReferenceProblem(f"{option}: give the name of a provider, or a dictionary of name and namespace; this is {given!r}.")


def _candidates(cluster: Cluster, namespace: str) -> str:
    found = list_objects(cluster, "Provider", namespace)
    if not found:
        return f"there is no provider in the namespace {namespace}"
    names = ["{} ({})".format(p["metadata"]["name"], provider_type(p)) for p in found]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"in the namespace {namespace} there are " + ", ".join(names[:SHOWN]) + more


def _all_providers(cluster: Cluster) -> list[dict[str, Any]]:
    try:
        return list_objects(cluster, "Provider")
    except ClusterError as error:
        if error.status == 403:
            return []
        raise
