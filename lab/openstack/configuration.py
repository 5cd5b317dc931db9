"""Configuration files of the services for one folder and its ports.

The services run in that folder. What their databases remember is relative to it, so that a copy of it runs elsewhere.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REGION = "RegionOne"
BACKENDS = ("fast", "slow")
DATABASES = ("keystone", "glance", "cinder", "nova_api", "nova_cell0", "nova_cell1", "neutron", "placement")
#: Service -> (type in the catalog, path of its end point).
CATALOG: Mapping[str, tuple[str, str]] = {
    "keystone": ("identity", "/v3"),
    "glance": ("image", ""),
    "cinder": ("volumev3", "/v3"),
    "nova": ("compute", "/v2.1"),
    "neutron": ("network", ""),
    "placement": ("placement", ""),
}
FOLDERS = (
    "db log run/cinder-coordination data/glance data/glance-staging data/glance-tasks data/cinder data/cinder-state/conversion "
    "data/nova/instances data/neutron"
).split()

Sections = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Setting:
    """Where services run. `ports`: of their plain end points, by service; `password`: of the users that services log in with."""

    folder: Path
    ports: Mapping[str, int]
    password: str = field(repr=False)

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}{CATALOG[service][1]}"


def database_url(name: str) -> str:
    return f"sqlite:///db/{name}.sqlite?timeout=60"


def write(setting: Setting) -> None:
    """All files of all services, below `etc`."""
    for folder in FOLDERS:
        (setting.folder / folder).mkdir(parents=True, exist_ok=True)
    for name, sections in {
        "keystone/keystone.conf": keystone(setting),
        "glance/glance-api.conf": glance(setting),
        "cinder/cinder.conf": cinder(setting),
        "nova/nova.conf": nova(setting),
        "neutron/neutron.conf": neutron(setting),
        "placement/placement.conf": placement(setting),
    }.items():
        target = setting.folder / "etc" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        parser = configparser.ConfigParser(interpolation=None, default_section="")
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read_dict(sections)
        target.touch(mode=0o600)
        with target.open("w") as file:
            parser.write(file)


def login(setting: Setting, user: str) -> dict[str, str]:
    return {
        "auth_url": setting.url("keystone"),
        "auth_type": "password",
        "username": user,
        "password": setting.password,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": REGION,
    }


def tokens(setting: Setting, user: str) -> dict[str, str]:
    """How a service checks the tokens of its callers."""
    checking = {"www_authenticate_uri": setting.url("keystone"), "service_token_roles_required": "true"}
    return {**login(setting, user), **checking}


def common(setting: Setting, service: str) -> dict[str, str]:
    return {"log_file": f"{setting.folder}/log/{service}.log", "transport_url": "fake://"}


def keystone(setting: Setting) -> Sections:
    return {
        "DEFAULT": {"log_file": f"{setting.folder}/log/keystone.log"},
        "database": {"connection": database_url("keystone")},
        "token": {"provider": "fernet"},
        "fernet_tokens": {"key_repository": f"{setting.folder}/etc/keystone/fernet-keys"},
        "credential": {"key_repository": f"{setting.folder}/etc/keystone/credential-keys"},
        "identity": {"password_hash_rounds": "4"},
        # Without it each token costs half a second, and each check of one more than that.
        "cache": {"enabled": "true", "backend": "dogpile.cache.memory", "expiration_time": "3600"},
    }


def glance(setting: Setting) -> Sections:
    return {
        "DEFAULT": {
            **common(setting, "glance"),
            "enabled_backends": "fs:file",
            "node_staging_uri": f"file://{setting.folder}/data/glance-staging",
        },
        "glance_store": {"default_backend": "fs"},
        "fs": {
            "filesystem_store_datadir": "data/glance",
            "filesystem_thin_provisioning": "true",
            "filesystem_store_chunk_size": str(1 << 20),
        },
        "os_glance_staging_store": {"filesystem_store_datadir": f"{setting.folder}/data/glance-staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": f"{setting.folder}/data/glance-tasks"},
        "database": {"connection": database_url("glance")},
        "keystone_authtoken": tokens(setting, "glance"),
        "paste_deploy": {"flavor": "keystone", "config_file": f"{setting.folder}/etc/glance/glance-api-paste.ini"},
        "oslo_concurrency": {"lock_path": f"{setting.folder}/run"},
    }


def cinder(setting: Setting) -> Sections:
    folder = setting.folder
    return {
        "DEFAULT": {
            **common(setting, "cinder"),
            "host": "lab",
            "scheduler_driver_init_wait_time": "1",
            "auth_strategy": "keystone",
            "api_paste_config": f"{folder}/etc/cinder/api-paste.ini",
            "resource_query_filters_file": f"{folder}/etc/cinder/resource_filters.json",
            "state_path": f"{folder}/data/cinder-state",
            "image_conversion_dir": f"{folder}/data/cinder-state/conversion",
            "enabled_backends": ",".join(BACKENDS),
            "default_volume_type": BACKENDS[0],
            "glance_api_servers": setting.url("glance"),
            "volume_clear": "none",
            "periodic_interval": "5",
            "report_interval": "5",
            # Heartbeats of several services in one process overwrite each other.
            "service_down_time": "315360000",
            "scheduler_default_filters": "CapacityFilter,CapabilitiesFilter",
        },
        **{name: backend(setting, name) for name in BACKENDS},
        "database": {"connection": database_url("cinder")},
        "coordination": {"backend_url": f"file://{folder}/run/cinder-coordination"},
        "keystone_authtoken": tokens(setting, "cinder"),
        "nova": {"interface": "internal", **login(setting, "nova")},
        "service_user": {"send_service_user_token": "true", **login(setting, "cinder")},
        "oslo_concurrency": {"lock_path": f"{folder}/run"},
    }


def backend(setting: Setting, name: str) -> dict[str, str]:
    return {
        "volume_backend_name": name,
        "volume_driver": "file_volumes.LabFileDriver",
        "nas_host": "127.0.0.1",
        "nas_share_path": f"/{name}",
        "nfs_mount_point_base": f"{setting.folder}/data/cinder",
        "nfs_snapshot_support": "true",
        "nfs_sparsed_volumes": "true",
        "nas_secure_file_operations": "false",  # or the driver makes no snapshots
        "nas_secure_file_permissions": "false",
        "max_over_subscription_ratio": "1000",
        "reserved_percentage": "0",
    }


def nova(setting: Setting) -> Sections:
    folder = setting.folder
    return {
        "DEFAULT": {
            **common(setting, "nova"),
            "host": "lab",
            "my_ip": "127.0.0.1",
            "compute_driver": "lab.LabDriver",
            "state_path": f"{folder}/data/nova",
            "instances_path": f"{folder}/data/nova/instances",
            "report_interval": "5",
            "service_down_time": "120",
            "sync_power_state_interval": "-1",
            "update_resources_interval": "10",
            "shutdown_timeout": "0",
        },
        "api": {"auth_strategy": "keystone"},
        "api_database": {"connection": database_url("nova_api")},
        "database": {"connection": database_url("nova_cell1")},
        "conductor": {"workers": "1"},
        "scheduler": {"workers": "1", "discover_hosts_in_cells_interval": "5"},
        "cinder": {"catalog_info": "volumev3:cinder:internalURL", "os_region_name": REGION, **login(setting, "cinder")},
        "glance": {"api_servers": setting.url("glance")},
        "neutron": login(setting, "neutron"),
        "placement": login(setting, "placement"),
        "service_user": {"send_service_user_token": "true", **login(setting, "nova")},
        "keystone_authtoken": tokens(setting, "nova"),
        "keystone": login(setting, "nova"),
        "oslo_concurrency": {"lock_path": f"{folder}/run"},
        "workarounds": {"disable_rootwrap": "true"},
        "vnc": {"enabled": "false"},
    }


def neutron(setting: Setting) -> Sections:
    return {
        "DEFAULT": {
            **common(setting, "neutron"),
            "auth_strategy": "keystone",
            "api_paste_config": f"{setting.folder}/etc/neutron/api-paste.ini",
            "core_plugin": "ml2",
            "service_plugins": "router",
            "state_path": f"{setting.folder}/data/neutron",
            "rpc_workers": "0",
            "rpc_state_report_workers": "0",
            "dhcp_agent_notification": "false",
        },
        "database": {"connection": database_url("neutron")},
        "keystone_authtoken": tokens(setting, "neutron"),
        "nova": {"endpoint_type": "internal", **login(setting, "nova")},
        "oslo_concurrency": {"lock_path": f"{setting.folder}/run"},
        "ml2": {
            "type_drivers": "local,flat,vlan",
            "tenant_network_types": "local",
            "mechanism_drivers": "lab",
            "extension_drivers": "port_security",
        },
        "ml2_type_vlan": {"network_vlan_ranges": "physnet1:100:200"},
        "ml2_type_flat": {"flat_networks": "*"},
        "securitygroup": {"enable_security_group": "true"},
    }


def placement(setting: Setting) -> Sections:
    return {
        "DEFAULT": {"log_file": f"{setting.folder}/log/placement.log"},
        "api": {"auth_strategy": "keystone"},
        "placement_database": {"connection": database_url("placement"), "sync_on_startup": "true"},
        "keystone_authtoken": tokens(setting, "placement"),
    }
