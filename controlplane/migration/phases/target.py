"""CreateVM: the VirtualMachine, and its disks handed over to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration import children, itineraries, labels
from ansible_collections.vmshift.mtv.controlplane.migration.phases import snapshots
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]


def create(work: VmRun) -> bool:
    claims = children.claims_in_order(work)
    machine = children.present(work.target, "VirtualMachine", work.namespace, work.labels)
    if machine is None:
        _refuse_partial_disks(work, claims)
        machine = children.create(work.target, _build(work, claims))
    for claim in claims:
        _hand_over(work, claim, machine)
    # Only now: while a DataVolume owns its PVC, deleting the one deletes the other.
    made = labels.of_vm(work.plan, work.vm["id"]) if work.run.resumes else work.labels
    work.target.delete_all("DataVolume", work.namespace, made)
    work.target.delete_all("Pod", work.namespace, {**work.labels, labels.APP: labels.CONSUMER})
    return True


def _refuse_partial_disks(work: VmRun, claims: list[Object]) -> None:
    """Whatever brought us here: no VirtualMachine on disks that are not known to be complete. Raises PhaseError."""
    for claim in claims:
        if not children.bound(claim):
            raise PhaseError(f"PersistentVolumeClaim {claim['metadata']['name']} is not bound; its disk cannot be complete.")
    if not snapshots.convert(work):
        raise PhaseError("Disks that came as images of another format are not converted; the disks may not be complete.")
    if itineraries.row_of(work.itinerary, itineraries.CONVERT_GUEST) is None:
        return
    pod = children.conversion_pod(work)
    if pod is None or pod.get("status", {}).get("phase") != "Succeeded":
        raise PhaseError("The conversion pod has not succeeded; the disks may not be complete.")


def _build(work: VmRun, claims: list[Object]) -> Object:
    names = {disk.source: claim["metadata"]["name"] for disk, claim in zip(work.disks, claims, strict=True)}
    try:
        return work.run.source.virtual_machine(work, names)
    except ValueError as error:
        raise PhaseError(str(error)) from None


def _hand_over(work: VmRun, claim: Object, machine: Object) -> None:
    owner = {
        "apiVersion": machine["apiVersion"],
        "kind": machine["kind"],
        "name": machine["metadata"]["name"],
        "uid": machine["metadata"]["uid"],
        "blockOwnerDeletion": True,
        "controller": False,
    }
    if claim["metadata"].get("ownerReferences") != [owner]:
        name = claim["metadata"]["name"]
        work.target.patch("PersistentVolumeClaim", work.namespace, name, {"metadata": {"ownerReferences": [owner]}})
