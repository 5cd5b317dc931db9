"""VMs of another cluster as a source, or of this one (facts 3.15): exported there, imported where they go.

A VM is switched off, a VirtualMachineExport serves its disks, and the target's importers read them from there with the export's token.
Whatever is made at the source carries the labels of the run, so it is known again after a crash, and taken away.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane import quantity
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError, NotFound
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt import strategies
from ansible_collections.vmshift.mtv.controlplane.datapath import ranges
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import SourceGone
from ansible_collections.vmshift.mtv.controlplane.migration import children, history, itineraries, labels, pipeline, remote_cluster, volumes
from ansible_collections.vmshift.mtv.controlplane.migration.builders import openshift as builder
from ansible_collections.vmshift.mtv.controlplane.migration.itineraries import Itinerary, Traits
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError
from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Disk, InventorySource
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import is_host
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import CONNECTION, SourceError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun
    from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Conversion

Object = dict[str, Any]

EXPORT = "VirtualMachineExport"
TTL = "12h0m0s"
TOKEN_HEADER = "x-kubevirt-export-token"
#: Formats of an exported disk that MTV takes, the best one first.
_FORMATS = ("gzip", "tar.gz")
#: On a source VM while it is migrated: how it ran before. KubeVirt's own words, and `running` where that was used.
RUN_STRATEGY = "vmshift.mtv/run-strategy"
_RUNNING = "running"


class OpenShiftSource(InventorySource):
    def itinerary(self, plan: Object) -> Itinerary:
        return itineraries.COLD

    def traits(self, work: VmRun) -> Traits:
        return Traits("openshift", converts=False, virt_v2v_copies=False)

    def conversion(self, work: VmRun) -> Conversion | None:
        raise NotImplementedError("guests of this source are not converted")

    def _cluster(self) -> AbstractContextManager[Objects]:
        """The objects of the source. Raises SourceError while it cannot be reached."""
        return nullcontext(self._api) if is_host(self._provider) else remote_cluster.opened(self._api, self._provider)

    @contextmanager
    def _exports(self) -> Iterator[Objects]:
        """As `_cluster`, to speak of exports, whose API is not of the same version everywhere. Raises PhaseError where there is none."""
        with self._cluster() as cluster:
            if isinstance(cluster, remote_cluster.RemoteCluster):
                try:
                    cluster.speak(EXPORT)
                except NotFound:
                    raise PhaseError(
                        "The source cluster does not serve VirtualMachineExports: KubeVirt's feature VMExport is off."
                    ) from None
            yield cluster

    # Before anything is done

    def refusal(self, work: VmRun) -> str:
        machine = work.source_vm["object"]
        if not work.disks:
            return f"VM {_shown(work.source_vm)} has no disk in a PersistentVolumeClaim: there is nothing to migrate."
        try:
            names = [volumes.claim_name(work, index, disk).get("name", "") for index, disk in enumerate(work.disks)]
            self._build(work, machine, dict(zip(builder.claims(machine), names, strict=True)))
        except ValueError as error:
            return str(error)
        return self._name_taken(work, names) or self._belonging_refused(work, machine)

    def _name_taken(self, work: VmRun, names: list[str]) -> str:
        """Claims keep their names, so what has such a name already would be found only when the VM is off."""
        own = labels.of_vm(work.plan, work.vm["id"])
        for name in filter(None, names):
            for kind in ("PersistentVolumeClaim", "DataVolume"):
                found = work.target.find(kind, work.namespace, name)
                if found and not own.items() <= (found["metadata"].get("labels") or {}).items():
                    return (
                        f"{kind} {work.namespace}/{name} already exists and does not belong to this migration; "
                        "a pvcNameTemplate gives the disks of VMs from OpenShift other names than they have there."
                    )
        return ""

    def _belonging_refused(self, work: VmRun, machine: Object) -> str:
        with self._cluster() as cluster:
            for kind, name in builder.belongings(machine):
                original = cluster.find(kind, work.source_vm["namespace"], name)
                if original is None:
                    return f"{kind} {work.source_vm['namespace']}/{name}, which the VM needs, is not there."
                found = work.target.find(kind, work.namespace, name)
                if found and _content(found) != _content(original):
                    return f"{kind} {work.namespace}/{name} already exists and differs from that of the source VM."
        return ""

    # Disks

    def disks(self, work: VmRun) -> list[Disk]:
        destinations = self._storage_destinations(work.run.storage_map)
        namespace = work.source_vm["namespace"]
        known = {
            claim["name"]: claim["object"]
            for claim in self._inventory.collection("persistentvolumeclaims")
            if claim["namespace"] == namespace
        }
        found = []
        for index, name in enumerate(builder.claims(work.source_vm["object"])):
            if name not in known:
                raise ValueError(f"PersistentVolumeClaim {namespace}/{name} of VM {work.source_vm['name']} is not there.")
            found.append(self._disk(index, namespace, name, known[name], destinations))
        return found

    def _disk(self, index: int, namespace: str, name: str, claim: Object, destinations: dict[str, Object]) -> Disk:
        storage_class = claim["spec"].get("storageClassName") or ""
        if storage_class not in destinations:
            raise ValueError(f'The storage map has no entry for the StorageClass "{storage_class}" of disk {namespace}/{name}.')
        return Disk(
            f"{namespace}/{name}",
            size_of(claim),
            destinations[storage_class],
            annotations={labels.DISK_INDEX: str(index)},
            name_values={"SourcePVCName": name, "SourcePVCNamespace": namespace},
        )

    def _storage_destinations(self, storage_map: Object) -> dict[str, Object]:
        """Name of a StorageClass -> destination of the map."""
        found: dict[str, Object] = {}
        for pair in storage_map["spec"].get("map") or ():
            for item in self._inventory.find("storageclasses", pair["source"]):
                found.setdefault(item["name"], pair["destination"])
        return found

    def content(self, work: VmRun, disk: Disk, secret: str) -> Object:
        volume = disk.source.partition("/")[2]
        links = _links(self._ready_export(work))
        formats: list[Object] = next((found["formats"] for found in links.get("volumes") or () if found["name"] == volume), [])
        urls = {found["format"]: found["url"] for found in formats}
        url = next((urls[form] for form in _FORMATS if form in urls), "")
        if not url:
            offered = ", ".join(urls) or "nothing"
            raise PhaseError(f"The export of the VM does not offer the disk {volume} as {' or '.join(_FORMATS)}, but as {offered}.")
        authority = children.config_map(work)["metadata"]["name"]
        return {"http": {"certConfigMap": authority, "secretExtraHeaders": [secret], "url": url}}

    # The export

    def prepare(self, work: VmRun) -> bool:
        """Have an export of the VM that serves."""
        with self._exports() as cluster:
            export = self._export(cluster, work) or self._create_export(cluster, work)
        status = export.get("status") or {}
        waiting = _waits_for(status)
        work.step.pop("reason", None)
        if status.get("phase") == "Skipped":
            raise PhaseError(f"The export of the VM has nothing to serve: {waiting}")
        if status.get("phase") != "Ready" or not _links(export):
            work.step["reason"] = f"The export of the VM is not ready yet{f': {waiting}' if waiting else ''}"
            return False
        return True

    def _export(self, cluster: Objects, work: VmRun) -> Object | None:
        """That of this VM and plan. Raises PhaseError when somebody else has one of the name."""
        found = cluster.find(EXPORT, work.source_vm["namespace"], work.source_vm["name"])
        if found and not labels.of_vm(work.plan, work.vm["id"]).items() <= (found["metadata"].get("labels") or {}).items():
            raise PhaseError(
                f"{EXPORT} {_shown(work.source_vm)} already exists at the source and does not belong to this migration; delete it."
            )
        return found if found and "deletionTimestamp" not in found["metadata"] else None

    def _create_export(self, cluster: Objects, work: VmRun) -> Object:
        meta = {"name": work.source_vm["name"], "namespace": work.source_vm["namespace"], "labels": work.labels}
        source = {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": work.source_vm["name"]}
        spec = {"source": source, "ttlDuration": TTL}
        return cluster.create({"apiVersion": "export.kubevirt.io/v1", "kind": EXPORT, "metadata": meta, "spec": spec})

    def _ready_export(self, work: VmRun) -> Object:
        """Raises PhaseError when it is gone."""
        with self._exports() as cluster:
            found = self._export(cluster, work)
        if found is None:
            raise PhaseError(_gone(work))
        return found

    def lost(self, work: VmRun) -> str:
        try:
            with self._exports() as cluster:
                return "" if self._export(cluster, work) else _gone(work)
        except SourceError:
            return ""  # it may come back
        except PhaseError as error:
            return str(error)

    def release(self, vm: Object) -> None:
        """The export, with what KubeVirt made for it; of a VM that has moved, also the note how it ran."""
        with self._exports() as cluster:
            ours = None if is_host(self._provider) else labels.identity(self._api)
            for export in cluster.list(EXPORT, None, {labels.VM_ID: vm["id"]}):
                meta = export["metadata"]
                if labels.origin(export) == ours:  # that cluster may migrate the VM itself
                    cluster.delete(EXPORT, meta["namespace"], meta["name"], uid=meta["uid"])
            source_vm = self.find({"id": vm["id"]})
            if history.holds(vm, history.SUCCEEDED) and source_vm:
                machine = cluster.find("VirtualMachine", source_vm["namespace"], source_vm["name"])
                if machine and RUN_STRATEGY in (machine["metadata"].get("annotations") or {}):
                    self._patch(cluster, source_vm, {"metadata": {"annotations": {RUN_STRATEGY: None}}})

    def secret_data(self, work: VmRun, purpose: str) -> dict[str, str]:
        """The header by which an importer is known to the export."""
        return {"token": b64encode(f"{TOKEN_HEADER}:{self._token(work, self._ready_export(work))}".encode()).decode()}

    def _token(self, work: VmRun, export: Object) -> str:
        name, namespace = export["status"].get("tokenSecretRef") or "", export["metadata"]["namespace"]
        with self._cluster() as cluster:
            secret = cluster.find("Secret", namespace, name) if name else None
        if secret is None:
            raise PhaseError(f"The Secret {namespace}/{name} with the token of the export is not there.")
        return b64decode((secret.get("data") or {}).get("token") or "").decode()

    def config_data(self, work: VmRun) -> dict[str, str]:
        return {"ca.pem": _links(self._ready_export(work)).get("cert", "")}

    # Power

    def power_state(self, vm: Object) -> str:
        with self._cluster() as cluster:
            strategy = strategies.strategy_of(self._machine(cluster, vm)["spec"])
            runs = strategy in (strategies.ALWAYS, strategies.RERUN) or self._runs(cluster, vm)
        return "On" if runs else "Off"

    def power_off(self, vm: Object) -> None:
        """By its run strategy, which is noted: a VM whose migration is canceled runs as it did before."""
        with self._cluster() as cluster:
            spec = self._machine(cluster, vm)["spec"]
            before = _RUNNING if spec.get("running") else spec.get("runStrategy") or ""
            if before in ("", strategies.HALTED):
                return
            off: Object = {"running": False} if before == _RUNNING else {"runStrategy": strategies.HALTED}
            self._patch(cluster, vm, {"metadata": {"annotations": {RUN_STRATEGY: before}}, "spec": off})

    def is_off(self, vm: Object) -> bool:
        with self._cluster() as cluster:
            halted = strategies.strategy_of(self._machine(cluster, vm)["spec"]) == strategies.HALTED
            return halted and not self._runs(cluster, vm)

    def power_on(self, vm: Object) -> None:
        with self._cluster() as cluster:
            machine = self._machine(cluster, vm)
            before = (machine["metadata"].get("annotations") or {}).get(RUN_STRATEGY) or strategies.ALWAYS
            uses_running = before == _RUNNING or machine["spec"].get("running") is not None
            on: Object = {"running": True} if uses_running else {"runStrategy": before}
            self._patch(cluster, vm, {"metadata": {"annotations": {RUN_STRATEGY: None}}, "spec": on})

    def _machine(self, cluster: Objects, vm: Object) -> Object:
        """As it is now: an inventory may be some seconds old. Raises PhaseError when it is gone, or another one."""
        found = cluster.find("VirtualMachine", vm["namespace"], vm["name"])
        if found is None or found["metadata"]["uid"] != vm["id"]:
            raise PhaseError(f"VM {_shown(vm)} is gone from the source.")
        return found

    def _runs(self, cluster: Objects, vm: Object) -> bool:
        instance = cluster.find("VirtualMachineInstance", vm["namespace"], vm["name"])
        return instance is not None and (instance.get("status") or {}).get("phase") not in strategies.FINAL

    def _patch(self, cluster: Objects, vm: Object, patch: Object) -> None:
        cluster.patch("VirtualMachine", vm["namespace"], vm["name"], patch)

    # The target

    def virtual_machine(self, work: VmRun, claims: dict[str, str]) -> Object:
        machine = self._described(work)
        built = self._build(work, machine, {source.partition("/")[2]: claim for source, claim in claims.items()})
        self._copy_belongings(work, machine)
        for sentence in builder.dropped(machine, lambda network: self._network_destination(work, network)):
            pipeline.add_warning(work.step, work.vm["phase"], [sentence])
        return built

    def _build(self, work: VmRun, machine: Object, claims: dict[str, str]) -> Object:
        return builder.virtual_machine(
            machine,
            work.plan,
            work.vm,
            destination=lambda network: self._network_destination(work, network),
            claims=claims,
            labels=work.labels,
            instance_type=children.instance_type(work),
        )

    def _described(self, work: VmRun) -> Object:
        """The source VM as its export describes it: with what instance types say in its place."""
        export = self._ready_export(work)
        links = _links(export)
        url = next((manifest["url"] for manifest in links.get("manifests") or () if manifest["type"] == "all"), "")
        if not url:
            raise PhaseError("The export of the VM has no manifest.")
        headers = {TOKEN_HEADER: self._token(work, export), "Accept": "application/json"}
        try:
            items = json.loads(self._fetched(url, headers, links.get("cert", ""))).get("items") or []
        except SourceGone as error:
            raise SourceError(str(error), CONNECTION) from None
        except (ValueError, AttributeError):
            raise PhaseError(f"The manifest of the VM at {url} is not understood.") from None
        machine = next((item for item in items if item.get("kind") == "VirtualMachine"), None)
        if machine is None:
            raise PhaseError(f"The manifest of the VM at {url} has no VirtualMachine in it.")
        return machine

    def _fetched(self, url: str, headers: dict[str, str], authority: str) -> bytes:
        return ranges.fetched(url, headers, authority)

    def _network_destination(self, work: VmRun, network: Object) -> Object | None:
        """Of the first pair of the map that means a network of the VM."""
        name = (network.get("multus") or {}).get("networkName", "")
        own, _slash, short = name.rpartition("/")
        for pair in work.run.network_map["spec"].get("map") or ():
            source = pair["source"]
            if "pod" in network:
                if source.get("type") == "pod":
                    return pair["destination"]
            elif source.get("id") or source.get("name"):
                meant = [(item["namespace"], item["name"]) for item in self._inventory.find("networkattachmentdefinitions", source)]
                if (own or work.source_vm["namespace"], short) in meant:
                    return pair["destination"]
        return None

    def _copy_belongings(self, work: VmRun, machine: Object) -> None:
        """ConfigMaps and Secrets that the VM needs, under their names. Several VMs may need the same, so they belong to none."""
        namespace = work.source_vm["namespace"]
        with self._cluster() as cluster:
            for kind, name in builder.belongings(machine):
                original = cluster.find(kind, namespace, name)
                if original is None:
                    raise PhaseError(f"{kind} {namespace}/{name}, which the VM needs, is not there.")
                self._copy(work, original)

    def _copy(self, work: VmRun, original: Object) -> None:
        kind, meta = original["kind"], original["metadata"]
        found = work.target.find(kind, work.namespace, meta["name"])
        if found is None:
            own = {labels.MIGRATION: work.run.migration["metadata"]["uid"], labels.PLAN: work.plan["metadata"]["uid"]}
            new = {"name": meta["name"], "namespace": work.namespace, "labels": {**(meta.get("labels") or {}), **own}}
            try:
                work.target.create({"apiVersion": "v1", "kind": kind, "metadata": new, **_content(original)})
            except ApiError as error:
                if error.reason != children.ALREADY_EXISTS:
                    raise
                found = work.target.find(kind, work.namespace, meta["name"])
        if found and _content(found) != _content(original):
            raise PhaseError(f"{kind} {work.namespace}/{meta['name']} already exists and differs from that of the source VM.")


def size_of(claim: Object) -> int:
    """Bytes of the disk in a claim: a block device may be larger than it was asked for, and is exported as a whole."""
    size = quantity.bytes_of(str(claim["spec"]["resources"]["requests"]["storage"]))
    capacity = ((claim.get("status") or {}).get("capacity") or {}).get("storage")
    if claim["spec"].get("volumeMode") == "Block" and capacity:
        return max(size, quantity.bytes_of(str(capacity)))
    return size


def _content(obj: Object) -> Object:
    return {key: obj[key] for key in ("data", "binaryData", "type") if obj.get(key)}


def _links(export: Object) -> Object:
    """Those by which others than the source's own pods reach it."""
    return ((export.get("status") or {}).get("links") or {}).get("external") or {}


def _waits_for(status: Object) -> str:
    ready: Object = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})
    return "; ".join(filter(None, (ready.get("reason"), ready.get("message"))))


def _shown(vm: Object) -> str:
    return f"{vm['namespace']}/{vm['name']}"


def _gone(work: VmRun) -> str:
    return f"The {EXPORT} {_shown(work.source_vm)} at the source is gone: it has expired after {TTL}, or somebody has deleted it."
