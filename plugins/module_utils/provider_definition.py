# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Provider and its Secret must hold, per type: problems as sentences, options as the keys MTV reads. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CA_OPTION,
    CA_REQUIRED,
    CREDENTIAL_PAIRS,
    CREDENTIALS,
    INSECURE_OPTION,
    LABEL_PROVIDER_TYPE,
    LABEL_RESOURCE_TYPE,
    LEGACY_CA_KEY,
    SETTINGS,
)

#: Provider type -> what its url matches, and how that is said.
URLS: Mapping[str, tuple[str, str]] = {
    "openshift": (
        r"(https://[^/\s]+.*)?",
        "the URL of a cluster's API (https://HOST:6443), or none for the cluster MTV runs on",
    ),
    "vsphere": (r"https://[^/\s]+/sdk/?", "https://HOST/sdk, where HOST is a vCenter or an ESXi host"),
    "ovirt": (r"https://[^/\s]+/ovirt-engine/api/?", "https://ENGINE/ovirt-engine/api"),
    "openstack": (r"https?://[^/\s]+.*", "the URL of Keystone such as https://keystone.example.com:5000/v3"),
    # As the provider controller checks it; nfs:// in front would become the name of the server.
    "ova": (r"(?!nfs:)[^:]+:/[^:].*", "SERVER:/PATH of an NFS share, without nfs:// in front"),
    "ec2": (r".*", "anything"),
    "hyperv": (r".*\S.*", "the name or address of the Hyper-V host"),
}
_SMB_URL = re.compile(r"(smb://|//|\\\\)[^/\\]+[/\\][^/\\].*")

#: OpenStack's authType -> sets of options, each of which suffices.
_OPENSTACK: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "password": (("user", "password"), ("user_id", "password")),
    "token": (("token",),),
    "applicationcredential": (
        ("application_credential_id", "application_credential_secret"),
        ("application_credential_name", "application_credential_secret", "user"),
        ("application_credential_name", "application_credential_secret", "user_id"),
    ),
}


def url_problems(type: str, url: str) -> list[str]:
    pattern, accepted = URLS[type]
    if re.fullmatch(pattern, url):
        return []
    return [f"url: a provider of type {type} takes {accepted}; this is {url or 'empty'!r}."]


def settings_problems(type: str, settings: Mapping[str, Any]) -> list[str]:
    """Keys MTV is not known to read. Not an error: a newer MTV may know them."""
    known = SETTINGS[type]
    return [
        f"settings: {key} is not known for a provider of type {type}, which takes {', '.join(known) or 'none'}."
        for key in settings
        if key not in known
    ]


def secret_problems(type: str, given: Mapping[str, Any]) -> list[str]:
    """Sentences about options of `secret` that are missing, do not belong to the type or exclude each other."""
    options = {c.option: c for c in CREDENTIALS[type]}
    have = {option for option, value in given.items() if value not in (None, "", False)}
    foreign = sorted(have - set(options))
    if foreign:
        return [f"secret: {', '.join(foreign)} does not belong to a provider of type {type}, which takes {', '.join(options)}."]
    missing = [c.option for c in options.values() if c.required and c.option not in have]
    if type in CA_REQUIRED and CA_OPTION not in have and INSECURE_OPTION not in have:
        missing.append(f"{CA_OPTION} (or {INSECURE_OPTION}: true)")
    problems = [f"secret: a provider of type {type} needs {', '.join(missing)}."] if missing else []
    for one, other in CREDENTIAL_PAIRS.get(type, ()):
        if (one in have) != (other in have):
            problems.append(f"secret: give {one} and {other} together or neither.")
    if CA_OPTION in have and INSECURE_OPTION in have:
        problems.append(f"secret: {CA_OPTION} and {INSECURE_OPTION}: true exclude each other.")
    if type == "openstack":
        problems += _openstack_problems(given, have)
    if type == "hyperv" and "smb_url" in have and not _SMB_URL.fullmatch(given["smb_url"]):
        problems.append(f"secret: smb_url takes smb://SERVER/SHARE; this is {given['smb_url']!r}.")
    return problems


def _openstack_problems(given: Mapping[str, Any], have: set[str]) -> list[str]:
    kind = given.get("auth_type") or "password"
    ways = _OPENSTACK[kind]
    if any(have >= set(way) for way in ways):
        return []
    return [f"secret: auth_type {kind} needs {', or '.join(' and '.join(way) for way in ways)}."]


def secret_keys_missing(type: str, data: Mapping[str, Any]) -> list[str]:
    """Keys that the provider controller will miss in an existing Secret of this type."""
    missing = [c.key for c in CREDENTIALS[type] if c.required and not data.get(c.key)]
    return missing + (["url"] if type == "ova" and "url" not in data else [])


def secret_manifest(name: str, namespace: str, type: str, url: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The Secret of a provider. It holds exactly the type's keys: those not given are removed (None).

    The labels let MTV's webhooks act on it; `url` lets them try the credentials.
    """
    data: dict[str, str | None] = {}
    for option, key, _required in CREDENTIALS[type]:
        value = given.get(option)
        if option == INSECURE_OPTION:
            value = "true" if value else "false"
        data[key] = value or None
        if option == CA_OPTION:
            data[LEGACY_CA_KEY] = None
    if url:
        data["url"] = url
    return {
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL_PROVIDER_TYPE: type, LABEL_RESOURCE_TYPE: "providers"}},
        "type": "Opaque",
        "stringData": data,
    }


def settings_of(given: Mapping[str, Any]) -> dict[str, str | None]:
    """Settings as MTV wants them: strings; true as "true"; None removes one."""
    return {k: None if v is None else str(v).lower() if isinstance(v, bool) else str(v) for k, v in given.items()}
