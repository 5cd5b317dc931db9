"""The objects of another cluster, over its API: of one that VMs go to, or come from."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import patching
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError, NotFound
from ansible_collections.vmshift.mtv.controlplane.blocking import Bridge, Objects
from ansible_collections.vmshift.mtv.controlplane.cluster_client import Answer, ClusterClient
from ansible_collections.vmshift.mtv.controlplane.migration import labels
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import KINDS, path_of
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, SourceError

if TYPE_CHECKING:
    import aiohttp

Object = dict[str, Any]


@contextmanager
def opened(api: Objects, provider: Object) -> Iterator[RemoteCluster]:
    """The cluster of a Provider with a url. `api`: a Bridge to the cluster that this is.

    Its verbs raise SourceError when it does not answer, beside the ApiErrors of any Api.
    """
    reference = provider["spec"].get("secret") or {}
    assert isinstance(api, Bridge)
    secret = api.find("Secret", reference.get("namespace"), reference.get("name", "")) or {}
    cluster = RemoteCluster(api, ClusterClient(provider["spec"]["url"], secret))
    try:
        yield cluster
    finally:
        cluster.close()


class RemoteCluster:
    """The objects of another cluster."""

    page = 500

    def __init__(self, bridge: Bridge, client: ClusterClient) -> None:
        self._bridge = bridge
        self._client = client
        self._identity = labels.identity(bridge)
        self._versions: dict[str, str] = {}  # of kinds that the cluster may serve in another version than is known here
        self._opening: Any = None  # the context manager of the session
        self._session: aiohttp.ClientSession | None = None

    def close(self) -> None:
        if self._session is not None:
            self._session = None
            self._bridge.wait(self._opening.__aexit__(None, None, None))

    def speak(self, kind: str) -> None:
        """From now on, speak of objects of `kind` in the version that the cluster likes best. Raises NotFound when it has none."""
        group, _slash, _version = KINDS[kind].api_version.partition("/")
        self._versions[kind] = _object(self.request("GET", f"/apis/{group}"))["preferredVersion"]["groupVersion"]

    def _path(self, kind: str, *place: Any) -> str:
        version = KINDS[kind].api_version
        return path_of(kind, *place).replace(f"/{version}/", f"/{self._versions.get(kind, version)}/", 1)

    def find(self, kind: str, namespace: str | None, name: str) -> Object | None:
        answer = self.request("GET", self._path(kind, namespace, name)) if name else None
        return None if answer is None or answer.status == 404 else _object(answer)

    def list(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> builtins.list[Object]:
        wanted = {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())} if labels else {}
        return self._list(kind, namespace, wanted)

    def _list(self, kind: str, namespace: str | None, wanted: Mapping[str, str]) -> builtins.list[Object]:
        query = {"limit": str(self.page), **wanted}
        found: builtins.list[Object] = []
        while True:
            page = _object(self.request("GET", self._path(kind, namespace), query=query))
            # The items of a list of a built-in kind do not say what they are.
            typed = {"apiVersion": page["apiVersion"], "kind": kind}
            found += ({**typed, **item} for item in page.get("items") or ())
            token = page["metadata"].get("continue")
            if not token:
                return found
            query["continue"] = token

    def events_about(self, obj: Object) -> builtins.list[Object]:
        return self._list("Event", obj["metadata"].get("namespace"), {"fieldSelector": f"involvedObject.uid={obj['metadata']['uid']}"})

    def create(self, obj: Object) -> Object:
        annotations = {**(obj["metadata"].get("annotations") or {}), labels.ORIGIN: self._identity}
        made = {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
        made["apiVersion"] = self._versions.get(obj["kind"], obj["apiVersion"])
        return _object(self.request("POST", self._path(obj["kind"], obj["metadata"].get("namespace")), body=made))

    def patch(self, kind: str, namespace: str | None, name: str, patch: Any) -> Object:
        return _object(self.request("PATCH", self._path(kind, namespace, name), body=patch, content_type=patching.MERGE))

    def delete(
        self, kind: str, namespace: str | None, name: str, *, propagation: str | None = "Background", uid: str | None = None
    ) -> Object | None:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if propagation:
            options["propagationPolicy"] = propagation
        if uid:
            options["preconditions"] = {"uid": uid}
        left = _object(self.request("DELETE", self._path(kind, namespace, name), body=options))
        return left if left["kind"] == kind else None

    def delete_all(self, kind: str, namespace: str | None, labels: Mapping[str, str]) -> int:
        """One by one: collections of all namespaces cannot be deleted over the API."""
        found = self.list(kind, namespace, labels)
        for obj in found:
            meta = obj["metadata"]
            with suppress(NotFound):  # went together with another one
                self.delete(kind, meta.get("namespace"), meta["name"], uid=meta["uid"])
        return len(found)

    def request(self, method: str, path: str, **wanted: Any) -> Answer:
        """As `ask`. Raises SourceError also when the cluster says that it cannot just now."""
        answer = self.ask(method, path, **wanted)
        if answer.status == 429 or answer.status >= 500:
            raise SourceError(f"{self._client.url} answers {answer.status} {answer.phrase}", CONNECTION)
        return answer

    def ask(self, method: str, path: str, **wanted: Any) -> Answer:
        """`wanted`: query, body, content_type of ClusterClient.exchange. Raises SourceError when the cluster does not answer."""
        if self._session is None:
            self._opening = self._client.session()
            self._session = self._bridge.wait(self._opening.__aenter__())
        return self._bridge.wait(self._client.exchange(self._session, method, path, **wanted))


def _object(answer: Answer) -> Object:
    """The object that was answered. Raises ApiError for a refusal."""
    try:
        body = json.loads(answer.text)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    if answer.status < 400 and body:
        return body
    message = body.get("message") or f"the API server answers {answer.status} {answer.phrase}"
    error = ApiError(answer.status, body.get("reason", ""), message, body.get("details"))
    if answer.status == 404:
        error.__class__ = NotFound
    raise error
