# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of target objects: DNS-1123 checks, VM names made valid and unique, names from templates. Pure."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Container, Mapping
from typing import Any

LABEL_MAX = 63
SUBDOMAIN_MAX = 253
SUFFIX_LENGTH = 4

#: What MTV names target PVCs by when neither VM, plan nor ForkliftController say otherwise; OpenShift sources keep the PVC's name.
PVC_TEMPLATE = "{{trunc 15 .PlanName}}-{{trunc 15 .TargetVmName}}-disk-{{.DiskIndex}}"
OPENSHIFT_PVC_TEMPLATE = "{{.SourcePVCName}}"
VOLUME_TEMPLATE = "vol-{{.VolumeIndex}}"
NETWORK_TEMPLATE = "net-{{.NetworkIndex}}"

#: Fields a template may use, with the value of one that does not apply to the source at hand.
PVC_FIELDS: Mapping[str, Any] = {
    "VmName": "",
    "TargetVmName": "",
    "PlanName": "",
    "DiskIndex": 0,
    "VmId": "",
    "RootDiskIndex": 0,
    "Shared": False,
    "FileName": "",
    "WinDriveLetter": "",
    "SourcePVCName": "",
    "SourcePVCNamespace": "",
    "VolumeID": "",
    "SnapshotID": "",
    "DiskId": "",
}
VOLUME_FIELDS: Mapping[str, Any] = {"PVCName": "", "VolumeIndex": 0}
NETWORK_FIELDS: Mapping[str, Any] = {"NetworkName": "", "NetworkNamespace": "", "NetworkType": "", "NetworkIndex": 0}

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")


def is_dns1123_label(name: str) -> bool:
    """At most 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit: PVCs, volumes, namespaces."""
    return len(name) <= LABEL_MAX and bool(_LABEL.fullmatch(name))


def is_dns1123_subdomain(name: str) -> bool:
    """Labels joined by dots, at most 253 characters: VirtualMachines and most other objects."""
    return len(name) <= SUBDOMAIN_MAX and bool(_SUBDOMAIN.fullmatch(name))


def random_suffix() -> str:
    """Four lower-case letters and digits. Not for secrets."""
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=SUFFIX_LENGTH))


def sanitized(name: str) -> str:
    """`name` as the nearest DNS-1123 subdomain of at most 63 characters; "" when nothing of it can stay (facts 3.11)."""
    labels = []
    for part in name.lower().strip(".-").split("."):
        kept = re.sub(r"[^a-z0-9-]", "", re.sub(r"[_+* /\\]", "-", part))
        label = re.sub(r"-+", "-", kept).strip("-")[:LABEL_MAX].strip("-")
        if label:
            labels.append(label)
    return ".".join(labels)[:LABEL_MAX].strip(".-")


def vm_name(source_name: str, taken: Container[str], suffix: Callable[[], str] = random_suffix) -> str:
    """The name of the target VM of a source VM without a target name of its own: valid, and not among `taken`."""
    name = source_name if is_dns1123_subdomain(source_name) else sanitized(source_name) or "vm-" + suffix()
    if name not in taken:
        return name
    stem = name[: LABEL_MAX - 1 - SUFFIX_LENGTH].rstrip(".-")
    while True:
        name = f"{stem}-{suffix()}"
        if name not in taken:
            return name


def template_vm_name(vm_id: str, source_name: str, target_name: str = "") -> str:
    """`TargetVmName` of templates: always a label, always the same for the same VM (a name that was given or assigned wins)."""
    name = target_name.strip() or source_name
    if not is_dns1123_label(name):
        name = (target_name.strip() and name) or sanitized(name) or sanitized(vm_id) or "vm-0000"
    return name.replace(".", "-")


def render_template(template: str, variables: Mapping[str, Any]) -> str:
    """`template` filled in, without white space around it. Raises TemplateError."""
    # Here, because modules that only check names would pay for its import.
    from ansible_collections.vmshift.mtv.plugins.module_utils.go_template import render

    return render(template, variables).strip()


def name_from_template(template: str, fields: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """A DNS-1123 label from `template`; `values` fill `fields` (PVC_FIELDS, VOLUME_FIELDS or NETWORK_FIELDS).

    Raises TemplateError for a template that cannot be evaluated, ValueError for one that gives no label.
    """
    name = render_template(template, {**fields, **values})
    if not name:
        raise ValueError("Template output is empty")
    if not is_dns1123_label(name):
        raise ValueError(f"Template output is invalid k8s label [{name}]")
    return name


def pvc_name(template: str, values: Mapping[str, Any]) -> str:
    """The (generate)name of a target PVC; `values`: some of PVC_FIELDS. Raises as `name_from_template`."""
    return name_from_template(template, PVC_FIELDS, values)


__all__ = [
    "NETWORK_FIELDS",
    "NETWORK_TEMPLATE",
    "OPENSHIFT_PVC_TEMPLATE",
    "PVC_FIELDS",
    "PVC_TEMPLATE",
    "VOLUME_FIELDS",
    "VOLUME_TEMPLATE",
    "is_dns1123_label",
    "is_dns1123_subdomain",
    "name_from_template",
    "pvc_name",
    "random_suffix",
    "render_template",
    "sanitized",
    "template_vm_name",
    "vm_name",
]
