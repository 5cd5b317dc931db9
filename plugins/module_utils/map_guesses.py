# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where networks and storages go when nobody has said: the rules of `auto` (docs/maps.md), in their order. Pure.

A rule that finds several destinations is an error, and so is a source for which no rule finds one: no guess is made by chance.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.mapping import Source, Use, told
from ansible_collections.vmshift.mtv.plugins.module_utils.naming import sanitized

Item = Mapping[str, Any]

#: On a NetworkAttachmentDefinition or StorageClass: the network or storage (name or id, or a JSON list of them) that goes there ...
SOURCE_ANNOTATIONS = {"network": "vmshift.io/source-network", "storage": "vmshift.io/source-storage"}
#: ... and, where it stands, the name of the only source provider that this is about.
PROVIDER_ANNOTATION = "vmshift.io/source-provider"
#: Which StorageClass is the default: for disks of VMs, for anything.
DEFAULT_CLASS_ANNOTATIONS = ("storageclass.kubevirt.io/is-default-virt-class", "storageclass.kubernetes.io/is-default-class")
#: Where a VM may use a NetworkAttachmentDefinition beside its own namespace (facts 8, NetMapDestinationNADNotValid).
SHARED_NAMESPACE = "default"

ANNOTATION, SAME_NAME, DEFAULT = "annotation", "same_name", "default"
SHOWN = 10


class Guess(NamedTuple):
    """One pair that nobody has given. rule: ANNOTATION, SAME_NAME or DEFAULT; reason: the rule as it applied, in words."""

    source: dict[str, str]
    destination: dict[str, str]
    rule: str
    reason: str
    vms: list[str]

    def entry(self) -> dict[str, Any]:
        """As it stands in `spec.map`."""
        return {"source": self.source, "destination": self.destination}


def network_guesses(uses: Iterable[Use], attachments: Sequence[Item], *, provider: str, target_namespace: str | None) -> list[Guess]:
    """A destination for each network. attachments: the destination's NetworkAttachmentDefinitions in full detail; provider: name of the
    source provider; target_namespace: where the VMs go, if that is known. Raises TalkError."""
    reachable = [nad for nad in attachments if target_namespace is None or nad.get("namespace") in (target_namespace, SHARED_NAMESPACE)]

    def nearest(found: list[Item]) -> list[Item]:
        """Those in the VMs' own namespace, before those that all share."""
        own = [nad for nad in found if nad.get("namespace") == target_namespace]
        return own or found

    def default(_use: Use) -> tuple[dict[str, str], str]:
        return {"type": "pod"}, "the pod network is the default"

    def destination(nad: Item) -> dict[str, str]:
        return {"type": "multus", "namespace": nad["namespace"], "name": nad["name"]}

    rules = _Rules("network", "NetworkAttachmentDefinition", reachable, provider, nearest, destination, default)
    return rules.guesses(uses)


def storage_guesses(uses: Iterable[Use], classes: Sequence[Item], *, provider: str) -> list[Guess]:
    """Like network_guesses, with the StorageClasses of the destination in full detail."""

    def default(use: Use) -> tuple[dict[str, str], str]:
        for annotation in DEFAULT_CLASS_ANNOTATIONS:
            marked = [item for item in classes if _annotations(item).get(annotation) == "true"]
            if marked:
                # As Kubernetes does when several are marked.
                newest = max(marked, key=lambda item: (_metadata(item).get("creationTimestamp") or "", item["name"]))
                return {"storageClass": newest["name"]}, f"it is the default storage class ({annotation})"
        names = ", ".join(item["name"] for item in classes[:SHOWN]) or "none"
        raise TalkError(
            f"auto: no storage class was found for storage {use.source} of VM {told(use.vms)}: none names it in its annotation "
            f"{SOURCE_ANNOTATIONS['storage']}, none has its name, and none is a default. Give a pair. There are: {names}."
        )

    def destination(item: Item) -> dict[str, str]:
        return {"storageClass": item["name"]}

    return _Rules("storage", "StorageClass", classes, provider, list, destination, default).guesses(uses)


class _Rules(NamedTuple):
    """nearest: of several that a rule finds, those to prefer; default: destination and reason when no rule finds any."""

    what: str
    kind: str
    items: Sequence[Item]
    provider: str
    nearest: Callable[[list[Item]], list[Item]]
    destination: Callable[[Item], dict[str, str]]
    default: Callable[[Use], tuple[dict[str, str], str]]

    def guesses(self, uses: Iterable[Use]) -> list[Guess]:
        """In the order of names, so that the same VMs in another order make the same map."""
        return [self._guess(use) for use in sorted(uses, key=lambda use: (use.source.name, use.source))]

    def _guess(self, use: Use) -> Guess:
        source = {key: value for key, value in use.source._asdict().items() if value}
        if use.source.type:  # the pod network of an OpenShift source
            destination, reason = self.default(use)
            return Guess(source, destination, DEFAULT, reason, use.vms)
        annotation = SOURCE_ANNOTATIONS[self.what]
        named = [item for item in self.items if self._is_named(item, use.source)]
        same = [item for item in self.items if item["name"] == use.source.name]
        alike = [item for item in self.items if item["name"] == sanitized(use.source.name)]
        for found, rule, reason in (
            (named, ANNOTATION, f"its annotation {annotation} names {use.source}"),
            (same, SAME_NAME, "it has the same name"),
            (alike, SAME_NAME, f"its name is that of {use.source}, as Kubernetes can write it"),
        ):
            chosen = self.nearest(found)
            if len(chosen) > 1:
                names = ", ".join(map(_label, chosen[:SHOWN]))
                raise TalkError(
                    f"auto: {self.what} {use.source} of VM {told(use.vms)} could go to several {self.kind}s ({names}), because of each of "
                    f"them {reason}. Give a pair for it."
                )
            if chosen:
                return Guess(source, self.destination(chosen[0]), rule, f"{self.kind} {_label(chosen[0])}: {reason}", use.vms)
        destination, reason = self.default(use)
        return Guess(source, destination, DEFAULT, reason, use.vms)

    def _is_named(self, item: Item, source: Source) -> bool:
        annotations = _annotations(item)
        only = annotations.get(PROVIDER_ANNOTATION)
        wanted = _texts(annotations.get(SOURCE_ANNOTATIONS[self.what]) or "")
        return only in (None, "", self.provider) and any(text in (source.id, source.name, _path(source)) for text in wanted)


def _texts(value: str) -> list[str]:
    """A JSON list of names, or else one name: names may hold commas and nearly anything."""
    if value.lstrip().startswith("["):
        try:
            listed = json.loads(value)
        except ValueError:
            return [value]
        if isinstance(listed, list):
            return [text for text in listed if isinstance(text, str) and text]
    return [value] if value else []


def _path(source: Source) -> str:
    return f"{source.namespace}/{source.name}" if source.namespace else source.name


def _label(item: Item) -> str:
    return "/".join(item[key] for key in ("namespace", "name") if item.get(key))


def _metadata(item: Item) -> Mapping[str, Any]:
    return (item.get("object") or {}).get("metadata") or {}


def _annotations(item: Item) -> Mapping[str, str]:
    return _metadata(item).get("annotations") or {}
