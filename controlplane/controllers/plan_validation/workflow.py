"""Rules about how a plan migrates: its type, hooks, the conversion image and the programs behind it."""

from __future__ import annotations

import importlib.util
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers import conversion_tools
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import vms
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.destination import has_service_account
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.sources import SOURCES
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject
from ansible_collections.vmshift.mtv.controlplane.controllers.references import is_set, text
from ansible_collections.vmshift.mtv.controlplane.migration.sources.vsphere import inspects
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import READY, is_true
from ansible_collections.vmshift.mtv.plugins.module_utils.image_reference import is_image_reference

Object = dict[str, Any]

INSPECTION_TOOLS = ("virt-inspector", "guestfish", "nbdkit", "qemu-img")
LIVE = "live"
#: Of a source whose type has such migrations, where the feature is on.
NO_LIVE = (
    "`live` migration from the source provider is not supported: this control plane does not hand running guests over to another cluster. "
    "With the type `cold` the VM is switched off and its disks are copied."
)
HOOK_STEPS = ("PreHook", "PostHook")
ONLY_PLAYBOOKS = (
    "This control plane pulls no images: it runs hooks that have a playbook, and job templates. "
    "A hook whose image has a program of its own runs on a cluster only."
)
NO_RUNNER = "Hooks with a playbook need ansible-runner in the Python that runs this control plane: install the package ansible-runner."


def migration_type(subject: Subject) -> None:
    source = SOURCES[subject.source_type]
    if subject.warm and not source.supports_warm():
        message = "Warm migration from the source provider is not supported."
        subject.conditions.set("WarmMigrationNotReady", CRITICAL, message, reason="NotSupported")
    if not source.supports(subject):
        told = f"`{subject.type}` migration from the source provider is not supported."
        message = NO_LIVE if (subject.type, subject.source_type) == (LIVE, "openshift") else told
        subject.conditions.set("MigrationTypeNotValid", CRITICAL, message, reason="NotSupported")


def hooks(subject: Subject) -> None:
    """Of one type, the last finding shows."""
    findings: dict[tuple[str, str, str], list[str]] = {
        ("HookNotValid", "NotSet", "Hook specified by: `namespace` and `name`."): [],
        ("HookNotValid", "NotFound", "Hook not found."): [],
        ("HookNotReady", "NotFound", "Hook does not have `Ready` condition."): [],
        ("HookStepNotValid", "NotValid", "Hook step not valid."): [],
        ("HookServiceAccountNotValid", "NotFound", "ServiceAccount of the hook not found in the plan namespace."): [],
    }
    unset, missing, unready, step, account = findings.values()
    # Of this control plane: without them a hook would wait for its end in silence.
    images = findings.setdefault(("HooksNotSupported", "NotSupported", ONLY_PLAYBOOKS), [])
    runner = findings.setdefault(("HooksNotSupported", "NotInstalled", NO_RUNNER), [])
    hooked = [entry for entry in subject.spec.get("vms") or () if entry.get("hooks")]
    resolved = {id(planned.entry): planned.text for planned in vms.select(subject).vms} if hooked else {}
    for entry in hooked:
        vm = f"VM: {resolved.get(id(entry), text(entry))}"
        for hook in entry["hooks"]:
            reference = hook.get("hook") or {}
            if hook.get("step") not in HOOK_STEPS:
                step.append(f"{vm} step: {hook.get('step', '')}")
            if not is_set(reference):
                unset.append(vm)
                continue
            described = f"{vm} hook: {_printed(reference)}"
            found = subject.api.find("Hook", reference["namespace"], reference["name"])
            if found is None:
                missing.append(described)
                continue
            if not is_true(found, READY):
                unready.append(described)
            if not found["spec"].get("aap") and not found["spec"].get("playbook"):
                images.append(described)
            elif not found["spec"].get("aap") and importlib.util.find_spec("ansible_runner") is None:
                runner.append(described)
            name = found["spec"].get("serviceAccount")
            if name and not has_service_account(subject, subject.plan["metadata"]["namespace"], name):
                account.append(described)
    for (type, reason, message), items in findings.items():
        if items:
            subject.conditions.set(type, CRITICAL, message, reason=reason, items=items)


def conversion_image(subject: Subject) -> None:
    image = subject.spec.get("virtV2vImage")
    if image and not (is_image_reference(image) and "/" in image):
        message = (
            "VirtV2vImage is not a valid container image reference. "
            "A fully-qualified image is required (e.g. quay.io/kubev2v/forklift-virt-v2v:latest)."
        )
        subject.conditions.set("VirtV2vImageNotValid", CRITICAL, message, reason="NotValid")


def tools(subject: Subject) -> None:
    """Of this control plane: its conversion and inspection pods are processes on this machine."""
    wanted = SOURCES[subject.source_type].tools
    if subject.source_type == "vsphere" and inspects(subject.spec):
        wanted = (*wanted, *(tool for tool in INSPECTION_TOOLS if tool not in wanted))
    conversion_tools.stage_missing(wanted, CRITICAL, subject.conditions)


def _printed(reference: Object) -> str:
    """An ObjectReference as Go prints it, as Forklift lists hooks."""
    fields = {"Kind": "", "Namespace": reference["namespace"], "Name": reference["name"]}
    fields |= dict.fromkeys(("UID", "APIVersion", "ResourceVersion", "FieldPath"), "")
    return f"&ObjectReference{{{','.join(f'{key}:{value}' for key, value in fields.items())},}}"
