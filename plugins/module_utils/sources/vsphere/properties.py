# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which properties are read of each type of managed object, and what is kept of each.

What is kept is plain data, so that nothing of pyvmomi outlives a page. A record is {path: kept value}; properties that are not set
are not in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Object = dict[str, Any]
Keep = Callable[[Any], Any]

#: Kinds of references as the inventory spells them; other types keep their names.
KINDS = {
    "VirtualMachine": "VM",
    "HostSystem": "Host",
    "ComputeResource": "Cluster",
    "ClusterComputeResource": "Cluster",
    "DistributedVirtualPortgroup": "Network",
    "OpaqueNetwork": "Network",
    "VmwareDistributedVirtualSwitch": "DistributedVirtualSwitch",
}
NOWHERE = {"kind": "", "id": ""}
#: Devices that the inventory lists: network cards, and what stands in the way of a migration.
CARDS = ("VirtualE1000", "VirtualE1000e", "VirtualPCNet32", "VirtualVmxnet", "VirtualVmxnet2", "VirtualVmxnet3", "VirtualVmxnet3Vrdma")
LISTED_DEVICES = (*CARDS, "VirtualSriovEthernetCard", "VirtualPCIPassthrough", "VirtualSCSIPassthrough", "VirtualUSBController")
BUSES = {
    "VirtualBusLogicController": "scsi",
    "VirtualLsiLogicController": "scsi",
    "VirtualLsiLogicSASController": "scsi",
    "ParaVirtualSCSIController": "scsi",
    "VirtualIDEController": "ide",
    "VirtualAHCIController": "sata",
    "VirtualNVMEController": "nvme",
    "VirtualUSBController": "usb",
    "VirtualUSBXHCIController": "usb",
}
_EXTRA_CONFIG = re.compile(r"[a-z]+\d+:\d+\.ctkEnabled|numa\.nodeAffinity|disk\.EnableUUID", re.IGNORECASE)


def type_name(value: Any) -> str:
    """The unqualified name of a data object's type: "VirtualDisk"."""
    return str(value._wsdlName)


def reference(managed: Any) -> Object:
    """A managed object as the inventory refers to it: {"kind", "id"}."""
    if managed is None:
        return dict(NOWHERE)
    name = managed._wsdlName
    return {"kind": KINDS.get(name, name), "id": managed._moId}


def references(managed: Any) -> list[Object]:
    return [reference(one) for one in managed]


def plain(value: Any) -> Any:
    return value


def text(value: Any) -> str:
    """Enumerations and strings of pyvmomi as plain strings."""
    return str(value)


def integers(values: Any) -> list[int]:
    return [int(value) for value in values]


def extra_config(options: Any) -> dict[str, str]:
    """Those advanced settings that the inventory looks at; keys in lower case."""
    return {option.key.lower(): str(option.value) for option in options if _EXTRA_CONFIG.fullmatch(option.key)}


def devices(found: Any) -> Object:
    """{"controllers": {key: [bus, number]}, "disks", "nics", "listed", "tpm"}"""
    controllers: dict[int, list[Any]] = {}
    disks, nics, listed, tpm = [], [], [], False
    for device in found:
        kind = type_name(device)
        if kind in LISTED_DEVICES:
            slot = getattr(device.slotInfo, "pciSlotNumber", None)
            listed.append({"kind": kind, "key": device.key, "pciSlotNumber": slot or 0})
        if kind == "VirtualDisk":
            disks.append(disk(device))
        elif kind in CARDS:
            nics.append(nic(device))
        elif kind == "VirtualTPM":
            tpm = True
        if kind in BUSES:
            controllers[device.key] = [BUSES[kind], device.busNumber]
    return {"controllers": controllers, "disks": disks, "nics": nics, "listed": listed, "tpm": tpm}


