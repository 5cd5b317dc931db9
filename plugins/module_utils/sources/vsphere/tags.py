# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of VMs, which vCenter tells through its REST interface alone."""

from __future__ import annotations

import contextlib
import json
import ssl
from base64 import b64encode
from http.client import HTTPException, HTTPSConnection
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint

Object = dict[str, Any]

TIMEOUT = 60.0  # seconds for one request
_MOST = 64 << 20  # bytes of one answer


class _Dialect:
    """How the interface is called: of old below /rest, with each answer in a `value`; since vSphere 7 below /api."""

    def __init__(self, root: str, session: str, action: str, id_prefix: str, wrapped: bool) -> None:
        self.root = root
        self.session = session
        self.action = action
        self.id_prefix = id_prefix
        self.wrapped = wrapped


_DIALECTS = (
    _Dialect("/rest/com/vmware/cis", "/session", "~action", "id:", True),
    _Dialect("/api/cis", "/../session", "action", "", False),
)


def tags_of_vms(endpoint: Endpoint, timeout: float = TIMEOUT) -> dict[str, list[Object]]:
    """Tags {"id", "name", "description", "categoryID", "usedBy"} by ID of VM, in two requests and one for each tag. Raises SourceError."""
    host, port, _path = endpoint.address()
    connection = HTTPSConnection(host, port, timeout=timeout, context=endpoint.tls(timeout))
    try:
        return _Tags(connection, endpoint).by_vm()
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ssl.SSLCertVerificationError):
            raise SourceError(f"the certificate of {endpoint.url} is not trusted: {error.verify_message}", CONNECTION) from error
        raise SourceError(f"the tags of {endpoint.url} cannot be read: {' '.join(str(error).split())}", CONNECTION) from error
    finally:
        connection.close()


class _Tags:
    def __init__(self, connection: HTTPSConnection, endpoint: Endpoint) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._headers: dict[str, str] = {}
        self._dialect = _DIALECTS[0]

    def by_vm(self) -> dict[str, list[Object]]:
        self._log_in()
        try:
            ids = self._call("GET", "/tagging/tag")
            if not ids:
                return {}
            found: dict[str, list[Object]] = {}
            attached = self._call("POST", "/tagging/tag-association", {"tag_ids": ids}, "list-attached-objects-on-tags")
            for association in attached:
                vms = [one["id"] for one in association["object_ids"] if one["type"] == "VirtualMachine"]
                tag = self._tag(association["tag_id"]) if vms else {}
                for vm in vms:
                    found.setdefault(vm, []).append(tag)
            return {vm: sorted(tags, key=lambda tag: (tag["name"], tag["id"])) for vm, tags in found.items()}
        finally:
            self._log_out()

    def _tag(self, id: str) -> Object:
        tag = self._call("GET", f"/tagging/tag/{self._dialect.id_prefix}{id}")
        return {
            "id": tag["id"],
            "description": tag.get("description", ""),
            "name": tag["name"],
            "categoryID": tag["category_id"],
            "usedBy": sorted(tag.get("used_by") or []),
        }

    def _log_in(self) -> None:
        login = b64encode(f"{self._endpoint.user}:{self._endpoint.password}".encode()).decode()
        for self._dialect in _DIALECTS:
            status, answer = self._request("POST", self._dialect.session, None, {"Authorization": f"Basic {login}"})
            if status == 401:
                raise SourceError(f"{self._endpoint.url} refuses the user name or password for its REST interface", AUTH)
            if status in (200, 201):
                self._headers = {"vmware-api-session-id": answer}
                return
            if status != 404:
                break
        raise SourceError(f"{self._endpoint.url} has no REST interface for tags (HTTP status {status})", DATA)

    def _log_out(self) -> None:
        with contextlib.suppress(OSError, HTTPException, ValueError):  # it expires
            self._request("DELETE", self._dialect.session, None, self._headers)

    def _call(self, verb: str, path: str, body: Object | None = None, action: str = "") -> Any:
        query = f"?{self._dialect.action}={action}" if action else ""
        status, answer = self._request(verb, path + query, body, self._headers)
        if status != 200:
            raise SourceError(f"the tags of {self._endpoint.url} cannot be read: HTTP status {status} for {verb} {path}", DATA)
        return answer

    def _request(self, verb: str, path: str, body: Object | None, headers: dict[str, str]) -> tuple[int, Any]:
        url = (self._dialect.root + path).replace("/cis/..", "")
        sent = {**headers, "Content-Type": "application/json", "Accept": "application/json"}
        self._connection.request(verb, url, json.dumps(body or {}) if verb == "POST" else None, sent)
        answer = self._connection.getresponse()
        content = answer.read(_MOST)
        if answer.status not in (200, 201) or not content:
            return answer.status, None
        parsed = json.loads(content)
        return answer.status, parsed["value"] if self._dialect.wrapped and isinstance(parsed, dict) else parsed
