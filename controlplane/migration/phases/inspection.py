"""PreflightInspection: what a conversion would meet is found out before anything is copied (facts 3.6).

Asked for with a Conversion of type DeepInspection, at the first snapshot, and followed through that Conversion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import BLOCKING, Conditions
from ansible_collections.vmshift.mtv.controlplane.migration import children, inspections
from ansible_collections.vmshift.mtv.controlplane.migration.phases import warm
from ansible_collections.vmshift.mtv.controlplane.migration.phases.conversion import tell_of_refusal
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

FAILED = "Deep inspection failed."
CRITICAL = "VM deep inspection found critical concerns"
HAS_CONCERNS = "InspectionHasConcerns"


def inspect(work: VmRun) -> bool:
    found = children.inspection(work)
    if found is None:
        _begin(work)
        return False
    status = found.get("status") or {}
    phase = status.get("phase")
    tell_of_refusal(work.step, status.get("pod"), found)
    if phase == "Canceled":  # by somebody else; it begins anew
        work.api.delete("Conversion", found["metadata"]["namespace"], found["metadata"]["name"])
        return False
    if phase == "Failed":
        raise PhaseError(FAILED, *([status["message"]] if status.get("message") else ()))
    if phase == "Succeeded":
        _judge(work, (status.get("inspectionResult") or {}).get("concerns") or ())
        return True
    refused = [condition["message"] for condition in status.get("conditions") or () if condition.get("category") in BLOCKING]
    if refused:
        raise PhaseError(FAILED, *refused)
    return False


def _begin(work: VmRun) -> None:
    wanted = work.run.source.inspection(work)  # type: ignore[attr-defined]  # only warm itineraries come here
    secret, keys = children.connection(work, wanted.connection), children.inspection_keys(work)
    snapshot = warm.precopies(work.vm)[-1]["snapshot"]
    new = inspections.inspection(work, snapshot, secret["metadata"]["name"], keys["metadata"]["name"] if keys else "", wanted.vddk_image)
    children.create(work.api, new)


def _judge(work: VmRun, concerns: tuple[Object, ...] | list[Object]) -> None:
    """The worst concern comes last, and gives the condition its category and reason. Raises PhaseError for what cannot be migrated."""
    if not concerns:
        return
    conditions, last = Conditions(work.vm.get("conditions", ())), concerns[-1]
    conditions.keep(*(condition["type"] for condition in work.vm.get("conditions", ())))
    messages = [concern["message"] for concern in concerns]
    conditions.set(HAS_CONCERNS, last["category"], last["message"], reason=_reason(last["id"]), items=messages, durable=True)
    work.vm["conditions"] = conditions.finish()
    critical = [concern["message"] for concern in concerns if concern["category"] in BLOCKING]
    if critical:
        raise PhaseError(CRITICAL, *critical)


def _reason(id: str) -> str:
    """As Kubernetes writes reasons: "not-enough-space" is NotEnoughSpace."""
    return "".join(word[:1].upper() + word[1:] for word in id.replace("_", "-").split("-"))
