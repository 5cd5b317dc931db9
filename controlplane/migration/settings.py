"""What the ForkliftController object sets for migrations (facts 7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.plugins.module_utils.hook_job import Resources

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects

Object = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """Defaults are those of the operator. CPU and memory are Kubernetes quantities; `namespace` is that of the controllers."""

    max_vm_inflight: int = 20
    blocker_grace_minutes: int = 5
    service_account: str = ""
    pvc_name_template: str = ""
    ocp_pvc_name_template: str = ""  # of VMs from another cluster
    request_kvm: bool = True
    limits_cpu: str = "4"
    limits_memory: str = "8Gi"
    requests_cpu: str = "1"
    requests_memory: str = "1Gi"
    memsize: str = ""  # MiB, of virt-v2v's appliance
    smp: str = ""
    extra_args: str = "[]"  # of virt-v2v, a JSON list
    inspector_extra_args: str = "[]"
    extra_conf_config_map: str = ""
    vddk_image: str = ""
    windows_wait_for_reboot: bool = True
    wait_for_consolidation: bool = True
    precopy_minutes: int = 60
    hooks: Resources = Resources()
    populators: Resources = Resources("1", "1Gi", "100m", "512Mi")
    filesystem_overhead: int = 10  # percent, of volumes that populators fill
    block_overhead: int = 0  # bytes
    retain_populator_pods: bool = False
    namespace: str = ""


def settings(api: Objects, namespace: str) -> Settings:
    """Those of the first ForkliftController in `namespace`, which is that of the controllers."""
    found = api.list("ForkliftController", namespace)
    return replace(read(found[0].get("spec") or {}) if found else Settings(), namespace=namespace)


def read(spec: Object) -> Settings:
    """`spec` of a ForkliftController; what is absent or empty keeps its default."""
    default = Settings()
    return Settings(
        max_vm_inflight=int(spec.get("controller_max_vm_inflight") or default.max_vm_inflight),
        blocker_grace_minutes=int(spec.get("controller_blocker_grace_period_minutes") or default.blocker_grace_minutes),
        service_account=spec.get("controller_migration_service_account") or default.service_account,
        pvc_name_template=_template(spec.get("controller_pvc_name_template")),
        ocp_pvc_name_template=_template(spec.get("controller_ocp_pvc_name_template")),
        request_kvm=str(spec.get("virt_v2v_dont_request_kvm", "")).lower() != "true",
        limits_cpu=_cores(spec.get("virt_v2v_container_limits_cpu"), default.limits_cpu),
        limits_memory=spec.get("virt_v2v_container_limits_memory") or default.limits_memory,
        requests_cpu=_cores(spec.get("virt_v2v_container_requests_cpu"), default.requests_cpu),
        requests_memory=spec.get("virt_v2v_container_requests_memory") or default.requests_memory,
        memsize=str(spec.get("virt_v2v_memsize") or ""),
        smp=str(spec.get("virt_v2v_smp") or ""),
        extra_args=spec.get("virt_v2v_extra_args") or default.extra_args,
        inspector_extra_args=spec.get("virt_v2v_inspector_extra_args") or default.inspector_extra_args,
        extra_conf_config_map=spec.get("virt_v2v_extra_conf_config_map") or "",
        vddk_image=spec.get("vddk_image") or "",
        windows_wait_for_reboot=_flag(spec.get("feature_windows_wait_for_reboot"), default.windows_wait_for_reboot),
        hooks=_resources(spec, "hooks", default.hooks),
        populators=_resources(spec, "populator", default.populators),
        filesystem_overhead=_number(spec.get("controller_filesystem_overhead"), default.filesystem_overhead),
        block_overhead=_number(spec.get("controller_block_overhead"), default.block_overhead),
        retain_populator_pods=_flag(spec.get("controller_retain_populator_pods"), default.retain_populator_pods),
        precopy_minutes=int(spec.get("controller_precopy_interval") or default.precopy_minutes),
        wait_for_consolidation=_flag(spec.get("wait_for_final_snapshot_consolidation"), default.wait_for_consolidation),
    )


def _resources(spec: Object, container: str, default: Resources) -> Resources:
    return Resources(**{name: spec.get(f"{container}_container_{name}") or getattr(default, name) for name in default.__dataclass_fields__})


def _template(given: str | None) -> str:
    """Written with escaped braces, because the operator renders its own variables with Jinja."""
    return (given or "").replace("\\{", "{").replace("\\}", "}")


def _flag(given: Any, default: bool) -> bool:
    """Flags are texts, "true" or "false"."""
    return default if given in (None, "") else str(given).lower() == "true"


def _number(given: Any, default: int) -> int:
    return default if given in (None, "") else int(given)


def _cores(given: Any, default: str) -> str:
    """A CPU quantity in its shortest form: "4000m" is "4"."""
    text = str(given or default)
    if text.endswith("m") and text[:-1].isdigit() and int(text[:-1]) % 1000 == 0:
        return str(int(text[:-1]) // 1000)
    return text
