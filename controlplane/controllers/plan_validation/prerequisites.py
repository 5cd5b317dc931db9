"""Rules without which nothing else can be looked at: target namespace and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, WARN, Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.references import is_set
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import READY, is_true, provider_type
from ansible_collections.vmshift.mtv.plugins.module_utils.naming import is_dns1123_subdomain

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api

Object = dict[str, Any]

PRESERVING = ("vsphere", "hyperv")  # whose guests keep their static addresses
UDN_LABEL = "k8s.ovn.org/user-defined-network"


def target_namespace(plan: Object, conditions: Conditions) -> None:
    name = plan["spec"].get("targetNamespace") or ""
    if not name or not is_dns1123_subdomain(name):
        conditions.set("NamespaceNotValid", CRITICAL, "Target namespace is not valid.", reason="NotValid" if name else "NotSet")


def network_map(api: Api, plan: Object, conditions: Conditions) -> Object | None:
    """The network map of the plan, when it is there and its NADs can be used from the target namespace."""
    found = _referenced(api, "NetworkMap", plan["spec"]["map"].get("network"), "NetworkMapRefNotValid", "NetworkMapNotReady", conditions)
    if found is None:
        return None
    namespace = plan["spec"].get("targetNamespace") or ""
    for pair in found["spec"].get("map") or ():
        destination = pair.get("destination") or {}
        where = destination.get("namespace") or ""
        if destination.get("type") == "multus" and where not in (namespace, "default"):
            message = (
                f"Destination NAD {where}/{destination.get('name') or ''} must be in either the target namespace ({namespace}) or the "
                "default namespace. Pods cannot reference network attachment definitions from other namespaces."
            )
            conditions.set("NetMapDestinationNADNotValid", CRITICAL, message, reason="NotValid")
            return None
    return found


def addresses_on_pod_network(api: Api, plan: Object, source: Object | None, network_map: Object, conditions: Conditions) -> None:
    """Static addresses are kept by the guest, but pods get theirs from the cluster."""
    spec = plan["spec"]
    if source is None or provider_type(source) not in PRESERVING or not spec.get("preserveStaticIPs", True):
        return
    on_pod = any((pair.get("destination") or {}).get("type") == "pod" for pair in network_map["spec"].get("map") or ())
    if on_pod and not api.list("NetworkAttachmentDefinition", spec.get("targetNamespace") or "", {UDN_LABEL: ""}):
        message = (
            "Your migration plan preserves the static IPs of VMs and uses Pod Networking target network mapping. "
            "This combination isn't supported, because VM IPs aren't preserved in Pod Networking migrations."
        )
        conditions.set("NetMapPreservingIPsOnPodNetwork", WARN, message)


def storage_map(api: Api, plan: Object, conditions: Conditions) -> Object | None:
    """The storage map of the plan; none is asked for when disks are only converted where they are."""
    if plan["spec"].get("type") == "conversion":
        return None
    return _referenced(api, "StorageMap", plan["spec"]["map"].get("storage"), "StorageRefNotValid", "StorageMapNotReady", conditions)


def _referenced(api: Api, kind: str, reference: Any, not_valid: str, not_ready: str, conditions: Conditions) -> Object | None:
    what = f"Map.{kind.removesuffix('Map')}"
    found = api.view(kind, reference["namespace"], reference["name"]) if is_set(reference) else None
    if found is None:
        conditions.set(not_valid, CRITICAL, f"{what} is not valid.", reason="NotFound" if is_set(reference) else "NotSet")
    elif not is_true(found, READY):
        conditions.set(not_ready, CRITICAL, f"{what} does not have Ready condition.")
    return found
