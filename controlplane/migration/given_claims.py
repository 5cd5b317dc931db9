"""Disks that are copied already: the claims that a plan of type "conversion", or a resumed one, finds in its target namespace.

See facts 3.3, 3.10 and 8.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from kubernetes.utils.quantity import parse_quantity

from ansible_collections.vmshift.mtv.controlplane.migration import children, labels

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Disk

Object = dict[str, Any]


def problem(work: VmRun) -> str:
    """Why they cannot be the disks of the VM, in one sentence; "" when they can. Nobody has touched the source yet."""
    claims = work.target.list("PersistentVolumeClaim", work.namespace, work.claim_labels)
    for claim in claims:
        if not _source(claim):
            return f"{_named(claim)} has no annotation {labels.DISK_SOURCE}; give it the file of the disk that was copied into it."
    count = Counter(_source(claim) for claim in claims)
    for disk in work.disks:
        if count[disk.source] != 1:
            wanted = ",".join(f"{key}={value}" for key, value in work.claim_labels.items())
            return (
                f"Disk {disk.source} needs one PersistentVolumeClaim in namespace {work.namespace} with the labels {wanted} and this disk "
                f"in its annotation {labels.DISK_SOURCE}; there are {count[disk.source]}."
            )
    sizes = {disk.source: disk for disk in work.disks}
    return next(filter(None, (_unfit(claim, sizes[_source(claim)]) for claim in claims if _source(claim) in sizes)), "")


def _unfit(claim: Object, disk: Disk) -> str:
    if not children.bound(claim):
        return f"{_named(claim)} is not bound, so that nobody can have copied disk {disk.source} into it."
    size = ((claim.get("status") or {}).get("capacity") or {}).get("storage")
    if size and parse_quantity(size) < disk.size:
        return f"{_named(claim)} has {size}, which is less than the {disk.size} bytes of disk {disk.source}."
    return ""


def _source(claim: Object) -> str:
    return (claim["metadata"].get("annotations") or {}).get(labels.DISK_SOURCE) or ""


def _named(claim: Object) -> str:
    return f"PersistentVolumeClaim {claim['metadata']['namespace']}/{claim['metadata']['name']}"
