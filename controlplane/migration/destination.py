"""The cluster that VMs go to: this one, or another one behind its API.

Phases ask a destination and never look which it is. What belongs to the management of a migration (plans, Conversions, hooks) is
here in either case; what belongs to a VM (its namespace, Secrets, DataVolumes, PVCs, pods, the VirtualMachine) is there.
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import yaml
from defusedxml.ElementTree import fromstring

from ansible_collections.vmshift.mtv.controlplane.apiserver import patching
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError, NotFound
from ansible_collections.vmshift.mtv.controlplane.blocking import Bridge, Objects
from ansible_collections.vmshift.mtv.controlplane.cluster import pod_ports, pods
from ansible_collections.vmshift.mtv.controlplane.cluster_client import Answer, ClusterClient
from ansible_collections.vmshift.mtv.controlplane.migration import labels
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import is_host
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import path_of
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, SourceError

if TYPE_CHECKING:
    import aiohttp

    from ansible_collections.vmshift.mtv.controlplane.state import State

Object = dict[str, Any]


class ConversionReports(Protocol):
    """What conversion pods tell."""

    def progress(self, pod: Object) -> Object | None:
        """{"stage": str, "disks": {"0": percent, …}}; None while there is none."""

    def result(self, pod: Object) -> Object | None:
        """{"firmware", "operatingSystem", "warnings"} or {"error"}; None while there is none."""

    def inspection(self, pod: Object) -> Object | None:
        """Of an inspection pod: {"inspection": what it tells (facts 1.8)} or {"error"}; None while there is none."""


@dataclass(frozen=True)
class Destination:
    objects: Objects
    reports: ConversionReports
    is_host: bool


class LocalReports:
    """Of the pods of this cluster: processes of this machine, which leave files."""

    def __init__(self, state: State) -> None:
        self._state = state

    def progress(self, pod: Object) -> Object | None:
        return pods.conversion_progress(self._state, pod["metadata"]["uid"])

    def result(self, pod: Object) -> Object | None:
        return pods.conversion_result(self._state, pod["metadata"]["uid"])

    inspection = result


@contextmanager
def opened(api: Objects, state: State, provider: Object) -> Iterator[Destination]:
    """The destination that `provider` stands for, for as long as the context lasts. Another cluster than this needs a Bridge for `api`.

    Verbs on another cluster raise SourceError when it does not answer, beside the ApiErrors of any Api.
    """
    if is_host(provider):
        yield Destination(api, LocalReports(state), True)
        return
    reference = provider["spec"].get("secret") or {}
    assert isinstance(api, Bridge)
    secret = api.find("Secret", reference.get("namespace"), reference.get("name", "")) or {}
    cluster = RemoteCluster(api, ClusterClient(provider["spec"]["url"], secret))
    try:
        yield Destination(cluster, RemoteReports(cluster), False)
    finally:
        cluster.close()


class RemoteCluster:
    """The objects of another cluster."""

    page = 500

    def __init__(self, bridge: Bridge, client: ClusterClient) -> None:
        self._bridge = bridge
        self._client = client
        self._identity = labels.identity(bridge)
        self._opening: Any = None  # the context manager of the session
        self._session: aiohttp.ClientSession | None = None

    def close(self) -> None:
        if self._session is not None:
            self._session = None
            self._bridge.wait(self._opening.__aexit__(None, None, None))

    def find(self, kind: str, namespace: str | None, name: str) -> Object | None:
        answer = self.request("GET", path_of(kind, namespace, name)) if name else None
        return None if answer is None or answer.status == 404 else _object(answer)

    def list(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> builtins.list[Object]:
        wanted = {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())} if labels else {}
        return self._list(kind, namespace, wanted)

    def _list(self, kind: str, namespace: str | None, wanted: Mapping[str, str]) -> builtins.list[Object]:
        query = {"limit": str(self.page), **wanted}
        found: builtins.list[Object] = []
        while True:
            page = _object(self.request("GET", path_of(kind, namespace), query=query))
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
        return _object(self.request("POST", path_of(obj["kind"], obj["metadata"].get("namespace")), body=made))

    def patch(self, kind: str, namespace: str | None, name: str, patch: Any) -> Object:
        return _object(self.request("PATCH", path_of(kind, namespace, name), body=patch, content_type=patching.MERGE))

    def delete(
        self, kind: str, namespace: str | None, name: str, *, propagation: str | None = "Background", uid: str | None = None
    ) -> Object | None:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if propagation:
            options["propagationPolicy"] = propagation
        if uid:
            options["preconditions"] = {"uid": uid}
        left = _object(self.request("DELETE", path_of(kind, namespace, name), body=options))
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


_TRANSFER = re.compile(r'^v2v_disk_transfers\{disk_id="(\d+)"\} ([\d.]+)', re.MULTILINE)


class RemoteReports:
    """Of pods on another cluster: their ports, by way of its API server (facts 3.9)."""

    def __init__(self, cluster: RemoteCluster) -> None:
        self._cluster = cluster

    def progress(self, pod: Object) -> Object | None:
        text = self._ask(pod, pod_ports.METRICS, "metrics")
        if text is None:
            return None
        return {"stage": "", "disks": {str(int(disk) - 1): float(percent) for disk, percent in _TRANSFER.findall(text)}}

    def result(self, pod: Object) -> Object | None:
        machine, inspection, warnings = (self._ask(pod, pod_ports.RESULTS, path) for path in ("vm", "inspection", "warnings"))
        if machine is None:
            return None
        return {
            "firmware": _firmware(machine),
            "operatingSystem": _osinfo(inspection or ""),
            "warnings": [warning.get("message", "") for warning in json.loads(warnings or "[]")],
        }

    def inspection(self, pod: Object) -> Object | None:
        text = self._ask(pod, pod_ports.RESULTS, "results")
        return {"inspection": json.loads(text)} if text else None

    def _ask(self, pod: Object, port: int, path: str) -> str | None:
        meta = pod["metadata"]
        answer = self._cluster.ask("GET", path_of("Pod", meta["namespace"], f"{meta['name']}:{port}", f"proxy/{path}"))
        return answer.text if answer.status == 200 else None


def _firmware(machine: str) -> str:
    """Of a VirtualMachine as YAML, as virt-v2v writes it or as KubeVirt has it; "" when it does not say."""
    spec = (((yaml.safe_load(machine) or {}).get("spec") or {}).get("template") or {}).get("spec") or {}
    domain = spec.get("domain") or {}
    loader = (domain.get("firmware") or {}).get("bootloader") or {}
    return (domain.get("os") or {}).get("firmware") or next(iter(loader), "")


def _osinfo(inspection: str) -> str:
    if not inspection:
        return ""
    return fromstring(inspection).findtext("operatingsystem/osinfo") or ""