def disk(device: Any) -> Object:
    """A disk as the inventory has it, but for what its controller, the VM's settings and other VMs tell."""
    backing = device.backing
    known: Object = {
        "key": device.key,
        "unitNumber": device.unitNumber or 0,
        "controllerKey": device.controllerKey or 0,
        "file": getattr(backing, "fileName", None) or "",
        "datastore": reference(getattr(backing, "datastore", None)),
        "capacity": device.capacityInBytes or (device.capacityInKB or 0) * 1024,
        "rdm": type_name(backing) == "VirtualDiskRawDiskMappingVer1BackingInfo",
        "parent": getattr(getattr(backing, "parent", None), "fileName", None) or "",
    }
    optional = {
        "physicalMode": getattr(backing, "compatibilityMode", None) == "physicalMode",
        "mode": getattr(backing, "diskMode", None),
        "serial": getattr(backing, "uuid", None),
        "deviceName": getattr(backing, "deviceName", None),
        "lunUuid": getattr(backing, "lunUuid", None),
        "vvolId": getattr(backing, "backingObjectId", None),
    }
    return {**known, **{key: value for key, value in optional.items() if value}}


def nic(device: Any) -> Object:
    """A network card; its network is [how it is named, the name]: port groups and opaque networks are named by keys of their own."""
    backing = device.backing
    network = ["", ""]
    if hasattr(backing, "port"):
        network = ["key", backing.port.portgroupKey or ""]
    elif hasattr(backing, "opaqueNetworkId"):
        network = ["opaque", backing.opaqueNetworkId or ""]
    elif getattr(backing, "network", None) is not None:
        network = ["id", backing.network._moId]
    connectable = device.connectable
    return {
        "network": network,
        "mac": (device.macAddress or "").lower(),
        "deviceKey": device.key,
        "startConnected": bool(connectable and connectable.startConnected),
    }


def guest_networks(cards: Any) -> list[Object]:
    """One entry for each address of each card."""
    found = []
    for index, card in enumerate(cards):
        for address in card.ipConfig.ipAddress if card.ipConfig else ():
            found.append({
                "device": str(index),
                "deviceConfigId": card.deviceConfigId,
                "mac": (card.macAddress or "").lower(),
                "ip": address.ipAddress,
                "origin": address.origin or "",
                "prefix": address.prefixLength,
                "dns": list(card.dnsConfig.ipAddress) or None if card.dnsConfig else None,
                "network": card.network or "",
            })  # fmt: skip
    return found


def guest_stacks(stacks: Any) -> list[Object]:
    """One entry for each route with a gateway."""
    found = []
    for stack in stacks:
        for route in stack.ipRouteConfig.ipRoute if stack.ipRouteConfig else ():
            if route.gateway and route.gateway.ipAddress:
                found.append({
                    "device": route.gateway.device or "",
                    "gateway": route.gateway.ipAddress,
                    "network": route.network,
                    "prefix": route.prefixLength,
                    "dns": list(stack.dnsConfig.ipAddress) or None if stack.dnsConfig else None,
                })  # fmt: skip
    return found


def guest_disks(disks: Any) -> list[Object]:
    found = []
    for guest_disk in disks:
        mappings = getattr(guest_disk, "mappings", None) or []
        optional = {
            "diskPath": guest_disk.diskPath,
            "capacity": guest_disk.capacity,
            "freeSpace": guest_disk.freeSpace,
            "filesystemType": getattr(guest_disk, "filesystemType", None),
        }
        found.append({"key": mappings[0].key if mappings else 0, **{key: value for key, value in optional.items() if value}})
    return found


def snapshot(info: Any) -> Object:
    current = info.currentSnapshot
    return {"kind": "VirtualMachineSnapshot", "id": current._moId} if current is not None else dict(NOWHERE)


def fault_tolerance(info: Any) -> bool:
    return bool(info.instanceUuids)


def custom_fields(fields: Any) -> list[Object]:
    """{"name", "key", "managedObjectType"?} of fields that VMs can have."""
    found = []
    for field in fields:
        kind = getattr(field.managedObjectType, "_wsdlName", None) or (str(field.managedObjectType) if field.managedObjectType else "")
        found.append({"name": field.name, "key": field.key, **({"managedObjectType": kind} if kind else {})})
    return found


