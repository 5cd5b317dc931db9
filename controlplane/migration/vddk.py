"""VMware's disk library: the container that brings it to pods, and the Job that checks its image (facts 3.7). Built purely.

Here the library itself is not used: disks are read over HTTPS from datastores. The image is known by its name only, and what the Job
checks is whether this machine can read them (docs/embedded_control_plane.md).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster.images import VDDK_CONTAINER

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings

Object = dict[str, Any]

CONFIG_FILE, CONFIG_VOLUME, CONFIG_PATH = "vddk-config-file", "vddk-conf", "/mnt/vddk-conf"
BUFFERS = "VixDiskLib.nfcAio.Session.BufSizeIn64KB=16\nVixDiskLib.nfcAio.Session.BufCount=4"
EXTRA_ARGUMENTS = "cdi.kubevirt.io/storage.pod.vddk.extraargs"  # annotation of DataVolumes: the ConfigMap
VOLUME, MOUNT_PATH = "vddk-vol-mount", "/opt"
LABEL = "vddk"  # of the Job: the hash of its image
LIBRARY = f"{MOUNT_PATH}/vmware-vix-disklib-distrib/lib64/libvixDiskLib.so"
BACKOFF_LIMIT = 2
_RESOURCES: Object = {"limits": {"cpu": "1", "memory": "500Mi"}, "requests": {"cpu": "100m", "memory": "150Mi"}}
_SECURITY: Object = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def image(provider: Object, settings: Settings) -> str:
    """Of a vSphere provider; "" when neither it nor the ForkliftController names one."""
    return (provider["spec"].get("settings") or {}).get("vddkInitImage") or settings.vddk_image


def configuration(provider: Object, plan: Object) -> dict[str, str]:
    """Content of the ConfigMap by which a run's pods get settings of the library, and importers the nodes they run on; {} for none."""
    chosen = provider["spec"].get("settings") or {}
    found = {}
    if uses_buffers(provider):
        found[CONFIG_FILE] = chosen.get("vddkConfig") or BUFFERS
    if nodes := plan["spec"].get("convertorNodeSelector"):
        found["vddk-node-selector"] = json.dumps(nodes, separators=(",", ":"), sort_keys=True)
    return found


def uses_buffers(provider: Object) -> bool:
    return str((provider["spec"].get("settings") or {}).get("useVddkAioOptimization", "")).lower() == "true"


def side_car(image: str) -> Object:
    return {
        "name": VDDK_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": _RESOURCES,
        "securityContext": _SECURITY,
        "volumeMounts": [{"name": VOLUME, "mountPath": MOUNT_PATH}],
    }


def job_labels(plan: Object, image: str) -> dict[str, str]:
    return {"plan": plan["metadata"]["uid"], LABEL: hashlib.md5(image.encode(), usedforsecurity=False).hexdigest()}


def validation_job(plan: Object, image: str, virt_v2v: str) -> Object:
    """`virt_v2v`: the image that the library is looked at with."""
    validator = {
        "name": "validator",
        "image": virt_v2v,
        "imagePullPolicy": "Always",
        "command": ["file", "-E", LIBRARY],
        "resources": _RESOURCES,
        "securityContext": _SECURITY,
        "volumeMounts": [{"name": VOLUME, "mountPath": MOUNT_PATH}],
    }
    pod: Object = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 107, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [side_car(image)],
        "containers": [validator],
        "volumes": [{"name": VOLUME, "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": f"vddk-validator-{plan['metadata']['name']}",
            "namespace": plan["spec"]["targetNamespace"],
            "labels": job_labels(plan, image),
            "annotations": {"plan": plan["metadata"]["name"], "provider": plan["spec"]["provider"]["source"]["name"], LABEL: image},
        },
        "spec": {"backoffLimit": BACKOFF_LIMIT, "completions": 1, "template": {"spec": pod}},
    }
