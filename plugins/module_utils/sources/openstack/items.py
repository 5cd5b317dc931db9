# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an OpenStack cloud answers, in the shapes of MTV's inventory (facts 5.3). Pure: plain JSON in, plain JSON out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

NEVER = "0001-01-01T00:00:00Z"  # how Forklift writes a time that is not there
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|\+00:00)?$")

#: Keys of an image that are not properties of its own.
_IMAGE_KEYS = frozenset(
    "id name status tags container_format disk_format min_disk min_ram owner protected visibility os_hidden checksum size metadata "
    "created_at updated_at file schema virtual_size self location locations direct_url stores os_glance_importing_to_stores "
    "os_glance_failed_import".split()
)


def time(text: Any) -> str:
    """A time as Forklift writes it, from how any service writes it."""
    found = _TIME.match(text) if isinstance(text, str) else None
    if not found:
        return NEVER
    fraction = (found[3] or "").rstrip("0")
    return f"{found[1]}T{found[2]}{'.' + fraction if fraction else ''}Z"


def _without_empty(item: Object, *keys: str) -> Object:
    """Keys that are left out when they have nothing to say."""
    return {key: value for key, value in item.items() if key not in keys or value not in (None, "", [], {})}


def _base(found: Mapping[str, Any]) -> Object:
    return {"id": found["id"], "name": found.get("name") or ""}


def vm(found: Mapping[str, Any]) -> Object:
    """A server, as Nova tells of it at API version 2.1."""
    fault = found.get("fault") or {}
    image = found.get("image")
    item = {
        **_base(found),
        "tenantID": found.get("tenant_id") or "",
        "status": found.get("status") or "",
        "hostID": found.get("hostId") or "",
        "revisionValidated": 0,
        "imageID": image.get("id") or "" if isinstance(image, Mapping) else "",
        "flavorID": (found.get("flavor") or {}).get("id") or "",
        "addresses": found.get("addresses") or {},
        "attachedVolumes": [{"ID": volume["id"]} for volume in found.get("os-extended-volumes:volumes_attached") or ()],
        "concerns": [],
        "userID": found.get("user_id") or "",
        "updated": time(found.get("updated")),
        "created": time(found.get("created")),
        "progress": found.get("progress") or 0,
        "accessIPv4": found.get("accessIPv4"),
        "accessIPv6": found.get("accessIPv6"),
        "metadata": found.get("metadata"),
        "keyName": found.get("key_name"),
        "securityGroups": found.get("security_groups"),
        "fault": {
            "Code": fault.get("code") or 0,
            "Created": time(fault.get("created")),
            "Details": fault.get("details") or "",
            "Message": fault.get("message") or "",
        },
    }
    optional = ("hostID", "imageID", "attachedVolumes", "accessIPv4", "accessIPv6", "metadata", "keyName", "securityGroups")
    return _without_empty(item, *optional)


def image(found: Mapping[str, Any]) -> Object:
    return {
        **_base(found),
        "status": found.get("status") or "",
        "tags": found.get("tags") or [],
        "containerFormat": found.get("container_format") or "",
        "diskFormat": found.get("disk_format") or "",
        "minDisk": found.get("min_disk") or 0,
        "minRam": found.get("min_ram") or 0,
        "owner": found.get("owner") or "",
        "protected": bool(found.get("protected")),
        "visibility": found.get("visibility") or "",
        "osHidden": bool(found.get("os_hidden")),
        "checksum": found.get("checksum") or "",
        "sizeBytes": found.get("size") or 0,
        "metadata": found.get("metadata") or {},
        "createdAt": time(found.get("created_at")),
        "updatedAt": time(found.get("updated_at")),
        "file": found.get("file") or "",
        "schema": found.get("schema") or "",
        "virtualSize": found.get("virtual_size") or 0,
        "imageImportMethods": [],
        "imageStoreIDs": [],
        "properties": {key: value for key, value in found.items() if key not in _IMAGE_KEYS and value is not None},
    }


def flavor(found: Mapping[str, Any], extra_specs: Mapping[str, str]) -> Object:
    item = {
        **_base(found),
        "description": found.get("description") or "",
        "disk": found.get("disk") or 0,
        "ram": found.get("ram") or 0,
        "rxtxFactor": found.get("rxtx_factor") or 0,
        "swap": found.get("swap") or 0,  # none is ""
        "vcpus": found.get("vcpus") or 0,
        "isPublic": bool(found.get("os-flavor-access:is_public")),
        "ephemeral": found.get("OS-FLV-EXT-DATA:ephemeral") or 0,
        "extraSpecs": dict(extra_specs),
    }
    return _without_empty(item, "extraSpecs")


