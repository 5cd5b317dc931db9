# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Provider needs, looked up and checked before it is written: its Secret, its certificates, an MTV that is new enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CA_OPTION
from ansible_collections.vmshift.mtv.plugins.module_utils.owned_secrets import owned_secret
from ansible_collections.vmshift.mtv.plugins.module_utils.provider_definition import (
    certificate_files,
    certificate_url,
    stored_certificates,
    stored_secret_problems,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get


def refuse_too_new(cluster: Cluster, params: Mapping[str, Any], current: Mapping[str, Any] | None) -> None:
    """No definition tells which types and settings an MTV knows. What the provider has already, it knows."""
    held = (current or {}).get("spec") or {}
    settings = {key for key, value in (params["settings"] or {}).items() if value is not None} - set(held.get("settings") or {})
    type = params["type"] if params["type"] != held.get("type") else None
    if not (type or settings):
        return
    # Here, because every provider that stays as it is would pay for their import.
    from ansible_collections.vmshift.mtv.plugins.module_utils.releases import PROVIDER_SETTINGS_SINCE, PROVIDER_TYPES_SINCE
    from ansible_collections.vmshift.mtv.plugins.module_utils.served_schema import refuse_older_than

    wanted = [(f"type: {known}", release) for known, release in PROVIDER_TYPES_SINCE.items() if known == type]
    wanted += [(f"settings: {key}", release) for key, release in PROVIDER_SETTINGS_SINCE.items() if key in settings]
    refuse_older_than(cluster, wanted)


def check_secret(cluster: Cluster, where: Mapping[str, str], type: str, check_mode: bool) -> None:
    """An absent Secret leaves a Provider without any status, so it is looked for first."""
    named = f"the Secret {where['namespace']}/{where['name']}"
    try:
        found = get(cluster, "Secret", where["namespace"], where["name"])
    except ClusterError as error:
        if error.status != 403:
            raise
        cluster.warn(f"Whether {named} holds what a provider of type {type} needs was not checked: {error}")
        return
    problems = stored_secret_problems(type, found.get("data") or {}) if found else []
    if found and not problems:
        return
    problem = f"secret_name: {named} does not fit: {' '.join(problems)}" if found else f"secret_name: {named} does not exist."
    if not check_mode:
        raise TalkError(problem)
    cluster.warn(problem)


def own_secret_name(cluster: Cluster, params: Mapping[str, Any], current: Mapping[str, Any] | None) -> str:
    """Where given credentials are kept: secret_name, else the Secret that belongs to the provider, else one of the provider's name."""
    if params["secret_name"]:
        return params["secret_name"]
    secret = owned_secret(cluster, current) if current else None
    return secret["metadata"]["name"] if secret else params["name"]


def with_certificates(given: Mapping[str, Any]) -> dict[str, Any]:
    """`secret` with what ca_cert, ca_cert_file and ca_fingerprint say about certificates as ca_cert, for a fingerprint still a stand-in."""
    if not any(given[option] for option in (CA_OPTION, "ca_cert_file", "ca_fingerprint")):
        return dict(given)
    # Here, because every provider without one would pay for its import.
    from ansible_collections.vmshift.mtv.plugins.module_utils import certificates

    if given[CA_OPTION]:
        return {**given, CA_OPTION: certificates.checked(given[CA_OPTION], "secret: ca_cert")}
    if given["ca_cert_file"]:
        return {**given, CA_OPTION: certificates.read_file(given["ca_cert_file"], "secret: ca_cert_file")}
    certificates.fingerprint(given["ca_fingerprint"], "secret: ca_fingerprint")
    return {**given, CA_OPTION: given["ca_fingerprint"]}


def fetched_certificate(
    cluster: Cluster, params: Mapping[str, Any], current: Mapping[str, Any] | None, type: str, url: str, secret_name: str
) -> str:
    """The certificate that ca_fingerprint means: from the Secret if it is there already, else from the provider."""
    from ansible_collections.vmshift.mtv.plugins.module_utils import certificates

    wanted = certificates.fingerprint(params["secret"]["ca_fingerprint"], "secret: ca_fingerprint")
    stored = stored_certificates((get(cluster, "Secret", params["namespace"], secret_name) or {}).get("data") or {})
    held = certificates.certificates_in(stored)
    # The webhook for oVirt adds the certificate of the engine's own authority.
    if any(wanted.fits(certificate) for certificate in held) and (len(held) == 1 or type == "ovirt"):
        return stored
    settings = {**(((current or {}).get("spec") or {}).get("settings") or {}), **(params["settings"] or {})}
    where = certificate_url(type, url, settings)
    return certificates.trusted(where, wanted, "secret: ca_fingerprint", more=certificate_files(type))
