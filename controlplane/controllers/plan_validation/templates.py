"""Name templates of a plan and of its VMs: can they be evaluated, and do they give names (facts 3.11)?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject
from ansible_collections.vmshift.mtv.plugins.module_utils import naming
from ansible_collections.vmshift.mtv.plugins.module_utils.go_template import TemplateError

Object = dict[str, Any]

# What Forklift fills in to try a template.
_VOLUME_SAMPLE = {"PVCName": "test-pvc", "VolumeIndex": 0}
_NETWORK_SAMPLE = {"NetworkName": "test-network", "NetworkNamespace": "test-namespace", "NetworkType": "Multus", "NetworkIndex": 0}


def check(subject: Subject) -> None:
    """Those of the plan as a whole; that for PVCs is tried with each VM."""
    if is_bad_volume_name(subject.spec):
        subject.conditions.set("NotValid", CRITICAL, "Volume name template is invalid.")
    if is_bad_network_name(subject.spec):
        subject.conditions.set("NotValid", CRITICAL, "Network name template is invalid.")


def pvc_values(plan_name: str, vm_id: str, vm_name: str, target_name: str) -> Object:
    return {
        "PlanName": plan_name,
        "VmId": vm_id,
        "VmName": vm_name,
        "TargetVmName": naming.template_vm_name(vm_id, vm_name, target_name),
    }


def pvc_problem(template: str, values: Mapping[str, Any]) -> str:
    """Why `template` gives no PVC name, in the words of Forklift; "" when it does."""
    try:
        naming.pvc_name(template, values)
    except TemplateError as error:
        what = "Invalid template syntax" if error.syntax else "Template execution failed"
        return f"{what} caused by: '{error.go_text('v1beta1.PVCNameTemplateData')}'"
    except ValueError as error:
        return str(error)
    return ""


def is_bad_volume_name(spec: Object) -> bool:
    """`spec`: of a plan or one of its VMs."""
    return _is_bad(spec.get("volumeNameTemplate"), naming.VOLUME_FIELDS, _VOLUME_SAMPLE)


def is_bad_network_name(spec: Object) -> bool:
    return _is_bad(spec.get("networkNameTemplate"), naming.NETWORK_FIELDS, _NETWORK_SAMPLE)


def _is_bad(template: str | None, fields: Mapping[str, Any], sample: Mapping[str, Any]) -> bool:
    if not template:
        return False
    try:
        naming.name_from_template(template, fields, sample)
    except ValueError:
        return True
    return False
