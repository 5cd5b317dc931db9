"""The spec of ForkliftController: every setting of the operator, with the defaults of its CustomResourceDefinition."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import STRING, Schema, choice, integer, obj, string

_CONTAINERS = {  # prefix: (cpu limit, memory limit, cpu request, memory request)
    "api": ("1000m", "1Gi", "100m", "150Mi"),
    "cli_download": ("1000m", "1Gi", "100m", "512Mi"),
    "controller": ("2", "800Mi", "100m", "350Mi"),
    "hooks": ("1000m", "1Gi", "100m", "150Mi"),
    "hyperv": ("1000m", "1Gi", "100m", "512Mi"),
    "inventory": ("2", "1Gi", "500m", "500Mi"),
    "mcp_server": ("1000m", "512Mi", "100m", "256Mi"),
    "ova": ("1000m", "1Gi", "100m", "512Mi"),
    "ova_proxy": ("1000m", "1Gi", "250m", "512Mi"),
    "populator": ("1000m", "1Gi", "100m", "512Mi"),
    "ui_plugin": ("100m", "800Mi", "100m", "150Mi"),
    "validation": ("1000m", "300Mi", "400m", "50Mi"),
    "virt_v2v": ("4000m", "8Gi", "1000m", "1Gi"),
}
_SWITCHES = {  # written as the words "true" and "false"
    "aap_insecure_skip_verify": "false",
    "controller_ovirt_warm_migration": "true",
    "controller_retain_populator_pods": "false",
    "controller_retain_precopy_importer_pods": "false",
    "controller_static_udn_ip_addresses": "true",
    "controller_vsphere_incremental_backup": "true",
    "feature_auth_required": "true",
    "feature_cli_download": "true",
    "feature_copy_offload": "true",
    "feature_mcp_server": "false",
    "feature_ocp_live_migration": "true",
    "feature_ova_appliance_management": "true",
    "feature_ui_plugin": "true",
    "feature_use_conversion_cr": "true",
    "feature_validation": "true",
    "feature_vmware_system_serial_number": "true",
    "feature_volume_populator": "true",
    "feature_vsphere_vmware_driver_removal": "false",
    "feature_windows_registry_network_config": "false",
    "feature_windows_wait_for_reboot": "true",
    "feature_xfs_repair_ignore": "false",
    "k8s_cluster": "false",
    "mcp_server_kube_insecure": "true",
    "mcp_server_lightspeed_integration": "true",
    "mcp_server_lightspeed_set_mcp_gate": "false",
    "mcp_server_read_only": "false",
    "virt_v2v_dont_request_kvm": None,
    "wait_for_final_snapshot_consolidation": "true",
}
_NUMBERS: dict[str, tuple[int, int | None]] = {  # (least, default)
    "aap_timeout": (1, None),
    "controller_block_overhead": (0, 0),
    "controller_blocker_grace_period_minutes": (1, 5),
    "controller_cleanup_retries": (1, 10),
    "controller_filesystem_overhead": (0, 10),
    "controller_host_lease_duration_seconds": (1, 10),
    "controller_log_level": (0, 3),
    "controller_max_concurrent_reconciles": (1, 10),
    "controller_max_parent_backing_retries": (1, 10),
    "controller_max_populator_inflight": (1, 20),
    "controller_max_vm_inflight": (1, 20),
    "controller_precopy_interval": (1, 60),
    "controller_snapshot_removal_check_retries": (1, 20),
    "controller_snapshot_removal_timeout_minuts": (1, 120),
    "controller_snapshot_status_check_rate_seconds": (1, 10),
    "controller_tls_connection_timeout_sec": (1, 5),
    "controller_vddk_job_active_deadline_sec": (1, 300),
    "controller_windows_reboot_timeout": (1, 1800),
    "mcp_server_max_response_chars": (0, 0),
    "mcp_server_verbose": (0, 2),
    "validation_policy_agent_search_interval": (1, 120),
    "virt_v2v_memsize": (1, None),
    "virt_v2v_smp": (1, None),
}
_DURATIONS = {
    "controller_hyperv_refresh_interval": "10s",
    "controller_hyperv_validation_timeout": "30s",
    "inventory_route_timeout": "360s",
    "metric_interval": "30s",
    "ova_proxy_route_timeout": "360s",
}
_NAMES = {
    "controller_host_lease_namespace": "openshift-mtv",
    "naa_oui_map_configmap_name": "forklift-naa-oui-map",
    "ovirt_osmap_configmap_name": "forklift-ovirt-osmap",
    "validation_extra_volume_mountpath": "/usr/share/opa/policies/extra",
    "validation_extra_volume_name": "validation-extra-rules",
    "virt_customize_configmap_name": "forklift-virt-customize",
    "vsphere_osmap_configmap_name": "forklift-vsphere-osmap",
}
_TEXTS = """
    aap_ca_secret_name aap_token_secret_name aap_url api_image_fqin cli_download_image_fqin controller_image_fqin
    controller_migration_service_account controller_transfer_network deep_inspection_image_fqin deep_inspection_image_xfs_fqin
    hyperv_provider_server_fqin must_gather_image_fqin ova_provider_server_fqin ova_proxy_fqin populator_controller_image_fqin
    populator_openstack_image_fqin populator_ovirt_image_fqin populator_vsphere_copy_offload_image_fqin ui_plugin_image_fqin
    validation_image_fqin vddk_image virt_v2v_extra_args virt_v2v_extra_conf_config_map virt_v2v_image_fqin virt_v2v_image_xfs_fqin
    virt_v2v_inspector_extra_args
"""
_AMOUNT = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
_DURATION = r"^[0-9]+(s|m|h)$"
_ESCAPED_TEMPLATE = r"^([^{}\\]|\\.)*$"


def _fields() -> dict[str, Schema]:
    fields: dict[str, Schema] = {}
    for prefix, amounts in _CONTAINERS.items():
        for part, amount in zip(("limits_cpu", "limits_memory", "requests_cpu", "requests_memory"), amounts, strict=True):
            fields[f"{prefix}_container_{part}"] = string(default=amount, pattern=_AMOUNT)
    for name, word in _SWITCHES.items():
        fields[name] = choice("true false", **({"default": word} if word else {}))
    for name, (least, number) in _NUMBERS.items():
        fields[name] = integer(format="int32", minimum=least, **({} if number is None else {"default": number}))
    fields.update((name, string(default=text, pattern=_DURATION)) for name, text in _DURATIONS.items())
    fields.update((name, string(default=text)) for name, text in _NAMES.items())
    fields.update((name, STRING) for name in _TEXTS.split())
    for name in ("controller_ocp_pvc_name_template", "controller_pvc_name_template"):
        fields[name] = string(pattern=_ESCAPED_TEMPLATE)
    fields["image_pull_policy"] = choice("Always IfNotPresent Never", default="Always")
    fields["mcp_server_output_format"] = choice("markdown text json", default="markdown")
    return dict(sorted(fields.items()))


# Keys of older and newer operators are kept: the operator's own definition does so, too.
CONTROLLER_SPEC: Schema = {**obj(**_fields()), "additionalProperties": True}
