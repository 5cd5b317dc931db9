"""The network that pods of a migration move data over, as annotations of theirs (facts 3.12)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects

Object = dict[str, Any]

ROUTE, NO_ROUTE = "forklift.konveyor.io/route", "none"
NETWORKS = "k8s.v1.cni.cncf.io/networks"
DEFAULT_NETWORK = "v1.multus-cni.io/default-network"  # what older Multus read, for NADs that tell no route


def pod_annotations(api: Objects, plan: Object) -> dict[str, str]:
    """{} for a plan without a transfer network, or with one that is gone."""
    reference = plan["spec"].get("transferNetwork") or {}
    nad = api.find("NetworkAttachmentDefinition", reference.get("namespace"), reference.get("name", ""))
    if nad is None:
        return {}
    name, namespace = nad["metadata"]["name"], nad["metadata"]["namespace"]
    route = (nad["metadata"].get("annotations") or {}).get(ROUTE) or _gateway(nad)
    if not route:
        return {DEFAULT_NETWORK: f"{namespace}/{name}"}
    chosen = {"name": name, "namespace": namespace, **({"default-route": [route]} if route != NO_ROUTE else {})}
    return {NETWORKS: json.dumps([chosen], separators=(",", ":"))}


def _gateway(nad: Object) -> str:
    """The gateway of the default route in the NAD's IPAM configuration."""
    try:
        routes = json.loads(nad["spec"]["config"])["ipam"]["routes"]
        return next((route["gw"] for route in routes if route["dst"] in ("0.0.0.0/0", "::/0")), "")
    except (KeyError, TypeError, ValueError):
        return ""
