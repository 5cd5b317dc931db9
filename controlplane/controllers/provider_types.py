"""What the embedded control plane knows of each provider type. A new source plugs in with a line here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.vmshift.mtv.controlplane.cluster_client import is_insecure
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CA_REQUIRED, LEGACY_CA_KEY, PROVIDER_TYPES, is_host, provider_type

Object = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """A type that has a collector here."""

    secret_keys: tuple[str, ...]  # keys its Secret must have
    has_server: bool = False  # its inventory comes from a server object (OVAProviderServer)
    tools: tuple[str, ...] = ()  # external programs its migrations need, as datapath.tools names them


SERVED: Mapping[str, Served] = {
    "vsphere": Served(("user", "password"), tools=("virt-v2v", "qemu-img")),
    "ovirt": Served(("user", "password")),
    "openshift": Served(("token",)),
    "openstack": Served((), tools=("qemu-img",)),
    "ova": Served(("url",), has_server=True, tools=("virt-v2v", "qemu-img")),
}

#: By type: the finalizer that a Provider carries until its server object is on its way out (facts 1.1).
FINALIZERS: Mapping[str, str] = {"ova": "forklift/ova-provider", "hyperv": "forklift/hyperv-provider"}

# server:/path, as Forklift checks it (facts 1.1).
_NFS_PATH = re.compile(r"[^:]+:/[^:].*")


def type_problem(provider: Object) -> str:
    """Why the type of `provider` cannot be used; "" when it can."""
    type = provider_type(provider)
    if type not in PROVIDER_TYPES:
        return f"The `type` must be: [{' '.join(PROVIDER_TYPES)}]"
    if type not in SERVED:
        return f"The type `{type}` is not served by the embedded control plane, only: [{' '.join(SERVED)}]"
    return ""


def url_problem(provider: Object) -> tuple[str, str]:
    """(reason, message) of what is wrong with the url of a provider; ("", "") when nothing is."""
    url = provider["spec"].get("url") or ""
    if is_host(provider):
        return "", ""
    if not url:
        return "NotSet", "The `url` is not valid."
    if provider_type(provider) == "ova":
        return ("", "") if _NFS_PATH.fullmatch(url) else ("Malformed", "The NFS path is malformed")
    try:
        parts = urlsplit(url)
        _unused = parts.port  # read to be checked
    except ValueError as error:
        return "Malformed", f"The `url` is malformed: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "Malformed", "The `url` is malformed: it must be https://HOST[:PORT]"
    return "", ""


def missing_secret_keys(provider: Object, secret: Object) -> list[str]:
    """Keys that the Secret lacks; among them that of the CA, where a type wants one unless certificates are not verified."""
    type, data = provider_type(provider), secret.get("data") or {}
    missing = [key for key in SERVED[type].secret_keys if key not in data]
    if type in CA_REQUIRED and not (is_insecure(secret) or "ca.crt" in data or LEGACY_CA_KEY in data):
        missing.append("ca.crt")
    return missing
