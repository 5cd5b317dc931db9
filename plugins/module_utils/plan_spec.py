# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a Plan and of its VMs, and the `spec` they make. Pure.

Every option is a field of the Plan resource in snake_case (facts, Appendix A). No option has a default here: what a task does not give
is left to the cluster, and what it gives is sent, `false` too (several fields default to true).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CONVERSION_ONLY, MIGRATION_TYPES, TARGET_POWER_STATES
from ansible_collections.vmshift.mtv.plugins.module_utils.go_template import NotEvaluated, TemplateError
from ansible_collections.vmshift.mtv.plugins.module_utils.naming import (
    NETWORK_FIELDS,
    PVC_FIELDS,
    VOLUME_FIELDS,
    is_dns1123_subdomain,
    name_from_template,
    render_template,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.selection import SELECTOR_KEYS

_STR: dict[str, Any] = {"type": "str"}
_BOOL: dict[str, Any] = {"type": "bool"}
_DICT: dict[str, Any] = {"type": "dict"}
_TEXTS: dict[str, Any] = {"type": "dict"}  # of texts, such as labels
_REFERENCE: dict[str, Any] = {"type": "raw"}
_POWER_STATE: dict[str, Any] = {"type": "str", "choices": list(TARGET_POWER_STATES)}
_HOOKS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "step": {"type": "str", "choices": ["PreHook", "PostHook"], "required": True},
        "hook": {"type": "raw", "required": True},
    },
}

#: Plan fields that a task gives as they are; references to other objects are below.
PLAN_OPTIONS: dict[str, Any] = {
    "archived": _BOOL,
    "conversion_temp_storage_class": _STR,
    "conversion_temp_storage_size": _STR,
    "convertor_affinity": _DICT,
    "convertor_labels": _TEXTS,
    "convertor_node_selector": _TEXTS,
    "customization_scripts": _REFERENCE,
    "delete_guest_conversion_pod": _BOOL,
    "delete_vm_on_fail_migration": _BOOL,
    "description": _STR,
    "disk_bus": _STR,
    "enable_nested_virtualization": _BOOL,
    "install_legacy_drivers": _BOOL,
    "migrate_shared_disks": _BOOL,
    "network_name_template": _STR,
    "preserve_cluster_cpu_model": _BOOL,
    "preserve_static_ips": _BOOL,
    "pvc_name_template": _STR,
    "pvc_name_template_use_generate_name": _BOOL,
    "rdm_as_lun": _BOOL,
    "run_preflight_inspection": _BOOL,
    "scsi_reservation": _BOOL,
    "service_account": _STR,
    "skip_guest_conversion": _BOOL,
    "skip_zone_node_selector": _BOOL,
    "tag_mapping": {"type": "dict", "options": {"disabled": _BOOL, "label_tags": {"type": "list", "elements": "str"}}},
    "target_affinity": _DICT,
    "target_labels": _TEXTS,
    "target_namespace": _STR,
    "target_node_selector": _TEXTS,
    "target_power_state": _POWER_STATE,
    "transfer_network": _REFERENCE,
    "type": {"type": "str", "choices": list(MIGRATION_TYPES)},
    "use_compatibility_mode": _BOOL,
    "virt_v2v_image": _STR,
    "volume_name_template": _STR,
    "warm": _BOOL,
    "xfs_compatibility": _BOOL,
}
#: What one entry of `vms` may say beside which VMs it means.
VM_OPTIONS: dict[str, Any] = {
    "delete_vm_on_fail_migration": _BOOL,
    "enable_nested_virtualization": _BOOL,
    "hooks": _HOOKS,
    "instance_type": _STR,
    "luks": _REFERENCE,
    "migrate_shared_disks": _BOOL,
    "nbde_clevis": _BOOL,
    "network_name_template": _STR,
    "pvc_name_template": _STR,
    "rdm_as_lun": _BOOL,
    "root_disk": _STR,
    "scsi_reservation": _BOOL,
    "target_name": _STR,
    "target_power_state": _POWER_STATE,
    "volume_name_template": _STR,
}
#: Which VMs an entry means; all that it gives must hold.
SELECTOR_OPTIONS: dict[str, Any] = {
    **dict.fromkeys(SELECTOR_KEYS, _STR),
    "power_state": {"type": "str", "choices": ["on", "off", "suspended"]},
}

