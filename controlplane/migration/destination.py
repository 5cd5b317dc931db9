"""The cluster that VMs go to: this one, or another one behind its API.

Phases ask a destination and never look which it is. What belongs to the management of a migration (plans, Conversions, hooks) is
here in either case; what belongs to a VM (its namespace, Secrets, DataVolumes, PVCs, pods, the VirtualMachine) is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import yaml
from defusedxml.ElementTree import fromstring

from ansible_collections.vmshift.mtv.controlplane.cluster import pod_ports, pods
from ansible_collections.vmshift.mtv.controlplane.migration import remote_cluster
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import is_host
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import path_of

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.migration.remote_cluster import RemoteCluster
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
    with remote_cluster.opened(api, provider) as cluster:
        yield Destination(cluster, RemoteReports(cluster), False)


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
