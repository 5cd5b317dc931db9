# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pod of a VM said last: a migration that fails often says no more than "see pod logs"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import FAILED, LABEL_PLAN, LABEL_VM_ID, is_host
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get, list_objects, path_of
from ansible_collections.vmshift.mtv.plugins.module_utils.workflows import INSPECTION

_JOB = "job-name"
_DEEP_INSPECTION = "forklift.app=deep-inspection"


def last_words(cluster: Cluster, plan: Mapping[str, Any], row: Mapping[str, Any], lines: int) -> list[str]:
    """The last `lines` of the log of the pod that explains why a VM failed, headed by the pod's name; or why there are none.

    row: of `runs.rows_of`. Hooks run in the namespace of the plan, and inspections do since MTV 2.12; everything else runs in the target
    namespace on the destination.
    """
    destination = plan["spec"]["provider"]["destination"]
    step = (row["error"] or {}).get("step") or ""
    hook, beside = step.endswith("Hook"), plan["metadata"]["namespace"]
    namespace = beside if hook else plan["spec"]["targetNamespace"]
    labels = f"{LABEL_PLAN}={plan['metadata']['uid']},{LABEL_VM_ID}={row['id']}"
    try:
        provider = get(cluster, "Provider", destination["namespace"], destination["name"])
        selector = f"{labels},{_DEEP_INSPECTION}"
        inspecting = pod_that_explains(list_objects(cluster, "Pod", beside, label_selector=selector)) if step == INSPECTION else None
        if inspecting:
            return tail(cluster, inspecting, lines)
        if provider and not is_host(provider) and not hook:
            return [f"Its pods run on the cluster of provider {destination['name']}, namespace {namespace}: look at their logs there."]
        pod = (
            _pod_of_hook(cluster, namespace, labels)
            if hook
            else pod_that_explains(list_objects(cluster, "Pod", namespace, label_selector=labels))
        )
    except ClusterError as error:
        return [f"The log of its pod in namespace {namespace} cannot be read: {error}"]
    return tail(cluster, pod, lines) if pod else [f"There is no pod of this VM in namespace {namespace} (any more)."]


def pods_of_jobs(cluster: Cluster, namespace: str, jobs: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Name of a Job -> the pod that explains how it went."""
    pods = list_objects(cluster, "Pod", namespace, label_selector=f"{_JOB} in ({','.join(sorted(jobs))})") if jobs else []
    found = {job: pod_that_explains(pod for pod in pods if pod["metadata"]["labels"][_JOB] == job) for job in jobs}
    return {job: pod for job, pod in found.items() if pod}


def tail(cluster: Cluster, pod: Mapping[str, Any], lines: int) -> list[str]:
    """The last `lines` of the log of a pod's first container, headed by its name; or why they cannot be read."""
    namespace, name, container = pod["metadata"]["namespace"], pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
    try:
        query = {"container": container, "tailLines": lines}
        text = cluster.request("GET", path_of("Pod", namespace, name, "log"), query=query, text=True)
    except ClusterError as error:
        return [f"The log of its pod in namespace {namespace} cannot be read: {error}"]
    return [f"last lines of pod {namespace}/{name}, container {container}:", *(f"| {line}" for line in str(text or "").splitlines())]


def _pod_of_hook(cluster: Cluster, namespace: str, labels: str) -> Mapping[str, Any] | None:
    """That of the VM's newest hook: the Job carries the labels of VM and plan, its pods only the name of the Job."""
    jobs = list_objects(cluster, "Job", namespace, label_selector=f"{labels},resource=hook-config")
    if not jobs:
        return None
    newest = max(jobs, key=lambda job: job["metadata"].get("creationTimestamp", ""))["metadata"]["name"]
    return pods_of_jobs(cluster, namespace, [newest]).get(newest)


def pod_that_explains(pods: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Among the pods of one VM: a failed one, else the newest. The consumer pod only makes volumes bind and says nothing."""

    def weight(pod: Mapping[str, Any]) -> tuple[bool, str]:
        return (pod.get("status") or {}).get("phase") == FAILED, pod["metadata"].get("creationTimestamp", "")

    speaking = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get("forklift.app") != "consumer"]
    return max(speaking, key=weight, default=None)
