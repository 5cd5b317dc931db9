# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NetworkMap and StorageMap brought about: given pairs checked against what the providers have, the others guessed if that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Callable

from ansible_collections.vmshift.mtv.plugins.module_utils.chosen_vms import Choice, choose, require_jmespath
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError, reporting
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    MAP_COLLECTIONS,
    blockers,
    describe_conditions,
    object_reference,
    provider_type,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import InventoryError, InventoryService
from ansible_collections.vmshift.mtv.plugins.module_utils.map_guesses import Guess, network_guesses, storage_guesses
from ansible_collections.vmshift.mtv.plugins.module_utils.map_pairs import (
    NETWORK,
    PAIRS,
    STORAGE,
    Pair,
    check_destinations,
    check_sources,
    full_source,
    named,
    patched,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.mapping import (
    Mapped,
    one_pod_network,
    pod_clashes,
    used_networks,
    used_storages,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.plan_spec import exclusions, selectors
from ansible_collections.vmshift.mtv.plugins.module_utils.readiness import wait_ready
from ansible_collections.vmshift.mtv.plugins.module_utils.references import destination_provider, exists, source_provider
from ansible_collections.vmshift.mtv.plugins.module_utils.releases import NETWORK_POOLS_SINCE, option_of
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import describe, ensure_absent, ensure_present, get
from ansible_collections.vmshift.mtv.plugins.module_utils.served_schema import refuse_newer, refuse_older_than

Item = Mapping[str, Any]

#: What the module returns the object as.
RESULT_KEYS = {NETWORK: "network_map", STORAGE: "storage_map"}
_PENDING = {"SourceProviderNotReady", "DestinationProviderNotReady"}
_STORAGE_ARRAY_KEY = "STORAGE_HOSTNAME"


def run(module: Any, cluster: Cluster, kind: str) -> dict[str, Any]:
    """The work of the modules network_map and storage_map."""
    if module.params["state"] == "absent":
        return _absent(module, cluster, kind)
    return _Task(module, cluster, kind).run()


class _Task:
    """One run of a module with `state: present`."""

    def __init__(self, module: Any, cluster: Cluster, kind: str) -> None:
        self.params = module.params
        self.check_mode = module.check_mode
        self.cluster = cluster
        self.kind = kind
        self.namespace = module.params["namespace"]
        self.current = get(cluster, kind, self.namespace, module.params["name"])

    def run(self) -> dict[str, Any]:
        params = self.params
        self.refuse_incomplete()
        given = PAIRS[self.kind](params["pairs"] or [])  # whatever is wrong with the pairs alone is said before anything is asked
        entries = selectors(params["vms"]) if params["auto"] else []
        exclude = exclusions(params["exclude"] or [])
        require_jmespath([*entries, *exclude])
        self.source, self.destination = self.providers()
        given = PAIRS[self.kind](params["pairs"] or [], provider_type(self.source))
        self.require_secrets(given)
        inventory = _Inventory(self.cluster, self.kind, self.source, self.destination, params["inventory_url"])
        self.check(given, inventory)
        choice = self.choose(entries, exclude, inventory)
        guesses: list[Guess] = []

        def amended(current: dict[str, Any] | None) -> dict[str, Any]:
            kept = self.kept(given, current, inventory)
            guesses[:] = self.guesses(kept, choice, inventory)
            return self.manifest(kept + [guess.entry() for guess in guesses], choice)

        manifest = amended(self.current)
        self.refuse_unserved(manifest)
        written = ensure_present(self.cluster, manifest, check_mode=self.check_mode, amend=amended)
        result = {"changed": written.changed, "diff": written.diff}
        if params["auto"]:
            result.update(vms=choice.vms, guesses=[guess._asdict() for guess in guesses])
        outcome = {**result, RESULT_KEYS[self.kind]: written.object}
        if params["wait"] and not self.check_mode:
            with reporting(**result):
                ready = wait_ready(self.cluster, written.object or {}, timeout=params["wait_timeout"], failure=_failed)
                outcome[RESULT_KEYS[self.kind]] = ready
        return outcome

    def refuse_incomplete(self) -> None:
        params = self.params
        if params["pairs"] is None and not params["auto"]:
            raise TalkError("pairs: give the pairs of the map, or auto to have them found for the VMs of vms.")
        if not params["auto"] and (params["vms"] is not None or params["exclude"] is not None):
            raise TalkError("vms and exclude go with auto: they say for which VMs pairs are to be found.")
        if params["auto"] and params["vms"] is None:
            raise TalkError("auto: give vms, for which pairs are to be found.")

    def providers(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Those of the task, else those of the existing map."""
        known = ((self.current or {}).get("spec") or {}).get("provider") or {}
        given = {side: self.params[side] or _names(known.get(side)) for side in ("source", "destination")}
        if not given["source"]:
            raise TalkError(
                f"source: the {self.kind} {self.namespace}/{self.params['name']} does not exist yet; to make it give the provider."
            )
        source = source_provider(self.cluster, given["source"], self.namespace, check_mode=self.check_mode)
        destination = destination_provider(self.cluster, given["destination"], self.namespace, check_mode=self.check_mode)
        if not self.params["purge_pairs"] and self.current and _names(known.get("source")) != object_reference(source):
            of = "{namespace}/{name}".format(**(_names(known.get("source")) or {"namespace": "?", "name": "?"}))
            raise TalkError(f"source: {describe(self.current)} is about the provider {of}, and purge_pairs false would keep its pairs.")
        return source, destination

    def refuse_unserved(self, manifest: Mapping[str, Any]) -> None:
        """What the installed MTV is too old for."""
        refuse_newer(self.cluster, self.kind, manifest["spec"], self.current, option=lambda path: "pairs" + option_of(path)[len("map") :])
        sources = [pair["source"] for pair in manifest["spec"]["map"]]
        pooled = next((source for number, source in enumerate(sources) if source in sources[:number]), None)
        if pooled:
            refuse_older_than(self.cluster, [(f"pairs: several destinations for the network {named(pooled)}", NETWORK_POOLS_SINCE)])

    def require_secrets(self, pairs: Sequence[Pair]) -> None:
        """MTV says nothing about a storage array's Secret before the copy, and reads it where the source provider lies."""
        where = self.source["metadata"]["namespace"]
        for pair in pairs:
            for plugin in pair.offload.values():
                path, name = f"{pair.path}.offload_plugin", plugin["secretRef"]
                try:
                    secret = get(self.cluster, "Secret", where, name)
                except ClusterError as error:
                    if error.status != 403:
                        raise
                    self.cluster.warn(f"{path}: whether the Secret {where}/{name} exists was not checked: {error}")
                    continue
                if secret is None:
                    self.problem(f"{path}: the Secret {where}/{name} does not exist; it must lie in the namespace of the source provider.")
                elif _STORAGE_ARRAY_KEY not in (secret.get("data") or {}):
                    self.problem(f"{path}: the Secret {where}/{name} has no key {_STORAGE_ARRAY_KEY}, the address of the storage array.")

    def check(self, pairs: Sequence[Pair], inventory: _Inventory) -> None:
        """Say which source or destination does not exist, if the inventory can be asked; MTV itself only warns, or says it in the Plan."""
        if not (exists(self.source) and exists(self.destination)):
            return
        try:
            if provider_type(self.source) in MAP_COLLECTIONS:
                check_sources(pairs, provider_type(self.source), inventory.sources())
            there = inventory.destinations() if pairs else []
        except InventoryError as error:
            self.cluster.warn(f"The pairs were not checked against the inventory: {error}")
            return
        try:
            check_destinations(self.kind, pairs, there)
        except TalkError as error:
            self.problem(str(error))

    def kept(self, given: Sequence[Pair], current: Item | None, inventory: _Inventory) -> list[dict[str, Any]]:
        """The entries that nobody has to guess: the given pairs, and with purge_pairs false those that the map has beside them."""
        if self.params["purge_pairs"] or not current:
            return [pair.entry() for pair in given if pair.present]
        try:
            items = inventory.sources() if exists(self.source) else []
        except InventoryError:
            items = []  # that it was not asked has been said
        return patched((current.get("spec") or {}).get("map") or [], given, items)

    def choose(self, entries: Sequence[Any], exclude: Sequence[Any], inventory: _Inventory) -> Choice:
        if not self.params["auto"]:
            return Choice([])
        return choose(
            self.cluster,
            self.source,
            entries,
            exclude,
            service=inventory.service,
            patience=self.params["wait_timeout"] if self.params["wait"] else 0,
            check_mode=self.check_mode,
        )

    def guesses(self, kept: Sequence[Mapping[str, Any]], choice: Choice, inventory: _Inventory) -> list[Guess]:
        """A pair for each network or storage that the chosen VMs use and that no entry is about."""
        if not choice.found:
            return []
        if not exists(self.destination):
            self.cluster.warn("auto: nothing was guessed, because the destination provider does not exist yet.")
            return []
        use = used_networks if self.kind == NETWORK else used_storages
        entries = [{**entry, "source": full_source(entry["source"], inventory.sources())} for entry in kept]
        mapped = Mapped(entries)
        uses = [u for u in use(provider_type(self.source), choice.found, choice.items) if mapped.pair_of(u.source) is None]
        name = self.source["metadata"]["name"]
        if self.kind == STORAGE:
            return storage_guesses(uses, inventory.destinations(), provider=name)
        return network_guesses(uses, inventory.destinations(), provider=name, target_namespace=self.params.get("target_namespace"))

    def manifest(self, map: list[dict[str, Any]], choice: Choice) -> dict[str, Any]:
        clashes = pod_clashes(provider_type(self.source), choice.found, map, choice.items) if self.kind == NETWORK else []
        if clashes:
            raise TalkError(one_pod_network(clashes))
        metadata = {k: self.params[k] for k in ("name", "namespace", "labels", "annotations") if self.params[k] is not None}
        provider = {"source": object_reference(self.source), "destination": object_reference(self.destination)}
        return {"kind": self.kind, "metadata": metadata, "spec": {"provider": provider, "map": map}}

    def problem(self, text: str) -> None:
        """A task before this one may put it right."""
        if not self.check_mode:
            raise TalkError(text)
        self.cluster.warn(text)


class _Inventory:
    """What both providers have, each collection read when it is first asked for. Raises InventoryError."""

    def __init__(self, cluster: Cluster, kind: str, source: Item, destination: Item, url: str | None) -> None:
        self.service = InventoryService(cluster, url, destination["metadata"]["namespace"])
        column = 0 if kind == NETWORK else 1
        type = provider_type(source)
        self._read: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "source": partial(self.service.get, source, MAP_COLLECTIONS[type][column], detail=0) if type in MAP_COLLECTIONS else list,
            # In full: annotations say where sources go, and which storage class is the default.
            "destination": partial(self.service.get, destination, MAP_COLLECTIONS["openshift"][column], detail=1),
        }
        self._found: dict[str, list[dict[str, Any]]] = {}

    def sources(self) -> list[dict[str, Any]]:
        return self._items("source")

    def destinations(self) -> list[dict[str, Any]]:
        return self._items("destination")

    def _items(self, side: str) -> list[dict[str, Any]]:
        if side not in self._found:
            self._found[side] = self._read[side]()
        return self._found[side]


def _absent(module: Any, cluster: Cluster, kind: str) -> dict[str, Any]:
    params = module.params
    result = ensure_absent(cluster, kind, params["namespace"], params["name"], check_mode=module.check_mode)
    if params["wait"] and not module.check_mode and result.method:
        # Here, because every map that is there would pay for its import.
        from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import target_of, wait_gone

        target = target_of({"kind": kind, "metadata": {"namespace": params["namespace"], "name": params["name"]}})
        with reporting(changed=result.changed):
            wait_gone(cluster, [target], timeout=params["wait_timeout"])
    return {"changed": result.changed, "diff": result.diff, RESULT_KEYS[kind]: None}


def _names(reference: Mapping[str, Any] | None) -> dict[str, str] | None:
    """{name, namespace} of a reference that has both."""
    found = {key: reference[key] for key in ("name", "namespace") if reference.get(key)} if reference else {}
    return found if len(found) == 2 else None


def _failed(seen: dict[str, Any]) -> str | None:
    found = blockers(seen)
    # A provider that is not ready yet may become so.
    return describe_conditions(found) if any(c.get("type") not in _PENDING for c in found) else None
