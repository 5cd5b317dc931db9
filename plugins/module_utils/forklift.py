# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of MTV (Forklift): kinds, conditions, phases, labels, secret keys, settings. No I/O.

Everything here is plain data or a small pure function over an object as the API returns it (a dict).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

GROUP = "forklift.konveyor.io"
VERSION = "v1beta1"
API_VERSION = GROUP + "/" + VERSION

#: Namespaces the operator is installed into: downstream (MTV), upstream (Forklift).
CONTROLLER_NAMESPACES = ("openshift-mtv", "konveyor-forklift")
HOST_PROVIDER = "host"
CONTROLLER_NAME = "forklift-controller"
INVENTORY_NAME = "forklift-inventory"

PROVIDER_TYPES = ("openshift", "vsphere", "ovirt", "openstack", "ova", "ec2", "hyperv")

# --- conditions -----------------------------------------------------------------------------------------------------

CRITICAL, ERROR, WARN, REQUIRED, ADVISORY = "Critical", "Error", "Warn", "Required", "Advisory"
#: A True condition of one of these categories keeps an object from becoming Ready.
BLOCKING_CATEGORIES = frozenset({CRITICAL, ERROR})

READY = "Ready"
VALIDATED = "Validated"
CONNECTION_TEST_SUCCEEDED = "ConnectionTestSucceeded"
INVENTORY_CREATED = "InventoryCreated"
EXECUTING, RUNNING = "Executing", "Running"
SUCCEEDED, FAILED, CANCELED, ARCHIVED = "Succeeded", "Failed", "Canceled", "Archived"
#: A Plan or Migration with one of these True has ended.
ENDED = (SUCCEEDED, FAILED, CANCELED)
#: Plan: "not yet decided", neither ready nor blocked.
VALIDATING_VDDK = "ValidatingVDDK"
#: Plan: it failed, and some of its VMs need only be converted again.
CONVERSION_RESUMABLE = "ConversionResumable"

# --- Plan -----------------------------------------------------------------------------------------------------------

CONVERSION_ONLY = "conversion"  # of disks that somebody else has copied
MIGRATION_TYPES = ("cold", "warm", "live", CONVERSION_ONLY)
TARGET_POWER_STATES = ("on", "off", "auto")
#: Plan booleans that the CRD sets to true when they are absent: a user's false must be sent.
PLAN_TRUE_BY_DEFAULT = (
    "deleteVmOnFailMigration",
    "migrateSharedDisks",
    "preserveStaticIPs",
    "runPreflightInspection",
    "useCompatibilityMode",
)
#: Phases in which a VM of a running plan has ended or has not begun (`status.migration.vms[].phase`).
PHASE_COMPLETED, PHASE_STARTED, PHASE_CANCELED = "Completed", "Started", "Canceled"
#: Phases of a pipeline step (`status.migration.vms[].pipeline[].phase`).
STEP_PENDING, STEP_RUNNING, STEP_COMPLETED = "Pending", "Running", "Completed"

# --- labels and annotations -----------------------------------------------------------------------------------------

#: The secret webhooks act only on Secrets that carry both.
LABEL_RESOURCE_TYPE = "createdForResourceType"
LABEL_PROVIDER_TYPE = "createdForProviderType"
#: On the Secret of a Host: the id of the ESXi host.
LABEL_RESOURCE = "createdForResource"
#: On everything a migration makes.
LABEL_PLAN = "plan"
LABEL_PLAN_NAME = "plan-name"
LABEL_PLAN_NAMESPACE = "plan-namespace"
LABEL_MIGRATION = "migration"
LABEL_VM_ID = "vmID"
#: On a Hook that launches a job template: its name, for people.
ANNOTATION_JOB_TEMPLATE = "forklift.konveyor.io/aap-job-template-name"
ANNOTATION_TRANSFER_NETWORK = "forklift.konveyor.io/defaultTransferNetwork"

# --- provider credentials -------------------------------------------------------------------------------------------


class Credential(NamedTuple):
    """One key of a provider Secret. `option` is its name in a task, `key` its name in the Secret."""

    option: str
    key: str
    required: bool = False


