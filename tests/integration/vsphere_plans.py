"""Plans from the lab's vCenter, made and followed over the API as any client would."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.vsphere.seed import sha256
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, connect
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import ensure_present, get, list_objects, path_of

Object = dict[str, Any]
PLANS, TARGET = "mig", "tgt"
FORKLIFT = "forklift.konveyor.io/v1beta1"
HOST = {"name": "host", "namespace": "konveyor-forklift"}
PATIENCE = 120.0  # seconds


def maps(suffix: str = "") -> Object:
    """Of a plan: what `furnish` makes."""
    return {"network": {"name": f"net{suffix}", "namespace": PLANS}, "storage": {"name": f"sto{suffix}", "namespace": PLANS}}


class Plans:
    """One control plane that migrates from one lab, to itself or to the one that is `there`."""

    def __init__(self, state: State, lab: VSphere, there: Plans | None = None) -> None:
        self.state, self.lab, self.there = state, lab, there or self
        self.pair: Object = {}
        self.maps = maps()
        self.cluster: Cluster = connect({"kubeconfig": str(state.kubeconfig)})

    def apply(self, kind: str, name: str, namespace: str = PLANS, **fields: Any) -> Object:
        meta = {"name": name, **({"namespace": namespace} if namespace else {})}
        return ensure_present(self.cluster, {"kind": kind, "metadata": meta, **fields}).object or {}

    def furnish(self, destination: Object | None = None, suffix: str = "") -> None:
        """The provider, maps of all that the lab has (`suffix` ends their names), a namespace for plans."""
        self.apply("Namespace", PLANS, "")
        self.apply("Secret", "vc", stringData={"user": self.lab.user, "password": self.lab.password, "ca.crt": self.lab.ca})
        secret, settings = {"name": "vc", "namespace": PLANS}, {"vddkInitImage": "registry.example/vddk:8"}
        self.apply("Provider", "vc", spec={"type": "vsphere", "url": self.lab.url, "secret": secret, "settings": settings})
        self.until(lambda: self.is_true("Provider", "vc", "Ready"))
        pair = {"source": secret, "destination": destination or HOST}
        networks = [{"source": {"name": name}, "destination": {"type": "ignored"}} for name in ("VM Network", "DC0_DVPG0", "DC0_DVPG1")]
        storage = [{"source": {"name": name}, "destination": {"storageClass": "vmshift-local"}} for name in ("LocalDS_0", "LocalDS_1")]
        self.apply("NetworkMap", f"net{suffix}", spec={"provider": pair, "map": networks})
        self.apply("StorageMap", f"sto{suffix}", spec={"provider": pair, "map": storage})
        self.pair, self.maps = pair, maps(suffix)

    def plan(self, name: str, *vms: str, **spec: Any) -> None:
        """A plan that is Ready."""
        wanted = [{"name": vm} for vm in vms]
        body = {"provider": self.pair, "map": self.maps, "targetNamespace": TARGET, "vms": wanted, "targetPowerState": "off", **spec}
        self.apply("Plan", name, spec=body)
        self.until(lambda: self.is_true("Plan", name, "Ready"))

    def run(self, migration: str, plan: str = "", **spec: Any) -> None:
        """`plan`: where it is not called as the migration is."""
        self.apply("Migration", migration, spec={"plan": {"name": plan or migration, "namespace": PLANS}, **spec})

    def cut_over(self, migration: str) -> None:
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.apply("Migration", migration, spec={"cutover": now})

    def get(self, kind: str, name: str, namespace: str = PLANS) -> Object:
        found = get(self.cluster, kind, namespace, name)
        assert found is not None, f"no {kind} {name}"
        return found

    def list(self, kind: str, namespace: str = TARGET) -> list[Object]:
        return list_objects(self.cluster, kind, namespace)

    def delete(self, kind: str, name: str, namespace: str = TARGET) -> None:
        self.cluster.request("DELETE", path_of(kind, namespace, name))

    def is_true(self, kind: str, name: str, type: str) -> bool:
        conditions = self.get(kind, name).get("status", {}).get("conditions") or ()
        return any(c["type"] == type and c["status"] == "True" for c in conditions)

    def vm(self, plan: str, name: str = "") -> Object:
        """The status of a VM of a plan."""
        return next((vm for vm in self.vms(plan) if name in ("", vm["name"])), {"phase": "", "pipeline": []})

    def vms(self, plan: str) -> list[Object]:
        """The status of each VM of a plan that has begun."""
        return self.get("Plan", plan).get("status", {}).get("migration", {}).get("vms") or []

    def version(self, plan: str) -> str:
        return str(self.get("Plan", plan)["metadata"]["resourceVersion"])

    def phases(self, plan: str, since: str) -> list[str]:
        """Every phase that the VM of a plan got into after that version of the plan."""
        now, found = self.version(plan), [""]
        query = {"resourceVersion": since, "fieldSelector": f"metadata.name={plan}"}
        with contextlib.closing(self.cluster.stream(path_of("Plan", PLANS), query)) as events:
            for event in events:
                for vm in event["object"].get("status", {}).get("migration", {}).get("vms") or ():
                    if vm["phase"] != found[-1]:
                        found.append(vm["phase"])
                if event["object"]["metadata"]["resourceVersion"] == now:
                    break
        return found[1:]

    def ended(self, plan: str) -> bool:
        return any(self.is_true("Plan", plan, type) for type in ("Succeeded", "Failed", "Canceled"))

    def succeeded(self, plan: str, seconds: float = PATIENCE) -> Object:
        self.until(lambda: self.ended(plan), seconds)
        assert self.is_true("Plan", plan, "Succeeded"), self.get("Plan", plan)["status"]
        return self.vm(plan)

    def until(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = condition()
            except ClusterError as error:
                if error.status:
                    raise
                value = None  # the control plane is away
            if value:
                return value
            if time.monotonic() > deadline:
                plans = [(p["metadata"]["name"], p.get("status")) for p in self.list("Plan", PLANS)]
                raise AssertionError(f"not within {seconds:.0f} s: {plans} {[v.get('status') for v in self.list('DataVolume')]}")
            time.sleep(0.2)

    def volumes(self, plan: str) -> list[Path]:
        """The files behind the disks of the VM that a plan has made, in their order."""
        return self.volumes_of(self.vm(plan)["name"])

    def volumes_of(self, machine: str) -> list[Path]:
        """The files behind the disks of a VirtualMachine, in their order."""
        there = self.there
        volumes = there.get("VirtualMachine", machine, TARGET)["spec"]["template"]["spec"]["volumes"]
        claims = [there.get("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], TARGET) for volume in volumes]
        return [there.state.volume(claim["spec"]["volumeName"]) for claim in claims]

    def sums(self, plan: str) -> list[str]:
        return [sha256(path) for path in self.volumes(plan)]