def custom_values(values: Any) -> list[Object]:
    return [{"key": value.key, "value": getattr(value, "value", "")} for value in values]


def host_network(config: Any) -> Object:
    """The `networking` of a host."""
    return {
        "pNICs": [{"key": card.key, "linkSpeed": card.linkSpeed.speedMb if card.linkSpeed else 0} for card in config.pnic],
        "vNICs": [host_card(card) for card in config.vnic],
        "portGroups": [
            {"key": group.key or "", "name": group.spec.name, "vSwitch": group.vswitch or "", "vlanId": group.spec.vlanId}
            for group in config.portgroup
        ],
        "switches": [
            {"key": switch.key, "name": switch.name, "portGroups": list(switch.portgroup), "pNICs": list(switch.pnic)}
            for switch in config.vswitch
        ],
    }


def host_card(card: Any) -> Object:
    address = card.spec.ip
    ipv6 = address.ipV6Config.ipV6Address if address and address.ipV6Config else []
    return {
        "key": card.key,
        "device": card.device,
        "portGroup": card.portgroup or "",
        "dPortGroup": (card.spec.distributedVirtualPort.portgroupKey or "") if card.spec.distributedVirtualPort else "",
        "ipAddress": (address.ipAddress or "") if address else "",
        "ipV6Address": [found.ipAddress for found in ipv6] or None,
        "subnetMask": (address.subnetMask or "") if address else "",
        "mtu": card.spec.mtu or 0,
    }


def scsi_disks(units: Any) -> list[Object]:
    return [
        {
            "canonicalName": unit.canonicalName,
            "vendor": (unit.vendor or "").strip(),
            "model": (unit.model or "").strip(),
            "key": unit.key or "",
        }
        for unit in units
        if type_name(unit) == "HostScsiDisk"
    ]


def datastore_info(info: Any) -> Object:
    """What backs a datastore: {"backingDevicesNames", nasRemoteHost?, nasRemotePath?, nasRemoteHostNames?}"""
    vmfs, nas = getattr(info, "vmfs", None), getattr(info, "nas", None)
    found: Object = {"backingDevicesNames": [extent.diskName for extent in vmfs.extent] if vmfs else []}
    if nas is not None:
        names = {"nasRemoteHost": nas.remoteHost, "nasRemotePath": nas.remotePath, "nasRemoteHostNames": list(nas.remoteHostNames or [])}
        found.update({key: value for key, value in names.items() if value})
    return found


def io_control(configuration: Any) -> Object:
    return {
        "iormEnabled": bool(configuration.enabled),
        "iormCongestionThreshold": configuration.congestionThreshold or 0,
        "iormCongestionThresholdMode": getattr(configuration, "congestionThresholdMode", None) or "",
        "iormPercentOfPeakThroughput": getattr(configuration, "percentOfPeakThroughput", None) or 0,
    }


def vlan(settings: Any) -> str:
    """The VLANs of a port group: "7", "0-4094,5000", "" when nothing is said."""
    spec = getattr(settings, "vlan", None)
    ids = getattr(spec, "vlanId", None) if spec is not None else None
    if ids is None:
        return ""
    if isinstance(ids, int):
        return str(ids)
    return ",".join(str(part.start) if part.start == part.end else f"{part.start}-{part.end}" for part in ids)


def members(hosts: Any) -> list[Object]:
    """Hosts of a distributed switch with their cards."""
    return [
        {
            "Host": reference(member.config.host),
            "PNIC": [card.pnicDevice for card in getattr(member.config.backing, "pnicSpec", None) or ()],
        }
        for member in hosts
    ]


def keys(settings: Any) -> list[Object]:
    """The VMs that a cluster has settings for."""
    return [reference(setting.key) for setting in settings if setting.key is not None]


_ENTITY: Mapping[str, Keep] = {"name": plain, "parent": reference}

