# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Provider and its Secret must hold, per type: problems as sentences, options as the keys MTV reads. Pure (facts 1.1)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CA_OPTION,
    CA_REQUIRED,
    CREDENTIAL_PAIRS,
    CREDENTIALS,
    INSECURE_OPTION,
    LABEL_PROVIDER_TYPE,
    LABEL_RESOURCE_TYPE,
    LEGACY_CA_KEY,
    OPENSTACK_LOGINS,
    PROVIDER_TYPES,
    SETTING_VALUES,
    SETTINGS,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.image_reference import is_image_reference

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
    "ova": (r"(?!nfs:)[^:\s]+:/[^:].*", "SERVER:/PATH of an NFS share, without nfs:// in front"),
    "ec2": (r".*", "anything"),
    "hyperv": (r"(?!\w+://)\S+", "the name or address of the Hyper-V host, without https:// in front"),
}
#: Options that say where the certificates for CA_OPTION come from.
CA_SOURCES = frozenset({"ca_cert_file", "ca_fingerprint"})
_SMB_URL = re.compile(r"(smb://|//|\\\\)[^/\\\s]+[/\\][^/\\].*")
_LOGIN_OPTIONS = {option for ways in OPENSTACK_LOGINS.values() for way in ways for option in way}
#: With a user's name Keystone wants to know the domain that the name is of.
_USER_DOMAINS = ("user_domain_name", "user_domain_id", "domain_name", "domain_id", "default_domain")


def url_problems(type: str, url: str) -> list[str]:
    pattern, accepted = URLS[type]
    if re.fullmatch(pattern, url) and _parses(url):
        return []
    return [f"url: a provider of type {type} takes {accepted}; this is {url or 'empty'!r}."]


def _parses(url: str) -> bool:
    """MTV says nothing at all about a provider whose URL it cannot parse (recorded: provider-lifecycle)."""
    try:
        _port = urlsplit(url).port
    except ValueError:
        return False
    return True


# --- settings -------------------------------------------------------------------------------------------------------


def settings_of(given: Mapping[str, Any]) -> dict[str, str | None]:
    """Settings as MTV wants them: strings; true as "true"; None removes one."""
    return {k: None if v is None else str(v).lower() if isinstance(v, bool) else str(v) for k, v in given.items()}


def settings_problems(type: str, given: Mapping[str, Any]) -> list[str]:
    """Sentences about settings of another type, and about values that MTV would refuse or not understand."""
    problems = []
    for key, value in settings_of(given).items():
        owners = [other for other in PROVIDER_TYPES if key in SETTINGS[other]]
        if owners and type not in owners:
            own = ", ".join(SETTINGS[type]) or "none"
            problems.append(f"settings: {key} belongs to providers of type {', '.join(owners)}; type {type} takes {own}.")
        elif value is not None:
            problems += _value_problems(key, value)
    return problems


def _value_problems(key: str, value: str) -> list[str]:
    accepted = SETTING_VALUES.get(key)
    if accepted and value not in accepted:
        return [f"settings: {key} takes {' or '.join(accepted)}; this is {value!r}."]
    if key == "winrmPort" and not (value.isdigit() and 0 < int(value) < 65536):
        return [f"settings: winrmPort takes a port from 1 to 65535; this is {value!r}."]
    if key == "vddkInitImage" and not is_image_reference(value):
        return [f"settings: vddkInitImage takes an image such as registry.example.com/vddk:8.0.3; this is {value!r}."]
    return []


def settings_warnings(type: str, given: Mapping[str, Any]) -> list[str]:
    """Keys that no MTV is known to read. Not an error: a newer MTV may know them."""
    known = {key for keys in SETTINGS.values() for key in keys}
    return [
        f"settings: {key} is not known for a provider of type {type}, which takes {', '.join(SETTINGS[type]) or 'none'}."
        for key in given
        if key not in known
    ]


# --- credentials ----------------------------------------------------------------------------------------------------


def secret_problems(type: str, given: Mapping[str, Any]) -> list[str]:
    """Sentences about options of `secret` that are missing, do not belong to the type or exclude each other."""
    have = _given(given) - CA_SOURCES
    options = [c.option for c in CREDENTIALS[type]]
    foreign = sorted(have - set(options))
    if foreign:
        return [f"secret: {', '.join(foreign)} does not belong to a provider of type {type}, which takes {', '.join(options)}."]
    return [f"secret: {problem}" for problem in _problems(type, given, have, lambda option: option)]


def secret_warnings(type: str, given: Mapping[str, Any]) -> list[str]:
    """Sentences about what is not safe, or will probably not work."""
    have, warnings = _given(given), []
    if INSECURE_OPTION in have and type in ("openshift", "openstack"):  # of other types MTV says it itself, in a condition
        warnings.append(f"secret: {INSECURE_OPTION} is true, so MTV does not verify whom it sends the credentials to.")
    if type == "openstack" and "user" in have and "user_id" not in have and have.isdisjoint(_USER_DOMAINS):
        warnings.append(f"secret: Keystone usually asks for the domain of user too; give one of {', '.join(_USER_DOMAINS)}.")
    return warnings


