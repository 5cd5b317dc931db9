# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory items from records of properties (facts 5.3). Pure.

What other objects tell (paths, shared disks) is filled in by `assembly`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.properties import NOWHERE

Object = dict[str, Any]
Record = Mapping[str, Any]

_DRIVE = re.compile(r"[A-Za-z]:[\\/]?")
_TRUE = ("true", "1", "yes")


def base(id: str, record: Record, variant: str = "") -> Object:
    """The keys that every item has."""
    return {
        "id": id,
        **({"variant": variant} if variant else {}),
        "parent": record.get("parent") or dict(NOWHERE),
        "path": "",
        "name": record.get("name", ""),
    }


def vm(id: str, record: Record, tpm_known: bool = True) -> Object:
    """A VM. `tpm_known`: whether the API is one of those that tell of a TPM (6.7 and newer)."""
    hardware = record.get("config.hardware.device") or {"controllers": {}, "disks": [], "nics": [], "listed": [], "tpm": False}
    extra = record.get("config.extraConfig", {})
    affinity = extra.get("numa.nodeaffinity", "")
    return {
        **base(id, record),
        "isTemplate": bool(record.get("config.template")),
        "powerState": record.get("runtime.powerState", ""),
        "host": record.get("runtime.host", NOWHERE)["id"],
        "networks": record.get("network", []),
        "disks": disks(hardware, extra, record.get("guest.disk", [])),
        "uuid": record.get("config.uuid", ""),
        "instanceUuid": record.get("config.instanceUuid", ""),
        "firmware": record.get("config.firmware", ""),
        "connectionState": record.get("runtime.connectionState", ""),
        "snapshot": record.get("snapshot") or dict(NOWHERE),
        "changeTrackingEnabled": bool(record.get("config.changeTrackingEnabled")),
        "consolidationNeeded": bool(record.get("runtime.consolidationNeeded")),
        "cpuAffinity": record.get("config.cpuAffinity.affinitySet", []),
        "cpuHotAddEnabled": bool(record.get("config.cpuHotAddEnabled")),
        "cpuHotRemoveEnabled": bool(record.get("config.cpuHotRemoveEnabled")),
        "memoryHotAddEnabled": bool(record.get("config.memoryHotAddEnabled")),
        "faultToleranceEnabled": bool(record.get("config.ftInfo")),
        "cpuCount": record.get("config.hardware.numCPU", 0),
        "coresPerSocket": record.get("config.hardware.numCoresPerSocket") or 1,
        "memoryMB": record.get("config.hardware.memoryMB", 0),
        "guestName": record.get("config.guestFullName", ""),
        "guestNameFromVmwareTools": record.get("guest.guestFullName", ""),
        "hostName": record.get("guest.hostName", ""),
        "guestId": record.get("config.guestId", ""),
        "balloonedMemory": record.get("summary.quickStats.balloonedMemory") or 0,
        "ipAddress": record.get("guest.ipAddress", ""),
        "storageUsed": record.get("summary.storage.committed") or 0,
        "tpmEnabled": tpm_known and hardware["tpm"],
        "numaNodeAffinity": affinity.split(",") if affinity else [],
        "devices": hardware["listed"],
        "nics": [{**nic, "order": order, "pciAddress": ""} for order, nic in enumerate(hardware["nics"])],
        "guestNetworks": record.get("guest.net", []),
        "guestDisks": record.get("guest.disk", []),
        "guestIpStacks": record.get("guest.ipStack", []),
        "secureBoot": bool(record.get("config.bootOptions.efiSecureBootEnabled")),
        "toolsStatus": record.get("guest.toolsStatus", ""),
        "toolsRunningStatus": record.get("guest.toolsRunningStatus", ""),
        "toolsVersionStatus2": record.get("guest.toolsVersionStatus2", ""),
        "diskEnableUuid": extra.get("disk.enableuuid", "").lower() in _TRUE,
        "nestedHVEnabled": bool(record.get("config.nestedHVEnabled")),
        "customDef": record.get("availableField", []),
        "customValues": record.get("customValue", []),
        "tags": [],
    }


def disks(hardware: Record, extra: Mapping[str, str], guest_disks: list[Object]) -> list[Object]:
    """Disks with what their controllers, the VM's settings and the guest tell of them."""
    letters = {
        guest["key"]: guest["diskPath"][0].lower()
        for guest in guest_disks
        if guest.get("key") and _DRIVE.fullmatch(guest.get("diskPath", ""))
    }
    found = []
    for disk in hardware["disks"]:
        bus, number = hardware["controllers"].get(disk["controllerKey"], ("", 0))
        tracked = extra.get(f"{bus}{number}:{disk['unitNumber']}.ctkenabled", "").lower() in _TRUE
        letter = {"winDriveLetter": letters[disk["key"]]} if disk["key"] in letters else {}
        found.append({**disk, "shared": False, "bus": bus, "changeTrackingEnabled": tracked, **letter})
    return found


