# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Hosts need, looked up and checked before they are written: the provider and its inventory, credentials, certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils import certificates, esxi_hosts
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import provider_type
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import InventoryError, InventoryService
from ansible_collections.vmshift.mtv.plugins.module_utils.provider_definition import stored_tls
from ansible_collections.vmshift.mtv.plugins.module_utils.readiness import wait_ready
from ansible_collections.vmshift.mtv.plugins.module_utils.references import exists, source_provider
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get

Entry = Mapping[str, Any]


class Needs:
    """Looks up what one task with these options (those of the host module) needs. Problems are errors, in check mode warnings where a task
    before this one may put them right."""

    def __init__(self, cluster: Cluster, params: Mapping[str, Any], check_mode: bool) -> None:
        self.cluster = cluster
        self.params = params
        self.check_mode = check_mode
        self.namespace = params["namespace"]
        self.provider = source_provider(cluster, params["provider"], self.namespace, option="provider", check_mode=check_mode)
        settings = self.provider["spec"].get("settings") or {}
        self.is_esxi = settings.get("sdkEndpoint") == "esxi"
        self._tls: dict[str, Any] | None = None

    def check(self, entries: Sequence[Entry]) -> None:
        names = dict.fromkeys(name for _secret, name in map(self.credentials, entries) if name)
        if exists(self.provider) and provider_type(self.provider) != "vsphere":
            raise TalkError(f"provider: only providers of type vsphere have hosts; this one is of type {provider_type(self.provider)}.")
        for name in names:
            self._check_secret(name)

    def credentials(self, entry: Entry) -> tuple[dict[str, Any] | None, str | None]:
        """(secret, secret_name) that count for an entry: its own before those for all."""
        own = entry.get("secret"), entry.get("secret_name")
        given, name = own if any(own) else (self.params["secret"], self.params["secret_name"])
        option = f"{entry['path']}.secret" if any(own) else "secret"
        return (checked(given, option, self.is_esxi or not exists(self.provider)) if given else None), name

    def inventory(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """The hosts that the inventory knows; in check mode those of the task where it cannot be asked yet."""
        service = InventoryService(self.cluster, self.params["inventory_url"], self.namespace)
        patient = self.params["wait"] and not self.check_mode
        try:
            if not exists(self.provider):
                raise InventoryError("The provider does not exist yet.", not_ready=True)
            if patient:
                wait_ready(self.cluster, self.provider, timeout=self.params["wait_timeout"])
                service.wait_loaded(self.provider, esxi_hosts.COLLECTION, timeout=self.params["wait_timeout"])
            return service.get(self.provider, esxi_hosts.COLLECTION)
        except InventoryError as error:
            if not (self.check_mode and error.not_ready):
                raise
            self.cluster.warn(f"The hosts were not looked up: {error}")
            names = [entry.get("id") or entry["name"] for entry in entries]
            return [
                {"id": name, "name": name, "networkAdapters": [{"name": self.params["adapter"] or "?", "ipAddress": "?"}]} for name in names
            ]

    def provider_tls(self) -> dict[str, Any]:
        """How the provider is verified, as options of `secret`; {} where that may not be read."""
        if self._tls is None:
            self._tls = stored_tls(self._provider_secret())
        return self._tls

    def _provider_secret(self) -> Mapping[str, Any]:
        reference = self.provider["spec"].get("secret") or {}
        try:
            found = get(self.cluster, "Secret", reference["namespace"], reference["name"]) if reference.get("name") else None
        except ClusterError as error:
            if error.status != 403:
                raise
            found = None
        return (found or {}).get("data") or {}

    def _check_secret(self, name: str) -> None:
        found = get(self.cluster, "Secret", self.namespace, name)
        missing = [key for key in ("user", "password") if key not in ((found or {}).get("data") or {})]
        if not missing:
            return
        text = f"secret_name: the Secret {self.namespace}/{name} " + (f"has no {', '.join(missing)}." if found else "does not exist.")
        if not self.check_mode:
            raise TalkError(text)
        self.cluster.warn(text)


def checked(given: Mapping[str, Any], option: str, may_lack_login: bool) -> dict[str, Any]:
    """`secret` with the certificates of a file in ca_cert, and without what is not given. Raises TalkError."""
    found = {key: value for key, value in given.items() if value not in (None, "") and key != "ca_cert_file"}
    if given.get("ca_cert"):
        certificates.checked(given["ca_cert"], f"{option}.ca_cert")
    if given.get("ca_cert_file"):
        found["ca_cert"] = certificates.read_file(given["ca_cert_file"], f"{option}.ca_cert_file")
    if ("user" in found) != ("password" in found) or not ("user" in found or may_lack_login):
        raise TalkError(f"{option}: give user and password.")
    if "ca_cert" in found and found.get("insecure_skip_verify"):
        raise TalkError(f"{option}: certificates and insecure_skip_verify: true exclude each other.")
    if found.get("thumbprint") and certificates.fingerprint(found["thumbprint"], f"{option}.thumbprint").algorithm != "sha1":
        raise TalkError(f"{option}.thumbprint: MTV compares SHA-1 fingerprints (20 bytes), this has 32.")
    if "ca_cert" in found or "insecure_skip_verify" in found:
        found = {"ca_cert": None, "insecure_skip_verify": False, **found}
    return found
