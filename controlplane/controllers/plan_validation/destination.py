"""Rules about where a plan goes: networks, service account and namespaces of the destination, storage for conversion."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, CRITICAL, WARN
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.prerequisites import UDN_LABEL
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject

Object = dict[str, Any]

UDN_TYPE = "ovn-k8s-cni-overlay"
ROUTE_ANNOTATION = "forklift.konveyor.io/route"
NO_ROUTE = "none"
POD_SECURITY_LABEL = "pod-security.kubernetes.io/enforce"
# Kubernetes resource.Quantity
_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(([KMGTPE]i)|[numkMGTPE]|[eE][+-]?\d+)?")


def user_defined_networks(subject: Subject) -> None:
    for nad in subject.destination_inventory.collection("networkattachmentdefinitions"):
        if not is_user_defined(nad, subject.target_namespace):
            continue
        try:
            config = json.loads((nad["object"].get("spec") or {}).get("config") or "{}")
        except ValueError:
            continue
        if isinstance(config, dict) and config.get("type") == UDN_TYPE and config.get("topology") == "layer3":
            message = "UserDefinedNetwork Layer3 is not supported, please use Layer2"
            subject.conditions.set("UnsupportedUserDefinedNetwork", CRITICAL, message, reason="NotSupported")


def is_user_defined(nad: Object, namespace: str) -> bool:
    """`nad`, of an inventory, is a network that the users of `namespace` have defined for it."""
    return nad["namespace"] == namespace and (nad["object"]["metadata"].get("labels") or {}).get(UDN_LABEL) == ""


def transfer_network(subject: Subject) -> None:
    reference = subject.spec.get("transferNetwork")
    if not reference:
        return
    name, namespace = reference.get("name") or "", reference.get("namespace") or ""
    nad = subject.api.find("NetworkAttachmentDefinition", namespace, name)
    if nad is None:
        subject.conditions.set("TransferNetworkNotValid", CRITICAL, "Transfer network is not valid.", reason="NotFound")
        return
    if namespace not in (subject.target_namespace, "default"):
        message = (
            f"Transfer network {namespace}/{name} is in a different namespace than the target namespace {subject.target_namespace}. "
            "Pods cannot reference network attachment definitions across namespaces."
        )
        subject.conditions.set("TransferNetworkNotValid", CRITICAL, message, reason="NotValid")
        return
    route = (nad["metadata"].get("annotations") or {}).get(ROUTE_ANNOTATION)
    if route is None:
        message = "Transfer network missing default route annotation."
        subject.conditions.set("TransferNetworkMissingDefaultRoute", WARN, message, reason="NotValid")
    elif route != NO_ROUTE and not _is_address(route):
        message = "Transfer network default route annotation is not a valid IP address."
        subject.conditions.set("TransferNetworkNotValid", CRITICAL, message, reason="NotValid")


def service_account(subject: Subject) -> None:
    """Where its pods run, and where hooks run; looked up on this cluster, even for a remote destination."""
    name = subject.spec.get("serviceAccount")
    if not name:
        return
    places = {"target": subject.target_namespace}
    if any(vm.get("hooks") for vm in subject.spec.get("vms") or ()):
        places["plan"] = subject.plan["metadata"]["namespace"]
    for what, namespace in places.items():
        if not has_service_account(subject, namespace, name):
            message = f"ServiceAccount '{name}' not found in {what} namespace '{namespace}'."
            subject.conditions.set("ServiceAccountNotValid", CRITICAL, message, reason="NotFound")
            return


def has_service_account(subject: Subject, namespace: str, name: str) -> bool:
    """On a cluster every namespace has `default`; here nobody makes it."""
    if name == "default":
        return subject.api.find("Namespace", None, namespace) is not None
    return subject.api.find("ServiceAccount", namespace, name) is not None


def conversion_storage(subject: Subject) -> None:
    """The scratch space of virt-v2v; class and size go together."""
    name, size = subject.spec.get("conversionTempStorageClass") or "", subject.spec.get("conversionTempStorageSize") or ""
    if not name and not size:
        return
    if not name or not size:
        message = "Both ConversionTempStorageClass and ConversionTempStorageSize must be specified together."
        subject.conditions.set("NotValid", CRITICAL, message)
    elif not _QUANTITY.fullmatch(size):
        message = f"ConversionTempStorageSize '{size}' is not a valid Kubernetes resource quantity, like 10Gi"
        subject.conditions.set("NotValid", CRITICAL, message)
    elif not subject.destination_inventory.find("storageclasses", {"name": name}):
        message = (
            f'ConversionTempStorageClass "{name}" not found in the cluster. '
            "The conversion PVC will remain Pending and the migration will hang."
        )
        subject.conditions.set("NotValid", CRITICAL, message)
    elif not subject.conditions.has("NotValid"):  # of one type the last finding shows: this one must not hide another
        message = f'No capacity information found for ConversionTempStorageClass "{name}". Ensure sufficient space is available.'
        subject.conditions.set("NotValid", ADVISORY, message)


def pod_security(subject: Subject) -> None:
    name = subject.context.namespace
    namespace = subject.api.find("Namespace", None, name)
    if namespace and (namespace["metadata"].get("labels") or {}).get(POD_SECURITY_LABEL) == "restricted":
        message = (
            f"Namespace '{name}' where MTV is installed may be restricted, causing migration to fail. "
            "Disable SCC label synchronization and apply the privileged label."
        )
        subject.conditions.set("RestrictedPodSecurity", WARN, message)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
