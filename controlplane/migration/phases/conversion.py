"""The guest converted, and its disks written by virt-v2v where nobody else has copied them (facts 3.6, 3.9).

Asked for with a Conversion, followed through its pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import Conditions
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import WRITING
from ansible_collections.vmshift.mtv.controlplane.migration import children, conversions, pipeline
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

FAILED = "Guest conversion failed. See pod logs for details."


def create(work: VmRun) -> bool:
    if not work.traits.virt_v2v_copies:
        work.vm["disksCopied"] = True
    if children.conversion(work):
        return True
    wanted = work.run.source.conversion(work)
    if wanted is None:
        return False
    try:
        keys = children.luks_keys(work, conversions.type_of(work))
    except PhaseError as error:  # of the plan, and not of a conversion: none has begun, nor ended
        raise PhaseError(*error.reasons, ended=False) from None
    secret = children.secret(work, "isV2V")
    new = conversions.conversion(work, wanted, secret["metadata"]["name"], keys["metadata"]["name"] if keys else "")
    children.create(work.api, new)
    return True


def convert(work: VmRun) -> bool:
    """Over when virt-v2v copies: it changes the guest first, in an overlay, and writes the disks after that.

    One that only converts is over when it has ended.
    """
    pod = _pod(work)
    if pod is None:
        return False
    if work.traits.virt_v2v_copies:
        return _succeeded(pod) or any(_percents(work, pod))
    if not _succeeded(pod):
        return False
    _take_over_result(work, work.run.target.reports.result(pod) or {})
    return True


def copy(work: VmRun) -> bool:
    pod = _pod(work)
    if pod is None:
        return False
    done = _succeeded(pod)
    tasks = work.step["tasks"]
    for task, percent in zip(tasks, [100.0] * len(tasks) if done else _percents(work, pod), strict=False):
        pipeline.set_progress(task, percent)
    if done:
        _take_over_result(work, work.run.target.reports.result(pod) or {})
    return done


def _pod(work: VmRun) -> Object | None:
    """The conversion pod; None while there is none. Raises PhaseError once it is clear that it will not succeed."""
    pod, conversion = children.conversion_pod(work), children.conversion(work)
    if pod and pod.get("status", {}).get("phase") == "Failed":
        if _stage(work, pod) == WRITING:
            work.vm.pop("disksCopied", None)  # nobody may convert again what is half converted
        raise PhaseError(FAILED, *_why(work, pod))
    if pod is None or not _succeeded(pod):
        if conversion is None:
            raise PhaseError("The Conversion of this VM is gone.")
        phase = conversion.get("status", {}).get("phase")
        if phase == "Failed":
            raise PhaseError(conversion["status"]["message"])
        if pod is None and phase == "Succeeded":
            raise PhaseError(f"The conversion pod is not in namespace {work.namespace} (any more); the disks may not be complete.")
        tell_of_refusal(work.step, pod, conversion)
    return pod


def tell_of_refusal(step: Object, pod: Object | None, conversion: Object) -> None:
    """While the cluster refuses the pod, that is what the step waits for."""
    conditions = conversion.get("status", {}).get("conditions") or ()
    refused = next((c["message"] for c in conditions if c["type"] == conversions.POD_REFUSED and pod is None), "")
    if refused:
        step["reason"] = refused
    else:
        step.pop("reason", None)


def _succeeded(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == "Succeeded"


def _why(work: VmRun, pod: Object) -> list[str]:
    """The error in one line: as the conversion program left it, else as its container ended."""
    result = work.run.target.reports.result(pod) or {}
    containers = pod["status"].get("containerStatuses") or ()
    ends = [container["state"]["terminated"] for container in containers if container.get("state", {}).get("terminated")]
    found = result.get("error") or next((end["message"] for end in ends if end.get("message")), "") or pod["status"].get("message", "")
    return [found] if found else []


def _percents(work: VmRun, pod: Object) -> list[float]:
    """Percent copied of each disk."""
    progress = work.run.target.reports.progress(pod) or {}
    percents = progress.get("disks") or {}
    return [float(percents.get(str(index), 0)) for index in range(len(work.disks))]


def _stage(work: VmRun, pod: Object) -> str:
    return (work.run.target.reports.progress(pod) or {}).get("stage", "")


def _take_over_result(work: VmRun, result: Object) -> None:
    if result.get("firmware"):
        work.vm["firmware"] = "uefi" if result["firmware"] in ("efi", "uefi") else "bios"
    work.vm["detectedBootDisk"] = 0
    if result.get("operatingSystem"):
        work.vm["operatingSystem"] = result["operatingSystem"]
    warnings = result.get("warnings") or ()
    if warnings:
        conditions = Conditions(work.vm.get("conditions", ()))
        message = "; ".join(str(warning) for warning in warnings)
        conditions.set("ConversionHasWarnings", "Warning", message, reason="ConversionWarning", durable=True)
        work.vm["conditions"] = conditions.finish()
