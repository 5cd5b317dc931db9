"""References between objects, and from maps and plans into an inventory (facts 0, Ref and RefSet)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import Conflict
from ansible_collections.vmshift.mtv.controlplane.apiserver.shelf import place
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, Conditions
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import READY, is_true, provider_type

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import ProviderInventory

Object = dict[str, Any]
Reference = Mapping[str, Any]  # {name, namespace} of an object
Ref = Mapping[str, Any]  # {id, name, namespace, type} of something in an inventory


class Missing(LookupError):
    """Nothing in the inventory answers to a Ref."""


class Ambiguous(LookupError):
    """Several things in the inventory answer to a Ref."""


def is_set(reference: Reference | None) -> bool:
    """Both halves are given; a reference without a namespace counts as unset."""
    return bool(reference and reference.get("name") and reference.get("namespace"))


def refers_to(reference: Reference | None, obj: Object) -> bool:
    meta = obj["metadata"]
    return bool(reference) and (reference.get("name"), reference.get("namespace")) == (meta["name"], meta.get("namespace"))  # type: ignore[union-attr]


def referring_to(api: Api, kind: str, field: str, obj: Object) -> list[tuple[str, str]]:
    """Keys of the objects of `kind` that have `obj` as their "provider" (source or destination), "map", "hook" or "plan"."""
    meta = obj["metadata"]
    return [record.place for record in api.referring(kind, field, place(meta.get("namespace"), meta["name"]))]


def referring_to_provider(api: Api, kind: str, uid: str) -> list[tuple[str, str]]:
    """Keys of the maps or plans whose source or destination is the provider with that uid."""
    provider = api.store.by_uid(uid)
    return referring_to(api, kind, "provider", provider.object()) if provider and provider.kind == "Provider" else []


def text(ref: Ref) -> str:
    """A Ref as conditions list it: "(type) id:… name:'…' ", with the blanks that Forklift writes."""
    kind = f"({ref['type']})" if ref.get("type") else ""
    return f"{kind} id:{ref.get('id') or ''} name:'{ref.get('name') or ''}' "


def resolve(inventory: ProviderInventory, collection: str, ref: Ref) -> Object:
    """The one item of `collection` that `ref` means. Raises Missing, Ambiguous."""
    found = inventory.find(collection, dict(ref))
    if not found:
        raise Missing(text(ref))
    if len(found) > 1:
        raise Ambiguous(text(ref))
    return found[0]


def resolved(ref: Ref, item: Object) -> Object:
    """`ref` as it stands in `status.references` once it is known what it means."""
    known = {"id": item.get("id"), "name": item.get("name"), "namespace": item.get("namespace"), "type": ref.get("type")}
    return {key: value for key, value in known.items() if value}


def loaded(context: Context, provider: Object) -> ProviderInventory:
    """The inventory of a provider that is Ready. Raises Conflict while it is not there (again, after a start): try again soon."""
    inventory = context.inventory.get(provider["metadata"]["uid"])
    if inventory is None or not inventory.loaded:
        meta = provider["metadata"]
        raise Conflict(f"the inventory of the provider {meta['namespace']}/{meta['name']} is not loaded yet")
    return inventory


def provider_pair(api: Api, pair: Mapping[str, Any], conditions: Conditions) -> tuple[Object | None, Object | None]:
    """Source and destination Provider of a map or plan; what is wrong with them is staged (facts 2.4)."""
    source = _provider(api, pair.get("source"), "Source", conditions)
    destination = _provider(api, pair.get("destination"), "Destination", conditions)
    if destination and provider_type(destination) != "openshift":
        conditions.set("DestinationProviderNotValid", CRITICAL, "The destination provider is not valid.", reason="TypeNotValid")
        destination = None
    for role, provider in (("Source", source), ("Destination", destination)):
        if provider and not is_true(provider, READY):
            message = f"The {role.lower()} provider does not have the Ready condition."
            conditions.set(f"{role}ProviderNotReady", CRITICAL, message)
    return source, destination


def _provider(api: Api, reference: Reference | None, role: str, conditions: Conditions) -> Object | None:
    provider = api.find("Provider", reference["namespace"], reference["name"]) if reference and is_set(reference) else None
    if provider is None:
        reason = "NotFound" if is_set(reference) else "NotSet"
        conditions.set(f"{role}ProviderNotValid", CRITICAL, f"The {role.lower()} provider is not valid.", reason=reason)
    return provider
