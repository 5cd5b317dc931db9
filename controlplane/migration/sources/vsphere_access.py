"""How the VMs of an ESXi host are reached: by way of vCenter, or of the host itself where a Host object says so (facts 1.2)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import READY, is_true
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import ProviderInventory

Object = dict[str, Any]

ESXI = "esxi"  # setting sdkEndpoint: the provider is an ESXi host
_USER_SAFE = "-_.~$&+,;="
_PATH_SAFE = "/-_.~$&+,;=:@"


@dataclass(frozen=True)
class Access:
    """`url` of the SDK, its `thumbprint`, the Secret with `user` and `password`; `libvirt`: as virt-v2v is told."""

    url: str
    thumbprint: str
    secret: Object
    libvirt: str


def endpoint(api: Objects, provider: Object) -> Endpoint:
    """Of the provider itself, which all is asked for but disks. Raises LookupError when its Secret is not there."""
    secret = _secret(api, provider["spec"].get("secret") or {})
    ca = text_of(secret, "ca.crt") or text_of(secret, "cacert")
    return Endpoint(provider["spec"]["url"], text_of(secret, "user"), text_of(secret, "password"), ca=ca, insecure=_insecure(secret))


def connection(api: Objects, provider: Object) -> dict[str, str]:
    """What an inspection needs to reach the provider, as data of a Secret (facts 1.8). Raises LookupError when its Secret is not there."""
    data = _secret(api, provider["spec"].get("secret") or {}).get("data") or {}
    told = {"url": provider["spec"]["url"], "fingerprint": (provider.get("status") or {}).get("fingerprint", "")}
    return {**data, **{key: b64encode(text.encode()).decode() for key, text in told.items() if text}}


def access(api: Objects, provider: Object, inventory: ProviderInventory, host: Object) -> Access:
    """`host`: of the inventory. Raises LookupError when a Secret is not there."""
    secret = _secret(api, provider["spec"].get("secret") or {})
    verify = "no_verify=1" if _insecure(secret) else "cacert=/opt/ca-bundle.crt"
    own = _host_object(api, provider, inventory, host)
    fingerprint = (provider.get("status") or {}).get("fingerprint", "")
    on_esxi = (provider["spec"].get("settings") or {}).get("sdkEndpoint") == ESXI
    if own:
        theirs = _secret(api, own["spec"]["secret"])
        address = _in_url(own["spec"]["ipAddress"])
        # The SDK of an ESXi host does not tell its own thumbprint.
        thumbprint = fingerprint if on_esxi else host.get("thumbprint", "")
        return Access(f"https://{address}/sdk", thumbprint, theirs, f"esx://{_user(theirs)}@{address}?{verify}")
    url = urlsplit(provider["spec"]["url"])
    if on_esxi:
        libvirt = f"esx://{_user(secret)}@{_in_url(url.hostname or '')}?{verify}"
    else:
        libvirt = f"vpx://{_user(secret)}@{url.netloc}{quote(_place(inventory, host), safe=_PATH_SAFE)}?{verify}"
    return Access(provider["spec"]["url"], fingerprint, secret, libvirt)


def _secret(api: Objects, reference: Object) -> Object:
    found = api.find("Secret", reference.get("namespace"), reference.get("name", ""))
    if found is None:
        raise LookupError(f'Secret "{reference.get("name", "")}" not found')
    return found


def _insecure(secret: Object) -> bool:
    return text_of(secret, "insecureSkipVerify").lower() == "true"


def _user(secret: Object) -> str:
    return quote(text_of(secret, "user"), safe=_USER_SAFE)


def text_of(secret: Object, key: str) -> str:
    """A value of a Secret; "" where there is none."""
    return b64decode((secret.get("data") or {}).get(key) or "").decode(errors="replace")


def _in_url(address: str) -> str:
    """An IPv6 address stands in brackets."""
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def _place(inventory: ProviderInventory, host: Object) -> str:
    """The path of a host; a host that stands alone is known by its compute resource."""
    parent = host.get("parent") or {}
    if parent.get("kind") == "Cluster":
        found = inventory.find("clusters", {"id": parent["id"]})
        if found and found[0].get("variant") == "ComputeResource":
            return found[0].get("path", "")
    return host.get("path", "")


def _host_object(api: Objects, provider: Object, inventory: ProviderInventory, host: Object) -> Object | None:
    """The Host that is Ready and stands for `host`."""
    meta = provider["metadata"]
    for found in api.list("Host", meta["namespace"]):
        of = found["spec"].get("provider") or {}
        if (of.get("namespace"), of.get("name")) != (meta["namespace"], meta["name"]) or not is_true(found, READY):
            continue
        items = inventory.find("hosts", {key: found["spec"][key] for key in ("id", "name") if found["spec"].get(key)})
        if [item["id"] for item in items] == [host["id"]]:
            return found
    return None