def volume(found: Mapping[str, Any]) -> Object:
    item = {
        **_base(found),
        "status": found.get("status") or "",
        "size": found.get("size") or 0,
        "availabilityZone": found.get("availability_zone") or "",
        "createdAt": time(found.get("created_at")),
        "updatedAt": time(found.get("updated_at")),
        "attachments": [_attachment(attachment) for attachment in found.get("attachments") or ()],
        "description": found.get("description"),
        "volumeType": found.get("volume_type") or "",
        "snapshotID": found.get("snapshot_id"),
        "sourceVolID": found.get("source_volid"),
        "backupID": found.get("backup_id"),
        "metadata": found.get("metadata"),
        "userID": found.get("user_id") or "",
        "bootable": _text(found.get("bootable")),
        "encrypted": bool(found.get("encrypted")),
        "replicationStatus": found.get("replication_status") or "",
        "consistencygroupID": found.get("consistencygroup_id"),
        "multiattach": bool(found.get("multiattach")),
        "volumeImageMetadata": found.get("volume_image_metadata"),
    }
    optional = ("description", "snapshotID", "sourceVolID", "backupID", "metadata", "consistencygroupID", "volumeImageMetadata")
    return _without_empty(item, *optional)


def _attachment(found: Mapping[str, Any]) -> Object:
    return {
        "AttachedAt": time(found.get("attached_at")),
        "AttachmentID": found.get("attachment_id") or "",
        "Device": found.get("device") or "",
        "HostName": found.get("host_name") or "",
        "ID": found.get("id") or "",
        "ServerID": found.get("server_id") or "",
        "VolumeID": found.get("volume_id") or "",
    }


def _text(value: Any) -> str:
    """A truth as Cinder writes it, whoever read it before."""
    return str(value).lower() if isinstance(value, bool) else value or ""


def volume_type(found: Mapping[str, Any]) -> Object:
    item = {
        **_base(found),
        "description": found.get("description") or "",
        "extraSpecs": found.get("extra_specs"),
        "isPublic": bool(found.get("is_public", found.get("os-volume-type-access:is_public"))),
        "qosSpecsID": found.get("qos_specs_id") or "",
        "publicAccess": bool(found.get("os-volume-type-access:is_public")),
    }
    return _without_empty(item, "extraSpecs")


def snapshot(found: Mapping[str, Any]) -> Object:
    item = {
        **_base(found),
        "createdAt": time(found.get("created_at")),
        "updatedAt": time(found.get("updated_at")),
        "description": found.get("description") or "",
        "volumeID": found.get("volume_id") or "",
        "status": found.get("status") or "",
        "size": found.get("size") or 0,
        "metadata": found.get("metadata"),
    }
    return _without_empty(item, "metadata")


def network(found: Mapping[str, Any]) -> Object:
    item = {
        **_base(found),
        "description": found.get("description") or "",
        "adminStateUp": bool(found.get("admin_state_up")),
        "status": found.get("status") or "",
        "subnets": found.get("subnets"),
        "tenantID": found.get("tenant_id") or found.get("project_id") or "",
        "updatedAt": time(found.get("updated_at")),
        "createdAt": time(found.get("created_at")),
        "projectID": found.get("project_id") or "",
        "shared": bool(found.get("shared")),
        "availabilityZoneHints": found.get("availability_zone_hints"),
        "tags": found.get("tags"),
        "revisionNumber": found.get("revision_number") or 0,
    }
    return _without_empty(item, "subnets", "availabilityZoneHints", "tags")


def subnet(found: Mapping[str, Any]) -> Object:
    item = {
        **_base(found),
        "networkID": found.get("network_id") or "",
        "description": found.get("description"),
        "ipVersion": found.get("ip_version") or 0,
        "cidr": found.get("cidr") or "",
        "gatewayIP": found.get("gateway_ip"),
        "dnsNameservers": found.get("dns_nameservers"),
        "serviceTypes": found.get("service_types"),
        "allocationPools": [{"Start": pool["start"], "End": pool["end"]} for pool in found.get("allocation_pools") or ()],
        "hostRoutes": [{"DestinationCIDR": route["destination"], "NextHop": route["nexthop"]} for route in found.get("host_routes") or ()],
        "enableDHCP": bool(found.get("enable_dhcp")),
        "tenantID": found.get("tenant_id") or found.get("project_id") or "",
        "projectID": found.get("project_id") or "",
        "ipv6AddressMode": found.get("ipv6_address_mode"),
        "ipv6RAMode": found.get("ipv6_ra_mode"),
        "subnetpoolID": found.get("subnetpool_id"),
        "tags": found.get("tags"),
        "revisionNumber": found.get("revision_number") or 0,
    }
    optional = "description gatewayIP dnsNameservers serviceTypes allocationPools hostRoutes ipv6AddressMode ipv6RAMode subnetpoolID tags"
    return _without_empty(item, *optional.split())


def project(found: Mapping[str, Any]) -> Object:
    item = {
        **_base(found),
        "isDomain": bool(found.get("is_domain")),
        "description": found.get("description") or "",
        "domainID": found.get("domain_id") or "",
        "enabled": bool(found.get("enabled")),
        "parentID": found.get("parent_id"),
    }
    return _without_empty(item, "parentID")


def region(found: Mapping[str, Any]) -> Object:
    """Regions have no names: their ids are what people call them."""
    item = {
        "id": found["id"],
        "name": found["id"],
        "description": found.get("description") or "",
        "parentRegionID": found.get("parent_region_id"),
    }
    return _without_empty(item, "parentRegionID")
