# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of the engine as the inventory has them (facts 5.3). Pure: an object of the SDK in, plain data out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Object = dict[str, Any]


def base(obj: Any) -> Object:
    found: Object = {"id": obj.id, "name": obj.name or ""}
    return {**found, "description": obj.description} if obj.description else found


def id_of(reference: Any) -> str:
    return (reference.id or "") if reference is not None else ""


def text(value: Any) -> str:
    """Enumerations of the SDK and strings as plain strings; "" for nothing."""
    return "" if value is None else str(getattr(value, "value", value))


def number(value: Any) -> int:
    return int(value) if value is not None else 0


def within(obj: Any, path: str) -> Any:
    """A value behind several attributes, None when one of them is not set: within(vm, "cpu.topology.cores")."""
    for name in path.split("."):
        if obj is None:
            return None
        obj = getattr(obj, name)
    return obj


def datacenter(obj: Any) -> Object:
    return base(obj)


def cluster(obj: Any) -> Object:
    return {
        **base(obj),
        "dataCenter": id_of(obj.data_center),
        "haReservation": bool(obj.ha_reservation),
        "ksmEnabled": bool(within(obj, "ksm.enabled")),
        "biosType": text(obj.bios_type),
        "cpu": {"architecture": text(within(obj, "cpu.architecture")), "type": text(within(obj, "cpu.type"))},
        "version": {"minor": text(within(obj, "version.minor")), "major": text(within(obj, "version.major"))},
    }


def server_cpu(obj: Any) -> Object:
    """The option ServerCPUList: which CPU models a cluster's CPU type stands for, by version."""
    values = [{"value": value.value or "", "version": value.version or ""} for value in obj.values or ()]
    return {"id": obj.id, "name": obj.name or "", "systemOptionValue": values}


def host(obj: Any) -> Object:
    return {
        **base(obj),
        "cluster": id_of(obj.cluster),
        "status": text(obj.status),
        "productName": text(within(obj, "os.type")),
        "productVersion": text(within(obj, "os.version.full_version")),
        "inMaintenance": text(obj.status) == "maintenance",
        "cpuSockets": number(within(obj, "cpu.topology.sockets")),
        "cpuCores": number(within(obj, "cpu.topology.cores")),
        "networkAttachments": [{"id": found.id, "network": id_of(found.network)} for found in obj.network_attachments or ()],
        "nics": [
            {
                "id": card.id,
                "name": card.name or "",
                "linkSpeed": number(card.speed) // 1_000_000,
                "mtu": number(card.mtu),
                "vlan": text(within(card, "vlan.id")),
            }
            for card in obj.nics or ()
        ],
    }


def network(obj: Any) -> Object:
    return {
        **base(obj),
        "dataCenter": id_of(obj.data_center),
        "vlan": text(within(obj, "vlan.id")),
        "usages": [text(usage) for usage in obj.usages or ()],
        "nicProfiles": [profile.id for profile in obj.vnic_profiles or ()],
    }


def nic_profile(obj: Any) -> Object:
    mode = text(within(obj, "pass_through.mode"))
    return {
        **base(obj),
        "network": id_of(obj.network),
        "networkFilter": id_of(obj.network_filter),
        "portMirroring": bool(obj.port_mirroring),
        "qos": id_of(obj.qos),
        "properties": _properties(obj.custom_properties),
        "passThrough": mode == "enabled",
    }


def storage_domain(obj: Any) -> Object:
    centers = [id_of(center) for center in obj.data_centers or ()] or [id_of(obj.data_center)]
    available, used = number(obj.available), number(obj.used)
    return {
        **base(obj),
        "dataCenter": centers[0],
        "type": text(obj.type),
        "capacity": available + used,
        "free": available,
        "storage": {"type": text(within(obj, "storage.type"))},
    }


def disk_profile(obj: Any) -> Object:
    return {**base(obj), "storageDomain": id_of(obj.storage_domain), "qos": id_of(obj.qos)}


def disk(obj: Any) -> Object:
    domains = [id_of(domain) for domain in obj.storage_domains or ()]
    units = within(obj, "lun_storage.logical_units") or ()
    return {
        **base(obj),
        "name": obj.name or obj.alias or "",
        "shared": bool(obj.shareable),
        "storageDomain": domains[0] if domains else "",
        "profile": id_of(obj.disk_profile),
        "provisionedSize": number(obj.provisioned_size) or sum(number(unit.size) for unit in units),
        "actualSize": number(obj.actual_size),
        "storageType": text(obj.storage_type),
        "status": text(obj.status),
        "lunStorage": {"LogicalUnits": {"logicalUnit": [_logical_unit(unit) for unit in units]}},
    }


def _logical_unit(unit: Any) -> Object:
    return {
        "lunId": unit.id or "",
        "address": unit.address or "",
        "port": text(unit.port),
        "target": unit.target or "",
        "lunMapping": number(unit.lun_mapping),
        "size": number(unit.size),
    }