def stored_secret_problems(type: str, data: Mapping[str, Any]) -> list[str]:
    """Like secret_problems, about the data (base64) of an existing Secret, in its keys."""
    keys = {c.option: c.key for c in CREDENTIALS[type]}
    given: dict[str, Any] = {option: _decoded(data.get(key)) for option, key in keys.items()}
    given.update(stored_tls(data))
    problems = _problems(type, given, _given(given), lambda option: keys.get(option, option))
    return problems + (["it needs url."] if type == "ova" and not data.get("url") else [])


def stored_certificates(data: Mapping[str, Any]) -> str:
    """The certificates that a Secret's data (base64) hold, "" when there are none."""
    return _decoded(data.get("ca.crt")) or _decoded(data.get(LEGACY_CA_KEY))


def stored_tls(data: Mapping[str, Any]) -> dict[str, Any]:
    """How a Secret's data (base64) say that a provider is verified, as options; {} for no Secret."""
    insecure = _decoded(data.get("insecureSkipVerify")).strip().lower() in ("1", "t", "true")
    return {CA_OPTION: stored_certificates(data) or None, INSECURE_OPTION: insecure} if data else {}


def certificate_url(type: str, url: str, settings: Mapping[str, Any]) -> str:
    """Where a provider shows its certificate."""
    if type != "hyperv":
        return url
    host = f"[{url}]" if url.count(":") > 1 else url
    return f"https://{host}:{settings.get('winrmPort') or 5986}"


def certificate_files(type: str) -> tuple[str, ...]:
    """Paths under which a provider offers certificates of its own authority (oVirt's own one signs its hosts, too)."""
    return ("/ovirt-engine/services/pki-resource?resource=ca-certificate&format=X509-PEM-CA",) if type == "ovirt" else ()


def _problems(type: str, given: Mapping[str, Any], have: set[str], name: Callable[[str], str]) -> list[str]:
    """`have`: options that are given; `name`: how the sentences name an option."""

    def listed(options: Iterable[str], glue: str = ", ") -> str:
        return glue.join(map(name, options))

    missing = [name(c.option) for c in CREDENTIALS[type] if c.required and c.option not in have]
    if type in CA_REQUIRED and CA_OPTION not in have and INSECURE_OPTION not in have:
        missing.append(f"{name(CA_OPTION)} (or {name(INSECURE_OPTION)}: true)")
    problems = [f"a provider of type {type} needs {', '.join(missing)}."] if missing else []
    problems += [
        f"give {listed(pair, ' and ')} together or neither." for pair in CREDENTIAL_PAIRS.get(type, ()) if len(have.intersection(pair)) == 1
    ]
    if {CA_OPTION, INSECURE_OPTION} <= have:
        problems.append(f"{name(CA_OPTION)} and {name(INSECURE_OPTION)}: true exclude each other.")
    if type == "openstack":
        problems += _openstack_problems(given.get("auth_type") or "password", have, name, listed)
    if type == "hyperv" and "smb_url" in have and not _SMB_URL.fullmatch(given["smb_url"]):
        problems.append(f"{name('smb_url')} takes smb://SERVER/SHARE; this is {given['smb_url']!r}.")
    return problems


def _openstack_problems(kind: str, have: set[str], name: Callable[[str], str], listed: Callable[..., str]) -> list[str]:
    if kind not in OPENSTACK_LOGINS:
        return [f"{name('auth_type')} takes {', '.join(OPENSTACK_LOGINS)}; this is {kind!r}."]
    ways = OPENSTACK_LOGINS[kind]
    problems = []
    if not any(have >= set(way) for way in ways):
        problems.append(f"{name('auth_type')} {kind} needs {', or '.join(listed(way, ' and ') for way in ways)}.")
    idle = sorted(have & _LOGIN_OPTIONS - {option for way in ways for option in way})
    if idle:
        problems.append(f"{name('auth_type')} {kind} does not use {listed(idle)}.")
    if {"user", "user_id"} <= have:
        problems.append(f"give {name('user')} or {name('user_id')}, not both.")
    return problems


def _given(options: Mapping[str, Any]) -> set[str]:
    return {option for option, value in options.items() if value not in (None, "", False)}


def _decoded(value: Any) -> str:
    try:
        return base64.b64decode(value or "").decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


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
            data[LEGACY_CA_KEY] = data[key]
    if url:
        data["url"] = url
    return {
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL_PROVIDER_TYPE: type, LABEL_RESOURCE_TYPE: "providers"}},
        "type": "Opaque",
        "stringData": data,
    }
