"""Conversion objects and the pods that carry them out (facts 1.8, 3.7, 3.9). The objects are built purely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster.images import VIRT_V2V_IMAGE, VIRT_V2V_XFS_IMAGE
from ansible_collections.vmshift.mtv.controlplane.migration import children, labels, plan_configuration, transfer_network, vddk

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun
    from ansible_collections.vmshift.mtv.controlplane.migration.settings import Settings
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Conversion

Object = dict[str, Any]

REMOTE, IN_PLACE = "Remote", "InPlace"
LUKS, CLEVIS = "LUKS", "Clevis"  # how a guest's disks are opened
POD_REFUSED = "PodRefused"  # a condition: the cluster lets the pod not be made, for a quota, say
METRICS_PORT = 2112
QEMU = 107  # user and group of the pod

SPREAD: Object = {
    "podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 100,
                "podAffinityTerm": {
                    "labelSelector": {"matchExpressions": [{"key": labels.APP, "operator": "In", "values": [labels.VIRT_V2V]}]},
                    "namespaceSelector": {},
                    "topologyKey": "kubernetes.io/hostname",
                },
            }
        ]
    }
}


def type_of(work: VmRun) -> str:
    """Of the Conversion: from the source, or of what has been copied."""
    return REMOTE if work.traits.virt_v2v_copies else IN_PLACE


def conversion(work: VmRun, wanted: Conversion, secret: str, keys: str = "") -> Object:
    """The Conversion for one VM of a plan. `secret`, `keys`: names of Secrets in the target namespace: connection, LUKS keys."""
    spec, type = work.run.spec, type_of(work)
    own = {labels.CONVERSION_TYPE: type, labels.APP: labels.VIRT_V2V}
    optional = {
        "diskEncryption": _encryption(work, keys),
        "extraVolumes": [*wanted.volumes, *(volume for volume, _mount in _configuration(work))],
        "extraMounts": [*wanted.mounts, *(mount for _volume, mount in _configuration(work))],
        "vddkImage": wanted.vddk_image,
    }
    return {
        "apiVersion": "forklift.konveyor.io/v1beta1",
        "kind": "Conversion",
        "metadata": {
            "generateName": work.child_name,
            "namespace": work.plan["metadata"]["namespace"],
            "labels": {**(spec.get("convertorLabels") or {}), **work.labels, **own},
        },
        "spec": {
            "type": type,
            "vm": {"id": work.vm["id"], "name": work.source_vm["name"]},
            "connection": {"secret": {"name": secret, "namespace": work.namespace}},
            "destination": dict(spec["provider"]["destination"]),
            "targetNamespace": work.namespace,
            "disks": [_disk(index, claim) for index, claim in enumerate(children.claims_in_order(work))],
            "image": spec.get("virtV2vImage") or (VIRT_V2V_XFS_IMAGE if spec.get("xfsCompatibility") else VIRT_V2V_IMAGE),
            "localMigration": work.run.target.is_host,
            "settings": wanted.settings,
            "podSettings": _pod_settings(work),
            "xfsCompatibility": bool(spec.get("xfsCompatibility")),
            **{field: value for field, value in optional.items() if value},
        },
    }


def _encryption(work: VmRun, keys: str) -> Object | None:
    if work.vm.get("nbdeClevis"):
        return {"type": CLEVIS}
    return {"type": LUKS, "secret": {"name": keys, "namespace": work.namespace}} if keys else None


def _configuration(work: VmRun) -> list[tuple[Object, Object]]:
    """(volume, mount) of the ConfigMaps that the plan brings along."""
    return [
        ({"name": part.volume, "configMap": {"name": part.name(work.plan)}}, {"name": part.volume, "mountPath": part.path})
        for part in plan_configuration.of(work.run)
    ]


def _disk(index: int, claim: Object) -> Object:
    mode = claim["spec"].get("volumeMode", "Filesystem")
    place = {"devicePath": f"/dev/block{index}"} if mode == "Block" else {"mountPath": f"/mnt/disks/disk{index}"}
    return {"name": claim["metadata"]["name"], "namespace": claim["metadata"]["namespace"], "volumeMode": mode, **place}


def _pod_settings(work: VmRun) -> Object:
    spec = work.run.spec
    found = {
        "generateName": work.child_name,
        "affinity": spec.get("convertorAffinity") or SPREAD,
        "nodeSelector": spec.get("convertorNodeSelector"),
        "requestKVM": work.run.settings.request_kvm,
        "serviceAccount": spec.get("serviceAccount") or work.run.settings.service_account,
        "transferNetworkAnnotations": transfer_network.pod_annotations(work.api, work.plan),
    }
    return {field: value for field, value in found.items() if value not in (None, "", {})}


def pod(conversion: Object, settings: Settings) -> Object:
    """The pod of a Conversion; it lives in the target namespace."""
    spec = conversion["spec"]
    chosen = spec.get("podSettings") or {}
    kvm = chosen.get("requestKVM", True)
    meta = {
        "generateName": chosen.get("generateName") or f"{conversion['metadata']['name']}-",
        "namespace": spec["targetNamespace"],
        "labels": {**conversion["metadata"].get("labels", {}), **pod_labels(conversion)},
    }
    if chosen.get("transferNetworkAnnotations"):
        meta["annotations"] = chosen["transferNetworkAnnotations"]
    body: Object = {
        "restartPolicy": "Never",
        "securityContext": {"fsGroup": QEMU, "runAsNonRoot": True, "runAsUser": QEMU, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(spec, settings, kvm)],
        "volumes": _volumes(spec),
    }
    if spec.get("vddkImage"):
        body["initContainers"] = [vddk.side_car(spec["vddkImage"])]
    selector = {**({"kubevirt.io/schedulable": "true"} if kvm else {}), **(chosen.get("nodeSelector") or {})}
    placement = {"affinity": chosen.get("affinity"), "nodeSelector": selector, "serviceAccountName": chosen.get("serviceAccount")}
    body.update({field: value for field, value in placement.items() if value})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body}


def pod_labels(conversion: Object) -> dict[str, str]:
    """By which the pod of a Conversion is found."""
    return {
        labels.CONVERSION: conversion["metadata"]["name"],
        labels.CONVERSION_TYPE: conversion["spec"]["type"],
        labels.APP: labels.DEEP_INSPECTION if conversion["spec"]["type"] == labels.INSPECTION_TYPE else labels.VIRT_V2V,
    }


def _container(spec: Object, settings: Settings, kvm: bool) -> Object:
    device = {"devices.kubevirt.io/kvm": "1"} if kvm else {}
    disks = spec.get("disks") or ()
    environment = {**(spec.get("settings") or {}), **({"V2V_inPlace": "1"} if spec["type"] == IN_PLACE else {})}
    if spec.get("xfsCompatibility"):
        environment["V2V_xfsCompatibility"] = "true"
    environment.update(V2V_waitForGuestReboot="true", LOCAL_MIGRATION="true" if spec.get("localMigration") else "false")
    container: Object = {
        "name": "virt-v2v",
        "image": spec.get("image") or VIRT_V2V_IMAGE,
        "imagePullPolicy": "Always",
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "envFrom": [{"prefix": "V2V_", "secretRef": {"name": spec["connection"]["secret"]["name"]}}],
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}],
        "resources": {
            "limits": {"cpu": settings.limits_cpu, "memory": settings.limits_memory, **device},
            "requests": {"cpu": settings.requests_cpu, "memory": settings.requests_memory, **device},
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            *({"name": disk["name"], "mountPath": disk["mountPath"]} for disk in disks if disk.get("mountPath")),
            {"name": vddk.VOLUME, "mountPath": vddk.MOUNT_PATH},
            *([{"name": "luks", "mountPath": "/etc/luks", "readOnly": True}] if keys(spec) else ()),
            *(spec.get("extraMounts") or ()),
            {"name": "secret-volume", "mountPath": "/etc/secret", "readOnly": True},
        ],
    }
    devices = [{"name": disk["name"], "devicePath": disk["devicePath"]} for disk in disks if disk.get("devicePath")]
    return {**container, **({"volumeDevices": devices} if devices else {})}


def _volumes(spec: Object) -> list[Object]:
    return [
        *({"name": disk["name"], "persistentVolumeClaim": {"claimName": disk["name"]}} for disk in spec.get("disks") or ()),
        {"name": vddk.VOLUME, "emptyDir": {}},
        *([{"name": "luks", "secret": {"secretName": keys(spec)}}] if keys(spec) else ()),
        *(spec.get("extraVolumes") or ()),
        {"name": "secret-volume", "secret": {"secretName": spec["connection"]["secret"]["name"]}},
    ]


def keys(spec: Object) -> str:
    """The Secret with the LUKS keys of a Conversion."""
    return ((spec.get("diskEncryption") or {}).get("secret") or {}).get("name", "")