def vm(obj: Any) -> Object:
    """Without concerns and what the validation adds."""
    return {
        **base(obj),
        "cluster": id_of(obj.cluster),
        "status": text(obj.status),
        "host": id_of(obj.host),
        "revisionValidated": 0,
        "nics": [nic(card) for card in obj.nics or ()],
        "diskAttachments": [disk_attachment(attachment) for attachment in obj.disk_attachments or ()],
        "concerns": [],
        "policyVersion": 0,
        **_hardware(obj),
        **_behaviour(obj),
        "hostDevices": [
            {
                "capability": text(device.capability),
                "product": text(within(device, "product.name")),
                "vendor": text(within(device, "vendor.name")),
            }
            for device in obj.host_devices or ()
        ],
        "cdroms": [_cdrom(drive) for drive in obj.cdroms or ()],
        "watchDogs": [{"id": dog.id, "action": text(dog.action), "model": text(dog.model)} for dog in obj.watchdogs or ()],
        "properties": _properties(obj.custom_properties),
        "snapshots": [
            {
                "id": snapshot.id,
                "description": snapshot.description or "",
                "type": text(snapshot.snapshot_type),
                "persistMemory": bool(snapshot.persist_memorystate),
            }
            for snapshot in obj.snapshots or ()
        ],
        "guest": {
            "distribution": text(within(obj, "guest_operating_system.distribution")),
            "fullVersion": text(within(obj, "guest_operating_system.version.full_version")),
        },
    }


def _hardware(obj: Any) -> Object:
    return {
        "guestName": text(obj.fqdn),
        "cpuSockets": number(within(obj, "cpu.topology.sockets")),
        "cpuCores": number(within(obj, "cpu.topology.cores")),
        "cpuThreads": number(within(obj, "cpu.topology.threads")),
        "cpuShares": number(obj.cpu_shares),
        "cpuAffinity": [{"set": text(pin.cpu_set), "cpu": number(pin.vcpu)} for pin in within(obj, "cpu.cpu_tune.vcpu_pins") or ()],
        "cpuPinningPolicy": text(obj.cpu_pinning_policy),
        "memory": number(obj.memory),
        "balloonedMemory": bool(within(obj, "memory_policy.ballooning")),
        "ioThreads": number(within(obj, "io.threads")),
        "bios": text(within(obj, "bios.type")),
        "display": text(within(obj, "display.type")),
        "numaNodeAffinity": [text(node.index) for node in obj.numa_nodes or ()],
        "customCpuModel": text(obj.custom_cpu_model),
        "osType": text(within(obj, "os.type")),
        "serialNumber": text(within(obj, "serial_number.value")),
        "timezone": text(within(obj, "time_zone.name")),
    }


def _behaviour(obj: Any) -> Object:
    return {
        "hasIllegalImages": bool(obj.has_illegal_images),
        "leaseStorageDomain": id_of(within(obj, "lease.storage_domain")),
        "storageErrorResumeBehaviour": text(obj.storage_error_resume_behaviour),
        "haEnabled": bool(within(obj, "high_availability.enabled")),
        "usbEnabled": bool(within(obj, "usb.enabled")),
        "bootMenuEnabled": bool(within(obj, "bios.boot_menu.enabled")),
        "placementPolicyAffinity": text(within(obj, "placement_policy.affinity")),
        "stateless": "true" if obj.stateless else "false",
    }


def nic(card: Any) -> Object:
    addresses = [
        {"address": ip.address or "", "version": text(ip.version)} for device in card.reported_devices or () for ip in device.ips or ()
    ]
    return {
        "id": card.id,
        "name": card.name or "",
        "interface": text(card.interface),
        "plugged": bool(card.plugged),
        "ipAddress": addresses,
        "profile": id_of(card.vnic_profile),
        "mac": text(within(card, "mac.address")),
    }


def disk_attachment(attachment: Any) -> Object:
    return {
        "id": attachment.id,
        "interface": text(attachment.interface),
        "scsiReservation": bool(attachment.uses_scsi_reservation),
        "disk": id_of(attachment.disk) or attachment.id,
        "bootable": bool(attachment.bootable),
    }


def _cdrom(drive: Any) -> Object:
    file = id_of(drive.file)
    return {"id": drive.id, **({"file": file} if file else {})}


def _properties(properties: Iterable[Any] | None) -> list[Object]:
    return [{"name": text(found.name), "value": text(found.value)} for found in properties or ()]


#: Collection -> builder. What is read of each is in inventory.py.
BUILDERS: Mapping[str, Callable[[Any], Object]] = {
    "datacenters": datacenter,
    "clusters": cluster,
    "servercpus": server_cpu,
    "hosts": host,
    "networks": network,
    "nicprofiles": nic_profile,
    "storagedomains": storage_domain,
    "diskprofiles": disk_profile,
    "disks": disk,
    "vms": vm,
}
