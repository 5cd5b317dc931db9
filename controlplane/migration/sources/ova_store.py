"""The NFS export that holds the OVA files, as a volume for the conversion pod of one VM (facts 3.7, *OVA storage*)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration import labels
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError, VmRun

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects

Object = dict[str, Any]

VOLUME, MOUNT_PATH = "store-pv", "/ova"
PV, PVC = "nfs-pv", "nfs-pvc"
SIZE = "1Gi"  # means nothing on an existing export, but a volume must have one


def ensure(work: VmRun, provider: Object) -> str | None:
    """The name of the claim once it is bound; None while it is not. Raises PhaseError when it lost its volume."""
    wanted = {**_labels(work, provider), labels.MIGRATION: work.run.migration["metadata"]["uid"], labels.OVA_STORE: PVC}
    claims = work.target.list("PersistentVolumeClaim", work.namespace, wanted)
    if not claims:
        claims = [work.target.create(_claim(work, provider, wanted, volume=_ensure_volume(work, provider)))]
    phase = claims[0].get("status", {}).get("phase")
    if phase == "Lost":
        raise PhaseError("virt-v2v pvc lost")
    return claims[0]["metadata"]["name"] if phase == "Bound" else None


def _ensure_volume(work: VmRun, provider: Object) -> str:
    # Forklift labels the volume with the name of the Migration, and the claim with its uid.
    wanted = {**_labels(work, provider), labels.MIGRATION: work.run.migration["metadata"]["name"], labels.OVA_STORE: PV}
    volumes = work.target.list("PersistentVolume", None, wanted)
    if not volumes:
        volumes = [work.target.create(_volume(work, provider, wanted))]
    return volumes[0]["metadata"]["name"]


def _labels(work: VmRun, provider: Object) -> dict[str, str]:
    return {**labels.of_plan(work.plan), "provider": provider["metadata"]["name"], "app": "forklift", labels.VM_ID: work.vm["id"]}


def _volume(work: VmRun, provider: Object, wanted: dict[str, str]) -> Object:
    server, path = export(provider["spec"]["url"])
    name = f"ova-store-pv-{provider['metadata']['name']}-{work.plan['metadata']['name']}-"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"generateName": name, "labels": wanted},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "capacity": {"storage": SIZE},
            "nfs": {"server": server, "path": path},
            "persistentVolumeReclaimPolicy": "Retain",
            "volumeMode": "Filesystem",
        },
    }


def _claim(work: VmRun, provider: Object, wanted: dict[str, str], volume: str) -> Object:
    name = f"ova-store-pvc-{provider['metadata']['name']}-{work.plan['metadata']['name']}-"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"generateName": name, "namespace": work.namespace, "labels": wanted},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "resources": {"requests": {"storage": SIZE}},
            "storageClassName": "",
            "volumeMode": "Filesystem",
            "volumeName": volume,
        },
    }


def export(url: str) -> tuple[str, str]:
    """Server and path of an OVA provider's `spec.url` ("server:/path"; an IPv6 server may stand in brackets)."""
    server, colon, path = url.rpartition(":/")
    if not colon:
        raise PhaseError(f'The url "{url}" of the source provider is not an NFS export, expected "server:/path".')
    return server.strip("[]"), "/" + path


def remove(api: Objects, plan: Object, vm_id: str) -> list[Object]:
    """Delete the volumes and claims of a VM, of all runs. Returns those that are still there."""
    found = []
    for kind, part in (("PersistentVolumeClaim", PVC), ("PersistentVolume", PV)):
        wanted = {**labels.of_plan(plan), labels.VM_ID: vm_id, labels.OVA_STORE: part}
        api.delete_all(kind, None, wanted)
        found += api.list(kind, None, wanted)
    return found
