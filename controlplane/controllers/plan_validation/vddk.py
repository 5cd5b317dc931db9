"""VMware's disk library: whether a plan needs an image with it, and whether the image is any good (facts 8)."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.controlplane.cluster.images import VIRT_V2V_IMAGE, VIRT_V2V_XFS_IMAGE
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, CRITICAL
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject
from ansible_collections.vmshift.mtv.controlplane.migration import vddk
from ansible_collections.vmshift.mtv.controlplane.migration.settings import settings
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import VALIDATING_VDDK, is_host, is_true

Object = dict[str, Any]


def check(subject: Subject) -> None:
    """Looks at the Job that tries the image; makes it when it is not there.

    Where another cluster is the destination that is left out. Of an archived plan the Job has been taken away, and stays so.
    """
    if subject.source_type != "vsphere" or not is_host(subject.destination) or subject.spec.get("archived"):
        return
    if subject.conditions.has("VirtV2vImageNotValid"):  # in which the library would be looked at
        return
    image = vddk.image(subject.source, settings(subject.api, subject.context.namespace))
    if not image:
        _require(subject)
        return
    job = _job(subject, image) or _make(subject, image)
    if is_true(job, "Complete"):
        return
    if is_true(job, "Failed"):
        subject.conditions.set("VDDKInvalid", CRITICAL, "VDDK init image is invalid", reason="NotSet")
    else:
        subject.conditions.set(VALIDATING_VDDK, ADVISORY, "Validating VDDK init image", reason="Started")


def _require(subject: Subject) -> None:
    """Disks that virt-v2v does not copy itself are read with the library."""
    what = "warm migration" if subject.warm else "raw copy mode migration" if subject.spec.get("skipGuestConversion") else ""
    if what:
        message = f"VDDK image is required for {what}. Set it on the source provider or configure a global VDDK image."
        subject.conditions.set("VDDKInitImageUnavailable", CRITICAL, message, reason="NotSet")


def _job(subject: Subject, image: str) -> Object | None:
    found = subject.api.list("Job", subject.target_namespace, vddk.job_labels(subject.plan, image))
    return found[0] if found else None


def _make(subject: Subject, image: str) -> Object:
    if subject.api.find("Namespace", None, subject.target_namespace) is None:
        subject.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": subject.target_namespace}})
    virt_v2v = VIRT_V2V_XFS_IMAGE if subject.spec.get("xfsCompatibility") else VIRT_V2V_IMAGE
    return subject.api.create(vddk.validation_job(subject.plan, image, virt_v2v))
