# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release of MTV brought what, for all that is newer than the oldest one supported (facts, Appendices A and B, section 9). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

OLDEST = "2.8"

_VM = {
    "deleteVmOnFailMigration": "2.9.3",
    "enableNestedVirtualization": "2.10.6",
    "migrateSharedDisks": "2.10.6",
    "nbdeClevis": "2.10",
    "rdmAsLun": "2.11.3",
    "scsiReservation": "2.12.2",
    "targetName": "2.9.0",
    "targetPowerState": "2.9.3",
}
#: Kind -> path of a field of spec -> the first release whose definition has it. `[]` stands for each item of a list, `field=value` for
#: a value that a field did not take before, "" for the kind itself.
_SINCE: Mapping[str, Mapping[str, str]] = {
    "Plan": {
        "conversionTempStorageClass": "2.11.0",
        "conversionTempStorageSize": "2.11.0",
        "convertorAffinity": "2.10",
        "convertorLabels": "2.10",
        "convertorNodeSelector": "2.10",
        "customizationScripts": "2.11.0",
        "deleteGuestConversionPod": "2.9.0",
        "deleteVmOnFailMigration": "2.9.3",
        "enableNestedVirtualization": "2.10.6",
        "installLegacyDrivers": "2.8.5",
        "pvcNameTemplateUseGenerateName": "2.8.2",
        "rdmAsLun": "2.11.3",
        "runPreflightInspection": "2.10",
        "scsiReservation": "2.12.2",
        "serviceAccount": "2.11.3",
        "skipGuestConversion": "2.9.0",
        "skipZoneNodeSelector": "2.11.0",
        "tagMapping": "2.12.0",
        "targetAffinity": "2.10",
        "targetLabels": "2.10",
        "targetNodeSelector": "2.10",
        "targetPowerState": "2.9.3",
        "type": "2.9.3",
        "type=live": "2.10",
        "useCompatibilityMode": "2.9.1",
        "virtV2vImage": "2.10.6",
        "xfsCompatibility": "2.10.6",
        **{f"vms[].{field}": release for field, release in _VM.items()},
    },
    "NetworkMap": {"map[].destination.type=ignored": "2.8.5", "map[].source.vlan": "2.12.1"},
    "StorageMap": {
        "map[].offloadPlugin": "2.8.2",
        "map[].offloadPlugin.csiVolumeImport": "2.12.2",
        "map[].offloadPlugin.vsphereXcopyConfig.dedicatedMigrationHosts": "5.0",
        **{
            f"map[].offloadPlugin.vsphereXcopyConfig.storageVendorProduct={vendor}": release
            for release, vendors in {
                "2.9": ("powerflex", "powermax", "primera3par", "pureFlashArray"),
                "2.10": ("flashsystem", "infinibox", "powerstore"),
            }.items()
            for vendor in vendors
        },
    },
    "Hook": {"aap": "2.12.0"},
    "Migration": {"resumeConversion": "5.0", "vmCutover": "5.0"},
    "Conversion": {"": "2.12.0"},
    "OVAProviderServer": {"": "2.10"},
    "HyperVProviderServer": {"": "2.11.0"},
}
_SETTINGS = "ForkliftController"
KINDS = (*_SINCE, _SETTINGS)
#: The same for what no definition tells: types of providers and keys of their settings.
PROVIDER_TYPES_SINCE: Mapping[str, str] = {"ec2": "2.11.0", "hyperv": "2.11.0"}
PROVIDER_SETTINGS_SINCE: Mapping[str, str] = {
    "applianceManagement": "2.10",
    "esxiCloneMethod": "2.10",
    "managementType": "2.12.3",
    "target-az": "2.11.0",
    "target-region": "2.11.0",
}
#: Several NetworkAttachmentDefinitions for one network.
NETWORK_POOLS_SINCE = "2.11.7"
#: Releases between, which do not have the field again. Such a field tells nothing about the age of an installation.
GAPS: Mapping[tuple[str, str], str] = {
    ("Plan", "enableNestedVirtualization"): "2.11.0",
    ("Plan", "virtV2vImage"): "2.11.0",
    ("Plan", "xfsCompatibility"): "2.11.0",
    ("Plan", "vms[].enableNestedVirtualization"): "2.11.0",
    ("Plan", "vms[].migrateSharedDisks"): "2.11.0 to 2.11.2",
    ("ForkliftController", "virt_v2v_image_xfs_fqin"): "2.11.0",
}


def number(release: str) -> tuple[int, ...]:
    """For comparisons: "2.10" is before "2.10.4", which is before "2.11.0"."""
    return tuple(int(part) for part in release.split("."))


def since(kind: str) -> Mapping[str, str]:
    """Path of a field of spec -> the first release whose definition of the kind has it."""
    if kind != _SETTINGS:
        return _SINCE.get(kind, {})
    # Here, because every module that knows releases would pay for its import.
    from ansible_collections.vmshift.mtv.plugins.module_utils.controller_settings import SETTINGS

    return {setting.name: setting.since for setting in SETTINGS.values()}


def newer_than_oldest(kind: str, spec: Mapping[str, Any]) -> dict[str, str]:
    """Path -> release of everything in `spec` that the oldest supported MTV does not know, in the order of the table.

    A field that is None is to be taken away, which needs nobody who knows it.
    """
    used = set(_paths(spec, ""))
    return {path: release for path, release in since(kind).items() if path in used}


def option_of(path: str) -> str:
    """How a task writes a field: `vms[].targetName` -> `vms[].target_name`."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in path.partition("=")[0])


def requirement(kind: str, path: str, release: str) -> str:
    """Which releases have it, for a sentence."""
    gap = GAPS.get((kind, path))
    return f"MTV {release} and newer" + (f" (not {gap})" if gap else "")


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            if below is not None:
                inner = f"{path}.{name}" if path else str(name)
                yield inner
                yield from _paths(below, inner)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _paths(item, path + "[]")
    else:
        yield f"{path}={value}"