_TLS = (Credential("ca_cert", "ca.crt"), Credential("insecure_skip_verify", "insecureSkipVerify"))
CA_OPTION, INSECURE_OPTION = "ca_cert", "insecure_skip_verify"
#: The older spelling of `ca.crt`. Releases before 2.12 know only this one, the client for OpenStack for even longer; newer ones prefer
#: `ca.crt`. So a Secret carries both.
LEGACY_CA_KEY = "cacert"

#: Provider type -> the keys its Secret may carry. `required` is what the provider controller (or the client of the type) insists on.
CREDENTIALS: Mapping[str, tuple[Credential, ...]] = {
    "openshift": (Credential("token", "token", True), *_TLS),
    "vsphere": (Credential("user", "user", True), Credential("password", "password", True), *_TLS),
    "ovirt": (Credential("user", "user", True), Credential("password", "password", True), *_TLS),
    "openstack": (
        Credential("auth_type", "authType"),
        Credential("user", "username"),
        Credential("user_id", "userID"),
        Credential("password", "password"),
        Credential("token", "token"),
        Credential("application_credential_id", "applicationCredentialID"),
        Credential("application_credential_name", "applicationCredentialName"),
        Credential("application_credential_secret", "applicationCredentialSecret"),
        Credential("project_name", "projectName"),
        Credential("project_id", "projectID"),
        Credential("user_domain_name", "userDomainName"),
        Credential("user_domain_id", "userDomainID"),
        Credential("project_domain_name", "projectDomainName"),
        Credential("project_domain_id", "projectDomainID"),
        Credential("domain_name", "domainName"),
        Credential("domain_id", "domainID"),
        Credential("default_domain", "defaultDomain"),
        Credential("region", "regionName"),
        Credential("availability", "availability"),
        *_TLS,
    ),
    "ova": (Credential("insecure_skip_verify", "insecureSkipVerify"),),
    "ec2": (
        Credential("region", "region", True),
        Credential("access_key_id", "accessKeyId"),
        Credential("secret_access_key", "secretAccessKey"),
        Credential("target_access_key_id", "targetAccessKeyId", True),
        Credential("target_secret_access_key", "targetSecretAccessKey", True),
    ),
    "hyperv": (
        Credential("user", "username", True),
        Credential("password", "password", True),
        Credential("smb_url", "smbUrl", True),
        Credential("smb_user", "smbUser"),
        Credential("smb_password", "smbPassword"),
        *_TLS,
    ),
}
#: Types whose Secret needs `ca.crt` unless it says insecureSkipVerify=true.
CA_REQUIRED = ("vsphere", "ovirt", "hyperv")
#: Options of which the user gives both or none.
CREDENTIAL_PAIRS = {"ec2": (("access_key_id", "secret_access_key"),), "hyperv": (("smb_user", "smb_password"),)}
#: OpenStack's authType -> the options it logs in with, as sets each of which suffices.
OPENSTACK_LOGINS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "password": (("user", "password"), ("user_id", "password")),
    "token": (("token",),),
    "applicationcredential": (
        ("application_credential_id", "application_credential_secret"),
        ("application_credential_name", "application_credential_secret", "user"),
    ),
}

#: Which endpoints of OpenStack's service catalog MTV may use.
OPENSTACK_AVAILABILITIES = ("public", "internal", "admin")

#: Provider type -> known keys of `spec.settings` (all values are strings).
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "openshift": (),
    "vsphere": ("vddkInitImage", "sdkEndpoint", "useVddkAioOptimization", "vddkConfig", "esxiCloneMethod"),
    "ovirt": (),
    "openstack": (),
    "ova": ("applianceManagement",),
    "ec2": ("target-az", "target-region"),
    "hyperv": ("managementType", "winrmPort"),
}

#: Keys of settings that take only certain values; BOOLEAN ones take true and false.
BOOLEAN = ("true", "false")
SETTING_VALUES: Mapping[str, tuple[str, ...]] = {
    "sdkEndpoint": ("vcenter", "esxi"),
    "useVddkAioOptimization": BOOLEAN,
    "esxiCloneMethod": ("vib", "ssh"),
    "applianceManagement": BOOLEAN,
    "managementType": ("standalone", "cluster"),
}

