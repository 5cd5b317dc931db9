"""Forklift's admission webhooks (facts 1.9): what they change and what they refuse, with their names and words.

Not here: the connection test of a Secret (for the provider types served here it never refuses, because neither tells an HTTP
status), and the question whether the user may read each VM of a plan from another OpenShift cluster.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import structural
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.rbac import Access, acting, allowed
from ansible_collections.vmshift.mtv.controlplane.controllers.provider_types import FINALIZERS
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    ANNOTATION_TRANSFER_NETWORK,
    GROUP,
    LABEL_PROVIDER_TYPE,
    LABEL_RESOURCE,
    LABEL_RESOURCE_TYPE,
    PROVIDER_TYPES,
    is_host,
    provider_type,
)

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]
Webhook = Callable[[str, str, "Object | None", "Object | None"], None]

INSECURE_KEY = "insecureSkipVerify"
ANNOTATION_POPULATOR_LABELS = "populatorLabels"
SECRET_MUTATOR = "ca-mutatur.forklift.konveyor"
SECRETS, PROVIDERS, PLANS, MIGRATIONS = (f"{kind}.forklift.konveyor" for kind in ("secrets", "providers", "plans", "migrations"))
SDK_ENDPOINTS = ("vcenter", "esxi")
NO_PROVISIONER = "kubernetes.io/no-provisioner"
BOOLEANS = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")  # as Go parses them


class Denied(Exception):
    """What a webhook has against a request."""


def webhooks(context: Context) -> list[Webhook]:
    """To be called for every write, in this order, as (operation, kind, new, old); they may change `new` or raise ApiError."""
    rules = Rules(context)
    return [
        _webhook(context, SECRET_MUTATOR, "Secret", rules.mutate_secret),
        _webhook(context, SECRETS, "Secret", rules.validate_secret),
        _webhook(context, PROVIDERS, "Provider", rules.mutate_provider),
        _webhook(context, PROVIDERS, "Provider", rules.validate_provider),
        _webhook(context, PLANS, "Plan", rules.mutate_plan),
        _webhook(context, PLANS, "Plan", rules.validate_plan),
        _webhook(context, MIGRATIONS, "Migration", rules.validate_migration),
    ]


def _webhook(context: Context, name: str, kind: str, rule: Callable[[Object, Object | None], None]) -> Webhook:
    schema = context.api.registry.named(kind).schema

    def call(_operation: str, of: str, new: Object | None, old: Object | None) -> None:
        # An object that is not of the shape of its kind is refused by validation, which comes next.
        if of != kind or new is None or (schema is not None and structural.validate(schema, new)):
            return
        try:
            rule(new, old)
        except Denied as error:
            raise ApiError(400, "", f'admission webhook "{name}" denied the request: {error}') from None

    return call


class Rules:
    """The rules of all webhooks: (new, old) -> None; `old` is None on creation. They raise Denied."""

    def __init__(self, context: Context) -> None:
        self.api = context.api

    # Secrets with the label createdForResourceType

    def mutate_secret(self, secret: Object, _old: Object | None) -> None:
        purpose = _label(secret, LABEL_RESOURCE_TYPE)
        if purpose == "hosts" and _label(secret, LABEL_RESOURCE) is not None:
            self._mutate_host_secret(secret)
        if purpose != "providers":
            return
        data = secret.setdefault("data", {})
        if INSECURE_KEY not in data:
            data[INSECURE_KEY] = base64.b64encode(b"false").decode()
        elif _plain(data, INSECURE_KEY) not in BOOLEANS:
            raise Denied(f'strconv.ParseBool: parsing "{_plain(data, INSECURE_KEY)}": invalid syntax')

    def _mutate_host_secret(self, secret: Object) -> None:
        """What the Secret of an ESXi host does not say is that of its provider: TLS always, the login where the provider is ESXi itself."""
        data = secret.setdefault("data", {})
        where = {"name": _plain(data, "provider"), "namespace": secret["metadata"].get("namespace")}
        if _plain(data, "user"):
            provider = self.api.find("Provider", where["namespace"], where["name"]) if where["name"] else None
        else:
            provider = self._get("Provider", where)
        reference = ((provider or {}).get("spec") or {}).get("secret") or {}
        theirs = (self.api.find("Secret", reference.get("namespace", ""), reference.get("name", "")) if reference else None) or {}
        known = theirs.get("data") or {}
        keys = [INSECURE_KEY] if INSECURE_KEY not in data else []
        if provider and not _plain(data, "user") and (provider["spec"].get("settings") or {}).get("sdkEndpoint") == "esxi":
            keys += ["user", "password"]
        data.update({key: known[key] for key in keys if key in known})

    def validate_secret(self, secret: Object, old: Object | None) -> None:
        purpose = _label(secret, LABEL_RESOURCE_TYPE)
        if purpose == "hosts" and _label(secret, LABEL_RESOURCE) is None:
            raise Denied(f"host secret is labeled with '{LABEL_RESOURCE_TYPE}' but without '{LABEL_RESOURCE}'")
        if purpose == "hosts" and "user" not in (secret.get("data") or {}):
            raise Denied("missing credentials on Host secret")
        if purpose != "providers":
            return
        type = _label(secret, LABEL_PROVIDER_TYPE)
        if type is None:
            raise Denied(f"provider secret is labeled with '{LABEL_RESOURCE_TYPE}' but without '{LABEL_PROVIDER_TYPE}'")
        if type not in PROVIDER_TYPES:
            raise Denied(f"incorrect '{LABEL_PROVIDER_TYPE}' value. Options [{' '.join(PROVIDER_TYPES)}]")
        if type == "ova" and old is not None and (old.get("data") or {}).get("url") != (secret.get("data") or {}).get("url"):
            raise Denied("Updating the URL field of an existing OVA provider is forbidden.")

    # Providers

    def mutate_provider(self, provider: Object, old: Object | None) -> None:
        type = provider_type(provider)
        if type == "vsphere":
            settings = provider["spec"].setdefault("settings", {})
            settings["sdkEndpoint"] = settings.get("sdkEndpoint") or "vcenter"
        finalizer = FINALIZERS.get(type)
        if finalizer and old is None and finalizer not in provider["metadata"].setdefault("finalizers", []):
            provider["metadata"]["finalizers"].append(finalizer)

    def validate_provider(self, provider: Object, _old: Object | None) -> None:
        if provider_type(provider) == "vsphere" and provider["spec"]["settings"]["sdkEndpoint"] not in SDK_ENDPOINTS:
            raise Denied("vSphere provider is set with an invalid SDK endpoint type")

    # Plans

    def mutate_plan(self, plan: Object, old: Object | None) -> None:
        spec = plan["spec"]
        if not spec.get("transferNetwork") and not spec.get("archived"):
            destination = self._get("Provider", spec["provider"]["destination"])
            network = (destination["metadata"].get("annotations") or {}).get(ANNOTATION_TRANSFER_NETWORK)
            name, namespace = _split(network, spec.get("targetNamespace", "")) if network else ("", "")
            if network and self.api.find("NetworkAttachmentDefinition", namespace, name):
                spec["transferNetwork"] = {"name": name, "namespace": namespace}
        if old is None:
            plan["metadata"].setdefault("annotations", {}).setdefault(ANNOTATION_POPULATOR_LABELS, "True")

    def validate_plan(self, plan: Object, _old: Object | None) -> None:
        """A cluster refuses to archive a plan whose destination or storage map is gone (not its source). Nobody needs that."""
        spec = plan["spec"]
        if spec.get("archived"):
            return
        source, destination = (self._get("Provider", spec["provider"][role]) for role in ("source", "destination"))
        self._require_rights(plan)
        type, warm = provider_type(source), bool(spec.get("warm")) or spec.get("type") == "warm"
        if not warm and type != "vsphere" and is_host(destination):
            self._refuse_static_classes(self._get("StorageMap", spec["map"]["storage"]))
        if warm and type == "openstack":
            raise Denied("warm migration is not supported by the provider")
        if type not in ("vsphere", "ova") and any((vm.get("luks") or {}).get("name") for vm in spec.get("vms") or ()):
            raise Denied(f"migration of encrypted disks from source provider of type {type} is not supported")

    def _require_rights(self, plan: Object) -> None:
        """Who runs a plan must be allowed to do himself what the controllers do for him."""
        spec = plan["spec"]
        for role in ("source", "destination"):
            reference = spec["provider"][role]
            self._require_right(Access("get", GROUP, "providers", reference.get("namespace") or "", reference.get("name") or ""))
        destination = self.api.find("Provider", spec["provider"]["destination"].get("namespace"), spec["provider"]["destination"]["name"])
        if destination and is_host(destination):
            self._require_right(Access("create", "kubevirt.io", "virtualmachines", spec["targetNamespace"]))

    def _require_right(self, access: Access) -> None:
        user = acting.get()
        if user is not None and not allowed(self.api, user, access):
            resource = f"{access.resource}/{access.name}" if access.name else access.resource
            raise Denied(
                f'Action is forbidden: User "{user.name}" cannot {access.verb} resource "{resource}" in API group "{access.group}" '
                f'in the namespace "{access.namespace}": '
            )

    def _refuse_static_classes(self, storage_map: Object) -> None:
        classes = [(pair.get("destination") or {}).get("storageClass") or "" for pair in storage_map["spec"].get("map") or ()]
        static = {c["metadata"]["name"] for c in self.api.list("StorageClass") if c.get("provisioner") == NO_PROVISIONER}
        bad = [name for name in classes if name in static]
        if bad:
            raise Denied(f"Static storage class(es) found: [{' '.join(bad)}]")

    # Migrations

    def validate_migration(self, migration: Object, _old: Object | None) -> None:
        plan = self._get("Plan", migration["spec"]["plan"])
        for role in ("destination", "source"):
            self._get("Provider", plan["spec"]["provider"][role])
        self._require_rights(plan)

    def _get(self, kind: str, reference: Object) -> Object:
        """The object of a reference, or the words in which a client of a cluster hears that there is none."""
        name, namespace = reference.get("name") or "", reference.get("namespace") or ""
        if not name:
            raise Denied("resource name may not be empty")
        if not namespace:
            raise Denied("an empty namespace may not be set when a resource name is provided")
        found = self.api.find(kind, namespace, name)
        if found is None:
            raise Denied(f'{self.api.registry.named(kind).resource} "{name}" not found')
        return found


def _label(obj: Object, name: str) -> str | None:
    return (obj["metadata"].get("labels") or {}).get(name)


def _plain(data: Object, key: str) -> str:
    try:
        return base64.b64decode(data.get(key) or "").decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _split(network: str, namespace: str) -> tuple[str, str]:
    """(name, namespace) of "namespace/name", or of a name in `namespace`."""
    first, slash, second = network.partition("/")
    return (second, first) if slash else (first, namespace)