VIRTUAL_MACHINE: Mapping[str, Keep] = {
    **_ENTITY,
    "network": references,
    "availableField": custom_fields,
    "customValue": custom_values,
    "config.template": plain,
    "config.uuid": plain,
    "config.instanceUuid": plain,
    "config.firmware": plain,
    "config.guestId": plain,
    "config.guestFullName": plain,
    "config.cpuAffinity.affinitySet": integers,
    "config.cpuHotAddEnabled": plain,
    "config.cpuHotRemoveEnabled": plain,
    "config.memoryHotAddEnabled": plain,
    "config.nestedHVEnabled": plain,
    "config.changeTrackingEnabled": plain,
    "config.bootOptions.efiSecureBootEnabled": plain,
    "config.ftInfo": fault_tolerance,
    "config.extraConfig": extra_config,
    "config.hardware.numCPU": plain,
    "config.hardware.numCoresPerSocket": plain,
    "config.hardware.memoryMB": plain,
    "config.hardware.device": devices,
    "guest.guestFullName": plain,
    "guest.hostName": plain,
    "guest.ipAddress": plain,
    "guest.toolsStatus": text,
    "guest.toolsRunningStatus": plain,
    "guest.toolsVersionStatus2": plain,
    "guest.net": guest_networks,
    "guest.ipStack": guest_stacks,
    "guest.disk": guest_disks,
    "runtime.host": reference,
    "runtime.powerState": text,
    "runtime.connectionState": text,
    "runtime.consolidationNeeded": plain,
    "snapshot": snapshot,
    "summary.storage.committed": plain,
    "summary.quickStats.balloonedMemory": plain,
}

HOST: Mapping[str, Keep] = {
    **_ENTITY,
    "network": references,
    "datastore": references,
    "runtime.inMaintenanceMode": plain,
    "overallStatus": text,
    "summary.managementServerIp": plain,
    "summary.config.sslThumbprint": plain,
    "summary.hardware.numCpuPkgs": plain,
    "summary.hardware.numCpuCores": plain,
    "summary.hardware.memorySize": plain,
    "summary.config.product.name": plain,
    "summary.config.product.version": plain,
    "config.dateTimeInfo.timeZone.name": plain,
    "config.network": host_network,
    "config.storageDevice.scsiLun": scsi_disks,
    "capability.vmotionSupported": plain,
    "capability.storageVMotionSupported": plain,
}

#: Types in the order of the inventory's collections. Each is read with the properties of all types that it derives from.
PROPERTIES: Mapping[str, Mapping[str, Keep]] = {
    "Folder": {**_ENTITY, "childEntity": references},
    "Datacenter": {**_ENTITY, "vmFolder": reference, "hostFolder": reference, "networkFolder": reference, "datastoreFolder": reference},
    "ComputeResource": {**_ENTITY, "host": references},
    "ClusterComputeResource": {
        **_ENTITY,
        "host": references,
        "network": references,
        "datastore": references,
        "configuration.dasConfig.enabled": plain,
        "configuration.dasVmConfig": keys,
        "configuration.drsConfig.enabled": plain,
        "configuration.drsConfig.defaultVmBehavior": text,
        "configuration.drsVmConfig": keys,
    },
    "HostSystem": HOST,
    "Network": {**_ENTITY},
    "DistributedVirtualPortgroup": {
        **_ENTITY,
        "key": plain,
        "config.distributedVirtualSwitch": reference,
        "config.defaultPortConfig": vlan,
    },
    "OpaqueNetwork": {**_ENTITY, "summary": lambda summary: getattr(summary, "opaqueNetworkId", "")},
    "DistributedVirtualSwitch": {**_ENTITY, "config.host": members},
    "Datastore": {
        **_ENTITY,
        "summary.type": plain,
        "summary.capacity": plain,
        "summary.freeSpace": plain,
        "summary.maintenanceMode": plain,
        "info": datastore_info,
        "capability.storageIORMSupported": plain,
        "iormConfiguration": io_control,
    },
    "VirtualMachine": VIRTUAL_MACHINE,
}
#: Types that the server may name, and whose properties they have.
DERIVED = {"VmwareDistributedVirtualSwitch": "DistributedVirtualSwitch"}
