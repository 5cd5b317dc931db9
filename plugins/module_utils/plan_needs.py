# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Plan needs, looked up and checked before it is written: providers, maps, VMs, hooks, Secrets.

MTV says nothing at all about some of these mistakes (an unknown VM beside a known one, an absent hook).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.catalog import SHOWN, at_most
from ansible_collections.vmshift.mtv.plugins.module_utils.chosen_vms import Choice, choose
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    conditions_of,
    describe_conditions,
    object_reference,
    provider_type,
    ready,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import InventoryError, InventoryService
from ansible_collections.vmshift.mtv.plugins.module_utils.mapping import gaps, one_pod_network, pod_clashes
from ansible_collections.vmshift.mtv.plugins.module_utils.plan_spec import duplicate_targets, reference, referenced
from ansible_collections.vmshift.mtv.plugins.module_utils.references import destination_provider, exists, source_provider
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import describe, get
from ansible_collections.vmshift.mtv.plugins.module_utils.runs import blocks_start
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import target_of, wait_for


class Links(NamedTuple):
    """What the plan refers to, as far as the task says it or the existing plan does. In check mode they may be predicted (no uid)."""

    source: dict[str, Any] | None
    destination: dict[str, Any] | None
    network: dict[str, Any] | None
    storage: dict[str, Any] | None

    def objects(self) -> list[dict[str, Any]]:
        return [obj for obj in self if obj is not None]

    def references(self) -> dict[str, dict[str, str]]:
        return {role: object_reference(obj) for role, obj in self._asdict().items() if obj is not None}

    def complete(self) -> bool:
        """All were read from the server."""
        return all(exists(obj) for obj in self.objects())


class Needs:
    """Looks up what one task with these options (those of the plan module) needs. Problems are errors, in check mode warnings: a task
    before this one may put them right."""

    def __init__(self, cluster: Cluster, params: Mapping[str, Any], check_mode: bool) -> None:
        self.cluster = cluster
        self.params = params
        self.check_mode = check_mode
        self.namespace = params["namespace"]

    def links(self, plan: Mapping[str, Any] | None) -> Links:
        """Providers and maps that the task gives; to choose VMs also those of the existing plan, to make one also its destination."""
        given = dict(self.params)
        if plan and given["vms"] is not None:
            given = {option: given.get(option) or ref for option, ref in _references_of(plan).items()}
        source, destination = given["source"], given["destination"]
        wants_destination = destination or not plan
        return Links(
            source_provider(self.cluster, source, self.namespace, check_mode=self.check_mode) if source else None,
            destination_provider(self.cluster, destination, self.namespace, check_mode=self.check_mode) if wants_destination else None,
            self._map("NetworkMap", given["network_map"], "network_map"),
            self._map("StorageMap", given["storage_map"], "storage_map"),
        )

    def await_links(self, links: Links) -> None:
        """MTV validates a plan only against providers and maps that are Ready."""
        late = [obj for obj in links.objects() if exists(obj) and not ready(obj)]
        if late and self.params["wait"] and not self.check_mode:
            wait_for(self.cluster, [target_of(obj) for obj in late], ready, blocks_start, timeout=self.params["wait_timeout"])
        elif late:
            self._problem(f"{describe(late[0])} is not ready: {describe_conditions(conditions_of(late[0]))}.")

    def choose(self, entries: list[Any] | None, exclude: list[Any], links: Links) -> Choice | None:
        """The VMs that `entries` without `exclude` (both as plan_spec returns them) mean in the inventory of the source."""
        if entries is None:
            return None
        if links.source is None:
            raise TalkError("vms: give source too; the plan has no source provider.")
        choice = choose(
            self.cluster,
            links.source,
            entries,
            exclude,
            service=InventoryService(self.cluster, self.params["inventory_url"], self.namespace),
            patience=self.params["wait_timeout"] if self.params["wait"] else 0,
            check_mode=self.check_mode,
        )
        clash = duplicate_targets(choice.vms)
        if clash:
            raise TalkError(clash)
        return choice

    def refuse_gaps(self, links: Links, choice: Choice, *, with_storage: bool = True) -> None:
        network, storage = ((obj or {}).get("spec", {}).get("map") or [] for obj in (links.network, links.storage))
        if links.source and exists(links.source) and all(exists(obj) for obj in (links.network, links.storage) if obj):
            of = provider_type(links.source)
            found = gaps(of, choice.found, network, storage if with_storage else None, choice.items)
            if found:
                self._problem("The maps do not cover the VMs: " + "; ".join(found) + ".")
            clashes = pod_clashes(of, choice.found, network, choice.items)
            if clashes:
                self._problem(one_pod_network(clashes))

    def require_instance_types(self, links: Links, choice: Choice, target_namespace: str) -> None:
        """MTV looks for them when all disks are copied. A VM takes one of its namespace, or one of the cluster."""
        wanted = {vm["overrides"]["instance_type"]: vm["name"] for vm in choice.vms if vm["overrides"].get("instance_type")}
        if not wanted or links.destination is None or not exists(links.destination):
            return
        service = InventoryService(self.cluster, self.params["inventory_url"], self.namespace)
        try:
            own = service.get(links.destination, "instancetypes", detail=0)
            known = service.get(links.destination, "clusterinstancetypes", detail=0)
        except InventoryError as error:
            self.cluster.warn(f"Whether the instance types exist was not checked: {error}")
            return
        names = {item["name"] for item in own if item.get("namespace") == target_namespace} | {item["name"] for item in known}
        for name, vm in wanted.items():
            if name not in names:
                there = ", ".join(at_most(sorted(names), SHOWN, "more")) or "none"
                self._problem(
                    f"instance_type: {name!r} of VM {vm!r} is neither an instance type of the cluster nor of namespace {target_namespace}; "
                    f"there are: {there}."
                )

    def require_referenced(self, spec: Mapping[str, Any]) -> None:
        for kind, where in referenced(spec):
            if kind == "Secret" and where["namespace"] != self.namespace:
                # facts, quirk 14
                raise TalkError(
                    f"luks: MTV mounts the Secret from the namespace of the plan, {self.namespace}; it cannot lie in {where['namespace']}."
                )
            try:
                found = get(self.cluster, kind, where["namespace"], where["name"])
            except ClusterError as error:
                if error.status != 403:
                    raise
                self.cluster.warn(f"Whether the {kind} {where['namespace']}/{where['name']} exists was not checked: {error}")
                continue
            if found is None:
                self._problem(f"The plan needs the {kind} {where['namespace']}/{where['name']}, which does not exist.")

    def _map(self, kind: str, given: Any, option: str) -> dict[str, Any] | None:
        if not given:
            return None
        where = reference(given, option, self.namespace)
        found = get(self.cluster, kind, where["namespace"], where["name"])
        if found is None:
            self._problem(f"{option}: the {kind} {where['namespace']}/{where['name']} does not exist.")
        return found or {"kind": kind, "metadata": where, "spec": {}}

    def _problem(self, text: str) -> None:
        if not self.check_mode:
            raise TalkError(text)
        self.cluster.warn(text)


def _references_of(plan: Mapping[str, Any]) -> dict[str, dict[str, str] | None]:
    """Option -> {name, namespace} that the plan has."""
    spec = plan.get("spec") or {}
    provider, maps = spec.get("provider") or {}, spec.get("map") or {}
    found = {
        "source": provider.get("source"),
        "destination": provider.get("destination"),
        "network_map": maps.get("network"),
        "storage_map": maps.get("storage"),
    }
    return {option: {key: ref[key] for key in ("name", "namespace") if ref.get(key)} if ref else None for option, ref in found.items()}
