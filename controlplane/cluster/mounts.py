"""The volumes of a container, found or made on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster.environment import Unconfigured, data_of
from ansible_collections.vmshift.mtv.controlplane.cluster.volumes import DRIVER
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Kind, Mount
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.exports import local_folder

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]


def claims_of(pod: Object) -> list[str]:
    """Names of the PersistentVolumeClaims among the volumes of a pod."""
    volumes = pod["spec"].get("volumes") or ()
    return [volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume]


def mounts_of(context: Context, pod: Object, container: Object, folder: Path) -> list[Mount]:
    """What the container sees; Secrets and ConfigMaps are written below `folder`. Its claims are bound. Raises Unconfigured."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    mounts = []
    for used in (*(container.get("volumeMounts") or ()), *(container.get("volumeDevices") or ())):
        volume = volumes.get(used["name"])
        if volume is None:
            raise Unconfigured(f'the container mounts the volume "{used["name"]}", which the pod does not have')
        if used.get("subPath") or used.get("subPathExpr"):
            raise Unconfigured(f'the volume "{used["name"]}" is mounted with a subPath, which this control plane does not do')
        kind, source, read_only = _source(context, pod, volume, folder)
        path = used.get("devicePath") or used["mountPath"]
        if (kind == "Block") != ("devicePath" in used):
            raise Unconfigured(f'the volume "{used["name"]}" is of mode {kind} and cannot be used as {path} is')
        mounts.append(Mount(path, str(source), kind, read_only or bool(used.get("readOnly"))))
    return mounts


def remove_secrets(pod: Object, folder: Path) -> None:
    """Remove what `mounts_of` has written of Secrets: they are no business of a pod that has ended."""
    for volume in pod["spec"].get("volumes") or ():
        if "secret" in volume:
            shutil.rmtree(folder / "volumes" / volume["name"], ignore_errors=True)


def _source(context: Context, pod: Object, volume: Object, folder: Path) -> tuple[Kind, Path, bool]:
    """(kind, place on this machine, read only)"""
    namespace = pod["metadata"]["namespace"]
    if "persistentVolumeClaim" in volume:
        reference = volume["persistentVolumeClaim"]
        claim = context.api.get("PersistentVolumeClaim", namespace, reference["claimName"])
        persistent = context.api.get("PersistentVolume", None, claim["spec"]["volumeName"])
        return (*_persistent(context, persistent), bool(reference.get("readOnly")))
    target = folder / "volumes" / volume["name"]
    if "emptyDir" in volume:
        target.mkdir(parents=True, exist_ok=True)
        return "EmptyDir", target, False
    for kind, field in (("Secret", "secret"), ("ConfigMap", "configMap")):
        if field in volume:
            data = data_of(context.api, kind, namespace, volume[field])
            _write(target, dict(_chosen(data or {}, volume[field].get("items"))))
            return ("Secret" if kind == "Secret" else "ConfigMap"), target, True
    kinds = ", ".join(sorted(set(volume) - {"name"}))
    raise Unconfigured(f'the volume "{volume["name"]}" is of the kind {kinds or "nothing"}, which this control plane does not have')


def _persistent(context: Context, volume: Object) -> tuple[Kind, Path]:
    spec = volume["spec"]
    if spec.get("csi", {}).get("driver") == DRIVER:
        path = context.state.volume(volume["metadata"]["name"])
        if not path.exists():
            raise Unconfigured(f"the file of the PersistentVolume {volume['metadata']['name']} is gone: {path}")
        return ("Block" if spec.get("volumeMode") == "Block" else "Filesystem"), path
    if "nfs" in spec:
        try:
            folder = local_folder(f"{spec['nfs']['server']}:{spec['nfs']['path']}")
        except SourceError as error:
            raise Unconfigured(error.message) from None
        if not folder.is_dir():
            raise Unconfigured(f"{folder} is no folder of this machine")
        return "NFS", folder
    raise Unconfigured(f"the PersistentVolume {volume['metadata']['name']} is neither of the driver {DRIVER} nor an NFS share")


def _chosen(data: dict[str, bytes], items: list[Object] | None) -> Iterator[tuple[str, bytes]]:
    if items is None:
        yield from data.items()
        return
    for item in items:
        if item["key"] in data:
            yield item["path"], data[item["key"]]


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Replace the content of `folder`; nobody but the user can read it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    for name, content in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise Unconfigured(f'the path "{name}" leads out of its volume')
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
