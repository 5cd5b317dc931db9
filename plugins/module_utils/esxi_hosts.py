# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ESXi hosts of a task: which of the inventory they are, at which address they are reached, and the Host and Secret they become. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import LABEL_RESOURCE, LABEL_RESOURCE_TYPE, LEGACY_CA_KEY
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import matches
from ansible_collections.vmshift.mtv.plugins.module_utils.naming import sanitized

COLLECTION = "hosts"
SECRET_OPTIONS: dict[str, Any] = {
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_cert": {"type": "str"},
    "ca_cert_file": {"type": "path"},
    "insecure_skip_verify": {"type": "bool"},
    "thumbprint": {"type": "str"},
}
SECRET: dict[str, Any] = {"type": "dict", "options": SECRET_OPTIONS, "no_log": False, "mutually_exclusive": [("ca_cert", "ca_cert_file")]}
ENTRIES: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "id": {"type": "str"},
        "name": {"type": "str"},
        "ip_address": {"type": "str"},
        "adapter": {"type": "str"},
        "secret": SECRET,
        "secret_name": {"type": "str", "no_log": False},
    },
    "mutually_exclusive": [("id", "name"), ("ip_address", "adapter"), ("secret", "secret_name")],
    "required_one_of": [("id", "name")],
}
_SHOWN = 10
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9.-]{1,253}(:\d{1,5})?")


def entries(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries of `hosts` as dictionaries of what they give, with their place as `path`. Raises TalkError naming the entry."""
    found = []
    for index, entry in enumerate(given):
        options = {key: value for key, value in entry.items() if value not in (None, "")}
        if "id" not in options and "name" not in options:
            raise TalkError(f"hosts[{index}]: give the name or the id of an ESXi host.")
        check_address(options.get("ip_address"), f"hosts[{index}].ip_address")
        found.append({"path": f"hosts[{index}]", **options})
    return found


def check_address(text: str | None, option: str) -> None:
    """An IP address, or a host name, either with a port if need be. Raises TalkError."""
    if text is None:
        return
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        if not _HOST_NAME.fullmatch(text) or re.fullmatch(r"[\d.]+", text):
            raise TalkError(f"{option}: give an IP address or a host name; this is {text!r}.") from None


def resolved(entry: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The one of `items` (hosts of the inventory) that the entry means. Raises TalkError with candidates."""
    wanted = entry.get("id") or entry["name"]
    found = [item for item in items if (item["id"] == wanted if "id" in entry else matches(item, {"name": wanted}))]
    if len(found) == 1:
        return found[0]
    listed = found or items
    names = ", ".join(f"{item['name']} (id {item['id']})" for item in listed[:_SHOWN])
    names += f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    if found:
        raise TalkError(f"{entry['path']}: there are several hosts {wanted!r}: {names}; give the id.")
    raise TalkError(f"{entry['path']}: there is no host {wanted!r}; there are: {names or 'none'}.")


def address(entry: Mapping[str, Any], item: Mapping[str, Any], adapter: str | None) -> str:
    """Where the host is reached: the address given, that of the adapter given (here or for all, `adapter`), or its only one."""
    if "ip_address" in entry:
        return entry["ip_address"]
    wanted = entry.get("adapter") or adapter
    known = adapters(item)
    chosen = {ip for name, ip in known if wanted in (None, name)}
    if len(chosen) == 1:
        return chosen.pop()
    listed = ", ".join(f"{name} ({ip})" for name, ip in known) or "none with an address"
    if wanted is None:
        raise TalkError(f"{entry['path']}: give the ip_address or the adapter of {item['name']}; its adapters are: {listed}.")
    problem = "has several addresses" if chosen else "has no address there"
    raise TalkError(f"{entry['path']}: {item['name']} {problem} on the adapter {wanted!r}; its adapters are: {listed}.")


def adapters(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, IP address) of a host's adapters that have one: by port group, and by device (vmk0)."""
    named = [(a.get("name"), a.get("ipAddress")) for a in item.get("networkAdapters") or []]
    nics = (item.get("networking") or {}).get("vNICs") or []
    named += [(nic.get(key), nic.get("ipAddress")) for nic in nics for key in ("portGroup", "device")]
    return list(dict.fromkeys((name, ip) for name, ip in named if name and ip))


def existing(hosts: Sequence[Mapping[str, Any]], provider: Mapping[str, str], item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The Host that stands for this host of the provider already, whoever has made it."""
    return next((host for host in of_provider(hosts, provider) if _means(host["spec"], item)), None)


def of_provider(hosts: Sequence[Mapping[str, Any]], provider: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """The Hosts that refer to the provider {name, namespace}."""
    return [h for h in hosts if all((h["spec"].get("provider") or {}).get(key) == value for key, value in provider.items())]


def meant(hosts: Sequence[Mapping[str, Any]], entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The Hosts that an entry means by the id or name they were made with: the provider may be gone already."""
    if "id" in entry:
        return [host for host in hosts if host["spec"].get("id") == entry["id"]]
    return [host for host in hosts if host["spec"].get("name") == entry["name"].rpartition("/")[2]]


def _means(spec: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    return spec["id"] == item["id"] if spec.get("id") else bool(spec.get("name")) and matches(item, {"name": spec["name"]})


def host_name(provider: str, id: str) -> str:
    """How a new Host is named."""
    return sanitized(f"{provider}-{id}")


def host_manifest(name: str, namespace: str, provider: Mapping[str, str], item: Mapping[str, Any], address: str) -> dict[str, Any]:
    """The Host, without what it says about its Secret."""
    spec = {"provider": dict(provider), "id": item["id"], "name": item["name"], "ipAddress": address}
    return {"kind": "Host", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def with_secret(host: Mapping[str, Any], name: str) -> dict[str, Any]:
    reference = {"name": name, "namespace": host["metadata"]["namespace"]}
    return {**host, "spec": {**host["spec"], "secret": reference}}


def secret_manifest(name: str, provider: str, item: Mapping[str, Any], host: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The Secret of a Host. `given`: SECRET_OPTIONS; without a user the login is left to MTV, which takes that of a provider that is ESXi.

    The labels let MTV's webhooks act on it, which try the credentials.
    """
    data: dict[str, str | None] = {"ip": host["spec"]["ipAddress"], "provider": provider, "thumbprint": given.get("thumbprint")}
    data["ca.crt"] = data[LEGACY_CA_KEY] = given.get("ca_cert")
    if given.get("insecure_skip_verify") is not None:
        data["insecureSkipVerify"] = "true" if given["insecure_skip_verify"] else "false"
    if given.get("user"):
        data.update(user=given["user"], password=given["password"])
    labels = {LABEL_RESOURCE_TYPE: "hosts", LABEL_RESOURCE: item["id"]}
    metadata = {"name": name, "namespace": host["metadata"]["namespace"], "labels": labels}
    return {"kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": data}


def address_manifest(secret: Mapping[str, Any], address: str) -> dict[str, Any]:
    """A Secret that keeps its credentials and gets another address, which the webhooks try."""
    metadata = {key: secret["metadata"][key] for key in ("name", "namespace")}
    return {"kind": "Secret", "metadata": metadata, "stringData": {"ip": address}}
