"""Cost of one task: modules of this collection beside ansible.builtin.ping and kubernetes.core.k8s_info, in one play."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measures import Measure, median
from plane import Plane, running, seconds_of
from playing import play

ROUNDS = 8
NAMESPACE = "konveyor-forklift"
PING, K8S_INFO = "ansible.builtin.ping", "kubernetes.core.k8s_info"
MODULES = (PING, "vmshift.mtv.provider_info", "vmshift.mtv.plan_info", K8S_INFO)


def measure(work: Path) -> Iterator[Measure]:
    with running(work / "state") as plane:
        costs = play(work, "costs", playbook(plane))
    of = {module: [cost for cost in costs if cost["name"] == module][1:] for module in MODULES}  # the first ones fill caches
    client = median(seconds_of([sys.executable, "-c", "import kubernetes"])[1] for _unused in range(ROUNDS))
    yield Measure("import kubernetes, the official client", client, "CPU s")
    for what, unit in (("cpu", "CPU s"), ("wall", "s")):
        ping, k8s_info = (median(cost[what] for cost in of[module]) for module in (PING, K8S_INFO))
        yield Measure(PING, ping, unit)
        for module in MODULES[1:]:
            seconds = median(cost[what] for cost in of[module])
            yield Measure(module, seconds, unit, seconds / ping, "ping")
            if module != K8S_INFO:
                yield Measure(f"{module}, above ping", seconds - ping, unit, (seconds - ping) / (k8s_info - ping), "k8s_info above ping")


def playbook(plane: Plane) -> list[dict[str, Any]]:
    """The modules in turn, so that what else the machine does falls upon all of them."""
    common: dict[str, Any] = {"kubeconfig": str(plane.state.kubeconfig), "namespace": NAMESPACE}
    query = {**common, "api_version": "forklift.konveyor.io/v1beta1", "kind": "Provider"}
    arguments = {PING: {}, K8S_INFO: query}
    tasks = [{"name": module, module: arguments.get(module, common)} for module in MODULES]
    return json.loads(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks * ROUNDS}]))
