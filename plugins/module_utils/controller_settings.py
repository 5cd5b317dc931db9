# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of ForkliftController, in one table: what a task may give, what is documented, what the embedded control plane serves.

Names, defaults and releases are those of the operator's own definition (facts 7 and Appendix B). Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

SWITCH, NUMBER, QUANTITY, DURATION, TEXT, TEMPLATE, ARGUMENTS = "switch", "number", "quantity", "duration", "text", "template", "arguments"
#: type: (type of the option, what a string in the resource must look like, in words)
_TYPES: dict[str, tuple[str, str, str]] = {
    SWITCH: ("bool", "", ""),
    NUMBER: ("int", "", ""),
    QUANTITY: ("str", r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$", "a quantity such as 500m, 2 or 1Gi"),
    DURATION: ("str", r"^[0-9]+(s|m|h)$", "a duration such as 30s, 5m or 1h"),
    TEXT: ("str", "", ""),
    TEMPLATE: ("str", r"^([^{}\\]|\\.)*$", "a template"),
    ARGUMENTS: ("list", "", ""),
}


class Setting(NamedTuple):
    """`default`: as a task would give it, None where MTV has none. `since`: the first release whose definition has the field.

    `earlier`: (release, default before it). `least`: of a number. `choices`: of a text.
    """

    name: str
    type: str
    about: str
    default: Any = None
    unit: str = ""
    since: str = "2.10"
    earlier: tuple[str, Any] | None = None
    least: int = 1
    choices: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        return _TYPES[self.type][1]


class InvalidSetting(ValueError):
    """The value given for a setting is not accepted; str() is the sentence."""


def _containers() -> list[Setting]:
    found = []
    for prefix, what, since, amounts in (
        ("api", "API service", "2.10", ("1000m", "1Gi", "100m", "150Mi")),
        ("cli_download", "CLI download server", "2.10", ("1000m", "1Gi", "100m", "512Mi")),
        ("controller", "controller", "2.10", ("2", "800Mi", "100m", "350Mi")),
        ("hooks", "hook pods", "2.10", ("1000m", "1Gi", "100m", "150Mi")),
        ("hyperv", "Hyper-V provider servers (MTV 2.12 does not apply it)", "2.11.0", ("1000m", "1Gi", "100m", "512Mi")),
        ("inventory", "Inventory service", "2.10", ("2", "1Gi", "500m", "500Mi")),
        ("mcp_server", "MCP server", "2.12.0", ("1000m", "512Mi", "100m", "256Mi")),
        ("ova", "OVA provider servers (MTV 2.12 does not apply it)", "2.10", ("1000m", "1Gi", "100m", "512Mi")),
        ("ova_proxy", "OVA proxy", "2.10", ("1000m", "1Gi", "250m", "512Mi")),
        ("populator", "volume populator pods", "2.11.0", ("1000m", "1Gi", "100m", "512Mi")),
        ("ui_plugin", "console plugin", "2.10", ("100m", "800Mi", "100m", "150Mi")),
        ("validation", "validation service", "2.10", ("1000m", "300Mi", "400m", "50Mi")),
        ("virt_v2v", "virt-v2v conversion pods", "2.10", ("4000m", "8Gi", "1000m", "1Gi")),
    ):
        parts = (("limits_cpu", "CPU limit"), ("limits_memory", "Memory limit"), ("requests_cpu", "CPU request"))
        for (part, kind), amount in zip((*parts, ("requests_memory", "Memory request")), amounts):
            name = f"{prefix}_container_{part}"
            found.append(Setting(name, QUANTITY, f"{kind} of the {what}.", amount, since=since, earlier=_EARLIER_AMOUNTS.get(name)))
    return found


_EARLIER_AMOUNTS = {
    "controller_container_limits_cpu": ("2.11.0", "500m"),
    "inventory_container_limits_cpu": ("2.11.0", "1000m"),
    "ova_container_requests_memory": ("2.10", "150Mi"),
}

_SWITCHES = [
    Setting(name, SWITCH, about, default, since=since, earlier=earlier)
    for name, default, since, earlier, about in (
        ("aap_insecure_skip_verify", False, "2.12.0", None, "Whether the certificate of Ansible Automation Platform is not verified."),
        ("controller_ovirt_warm_migration", True, "2.10", None, "Whether warm migrations from oVirt and RHV are possible."),
        ("controller_retain_populator_pods", False, "2.11.7", None, "Whether volume populator pods are kept after they have ended."),
        ("controller_retain_precopy_importer_pods", False, "2.10", None, "Whether importer pods of precopies are kept."),
        ("controller_static_udn_ip_addresses", True, "2.10", None, "Whether static IP addresses are kept on user-defined networks."),
        ("controller_vsphere_incremental_backup", True, "2.10", None, "Whether warm migrations from vSphere use changed block tracking."),
        ("feature_auth_required", True, "2.10", None, "Whether the services of MTV ask for a token."),
        ("feature_cli_download", True, "2.10", None, "Whether the CLI download server is deployed."),
        ("feature_copy_offload", True, "2.10", ("2.11.0", False), "Whether disks can be copied inside the storage array."),
        ("feature_mcp_server", False, "2.12.0", None, "Whether the MCP server is deployed."),
        ("feature_ocp_live_migration", True, "2.10", ("2.11.0", False), "Whether live migrations between OpenShift clusters are possible."),
        ("feature_ova_appliance_management", True, "2.10", ("2.12.0", False), "Whether OVA files can be uploaded and removed through MTV."),
        ("feature_ui_plugin", True, "2.10", None, "Whether the console plugin is deployed."),
        ("feature_use_conversion_cr", True, "2.12.0", None, "Whether guests are converted through C(Conversion) resources."),
        ("feature_validation", True, "2.10", None, "Whether VMs in the inventory are validated."),
        ("feature_vmware_system_serial_number", True, "2.10", None, "Whether serial numbers have the format of VMware."),
        ("feature_volume_populator", True, "2.10", None, "Whether volume populators copy disks of oVirt and OpenStack."),
        ("feature_vsphere_vmware_driver_removal", False, "2.11.3", None, "Whether drivers of VMware are removed from guests."),
        ("feature_windows_registry_network_config", False, "2.11.5", None, "Whether networks of Windows guests are set in the registry."),
        ("feature_windows_wait_for_reboot", True, "2.12.0", None, "Whether a migration waits for the reboots of a Windows guest."),
        ("feature_xfs_repair_ignore", False, "2.11.7", None, "Whether a failed repair of an XFS file system is ignored."),
        ("k8s_cluster", False, "2.10", None, "Whether the cluster is plain Kubernetes instead of OpenShift."),
        ("mcp_server_kube_insecure", True, "2.12.0", None, "Whether the MCP server does not verify the certificate of the API server."),
        ("mcp_server_lightspeed_integration", True, "2.12.0", None, "Whether the MCP server is registered with OpenShift Lightspeed."),
        ("mcp_server_lightspeed_set_mcp_gate", False, "2.12.0", None, "Whether the feature gate for MCP of OpenShift Lightspeed is set."),
        ("mcp_server_read_only", False, "2.12.0", None, "Whether the MCP server only reads."),
        ("virt_v2v_dont_request_kvm", None, "2.10", None, "Whether conversion pods run without asking for C(/dev/kvm)."),
        ("wait_for_final_snapshot_consolidation", True, "2.12.0", None, "Whether a warm migration waits until the last snapshot is gone."),
    )
]

_NUMBERS = [
    Setting(name, NUMBER, about, default, unit, since, least=least)
    for name, default, least, unit, since, about in (
        ("aap_timeout", None, 1, "seconds", "2.12.0", "How long a job of Ansible Automation Platform may take."),
        ("controller_block_overhead", 0, 0, "bytes", "2.10", "What is added to a volume in block mode."),
        ("controller_blocker_grace_period_minutes", 5, 1, "minutes", "2.12.0", "How long a blocker may stand in a running plan."),
        ("controller_cleanup_retries", 10, 1, "", "2.10", "How often a failed clean-up is tried again."),
        ("controller_filesystem_overhead", 10, 0, "percent", "2.10", "What is added to a volume in filesystem mode."),
        ("controller_host_lease_duration_seconds", 10, 1, "seconds", "2.10", "How long the lease of an ESXi host lasts (storage offload)."),
        ("controller_log_level", 3, 0, "", "2.10", "Verbosity of the controller's log."),
        ("controller_max_concurrent_reconciles", 10, 1, "", "2.10", "How many objects of a kind are looked at at the same time."),
        ("controller_max_parent_backing_retries", 10, 1, "", "2.10", "How often a disk's parent is looked for again."),
        ("controller_max_populator_inflight", 20, 1, "pods", "2.11.7", "How many offload pods copy for one ESXi host at the same time."),
        ("controller_max_vm_inflight", 20, 1, "VMs", "2.10", "How many VMs of a provider (vSphere: disks of a host) migrate at once."),
        ("controller_precopy_interval", 60, 1, "minutes", "2.10", "How often a warm migration copies what has changed."),
        ("controller_snapshot_removal_check_retries", 20, 1, "", "2.10", "How often the removal of a snapshot is checked."),
        (
            "controller_snapshot_removal_timeout_minuts",
            120,
            1,
            "minutes",
            "2.10",
            "How long a snapshot's removal may take (no effect).",
        ),
        ("controller_snapshot_status_check_rate_seconds", 10, 1, "seconds", "2.10", "How often a snapshot is checked (no effect)."),
        ("controller_tls_connection_timeout_sec", 5, 1, "seconds", "2.10", "How long a TLS connection to a provider may take to open."),
        ("controller_vddk_job_active_deadline_sec", 300, 1, "seconds", "2.10", "How long the check of a VDDK image may take."),
        ("controller_windows_reboot_timeout", 1800, 1, "seconds", "2.12.0", "How long the reboots of a Windows guest are waited for."),
        ("mcp_server_max_response_chars", 0, 0, "characters", "2.12.0", "Longest answer of the MCP server; 0 is no limit."),
        ("mcp_server_verbose", 2, 0, "", "2.12.0", "Verbosity of the MCP server's log."),
        ("validation_policy_agent_search_interval", 120, 1, "seconds", "2.10", "How often validation rules are looked for."),
        ("virt_v2v_memsize", None, 1, "MiB", "2.12.0", "Memory of the appliance that virt-v2v converts in."),
        ("virt_v2v_smp", None, 1, "CPUs", "2.12.0", "CPUs of the appliance that virt-v2v converts in."),
    )
]

_DURATIONS = [
    Setting(name, DURATION, about, default, since=since)
    for name, default, since, about in (
        ("controller_hyperv_refresh_interval", "10s", "2.12.0", "How often the inventory of Hyper-V is read."),
        ("controller_hyperv_validation_timeout", "30s", "2.12.0", "How long the validation of a Hyper-V provider may take."),
        ("inventory_route_timeout", "360s", "2.10", "Timeout of the Route of the Inventory service."),
        ("metric_interval", "30s", "2.10", "How often metrics are collected."),
        ("ova_proxy_route_timeout", "360s", "2.10", "Timeout of the Route of the OVA proxy."),
    )
]

_TEXTS = [
    Setting(name, TEXT, about, default, since=since)
    for name, default, since, about in (
        ("aap_ca_secret_name", None, "2.12.0", "Secret with the CA (key C(ca.crt)) of Ansible Automation Platform."),
        ("aap_token_secret_name", None, "2.12.0", "Secret with the token (key C(token)) for Ansible Automation Platform."),
        ("aap_url", None, "2.12.0", "URL of Ansible Automation Platform, for hooks that name none."),
        ("controller_host_lease_namespace", "openshift-mtv", "2.10", "Namespace of the leases of ESXi hosts (storage offload)."),
        ("controller_migration_service_account", None, "2.11.3", "ServiceAccount of migration pods where a plan names none."),
        ("controller_transfer_network", None, "2.11.0", "Second network of the controller pods, as C(NAMESPACE/NAME) or JSON."),
        ("naa_oui_map_configmap_name", "forklift-naa-oui-map", "2.12.0", "ConfigMap that maps NAA prefixes to storage vendors."),
        ("ovirt_osmap_configmap_name", "forklift-ovirt-osmap", "2.10", "ConfigMap that maps guests of oVirt to preferences."),
        ("validation_extra_volume_mountpath", "/usr/share/opa/policies/extra", "2.10", "Where extra validation rules are mounted."),
        ("validation_extra_volume_name", "validation-extra-rules", "2.10", "Volume with extra validation rules."),
        ("vddk_image", None, "2.10", "VDDK image for vSphere providers that name none."),
        ("virt_customize_configmap_name", "forklift-virt-customize", "2.10", "ConfigMap with customization scripts."),
        ("virt_v2v_extra_conf_config_map", None, "2.10", "ConfigMap with more configuration for virt-v2v."),
        ("vsphere_osmap_configmap_name", "forklift-vsphere-osmap", "2.10", "ConfigMap that maps guests of vSphere to preferences."),
        ("api_image_fqin", None, "2.10", "Image of the API service."),
        ("cli_download_image_fqin", None, "2.10", "Image of the CLI download server."),
        ("controller_image_fqin", None, "2.10", "Image of the controller."),
        ("deep_inspection_image_fqin", None, "2.12.0", "Image of deep inspection pods."),
        ("deep_inspection_image_xfs_fqin", None, "2.12.0", "Image of deep inspection pods for old XFS file systems."),
        ("hyperv_provider_server_fqin", None, "2.11.0", "Image of Hyper-V provider servers."),
        ("must_gather_image_fqin", None, "2.10", "Image of must-gather."),
        ("ova_provider_server_fqin", None, "2.10", "Image of OVA provider servers."),
        ("ova_proxy_fqin", None, "2.10", "Image of the OVA proxy."),
        ("populator_controller_image_fqin", None, "2.10", "Image of the volume populator controller."),
        ("populator_openstack_image_fqin", None, "2.10", "Image of volume populator pods for OpenStack."),
        ("populator_ovirt_image_fqin", None, "2.10", "Image of volume populator pods for oVirt."),
        ("populator_vsphere_copy_offload_image_fqin", None, "2.12.0", "Image of volume populator pods for storage offload."),
        ("ui_plugin_image_fqin", None, "2.10", "Image of the console plugin."),
        ("validation_image_fqin", None, "2.10", "Image of the validation service."),
        ("virt_v2v_image_fqin", None, "2.10", "Image of conversion pods."),
        ("virt_v2v_image_xfs_fqin", None, "2.10.6", "Image of conversion pods for old XFS file systems."),
    )
]

_ESCAPED = "Braces are escaped for the operator by the module."
_OTHERS = [
    Setting("controller_ocp_pvc_name_template", TEMPLATE, f"Name template for PVCs of OpenShift sources. {_ESCAPED}", since="5.0"),
    Setting("controller_pvc_name_template", TEMPLATE, f"Name template for PVCs where neither plan nor VM has one. {_ESCAPED}", since="5.0"),
    Setting("image_pull_policy", TEXT, "When images are pulled.", "Always", choices=("Always", "IfNotPresent", "Never")),
    Setting(
        "mcp_server_output_format",
        TEXT,
        "Format of the MCP server's answers.",
        "markdown",
        since="2.12.0",
        choices=("markdown", "text", "json"),
    ),
    Setting("virt_v2v_extra_args", ARGUMENTS, "More arguments for virt-v2v."),
    Setting("virt_v2v_inspector_extra_args", ARGUMENTS, "More arguments for virt-v2v-inspector.", since="2.12.0"),
]

#: By name, sorted.
SETTINGS: Mapping[str, Setting] = {
    s.name: s for s in sorted([*_containers(), *_SWITCHES, *_NUMBERS, *_DURATIONS, *_TEXTS, *_OTHERS], key=lambda s: s.name)
}


def argument_spec() -> dict[str, Any]:
    """An option per setting. None has a default: what a task does not give is left as it is."""
    # Names of Secrets are no secrets, though they look so to Ansible.
    shown = {name: {"no_log": False} if "secret" in name else {} for name in SETTINGS}
    return {setting.name: {**_option(setting), **shown[setting.name]} for setting in SETTINGS.values()}


def documentation() -> dict[str, Any]:
    """The `options` of the module's documentation."""
    return {setting.name: {"description": _description(setting), **_option(setting)} for setting in SETTINGS.values()}


def field_value(setting: Setting, given: Any) -> Any:
    """What the resource holds for a value of a task; None (take the field away) stays None. Raises InvalidSetting."""
    if given is None:
        return None
    if setting.type == SWITCH:
        return "true" if given else "false"
    if setting.type == NUMBER:
        if given < setting.least:
            raise InvalidSetting(f"{setting.name}: {given} is too small; the least is {setting.least}{_in_unit(setting)}.")
        return given
    if setting.type == ARGUMENTS:
        if any(argument.startswith("[") for argument in given):
            raise InvalidSetting(f"{setting.name}: give a list of arguments, not JSON.")
        return json.dumps(given)
    text = re.sub(r"(?<!\\)[{}]", r"\\\g<0>", given) if setting.type == TEMPLATE else given
    if setting.pattern and not re.match(setting.pattern, text):
        raise InvalidSetting(f"{setting.name}: {given!r} is not {_TYPES[setting.type][2]}.")
    return text


def effective(spec: Mapping[str, Any], served: Mapping[str, Any] | None) -> dict[str, Any]:
    """Every setting as it counts, as a task would give it: from `spec`, else the default (None where MTV has none).

    `served`: the schemas of the fields the cluster knows, None where it takes any field (MTV before 2.10). Settings it does not know
    are left out.
    """
    known = [s for s in SETTINGS.values() if served is None or s.name in served]
    release = max((_release(s.since) for s in known), default=(0,)) if served is not None else (0,)
    found = {}
    for setting in known:
        value = spec.get(setting.name)
        if value is None and served is not None:
            value = (served[setting.name] or {}).get("default")
        found[setting.name] = _default(setting, release) if value is None else _task_value(setting, value)
    return found


def _option(setting: Setting) -> dict[str, Any]:
    option: dict[str, Any] = {"type": _TYPES[setting.type][0]}
    if setting.type == ARGUMENTS:
        option["elements"] = "str"
    if setting.choices:
        option["choices"] = list(setting.choices)
    return option


def _description(setting: Setting) -> list[str]:
    about = setting.about + (f" In {setting.unit}." if setting.unit else "")
    lines = [about]
    if setting.default is not None:
        before = f" (V({_word(setting.earlier[1])}) before MTV {setting.earlier[0]})" if setting.earlier else ""
        lines.append(f"MTV's default is V({_word(setting.default)}){before}.")
    if setting.since != "2.10":
        lines.append(f"Since MTV {setting.since}.")
    return lines


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _in_unit(setting: Setting) -> str:
    return f" ({setting.unit})" if setting.unit else ""


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _default(setting: Setting, release: tuple[int, ...]) -> Any:
    return setting.earlier[1] if setting.earlier and release < _release(setting.earlier[0]) else setting.default


def _task_value(setting: Setting, value: Any) -> Any:
    """The opposite of field_value; what somebody else wrote in an own way stays as it is."""
    if setting.type == SWITCH:
        return {"true": True, "false": False}.get(str(value).lower(), value)
    if setting.type == NUMBER and isinstance(value, str) and value.isdigit():
        return int(value)
    if setting.type == TEMPLATE:
        return re.sub(r"\\([{}])", r"\1", str(value))
    if setting.type == ARGUMENTS and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