#: Option of a name template -> its fields, and what they may be for a VM like any other. Fields that only
#: some sources have are filled in all.
_TEMPLATES: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "pvc_name_template": (
        PVC_FIELDS,
        {
            **{name: "sample" for name, value in PVC_FIELDS.items() if value == ""},
            "VmName": "vm",
            "TargetVmName": "vm",
            "PlanName": "plan",
            "VmId": "vm-1",
        },
    ),
    "volume_name_template": (VOLUME_FIELDS, {"PVCName": "pvc"}),
    "network_name_template": (NETWORK_FIELDS, {"NetworkName": "net", "NetworkNamespace": "default", "NetworkType": "Multus"}),
}
#: Options that an empty value does not take away.
_NEEDED = ("target_namespace", "target_name", "type", "target_power_state")
_SPELLING = {"preserve_static_ips": "preserveStaticIPs"}


class InvalidRequest(TalkError):
    """An option has a value that is not accepted."""


def field(option: str) -> str:
    """`pvc_name_template` -> `pvcNameTemplate`: the name of the field in the resource."""
    first, *others = option.split("_")
    return _SPELLING.get(option, first + "".join(word.capitalize() for word in others))


def reference(given: Any, option: str, namespace: str) -> dict[str, str]:
    """{name, namespace} of a reference as a task gives it; both are needed, one without a namespace counts as unset (facts, RefSet)."""
    if isinstance(given, str) and given:
        return {"name": given, "namespace": namespace}
    if isinstance(given, Mapping) and isinstance(given.get("name"), str) and given["name"] and set(given) <= {"name", "namespace"}:
        return {"name": given["name"], "namespace": given.get("namespace") or namespace}
    raise InvalidRequest(f"{option}: give a name, or a dictionary of name and namespace; this is {given!r}.")


def selectors(vms: Sequence[Any]) -> list[Any]:
    """The entries of `vms`, checked and with the types of their options; strings stay strings. Raises InvalidRequest."""
    if not vms:
        raise InvalidRequest("vms: the list is empty; name at least one VM.")
    return _entries("vms", vms, {**SELECTOR_OPTIONS, **VM_OPTIONS})


def exclusions(exclude: Sequence[Any]) -> list[Any]:
    """The entries of `exclude`, as `selectors` returns those of `vms`. Raises InvalidRequest."""
    return words_only("exclude", exclude)


def words_only(option: str, entries: Sequence[Any]) -> list[Any]:
    """Entries that choose VMs and give them no options. Raises InvalidRequest."""
    return _entries(option, entries, SELECTOR_OPTIONS)


def _entries(option: str, entries: Sequence[Any], accepted: Mapping[str, Any]) -> list[Any]:
    checked: list[Any] = []
    validator = ArgumentSpecValidator(accepted, required_one_of=[list(SELECTOR_OPTIONS)])
    for index, entry in enumerate(entries):
        if isinstance(entry, str):
            checked.append(entry)
            continue
        if not isinstance(entry, Mapping):
            raise InvalidRequest(f"{option}[{index}]: give the name or id of a VM, or a dictionary; this is {entry!r}.")
        unknown = sorted(map(str, set(entry) - set(accepted)))
        if unknown:
            raise InvalidRequest(f"{option}[{index}]: unknown option {unknown[0]!r}; accepted are {', '.join(accepted)}.")
        result = validator.validate(dict(entry))
        if result.error_messages:
            raise InvalidRequest(f"{option}[{index}]: {result.error_messages[0]}.")
        given = {key: value for key, value in result.validated_parameters.items() if value is not None}
        _check_target_name(given, index)
        check_templates(given, f"vms[{index}]: ")
        checked.append(given)
    return checked


def plan_spec(
    params: Mapping[str, Any], links: Mapping[str, Any], vms: Sequence[Mapping[str, Any]] | None, namespace: str
) -> dict[str, Any]:
    """`spec` of what a task gives, nothing else.

    links: {"source", "destination", "network", "storage"} -> {name, namespace}, only those that are given. vms: as `selection.resolve`
    returns them, None when the task gives none. namespace: of references that name none.
    """
    spec = _fields(params, PLAN_OPTIONS, {"transfer_network": params.get("target_namespace") or namespace}, namespace)
    provider = {role: links[role] for role in ("source", "destination") if role in links}
    maps = {role: links[role] for role in ("network", "storage") if role in links}
    if provider:
        spec["provider"] = provider
    if maps:
        # MTV wants it to be there also where it looks at none.
        spec["map"] = {**({"storage": {}} if params.get("type") == CONVERSION_ONLY and "network" in maps else {}), **maps}
    if vms is not None:
        spec["vms"] = [vm_entry(vm, namespace) for vm in vms]
    return spec


