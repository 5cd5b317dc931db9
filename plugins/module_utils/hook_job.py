# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ConfigMap and the Job of a hook, as MTV makes them (facts 4.2). Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils import hook_context

Object = dict[str, Any]

PRE_HOOK, POST_HOOK = "PreHook", "PostHook"
RESOURCE = "hook-config"
CONTAINER, FOLDER = "hook", "/tmp/hook"
COMMAND = ["/bin/entrypoint", "ansible-runner", "run", "/tmp/runner", "-p", f"{FOLDER}/playbook.yml"]


@dataclass(frozen=True)
class Resources:
    """Of a container, as the ForkliftController sets them; the defaults are those of `hooks_container_*`."""

    limits_cpu: str = "1"
    limits_memory: str = "1Gi"
    requests_cpu: str = "100m"
    requests_memory: str = "150Mi"

    def requirements(self) -> dict[str, Any]:
        """As a container has them."""
        return {
            "limits": {"cpu": self.limits_cpu, "memory": self.limits_memory},
            "requests": {"cpu": self.requests_cpu, "memory": self.requests_memory},
        }


@dataclass(frozen=True)
class HookRun:
    """One hook for one VM of a plan. `migration`: uid; `hook`: the Hook, of which only the spec may be known."""

    plan: Mapping[str, Any]
    vm_id: str
    step: str
    hook: Mapping[str, Any]
    migration: str

    @property
    def namespace(self) -> str:
        return self.plan["metadata"]["namespace"]

    @property
    def name(self) -> str:
        """generateName of both objects."""
        return f"{self.plan['metadata']['name']}-{self.vm_id}-{self.step}-".lower()

    @property
    def labels(self) -> dict[str, str]:
        """By which both are found: a hook runs once for a migration, VM and step."""
        return {
            "plan": self.plan["metadata"]["uid"],
            "migration": self.migration,
            "vmID": self.vm_id,
            "step": self.step,
            "hook": (self.hook.get("metadata") or {}).get("uid", ""),
            "resource": RESOURCE,
        }

    def config_map(self, source: str, workload: Mapping[str, Any]) -> Object:
        """`source`: type of the provider; `workload`: of the VM, as the inventory service shows it."""
        playbook = base64.b64decode(self.hook["spec"].get("playbook") or "").decode()
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"generateName": self.name, "namespace": self.namespace, "labels": self.labels},
            "data": {
                "workload.yml": hook_context.workload_yaml(source, workload),
                "playbook.yml": playbook,
                "plan.yml": hook_context.plan_yaml(self.plan["spec"]),
            },
        }

    def job(self, config_map: str, service_account: str, resources: Resources) -> Object:
        """`config_map`: its name; `service_account`: that of MTV's settings, which counts last."""
        spec = self.hook["spec"]
        account = spec.get("serviceAccount") or self.plan["spec"].get("serviceAccount") or service_account
        container: Object = {
            "name": CONTAINER,
            "image": spec.get("image", ""),
            "resources": resources.requirements(),
            "volumeMounts": [{"name": "hook", "mountPath": FOLDER}],
        }
        if spec.get("playbook"):
            container["command"] = list(COMMAND)
        pod: Object = {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "hook", "configMap": {"name": config_map}}],
        }
        if (spec.get("deadline") or 0) > 0:
            pod["activeDeadlineSeconds"] = spec["deadline"]
        if account:
            pod["serviceAccountName"] = account
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "generateName": self.name,
                "namespace": self.namespace,
                "labels": self.labels,
                "ownerReferences": [owner(self.plan)],
            },
            "spec": {"backoffLimit": 1, "template": {"spec": pod}},
        }


def owner(obj: Mapping[str, Any]) -> Object:
    """A reference as MTV sets it: not a controller's."""
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