#: Inventory collections a map pair of the type names its source in: (networks, storages).
MAP_COLLECTIONS: Mapping[str, tuple[str, str]] = {
    "openshift": ("networkattachmentdefinitions", "storageclasses"),
    "vsphere": ("networks", "datastores"),
    "ovirt": ("networks", "storagedomains"),
    "openstack": ("networks", "volumetypes"),
    "ova": ("networks", "storages"),
    "ec2": ("networks", "storages"),
    "hyperv": ("networks", "storages"),
}


# --- reading objects ------------------------------------------------------------------------------------------------


def conditions_of(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`status.conditions` of any object, [] when there is no status yet."""
    return (obj.get("status") or {}).get("conditions") or []


def condition(obj: Mapping[str, Any], type: str) -> dict[str, Any] | None:
    """The condition of that type, whatever its status."""
    return next((c for c in conditions_of(obj) if c.get("type") == type), None)


def is_true(obj: Mapping[str, Any], *types: str) -> bool:
    """All of these conditions are True."""
    true = {c.get("type") for c in conditions_of(obj) if c.get("status") == "True"}
    return all(t in true for t in types)


def caught_up(obj: Mapping[str, Any]) -> bool:
    """The status speaks about the present spec: only then conditions can be trusted (facts: `observedGeneration`)."""
    status = obj.get("status") or {}
    if "observedGeneration" in status:
        return status["observedGeneration"] >= (obj.get("metadata") or {}).get("generation", 0)
    return bool(status)


def ready(obj: Mapping[str, Any]) -> bool:
    """Ready=True, about the present spec."""
    return caught_up(obj) and is_true(obj, READY)


def blockers(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The True conditions of category Critical or Error."""
    return [c for c in conditions_of(obj) if c.get("status") == "True" and c.get("category") in BLOCKING_CATEGORIES]


def warnings(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The True conditions of category Warn: shown, not blocking."""
    return [c for c in conditions_of(obj) if c.get("status") == "True" and c.get("category") == WARN]


def blocked(obj: Mapping[str, Any]) -> str | None:
    """Why this object cannot become Ready (its blocking conditions as text), None when nothing blocks it."""
    found = blockers(obj)
    return describe_conditions(found) if found else None


def ended(obj: Mapping[str, Any]) -> str | None:
    """How a Plan or Migration ended: Succeeded, Failed or Canceled; None while it has not."""
    return next((t for t in ENDED if is_true(obj, t)), None)


def describe_condition(condition: Mapping[str, Any]) -> str:
    """`ConnectionTestFailed=True Tested: cannot reach …; items: a, b`."""
    text = "{}={}".format(condition.get("type", "?"), condition.get("status", "?"))
    if condition.get("reason"):
        text += " " + condition["reason"]
    if condition.get("message"):
        text += ": " + str(condition["message"]).strip()
    if condition.get("items"):
        text += " [" + ", ".join(str(i) for i in condition["items"]) + "]"
    if condition.get("suggestion"):
        text += " (" + str(condition["suggestion"]).strip() + ")"
    return text


def describe_conditions(conditions: Iterable[Mapping[str, Any]]) -> str:
    """One line for error texts; `no conditions` when there are none."""
    return "; ".join(describe_condition(c) for c in conditions) or "no conditions"


# --- provider references --------------------------------------------------------------------------------------------


def provider_type(provider: Mapping[str, Any]) -> str:
    return (provider.get("spec") or {}).get("type", "")


def is_host(provider: Mapping[str, Any]) -> bool:
    """The provider stands for the cluster MTV itself runs on."""
    return provider_type(provider) == "openshift" and not (provider.get("spec") or {}).get("url")


def object_reference(obj: Mapping[str, Any]) -> dict[str, str]:
    """{name, namespace}. Both are always written: a reference without a namespace counts as unset (facts, RefSet)."""
    return {"name": obj["metadata"]["name"], "namespace": obj["metadata"]["namespace"]}
