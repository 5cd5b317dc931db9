# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that runs of a plan have made: read in a handful of requests for all VMs, then handed out per VM and disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils import runs
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CONVERSION_ONLY, LABEL_MIGRATION, LABEL_PLAN, LABEL_VM_ID
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import list_objects

Object = Mapping[str, Any]

DISK_SOURCE, DISK_INDEX = "forklift.konveyor.io/disk-source", "forklift.konveyor.io/disk-index"
VM_UUID = "vmUUID"
APP = "forklift.app"
CONSUMER, VIRT_V2V = "consumer", "virt-v2v"
POPULATORS = {"ovirt": "OvirtVolumePopulator", "openstack": "OpenstackVolumePopulator", "vsphere": "VSphereXcopyVolumePopulator"}
_CONVERSION_TYPE, _INSPECTION = "conversion-type", "DeepInspection"
_IMPORTERS = "cdi.kubevirt.io=importer"
_IMPORT_POD = "cdi.kubevirt.io/storage.import.importPodName"
_PRIME = "prime-"
_IN_TARGET = ("VirtualMachine", "DataVolume", "PersistentVolumeClaim", "Pod")
_BESIDE_PLAN = ("Conversion", "Job")


class Found(NamedTuple):
    """objects: kind -> objects of all VMs. importers: pods of CDI, which carry no label of MTV. unseen: kinds that could not be read."""

    objects: Mapping[str, Sequence[Object]]
    importers: Mapping[str, Object]
    unseen: frozenset[str]


def read(cluster: Cluster, plan: Object, *, there: Cluster | None, populator: str | None, imports: bool) -> Found:
    """cluster: that of MTV. there: the one that the VMs go to, often the same; None where it cannot be read: then only what MTV keeps
    beside the plan is seen. populator: kind of the populators. imports: importer pods may be there.
    """
    mine, target = f"{LABEL_PLAN}={plan['metadata']['uid']}", plan["spec"].get("targetNamespace") or ""
    asked = [(cluster, kind, plan["metadata"]["namespace"], mine) for kind in _BESIDE_PLAN]
    if there:
        asked += [(there, kind, target, mine) for kind in _IN_TARGET]
        if populator and _runs(plan):  # they do not carry the plan's label
            asked.append((there, populator, target, f"{LABEL_MIGRATION} in ({','.join(_runs(plan))})"))
        if plan["spec"].get("type") == CONVERSION_ONLY:  # whoever filled the claims does not know the plan
            asked = [(at, kind, space, VM_UUID if kind == "PersistentVolumeClaim" else wanted) for at, kind, space, wanted in asked]
    objects: dict[str, list[dict[str, Any]]] = {}
    unseen = set() if there else {*_IN_TARGET}
    for where, kind, namespace, selector in asked:
        found = _listed(where, kind, namespace, selector)
        unseen |= {kind} if found is None else set()
        objects[kind] = found or []
    pods = _listed(there, "Pod", target, _IMPORTERS) if there and imports else None
    return Found(objects, {pod["metadata"]["name"]: pod for pod in pods or ()}, frozenset(unseen))


def _runs(plan: Object) -> list[str]:
    history = ((plan.get("status") or {}).get("migration") or {}).get("history") or []
    return sorted({uid for entry in history if (uid := (entry.get("migration") or {}).get("uid"))})


def _listed(cluster: Cluster, kind: str, namespace: str, selector: str) -> list[dict[str, Any]] | None:
    """None when the user may not read them. A release of MTV that does not know the kind has none."""
    try:
        return list_objects(cluster, kind, namespace, label_selector=selector)
    except ClusterError as error:
        if error.status == 404:
            return []
        if error.status != 403:
            raise
        cluster.warn(f"The trace is without the objects of kind {kind} in namespace {namespace}: {error}")
        return None


def _is_of(obj: Object, run: str | None) -> bool:
    """run: uid of a Migration. A claim that somebody else has filled is of no run, and of each."""
    return run in (None, _label(obj, LABEL_MIGRATION)) or (obj["kind"] == "PersistentVolumeClaim" and not _label(obj, LABEL_PLAN))


