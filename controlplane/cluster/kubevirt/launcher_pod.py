"""The virt-launcher pod of a VirtualMachineInstance. Pure."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.cluster.images import LAUNCHER_IMAGE
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.launcher import (
    DEVICE_PATH,
    DISK_PATH,
    INSTANCE_VARIABLE,
    NETWORK_VARIABLE,
    STATE_PATH,
)
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.report import CONSOLE_LOG

Object = dict[str, Any]

APP, CREATED_BY = "kubevirt.io", "kubevirt.io/created-by"
VIRT_LAUNCHER = "virt-launcher"
FINALIZER = "local.vmshift.io/guest"  # the pod stays until its guest has ended
STATE_VOLUME = "vm-state"
DEFAULT_GRACE = 30  # seconds for the guest to shut down: KubeVirt's


def claims_of(instance: Object) -> dict[str, str]:
    """Volume name -> claim, of the volumes that are claims."""
    found = {}
    for volume in instance["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            found[volume["name"]] = volume["persistentVolumeClaim"]["claimName"]
        elif "dataVolume" in volume:
            found[volume["name"]] = volume["dataVolume"]["name"]
    return found


def grace_of(instance: Object) -> int:
    seconds = instance["spec"].get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE if seconds is None else int(seconds)


def labels_of(instance: Object) -> dict[str, str]:
    return {APP: VIRT_LAUNCHER, CREATED_BY: instance["metadata"]["uid"]}


def pod(instance: Object, block_claims: frozenset[str], network: str, state_claim: str = "") -> Object:
    """`block_claims`: claims of volumeMode Block; `network`: "isolated" or "nat"; `state_claim`: that of a persistent TPM."""
    meta = instance["metadata"]
    owner = {"apiVersion": instance["apiVersion"], "kind": instance["kind"], "name": meta["name"], "uid": meta["uid"]}
    claims = claims_of(instance)
    mounts = [
        {"name": volume, "mountPath": DISK_PATH.format(volume).rpartition("/")[0]}
        for volume, claim in claims.items()
        if claim not in block_claims
    ]
    if state_claim:
        mounts.append({"name": STATE_VOLUME, "mountPath": STATE_PATH})
        claims[STATE_VOLUME] = state_claim
    domain = {"apiVersion": instance["apiVersion"], "kind": instance["kind"], "metadata": _named(meta), "spec": instance["spec"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{VIRT_LAUNCHER}-{meta['name']}-",
            "namespace": meta["namespace"],
            "labels": {**(meta.get("labels") or {}), **labels_of(instance)},
            "annotations": {"kubevirt.io/domain": meta["name"], "kubectl.kubernetes.io/default-container": "compute"},
            "finalizers": [FINALIZER],
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": grace_of(instance),
            "initContainers": [
                {"name": CONSOLE_LOG, "image": LAUNCHER_IMAGE, "command": ["/usr/bin/virt-tail"], "restartPolicy": "Always"}
            ],
            "containers": [
                {
                    "name": "compute",
                    "image": LAUNCHER_IMAGE,
                    "env": [
                        {"name": INSTANCE_VARIABLE, "value": json.dumps(domain)},
                        {"name": NETWORK_VARIABLE, "value": network},
                    ],
                    "volumeDevices": [
                        {"name": volume, "devicePath": DEVICE_PATH.format(volume)}
                        for volume, claim in claims.items()
                        if claim in block_claims
                    ],
                    "volumeMounts": mounts,
                }
            ],
            "volumes": [{"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, claim in claims.items()],
        },
    }


def _named(meta: Object) -> Object:
    return {key: meta[key] for key in ("name", "namespace", "uid", "annotations", "labels", "ownerReferences") if key in meta}