def vm_entry(vm: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """One entry of `spec.vms`."""
    identity = {key: vm[key] for key in ("id", "name", "namespace") if vm.get(key)}
    return {**identity, **_fields(vm["overrides"], VM_OPTIONS, {}, namespace)}


def referenced(spec: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """(kind, {name, namespace}) of what a spec needs beside providers and maps. MTV says little or nothing when it is absent."""
    found = [("ConfigMap", spec["customizationScripts"])] if spec.get("customizationScripts") else []
    if spec.get("transferNetwork"):
        found.append(("NetworkAttachmentDefinition", spec["transferNetwork"]))
    for vm in spec.get("vms") or []:
        found += [("Hook", hook["hook"]) for hook in vm.get("hooks") or []]
        found += [("Secret", vm["luks"])] if vm.get("luks") else []
    return list({(kind, ref["namespace"], ref["name"]): (kind, ref) for kind, ref in found}.values())


def duplicate_targets(vms: Sequence[Mapping[str, Any]]) -> str | None:
    """A sentence about two VMs that are to get one name, None when there are none."""
    owners: dict[str, str] = {}
    for vm in vms:
        target = vm["overrides"].get("target_name")
        if target and target in owners:
            return f"vms: {owners[target]!r} and {vm['name']!r} would both be named {target!r} (target_name): give each its own."
        if target:
            owners[target] = vm["name"]
    return None


def _fields(given: Mapping[str, Any], options: Mapping[str, Any], homes: Mapping[str, str], namespace: str) -> dict[str, Any]:
    """homes: option -> namespace of a reference where it is not `namespace`."""
    fields = {}
    for option, kind in options.items():
        value = given.get(option)
        if value is None:
            continue
        if value in ("", {}) and option not in _NEEDED:
            value = None  # takes the field away
        elif kind is _REFERENCE:
            value = reference(value, option, homes.get(option, namespace))
        elif kind is _HOOKS:
            value = [{"step": hook["step"], "hook": reference(hook["hook"], "hooks.hook", namespace)} for hook in value]
        elif kind is _TEXTS:
            _check_texts(value, option)
        elif "options" in kind:
            value = {field(key): part for key, part in value.items() if part is not None}
        fields[field(option)] = value
    return fields


def as_given(current: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """`spec` to be merged into the present one, so that its dictionaries (labels, affinity) become exactly what was given.

    References keep what MTV has added to them.
    """
    whole = [field(option) for option, kind in PLAN_OPTIONS.items() if kind["type"] == "dict"]
    return {key: _replacing(current.get(key), value) if key in whole else value for key, value in spec.items()}


def _replacing(current: Any, wanted: Any) -> Any:
    if not isinstance(wanted, Mapping) or not isinstance(current, Mapping):
        return wanted
    gone = {key: None for key in current if key not in wanted}
    return {**{key: _replacing(current.get(key), value) for key, value in wanted.items()}, **gone}


def _check_texts(given: Mapping[str, Any], option: str) -> None:
    for key, value in given.items():
        if not isinstance(value, str):
            raise InvalidRequest(f"{option}: the value of {key!r} is {value!r}; labels are texts, so write it in quotes.")


def check_templates(given: Mapping[str, Any], where: str = "") -> None:
    """Name templates give names, tried with a VM like any other. Raises InvalidRequest."""
    for option, (fields, sample) in _TEMPLATES.items():
        template = given.get(option)
        if not template:
            continue
        try:
            name_from_template(template, fields, sample)
        except NotEvaluated:
            continue  # the cluster tells
        except TemplateError as error:
            raise InvalidRequest(f"{where}{option}: {template!r} is no template that MTV can use: {error}.") from None
        except ValueError:
            name = render_template(template, {**fields, **sample})
            raise InvalidRequest(
                f"{where}{option}: {template!r} gives names like {name!r}; a name has up to 63 lower-case letters, digits and '-', "
                "beginning and ending with a letter or digit."
            ) from None


def _check_target_name(given: Mapping[str, Any], index: int) -> None:
    name = given.get("target_name")
    if name is not None and not is_dns1123_subdomain(name):
        raise InvalidRequest(
            f"vms[{index}]: target_name {name!r} cannot be a VM's name: use lower-case letters, digits, '-' and '.', "
            "beginning and ending with a letter or digit."
        )
