"""A small world to run plans in: the real API and controllers of plans, over a cluster and an inventory that are only acted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.context import Context
from ansible_collections.vmshift.mtv.controlplane.controllers.conversion import ConversionReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.migration import MigrationReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.plan import PlanReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Reconciler
from ansible_collections.vmshift.mtv.controlplane.inventory.items import Live, ProviderInventory
from ansible_collections.vmshift.mtv.controlplane.state import State

Object = dict[str, Any]

FORKLIFT = "forklift.konveyor.io/v1beta1"
CONTROLLERS, PLANS, TARGET = "konveyor-forklift", "mig", "tgt"


def disk(number: int, *, file: str = "app1", gigabytes: int = 2) -> Object:
    return {
        "ID": f"{file}-disk{number}",
        "Name": f"{file}-disk{number}.vmdk",
        "FilePath": f"/ova/{file}.ova",
        "DiskId": f"vmdisk{number}",
        "FileRef": f"file{number}",
        "Format": "",
        "Capacity": gigabytes,
        "CapacityAllocationUnits": "byte * 2^30",
        "PopulatedSize": 0,
        "Revision": 0,
        "Variant": "",
    }


def source_vm(name: str = "app1", *, disks: int = 1, **other: Any) -> Object:
    return {
        "id": "id-" + "".join(letter for letter in name.lower() if letter.isalnum()),
        "name": name,
        "uuid": f"uuid-{name}",
        "ovfPath": f"/ova/{name}.ova",
        "exportSource": "VMware",
        "osType": "debian12_64Guest",
        "firmware": "",
        "secureBoot": False,
        "cpuCount": 2,
        "coresPerSocket": 0,
        "memoryMB": 2048,
        "memoryUnits": "byte * 2^20",
        "nics": [{"Name": "Network adapter 1", "MAC": "", "Network": "VM Network", "Config": None}],
        "networks": [{"ID": "net-1", "Name": "VM Network", "Description": "", "Revision": 0, "Variant": ""}],
        "disks": [disk(n, file=name) for n in range(1, disks + 1)],
        "concerns": [],
        **other,
    }


class Appliances(ProviderInventory):
    """The inventory of an OVA provider with the VMs given."""

    def __init__(self, provider: Object, vms: list[Object]) -> None:
        super().__init__(provider)
        self.vms = vms
        self.ready.set()

    def collection(self, name: str) -> list[Object]:
        if name == "vms":
            return self.vms
        if name == "networks":
            return [{"id": "net-1", "name": "VM Network"}]
        found = [d for vm in self.vms for d in vm["disks"]]
        return [{"id": d["ID"], "name": d["Name"]} for d in found]


class Inventory:
    """As much of the inventory as controllers of plans use."""

    def __init__(self) -> None:
        self.known: dict[str, ProviderInventory] = {}
        self.callbacks: list[Callable[..., None]] = []

    def get(self, uid: str) -> ProviderInventory | None:
        return self.known.get(uid)

    def subscribe(self, callback: Callable[..., None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)


class World:
    """`api` and everything made from it are replaced by `restart`, as when the control plane was killed and started again."""

    def __init__(self, folder: Any, vms: list[Object] | None = None) -> None:
        self.state = State(folder)
        self.state.prepare()
        self.store = Store(":memory:")
        self.vms = vms if vms is not None else [source_vm()]
        self.failing: dict[str, str] = {}  # VM name -> error of its conversion
        self.held: set[str] = set()  # phases that conversion pods do not leave
        self.eager = {"eager"}  # storage classes that bind at once
        self.refusing = False  # the provisioner binds nothing
        self.start()
        self._furnish()
        self.start()

    def start(self) -> None:
        self.api = Api(self.store, Registry())
        self.inventory = Inventory()
        for provider in self.api.list("Provider"):
            self.inventory.known[provider["metadata"]["uid"]] = self.inventory_of(provider)
        self.context = Context(self.api, self.state, self.inventory)  # type: ignore[arg-type]
        self.plans, self.migrations, self.conversions = (
            PlanReconciler(self.context),
            MigrationReconciler(self.context),
            ConversionReconciler(self.context),
        )
        self.reconcilers: list[Reconciler] = [self.plans, self.migrations, self.conversions]

    restart = start

    def inventory_of(self, provider: Object) -> ProviderInventory:
        return Live(provider, self.api) if provider["spec"]["type"] == "openshift" else Appliances(provider, self.vms)

    # What is there before a plan

    def _furnish(self) -> None:
        for name in (CONTROLLERS, PLANS):
            self.create("v1", "Namespace", "", name)
        self.create(FORKLIFT, "ForkliftController", CONTROLLERS, "forklift-controller", spec={})
        for name, mode in (("lazy", "WaitForFirstConsumer"), ("eager", "Immediate")):
            self.create("storage.k8s.io/v1", "StorageClass", "", name, provisioner="local", volumeBindingMode=mode)
        self.create("v1", "Secret", PLANS, "src", type="Opaque")
        self.ready("Provider", CONTROLLERS, "host", {"type": "openshift", "url": "", "secret": {}})
        secret = {"name": "src", "namespace": PLANS}
        self.ready("Provider", PLANS, "src", {"type": "ova", "url": "127.0.0.1:/exports/ova", "secret": secret})
        self.start()
        pair = {"source": {"name": "src", "namespace": PLANS}, "destination": {"name": "host", "namespace": CONTROLLERS}}
        networks = [{"source": {"name": "VM Network"}, "destination": {"type": "pod"}}]
        disks = [d for vm in self.vms for d in vm["disks"]]
        storage = [{"source": {"name": d["Name"]}, "destination": {"storageClass": "lazy"}} for d in disks]
        self.ready("NetworkMap", PLANS, "net", {"provider": pair, "map": networks}, references=[{"id": "net-1", "name": "VM Network"}])
        references = [{"id": d["ID"], "name": d["Name"]} for d in disks]
        self.ready("StorageMap", PLANS, "sto", {"provider": pair, "map": storage}, references=references)

    def create(self, api_version: str, kind: str, namespace: str, name: str, **fields: Any) -> Object:
        meta = {"name": name, **({"namespace": namespace} if namespace else {})}
        return self.api.create({"apiVersion": api_version, "kind": kind, "metadata": meta, **fields})

    def ready(self, kind: str, namespace: str, name: str, spec: Object, **status: Any) -> None:
        made = self.create(FORKLIFT, kind, namespace, name, spec=spec)
        ready = {"type": "Ready", "status": "True", "category": "Required", "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "."}
        made["status"] = {"conditions": [ready], "observedGeneration": 1, **status}
        self.api.update_status(made)

    def plan(self, name: str = "p", vms: list[str] | None = None, **spec: Any) -> Object:
        provider = {"source": {"name": "src", "namespace": PLANS}, "destination": {"name": "host", "namespace": CONTROLLERS}}
        maps = {"network": {"name": "net", "namespace": PLANS}, "storage": {"name": "sto", "namespace": PLANS}}
        wanted = [{"name": vm} for vm in vms or [vm["name"] for vm in self.vms]]
        body = {"provider": provider, "map": maps, "targetNamespace": TARGET, "vms": wanted, **spec}
        return self.create(FORKLIFT, "Plan", PLANS, name, spec=body)

    def migration(self, name: str = "run", plan: str = "p", **spec: Any) -> Object:
        return self.create(FORKLIFT, "Migration", PLANS, name, spec={"plan": {"name": plan, "namespace": PLANS}, **spec})

    # Time

    def run(self, until: Callable[[], Any], rounds: int = 300) -> None:
        """Let controllers and cluster work in turns until `until()` holds."""
        for _unused in range(rounds):
            if until():
                return
            self.turn()
        raise AssertionError(f"not in {rounds} rounds; plans: {json.dumps([p.get('status') for p in self.api.list('Plan')], indent=1)}")

    def turn(self) -> None:
        self.reconcile()
        self.cluster()

    def settle(self, rounds: int = 8) -> None:
        for _unused in range(rounds):
            self.turn()

    def reconcile(self) -> None:
        asyncio.run(self._reconcile())

    async def _reconcile(self) -> None:
        for reconciler in self.reconcilers:
            for obj in self.api.list(reconciler.kind):
                await reconciler.reconcile(obj["metadata"]["namespace"], obj["metadata"]["name"])

    def gone(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object and let its reconciler see that."""
        self.api.delete(kind, namespace, name)
        for reconciler in self.reconcilers:
            if reconciler.kind == kind:
                asyncio.run(reconciler.reconcile(namespace, name))

    # The cluster, acted

    def cluster(self) -> None:
        for volume in self.api.list("DataVolume"):
            self._volume(volume)
        for claim in self.api.list("PersistentVolumeClaim"):
            self._claim(claim)
        for pod in self.api.list("Pod"):
            self._pod(pod)

    def _volume(self, volume: Object) -> None:
        meta = volume["metadata"]
        claim = self.api.find("PersistentVolumeClaim", meta["namespace"], meta["name"])
        if claim is None:
            storage = volume["spec"]["storage"]
            owner = {"apiVersion": volume["apiVersion"], "kind": "DataVolume", "name": meta["name"], "uid": meta["uid"], "controller": True}
            fresh = {"labels": meta["labels"], "annotations": meta["annotations"], "ownerReferences": [owner]}
            spec = {**self.modes(storage.get("storageClassName", "")), **storage}
            new = {"name": meta["name"], "namespace": meta["namespace"], **fresh}
            claim = self.api.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": new, "spec": spec})
        bound = claim.get("status", {}).get("phase") == "Bound"
        condition = {
            "type": "Bound",
            "status": str(bound),
            "reason": "Bound" if bound else "Pending",
            "message": f"PVC {meta['name']} Pending",
        }
        phase = "Succeeded" if bound else "Pending"
        volume["status"] = {"phase": phase, "progress": "100.0%" if bound else "N/A", "conditions": [condition]}
        self.api.update_status(volume)

    def modes(self, _storage_class: str) -> Object:
        """What CDI takes from a StorageProfile."""
        return {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}

    def _claim(self, claim: Object) -> None:
        spec, name = claim["spec"], claim["metadata"]["name"]
        if claim.get("status", {}).get("phase") == "Bound" or self.refusing:
            return
        users = [p for p in self.api.list("Pod", claim["metadata"]["namespace"]) if name in _claims_of(p)]
        at_once = claim["metadata"].get("annotations", {}).get("cdi.kubevirt.io/storage.bind.immediate.requested") == "true"
        if at_once or spec.get("storageClassName") in self.eager or spec.get("volumeName") or users:
            claim["status"] = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": spec["resources"]["requests"]}
            self.api.update_status(claim)

    def _pod(self, pod: Object) -> None:
        claims = [self.api.find("PersistentVolumeClaim", pod["metadata"]["namespace"], name) for name in _claims_of(pod)]
        if not all(c and c.get("status", {}).get("phase") == "Bound" for c in claims):
            return
        before = pod.get("status", {}).get("phase", "Pending")
        if before in self.held or before in ("Succeeded", "Failed"):
            return
        consumer = pod["metadata"]["labels"]["forklift.app"] == "consumer"
        pod["status"] = {"phase": "Succeeded"} if consumer else self._converted(pod, before)
        self.api.update_status(pod)

    def _converted(self, pod: Object, before: str) -> Object:
        folder = self.state.pod(pod["metadata"]["uid"])
        folder.mkdir(parents=True, exist_ok=True)
        environment = {e["name"]: e["value"] for e in pod["spec"]["containers"][0]["env"]}
        error = self.failing.get(environment["V2V_vmName"])
        if before == "Pending":
            return {"phase": "Running"}
        if not (folder / "progress.json").exists():
            (folder / "progress.json").write_text(json.dumps({"stage": "Copying disk 1/1", "disks": {"0": 50}}))
            return {"phase": "Running"}
        result = {"error": error} if error else {"firmware": "bios", "operatingSystem": "debian12", "warnings": []}
        (folder / "result.json").write_text(json.dumps(result))
        return {"phase": "Failed" if error else "Succeeded"}

    # Looking

    def get(self, kind: str, name: str, namespace: str = PLANS) -> Object:
        return self.api.get(kind, namespace, name)

    def conditions(self, kind: str, name: str) -> dict[str, Object]:
        return {c["type"]: c for c in self.get(kind, name).get("status", {}).get("conditions", ()) if c["status"] == "True"}

    def vm(self, name: str = "app1", plan: str = "p") -> Object:
        """The status of a VM in its plan."""
        found = self.get("Plan", plan).get("status", {}).get("migration", {}).get("vms") or []
        return next((vm for vm in found if vm["name"] == name), {"phase": "", "pipeline": []})

    def ended(self, plan: str = "p") -> bool:
        return bool({"Succeeded", "Failed", "Canceled"} & set(self.conditions("Plan", plan)))

    def count(self, kind: str, namespace: str | None = None, **labels: str) -> int:
        return len(self.api.list(kind, namespace, labels))


def _claims_of(pod: Object) -> list[str]:
    volumes = pod["spec"].get("volumes") or ()
    return [v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim")]