class Children:
    """What belongs to one VM."""

    def __init__(self, found: Found, vm: Object, run: str | None) -> None:
        """vm: entry of `status.migration.vms`; run: uid of the Migration. What a VM that has succeeded has may be of an earlier run."""
        self._importers, self.unseen = found.importers, found.unseen
        old = runs.row(vm)["outcome"] == runs.SUCCEEDED
        self._objects = {
            kind: [o for o in objects if _label(o, LABEL_VM_ID) == vm["id"] and (old or _is_of(o, run))]
            for kind, objects in found.objects.items()
            if vm.get("id")
        }
        self.populators = [o for kind in POPULATORS.values() for o in self._objects.get(kind, ())]

    def all(self, kind: str) -> Sequence[Object]:
        return self._objects.get(kind, ())

    def one(self, kind: str, **labels: str) -> Object | None:
        """The newest with these labels."""
        fits = [o for o in self.all(kind) if all(_label(o, key) == value for key, value in labels.items())]
        return max(fits, key=lambda o: o["metadata"].get("creationTimestamp") or "", default=None)

    def conversion(self) -> Object | None:
        """The newest one that is no inspection."""
        fits = [o for o in self.all("Conversion") if _label(o, _CONVERSION_TYPE) != _INSPECTION]
        return max(fits, key=lambda o: o["metadata"].get("creationTimestamp") or "", default=None)

    def pod(self, app: str) -> Object | None:
        fits = [pod for pod in self.all("Pod") if _label(pod, APP) == app]
        return max(fits, key=lambda pod: pod["metadata"].get("creationTimestamp") or "", default=None)

    def claims(self) -> list[Object]:
        """Without the temporary ones of populators."""
        return [claim for claim in self.all("PersistentVolumeClaim") if not claim["metadata"]["name"].startswith(_PRIME)]

    def named(self, kind: str, name: str) -> Object | None:
        return next((o for o in self.all(kind) if o["metadata"]["name"] == name), None)

    def temporary(self, claim: Object) -> Object | None:
        return self.named("PersistentVolumeClaim", f"{_PRIME}{claim['metadata'].get('uid')}")

    def populator_of(self, claim: Object) -> Object | None:
        spec = claim.get("spec") or {}
        name = (spec.get("dataSourceRef") or spec.get("dataSource") or {}).get("name")
        return next((o for o in self.populators if o["metadata"]["name"] == name), None)

    def populator_pod(self, claim: Object) -> Object | None:
        return self.named("Pod", f"populate-{claim['metadata'].get('uid')}")

    def importer(self, claim: Object) -> tuple[str, Object | None]:
        """(name, pod) of the importer of a claim: CDI writes its name on the claim, or names it after that. ("", None): there was none."""
        name = annotation(claim, _IMPORT_POD)
        guesses = [name] if name else [f"importer-{claim['metadata']['name']}", f"importer-{_PRIME}{claim['metadata'].get('uid')}"]
        return next(((guess, self._importers[guess]) for guess in guesses if guess in self._importers), (name, None))


def of_disk(objects: Sequence[Object], disk: str | None, disks: Sequence[str]) -> Object | None:
    """The DataVolume or claim for a disk, by what its source is called on it; else by its place among the disks."""
    if disk is None:
        return objects[0] if len(objects) == 1 else None
    exact = next((o for o in objects if disk in (annotation(o, DISK_SOURCE), _label(o, "diskID"))), None)
    if exact or not objects:
        return exact
    named = {id(o): max((d for d in disks if _is_about(o, d)), key=len, default=None) for o in objects}
    about = next((o for o in objects if named[id(o)] == disk), None)
    if about:
        return about
    place = str(disks.index(disk)) if disk in disks else ""
    loose = [o for o in objects if not named[id(o)] and not {annotation(o, DISK_SOURCE), _label(o, "diskID")} & set(disks)]
    return next((o for o in loose if annotation(o, DISK_INDEX) == place), None)


def _is_about(obj: Object, disk: str) -> bool:
    """OpenStack: the disk is called after the image it came by, and so is the populator; the claim may know only the volume's id."""
    source = annotation(obj, DISK_SOURCE)
    populator = ((obj.get("spec") or {}).get("dataSourceRef") or {}).get("name") or ""
    return bool(source and disk.endswith(source)) or populator == disk or populator.startswith(f"{disk}-")


def annotation(obj: Object, key: str) -> str:
    return (obj["metadata"].get("annotations") or {}).get(key) or ""


def _label(obj: Object, key: str) -> str:
    return (obj["metadata"].get("labels") or {}).get(key) or ""
