"""Inspections of a VM before its disks are copied: Conversions of type DeepInspection and their pods (facts 1.8, 3.7). Built purely.

The pod runs beside the plan, also where the VM goes to another cluster: it reads the source, and writes nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster.images import INSPECTION_IMAGE, INSPECTION_XFS_IMAGE
from ansible_collections.vmshift.mtv.controlplane.migration import conversions, labels, vddk

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

SNAPSHOT = "SNAPSHOT_MOREF"  # setting: the snapshot to look at, which its maker removes
ROOT_DISK = "V2V_RootDisk"
_USER = 1001


def inspection(work: VmRun, snapshot: str, secret: str, keys: str, vddk_image: str) -> Object:
    """The Conversion for one VM of a plan. `secret`, `keys`: names of Secrets beside the plan: connection, LUKS keys."""
    spec, namespace = work.run.spec, work.plan["metadata"]["namespace"]
    account = spec.get("serviceAccount") or work.run.settings.service_account
    root = work.vm.get("rootDisk")
    optional = {
        "diskEncryption": _encryption(work, keys),
        "podSettings": {"serviceAccount": account} if account else None,
        "vddkImage": vddk_image,
    }
    return {
        "apiVersion": "forklift.konveyor.io/v1beta1",
        "kind": "Conversion",
        "metadata": {
            "generateName": work.child_name,
            "namespace": namespace,
            "labels": {**work.labels, labels.CONVERSION_TYPE: labels.INSPECTION_TYPE, labels.APP: labels.DEEP_INSPECTION},
        },
        "spec": {
            "type": labels.INSPECTION_TYPE,
            "vm": {"id": work.vm["id"], "name": work.source_vm["name"]},
            "connection": {"secret": {"name": secret, "namespace": namespace}},
            "targetNamespace": namespace,
            "settings": {SNAPSHOT: snapshot, **({ROOT_DISK: root} if root else {})},
            "xfsCompatibility": bool(spec.get("xfsCompatibility")),
            **{field: value for field, value in optional.items() if value},
        },
    }


def _encryption(work: VmRun, keys: str) -> Object | None:
    if work.vm.get("nbdeClevis"):
        return {"type": conversions.CLEVIS}
    namespace = work.plan["metadata"]["namespace"]
    return {"type": conversions.LUKS, "secret": {"name": keys, "namespace": namespace}} if keys else None


def pod(conversion: Object) -> Object:
    """The pod of such a Conversion."""
    spec = conversion["spec"]
    chosen = spec.get("podSettings") or {}
    kvm = chosen.get("requestKVM", True)
    prefix = chosen.get("generateName") or f"{conversion['metadata']['name']}-"
    meta = {
        "generateName": f"{prefix}deep-inspection-",
        "namespace": spec["targetNamespace"],
        "labels": {**conversion["metadata"].get("labels", {}), **conversions.pod_labels(conversion)},
    }
    if chosen.get("transferNetworkAnnotations"):
        meta["annotations"] = chosen["transferNetworkAnnotations"]
    body: Object = {
        "restartPolicy": "Never",
        "securityContext": {"fsGroup": _USER, "runAsNonRoot": True, "runAsUser": _USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(spec, kvm)],
        "volumes": _volumes(spec),
    }
    if spec.get("vddkImage"):
        body["initContainers"] = [vddk.side_car(spec["vddkImage"])]
    selector = {**({"kubevirt.io/schedulable": "true"} if kvm else {}), **(chosen.get("nodeSelector") or {})}
    placement = {"affinity": chosen.get("affinity"), "nodeSelector": selector, "serviceAccountName": chosen.get("serviceAccount")}
    body.update({field: value for field, value in placement.items() if value})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body}


def _container(spec: Object, kvm: bool) -> Object:
    device = {"devices.kubevirt.io/kvm": "1"} if kvm else {}
    environment = {**(spec.get("settings") or {}), "VM_MOREF": spec["vm"].get("id", "")}
    if (spec.get("diskEncryption") or {}).get("type") == conversions.CLEVIS:
        environment["V2V_NBDE_CLEVIS"] = "true"
    return {
        "name": labels.DEEP_INSPECTION,
        "image": spec.get("image") or (INSPECTION_XFS_IMAGE if spec.get("xfsCompatibility") else INSPECTION_IMAGE),
        "imagePullPolicy": "Always",
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {
            "limits": {"cpu": "2", "memory": "4Gi", **device},
            "requests": {"cpu": "100m", "memory": "512Mi", **device},
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            *([{"name": "luks", "mountPath": "/etc/luks", "readOnly": True}] if conversions.keys(spec) else ()),
            {"name": vddk.VOLUME, "mountPath": vddk.MOUNT_PATH},
            {"name": "connection-secret", "mountPath": "/etc/secret", "readOnly": True},
        ],
    }


def _volumes(spec: Object) -> list[Object]:
    keys = conversions.keys(spec)
    return [
        *([{"name": "luks", "secret": {"secretName": keys}}] if keys else ()),
        {"name": vddk.VOLUME, "emptyDir": {}},
        {"name": "connection-secret", "secret": {"secretName": spec["connection"]["secret"]["name"]}},
    ]


def result(told: Object) -> Object:
    """`status.inspectionResult` of what an inspection pod tells."""
    system = told.get("os_info")
    found: Object = {
        "allChecksPassed": bool(told.get("passed")),
        "concerns": [{key: str(concern.get(key, "")) for key in _CONCERN} for concern in told.get("all_concerns") or ()],
        "filesystems": [_filesystem(entry) for entry in told.get("filesystems") or ()],
        "mountpoints": [{"device": entry["device"], "mountPoint": entry["mount_point"]} for entry in told.get("mountpoints") or ()],
    }
    if system:
        found["osInfo"] = {
            "name": system.get("name", ""),
            "distro": system.get("distro", ""),
            "version": system.get("major_version", ""),
            "arch": system.get("architecture", ""),
        }
    return {field: value for field, value in found.items() if value != []}


_CONCERN = ("id", "category", "label", "message")


def _filesystem(entry: Object) -> Object:
    return {"device": entry["device"], "type": entry["type"], **({"uuid": entry["uuid"]} if entry.get("uuid") else {})}
