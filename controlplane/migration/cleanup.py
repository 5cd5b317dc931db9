"""Taking away what runs made: of a VM tried again, canceled, succeeded or archived; of a plan that is gone (facts 3.10).

Nothing that a VirtualMachine of a succeeded migration needs is ever touched. What a run made is known by its labels, in whatever
namespace: the plan's target namespace may have been another one then. `here` is the cluster that manages the migration, `there`
the one that the VMs go to.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError, NotFound
from ansible_collections.vmshift.mtv.controlplane.controllers import populator_objects
from ansible_collections.vmshift.mtv.controlplane.migration import labels, populators, vddk
from ansible_collections.vmshift.mtv.controlplane.migration.run import only_converts
from ansible_collections.vmshift.mtv.controlplane.migration.sources import ova_store

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects

Object = dict[str, Any]

TARGET = ("VirtualMachine", "DataVolume", "PersistentVolumeClaim")
POPULATED = ("Job", *populators.KINDS)  # beside these, where volume populators fetch disks: on this cluster only
HELPERS = ("Secret", "ConfigMap")
INSPECTION = ("Conversion", "Pod", "Secret")
CHILDREN = ("Pod", "DataVolume", "PersistentVolumeClaim", *HELPERS, "PersistentVolume")


def after_success(here: Objects, there: Objects, plan: Object, vm: Object, *, retain_populators: bool = False) -> None:
    """What nobody needs once the VM is there. The conversion's pod stays for its log, unless the plan says otherwise."""
    wanted = labels.of_vm(plan, vm["id"])
    there.delete_all("Pod", None, {**wanted, labels.APP: labels.CONSUMER})
    if there is here:
        for kind in POPULATED:
            there.delete_all(kind, None, wanted)
        if not retain_populators:
            _delete_populator_pods(there, plan, vm["id"])
    if plan["spec"].get("deleteGuestConversionPod"):
        _delete_conversions(here, there, plan, wanted)
    for kind in HELPERS:
        there.delete_all(kind, None, wanted)
    there.delete_all("Secret", None, labels.of_keys(plan, vm["id"]))
    _delete_inspections(here, plan, wanted)
    _delete_hooks(here, plan, vm["id"])


def of_vm(here: Objects, there: Objects, plan: Object, vm: Object, *, keeps_target: bool) -> bool:
    """All that is left of a VM's runs; the target too unless that is kept, or the plan wants none deleted that failed.

    True when nothing is left; False while something is still on its way out: a pod may go on writing until then.
    """
    wanted = labels.of_vm(plan, vm["id"])
    _delete_conversions(here, there, plan, wanted)
    _delete_inspections(here, plan, wanted)
    there.delete_all("Pod", None, wanted)
    left = there.list("Pod", None, wanted)
    if there is here:
        there.delete_all("Job", None, wanted)
        left += _delete_populator_pods(there, plan, vm["id"])
    if not keeps_target and _deletes_failed(plan, vm):
        for kind in (*TARGET, *(POPULATED if there is here else ())):
            left += _delete_target(there, kind, wanted)
    for kind in HELPERS:
        there.delete_all(kind, None, wanted)
    there.delete_all("Secret", None, labels.of_keys(plan, vm["id"]))
    left += ova_store.remove(there, plan, vm["id"])
    _delete_hooks(here, plan, vm["id"])
    return not left