def host(id: str, record: Record) -> Object:
    parent = record.get("parent") or dict(NOWHERE)
    return {
        **base(id, record),
        "cluster": parent["id"],
        "status": record.get("overallStatus", ""),
        "inMaintenance": bool(record.get("runtime.inMaintenanceMode")),
        "managementServerIp": record.get("summary.managementServerIp", ""),
        "thumbprint": record.get("summary.config.sslThumbprint", ""),
        "timezone": record.get("config.dateTimeInfo.timeZone.name", ""),
        "cpuSockets": record.get("summary.hardware.numCpuPkgs", 0),
        "cpuCores": record.get("summary.hardware.numCpuCores", 0),
        "memoryBytes": record.get("summary.hardware.memorySize", 0),
        "productName": record.get("summary.config.product.name", ""),
        "productVersion": record.get("summary.config.product.version", ""),
        "networking": record.get("config.network") or {"pNICs": [], "vNICs": [], "portGroups": [], "switches": []},
        "networks": record.get("network", []),
        "datastores": record.get("datastore", []),
        "vms": None,
        "networkAdapters": [],
        "hostScsiDisks": record.get("config.storageDevice.scsiLun", []),
        "advancedOptions": None,
        "vmotionSupported": bool(record.get("capability.vmotionSupported")),
        "storageVmotionSupported": bool(record.get("capability.storageVMotionSupported")),
    }


def cluster(id: str, record: Record) -> Object:
    return {
        **base(id, record),
        "folder": (record.get("parent") or NOWHERE)["id"],
        "networks": record.get("network", []),
        "datastores": record.get("datastore", []),
        "hosts": record.get("host", []),
        "dasEnabled": bool(record.get("configuration.dasConfig.enabled")),
        "dasVms": record.get("configuration.dasVmConfig", []),
        "drsEnabled": bool(record.get("configuration.drsConfig.enabled")),
        "drsBehavior": record.get("configuration.drsConfig.defaultVmBehavior", ""),
        "drsVms": record.get("configuration.drsVmConfig", []),
    }


def single_host(id: str, record: Record) -> Object:
    """What a host without a cluster lies in: not listed with the clusters, but a node of trees."""
    return {**cluster(id, record), "variant": "ComputeResource"}


def datacenter(id: str, record: Record) -> Object:
    return {
        **base(id, record),
        "vms": record.get("vmFolder") or dict(NOWHERE),
        "clusters": record.get("hostFolder") or dict(NOWHERE),
        "networks": record.get("networkFolder") or dict(NOWHERE),
        "datastores": record.get("datastoreFolder") or dict(NOWHERE),
    }


def folder(id: str, record: Record) -> Object:
    parent = record.get("parent") or NOWHERE
    return {
        **base(id, record),
        "folder": parent["id"] if parent["kind"] == "Folder" else "",
        "datacenter": parent["id"] if parent["kind"] == "Datacenter" else "",
        "children": record.get("childEntity", []),
    }


def network(id: str, record: Record) -> Object:
    return {**base(id, record, "Standard"), "vlanId": "", "host": None}


def port_group(id: str, record: Record) -> Object:
    return {
        **base(id, record, "DvPortGroup"),
        "dvSwitch": record.get("config.distributedVirtualSwitch") or dict(NOWHERE),
        "vlanId": record.get("config.defaultPortConfig", ""),
        "host": None,
        "key": record.get("key", ""),
    }


def opaque_network(id: str, record: Record) -> Object:
    return {**base(id, record, "OpaqueNetwork"), "vlanId": "", "host": None, "key": record.get("summary", "")}


def switch(id: str, record: Record) -> Object:
    return {**base(id, record, "DvSwitch"), "vlanId": "", "host": record.get("config.host", [])}


def datastore(id: str, record: Record) -> Object:
    no_control = {"iormEnabled": False, "iormCongestionThreshold": 0, "iormCongestionThresholdMode": "", "iormPercentOfPeakThroughput": 0}
    return {
        **base(id, record),
        "type": record.get("summary.type", ""),
        "capacity": record.get("summary.capacity", 0),
        "free": record.get("summary.freeSpace", 0),
        "maintenance": record.get("summary.maintenanceMode", ""),
        "backingDevicesNames": [],
        **record.get("info", {}),
        "storageIORMSupported": bool(record.get("capability.storageIORMSupported")),
        **(record.get("iormConfiguration") or no_control),
    }


#: Managed type -> (collection, builder).
BUILDERS: Mapping[str, tuple[str, Callable[..., Object]]] = {
    "Folder": ("folders", folder),
    "Datacenter": ("datacenters", datacenter),
    "ComputeResource": ("clusters", single_host),
    "ClusterComputeResource": ("clusters", cluster),
    "HostSystem": ("hosts", host),
    "Network": ("networks", network),
    "DistributedVirtualPortgroup": ("networks", port_group),
    "OpaqueNetwork": ("networks", opaque_network),
    "DistributedVirtualSwitch": ("networks", switch),
    "Datastore": ("datastores", datastore),
    "VirtualMachine": ("vms", vm),
}
