# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client of MTV's Inventory service: what a source holds, as MTV sees it. Read only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, Reply, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CONTROLLER_NAMESPACES, INVENTORY_NAME, provider_type
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get as get_object
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import path_of

ALL = "all"


class InventoryError(TalkError):
    """`status`: HTTP code, 0 when the service was not found or not reached. `not_ready`: asking again later may succeed."""

    def __init__(self, message: str, status: int = 0, not_ready: bool = False) -> None:
        super().__init__(message, status=status)
        self.status = status
        self.not_ready = not_ready


class InventoryService:
    """`InventoryService(cluster, namespace="konveyor-forklift").get(provider, "vms")`.

    Reached at `url` if given, else at the Route `forklift-inventory`, else through the API server's service proxy; looked for when
    first needed. `namespace`: where MTV is installed, when it is not one of the usual namespaces.
    """

    def __init__(self, cluster: Cluster, url: str | None = None, namespace: str | None = None) -> None:
        self._cluster = cluster
        self._url = url.rstrip("/") if url else ""
        self._namespaces = tuple(dict.fromkeys(n for n in (namespace, *CONTROLLER_NAMESPACES) if n))
        self._proxied = False

    @property
    def url(self) -> str:
        """Base URL, or path on the API server."""
        if not self._url:
            self._url = self._discover()
        return self._url

    def providers(self, namespace: str | None = None, detail: int | str = 1) -> dict[str, list[dict[str, Any]]]:
        """Provider type -> providers that the inventory knows."""
        return self._read("/providers", {"namespace": namespace, "detail": detail})

    def get(
        self,
        provider: Mapping[str, Any],
        collection: str,
        *,
        detail: int | str = ALL,
        name: str | None = None,
        namespace: str | None = None,
    ) -> list[dict[str, Any]]:
        """A collection (vms, networks, storages, …) of a Provider (the object as the API returns it)."""
        found = self._read(_path(provider, collection), {"detail": detail, "name": name, "namespace": namespace})
        return found if isinstance(found, list) else [found]

    def find(self, provider: Mapping[str, Any], collection: str, reference: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What `reference` {id, name, namespace} means in a collection: id wins; [] when nothing does, several when it is ambiguous."""
        if reference.get("id"):
            try:
                return [self._read(_path(provider, collection) + "/" + quote(reference["id"], safe=""), {})]
            except InventoryError as error:
                if error.status == 404:
                    return []
                raise
        found = self.get(provider, collection, name=reference.get("name"), namespace=reference.get("namespace"))
        return [item for item in found if matches(item, reference)]

    def wait_loaded(self, provider: Mapping[str, Any], collection: str = "vms", *, timeout: float = 60.0) -> None:
        """Ask until the collector has read the source (the service answers 206, or 404 before it knows the provider)."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.get(provider, collection, detail=0)
                return
            except InventoryError as error:
                if not error.not_ready or time.monotonic() > deadline:
                    raise
            time.sleep(1.0)

    def _read(self, path: str, query: Mapping[str, Any]) -> Any:
        try:
            reply = self._cluster.exchange("GET", self.url + path, query=query)
        except ClusterError as error:
            raise InventoryError(f"The inventory service cannot be asked: {error}") from error
        if reply.status == 200 and isinstance(reply.data, (list, dict)):
            return reply.data
        raise _refused(reply, path, self.url, self._proxied)

    def _discover(self) -> str:
        tried = []
        for namespace in self._namespaces:
            route = self._look("Route", namespace)
            host = ((route or {}).get("spec") or {}).get("host")
            if host:
                return "https://" + host
            if self._look("Service", namespace) is not None:
                self._proxied = True
                return path_of("Service", namespace, f"https:{INVENTORY_NAME}:8443", "proxy")
            tried.append(namespace)
        raise InventoryError(
            "No inventory service found: neither a Route nor a Service {} in {}. Give inventory_url.".format(
                INVENTORY_NAME, ", ".join(tried)
            )
        )

    def _look(self, kind: str, namespace: str) -> dict[str, Any] | None:
        try:
            return get_object(self._cluster, kind, namespace, INVENTORY_NAME)
        except ClusterError as error:
            # 404: no Routes outside OpenShift. 403: not allowed to look here; the next place may do.
            if error.status in (403, 404):
                return None
            raise


def matches(item: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    """The inventory item is what a reference by name means: `a/b/name` compares the end of its path."""
    name, namespace = reference.get("name") or "", reference.get("namespace")
    if namespace and item.get("namespace") not in (None, namespace):
        return False
    if "/" in name:
        path = "/" + str(item.get("path", "")).strip("/")
        return path.endswith("/" + name.strip("/"))
    return item.get("name") == name


def _path(provider: Mapping[str, Any], collection: str) -> str:
    return "/providers/{}/{}/{}".format(provider_type(provider), provider["metadata"]["uid"], collection.strip("/"))


def _refused(reply: Reply, path: str, url: str, proxied: bool) -> InventoryError:
    status, headers, data = reply
    # The service puts its text into a header; after " (&{" comes a dump of Go structs.
    said = (headers.get("forklift-error-message") or "").split(" (&{")[0]
    if status == 206:
        return InventoryError("The inventory of this provider is still being loaded.", 206, not_ready=True)
    if status == 404 and headers.get("X-Reason") == "ProviderNotFound":
        return InventoryError("The inventory does not know this provider (yet).", 404, not_ready=True)
    if status == 401:
        advice = " The API server's service proxy may not hand tokens on: give inventory_url." if proxied else ""
        return InventoryError(f"The inventory service wants a bearer token that the cluster accepts; the one sent is not.{advice}", 401)
    if status == 403:
        return InventoryError("The inventory service refuses: {}".format(said or "forbidden"), 403)
    if status == 503 and isinstance(data, dict) and data.get("message"):
        return InventoryError("The inventory service is not reachable: {}".format(data["message"]), 503, not_ready=True)
    if status < 400:
        kind = headers.get("Content-Type", "").partition(";")[0] or "no content"
        return InventoryError(f"{url} answered {status} ({kind}), which no inventory service does: check inventory_url.", status)
    return InventoryError(f"The inventory service answered {status} to {path}: {said or 'no text'}.", status)
