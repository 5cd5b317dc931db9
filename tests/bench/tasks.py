"""Cost of a task: an unchanged provider beside kubernetes.core.k8s of the same object and ping; 200 objects in one play by either."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliances import NAMESPACE
from measures import Measure, median
from plane import Plane, running, seconds_of
from playing import play

ROUNDS = 12
OBJECTS, BLOCK = 200, 20  # hooks made by either, in blocks by turns
SMOKE = {"ROUNDS": 1, "OBJECTS": 1, "BLOCK": 1}
PING, K8S, K8S_INFO = "ansible.builtin.ping", "kubernetes.core.k8s", "kubernetes.core.k8s_info"
PROVIDER, PROVIDER_INFO, HOOK = "vmshift.mtv.provider", "vmshift.mtv.provider_info", "vmshift.mtv.hook"
API_VERSION = "forklift.konveyor.io/v1beta1"


def measure(work: Path) -> Iterator[Measure]:
    export = work / "export"
    export.mkdir()
    client = median(seconds_of([sys.executable, "-c", "import kubernetes"])[1] for _unused in range(ROUNDS))
    yield Measure("import kubernetes, the whole official client", client, "CPU s")
    with running(work / "state") as plane:
        play(work, "provider", plays(plane, [provider(export)]))
        yield from one_task(play(work, "tasks", plays(plane, tasks(export) * (ROUNDS + 1)), changed=0))
        yield from many_objects(play(work, "objects", plays(plane, [task for first in range(0, OBJECTS, BLOCK) for task in hooks(first)])))


def one_task(costs: list[dict[str, Any]]) -> Iterator[Measure]:
    """Modules in turn, so that what else the machine does falls upon all of them."""
    of = {
        module: [cost["cpu"] for cost in costs if cost["name"] == module][1:] for module in (PING, PROVIDER, K8S, PROVIDER_INFO, K8S_INFO)
    }
    ping = median(of[PING])
    yield Measure(PING, ping, "CPU s")
    for module in (PROVIDER, K8S, PROVIDER_INFO, K8S_INFO):
        yield Measure(f"{module}, unchanged", median(of[module]), "CPU s", median(of[module]) / ping, "ping")
    yield Measure("provider, k8s of the same object = 1", median(of[PROVIDER]) / median(of[K8S]), "", most=0.6)
    yield Measure("the same above ping", (median(of[PROVIDER]) - ping) / (median(of[K8S]) - ping))
    yield Measure("provider_info, k8s_info = 1", median(of[PROVIDER_INFO]) / median(of[K8S_INFO]))


def many_objects(costs: list[dict[str, Any]]) -> Iterator[Measure]:
    ours, theirs = (sum(cost["cpu"] for cost in costs if cost["name"] == module) for module in (HOOK, K8S))
    yield Measure(f"{OBJECTS} hooks by {HOOK}", ours, "CPU s")
    yield Measure(f"{OBJECTS} hooks by {K8S}", theirs, "CPU s")
    yield Measure(f"{OBJECTS} objects, {K8S} = 1", ours / theirs, "", most=0.6)


def provider(export: Path) -> dict[str, Any]:
    return {"name": PROVIDER, PROVIDER: {"name": "bench", "namespace": NAMESPACE, "type": "ova", "url": f"localhost:{export}"}}


def tasks(export: Path) -> list[dict[str, Any]]:
    metadata = {"name": "bench", "namespace": NAMESPACE}
    definition = {
        "apiVersion": API_VERSION,
        "kind": "Provider",
        "metadata": metadata,
        "spec": {"type": "ova", "url": f"localhost:{export}", "secret": metadata},
    }
    return [
        {"name": PING, PING: {}},
        provider(export),
        {"name": K8S, K8S: {"definition": definition}},
        {"name": PROVIDER_INFO, PROVIDER_INFO: {"namespace": NAMESPACE}},
        {"name": K8S_INFO, K8S_INFO: {"api_version": API_VERSION, "kind": "Provider", "namespace": NAMESPACE}},
    ]


def hooks(first: int) -> list[dict[str, Any]]:
    image, playbook = "quay.io/kubev2v/hook-runner", "- hosts: localhost\n"
    spec = {"image": image, "playbook": base64.b64encode(playbook.encode()).decode()}
    definition = {
        "apiVersion": API_VERSION,
        "kind": "Hook",
        "metadata": {"name": "theirs-{{ item }}", "namespace": NAMESPACE},
        "spec": spec,
    }
    loop = {"loop": list(range(first, min(first + BLOCK, OBJECTS)))}
    return [
        {"name": HOOK, HOOK: {"name": "ours-{{ item }}", "namespace": NAMESPACE, "image": image, "playbook": playbook}, **loop},
        {"name": K8S, K8S: {"definition": definition}, **loop},
    ]


def plays(plane: Plane, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kubeconfig = {"kubeconfig": str(plane.state.kubeconfig)}
    defaults = dict.fromkeys(("group/vmshift.mtv.mtv", "group/kubernetes.core.k8s"), kubeconfig)
    return json.loads(json.dumps([{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}]))
