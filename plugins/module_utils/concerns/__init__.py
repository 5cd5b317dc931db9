# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to know about a VM before it is migrated: the rules of MTV's validation service, one module per provider type.

A rules module has RULES_VERSION and RULES: functions from a workload (the inventory's JSON) to the concerns they raise. As in the
real service a rule that meets a missing or differently typed value raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CRITICAL, WARNING, INFORMATION = "Critical", "Warning", "Information"


def concern(id: str, category: str, label: str, assessment: str) -> dict[str, str]:
    """One concern, as it appears in a VM's `concerns`."""
    return {"id": id, "category": category, "label": label, "assessment": assessment}


def rules_version(provider_type: str) -> int:
    """Version of the rules for a provider type, 0 when there are none; VMs validated by another version are validated again."""
    rules = _rules(provider_type)
    return rules.RULES_VERSION if rules else 0


def validate(provider_type: str, workload: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the validation service: {"rules_version", "concerns": [{id, label, category, assessment}], "errors": [text]}."""
    rules = _rules(provider_type)
    if rules is None:
        return {"rules_version": 0, "concerns": [], "errors": []}
    raised: Iterable[dict[str, str]] = (found for rule in rules.RULES for found in rule(workload))
    errors = [] if isinstance(workload.get("name"), str) else ["No VM name found in input body"]
    return {"rules_version": rules.RULES_VERSION, "concerns": sorted(raised, key=lambda c: (c["id"], c["label"])), "errors": errors}


def _rules(provider_type: str) -> Any:
    from ansible_collections.vmshift.mtv.plugins.module_utils.concerns import openstack, ova, ovirt, vsphere

    return {"openstack": openstack, "ova": ova, "ovirt": ovirt, "vsphere": vsphere}.get(provider_type)