def _delete_populator_pods(there: Objects, plan: Object, vm_id: str) -> list[Object]:
    """Returns those that are still there."""
    wanted = labels.of_populators(plan, vm_id)
    pods = [pod for pod in there.list("Pod", None, wanted) if populator_objects.is_populator(pod)]
    for pod in pods:
        _delete(there, pod)
    return [pod for pod in pods if there.find("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])]


def _delete_hooks(here: Objects, plan: Object, vm_id: str) -> None:
    """The Jobs of hooks, with their pods, and ConfigMaps."""
    for kind in ("Job", "ConfigMap"):
        here.delete_all(kind, plan["metadata"]["namespace"], labels.of_hooks(plan, vm_id))


def _deletes_failed(plan: Object, vm: Object) -> bool:
    if only_converts(plan):  # the disks are somebody else's work
        return False
    return bool(plan["spec"].get("deleteVmOnFailMigration") or vm.get("deleteVmOnFailMigration"))


def _delete_target(there: Objects, kind: str, wanted: dict[str, str]) -> list[Object]:
    propagation = "Foreground" if kind == "VirtualMachine" else "Background"
    for obj in there.list(kind, None, wanted):
        _delete(there, obj, propagation)
    return there.list(kind, None, wanted)


def _delete_conversions(here: Objects, there: Objects, plan: Object, wanted: dict[str, str]) -> None:
    """The Conversions and their pods."""
    here.delete_all("Conversion", plan["metadata"]["namespace"], {**wanted, labels.APP: labels.VIRT_V2V})
    there.delete_all("Pod", None, {**wanted, labels.APP: labels.VIRT_V2V})


def _delete_inspections(here: Objects, plan: Object, wanted: dict[str, str]) -> None:
    """With their pods and Secrets, which are all beside the plan."""
    for kind in INSPECTION:
        here.delete_all(kind, plan["metadata"]["namespace"], {**wanted, labels.CONVERSION_TYPE: labels.INSPECTION_TYPE})


def _delete(objects: Objects, obj: Object, propagation: str = "Background") -> None:
    meta = obj["metadata"]
    with suppress(NotFound):  # went together with its owner
        objects.delete(obj["kind"], meta.get("namespace"), meta["name"], propagation=propagation, uid=meta["uid"])


def of_absent_plan(here: Objects, there: Objects, namespace: str, name: str, *, except_uid: str = "") -> None:
    """What plans of that name left behind, but for the plan of `except_uid`. Migrated VMs and their PVCs stay.

    So does what the plans of another control plane, to which this cluster is a destination, have here.
    """
    wanted, origin = labels.of_named_plan(namespace, name), None if there is here else labels.identity(here)
    left = [(here, obj) for obj in here.list("Conversion", None, wanted)]
    inspecting = {**wanted, labels.CONVERSION_TYPE: labels.INSPECTION_TYPE}
    left += [(here, obj) for kind in INSPECTION for obj in here.list(kind, None, inspecting) if labels.origin(obj) is None]
    kinds = (*CHILDREN, *POPULATED) if there is here else CHILDREN
    left += [(there, obj) for kind in kinds for obj in there.list(kind, None, wanted) if labels.origin(obj) == origin]
    left += [(there, export) for export in _exports(there, wanted) if labels.origin(export) == origin]
    left += [(here, job) for job in _orphaned_validations(here)]
    left += [(there, secret) for secret in _orphaned_keys(here, there, origin)]
    for objects, obj in left:
        if obj["metadata"]["labels"].get(labels.PLAN) != except_uid and not _belongs_to_vm(obj):
            _delete(objects, obj)


def _exports(there: Objects, wanted: dict[str, str]) -> list[Object]:
    """Of VMs, on a cluster that they come from; one that serves no exports, or lets us see none, has none of ours."""
    try:
        return there.list("VirtualMachineExport", None, wanted)
    except ApiError as error:
        if error.code not in (403, 404):
            raise
        return []


def _orphaned_keys(here: Objects, there: Objects, origin: str | None) -> list[Object]:
    """Copies of LUKS keys for Conversions of plans that are gone; they know their plan by uid only."""
    known = {plan["metadata"]["uid"] for plan in here.list("Plan")}
    found = [secret for secret in there.list("Secret", None, {labels.LUKS_KEYS: "true"}) if labels.origin(secret) == origin]
    return [secret for secret in found if labels.VM_ID in _labels(secret) and _labels(secret).get(labels.PLAN, "") not in {*known, ""}]


def _orphaned_validations(here: Objects) -> list[Object]:
    """Jobs that tried images for plans that are gone; they know their plan by uid only."""
    known = {plan["metadata"]["uid"] for plan in here.list("Plan")}
    return [job for job in here.list("Job") if vddk.LABEL in _labels(job) and _labels(job).get(labels.PLAN) not in known]


def validations(here: Objects, plan: Object) -> None:
    """Delete the Jobs that tried images for a plan."""
    for job in here.list("Job", None, {labels.PLAN: plan["metadata"]["uid"]}):
        if vddk.LABEL in _labels(job):
            _delete(here, job)


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _belongs_to_vm(obj: Object) -> bool:
    return any(owner["kind"] == "VirtualMachine" for owner in obj["metadata"].get("ownerReferences", ()))
