"""A plane that really migrates from a source of files: the real controllers, storage, pods and bytes; only the hypervisor is acted.

In `folder` each volume of the source is a file. Like OpenStack, the source makes an image of a volume in a second step, and the program
of the populator pods (tests/rig/file_populator.py) fetches that.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane import context
from ansible_collections.vmshift.mtv.controlplane.cluster import images, supervisor
from ansible_collections.vmshift.mtv.controlplane.controllers import plan as plan_controller
from ansible_collections.vmshift.mtv.controlplane.controllers import populator
from ansible_collections.vmshift.mtv.controlplane.controllers.migration import MigrationReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.plan import PlanReconciler
from ansible_collections.vmshift.mtv.controlplane.inventory.items import Live, ProviderInventory
from ansible_collections.vmshift.mtv.controlplane.migration import children, runner, sources
from ansible_collections.vmshift.mtv.controlplane.migration.builders import base as builder
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError, VmRun
from ansible_collections.vmshift.mtv.controlplane.migration.sources.base import Disk
from ansible_collections.vmshift.mtv.controlplane.migration.sources.populated import PopulatedInventorySource, Populator
from ansible_collections.vmshift.mtv.tests.unit.controlplane.cluster.conftest import Cluster

Object = dict[str, Any]

FORKLIFT = "forklift.konveyor.io/v1beta1"
CONTROLLERS, PLANS, TARGET = context.CONTROLLER_NAMESPACE, "mig", "tgt"
PROGRAM = Path(__file__).parents[3] / "rig" / "file_populator.py"
SIZE = 1 << 20
MAC = "fa:16:3e:00:00:01"


class Files(ProviderInventory):
    """The inventory of an OpenStack provider, as far as plans look at it."""

    def __init__(self, provider: Object, collections: dict[str, list[Object]]) -> None:
        super().__init__(provider)
        self._collections = collections
        self.ready.set()

    def collection(self, name: str) -> list[Object]:
        return self._collections.get(name, [])


class FileSource(PopulatedInventorySource):
    """Adapter of the source; `folder` and `power` are those of the world of the test."""

    type = "openstack"
    storages = "volumetypes"
    folder: Path
    power: dict[str, str]

    def refusal(self, work: VmRun) -> str:
        return ""

    def disks(self, work: VmRun) -> list[Disk]:
        destinations = self.storage_destinations(work.run.storage_map)
        ids = [attached["ID"] for attached in work.source_vm["attachedVolumes"]]
        return [Disk(id, SIZE, destinations["type-1"], task=_image(work.source_vm["id"], id)) for id in ids]

    def prepare(self, work: VmRun) -> bool:
        missing = [image for image in map(self._image_of(work), work.disks) if not image.exists()]
        if not missing:
            return True
        volume = self.folder / "volumes" / missing[0].name.rpartition("-volume-")[2]
        if not volume.exists():
            raise PhaseError(f"The volume {volume.name} of the source is gone.")
        shutil.copyfile(volume, missing[0])
        return False

    def _image_of(self, work: VmRun) -> Any:
        return lambda disk: self.folder / _image(work.source_vm["id"], disk.source)

    def populator(self, work: VmRun, disk: Disk, secret: str) -> Populator:
        name = _image(work.source_vm["id"], disk.source)
        spec = {"identityUrl": str(self.folder), "secretName": secret, "imageId": name}
        format = "qcow2" if (self.folder / name).read_bytes()[:4] == b"QFI\xfb" else "raw"
        return Populator("OpenstackVolumePopulator", f"{name}-", spec, labels={"imageID": disk.source}, format=format)

    def release(self, vm: Object) -> None:
        for image in self.folder.glob(f"{_image(vm['id'], '')}*"):
            image.unlink()

    def power_state(self, vm: Object) -> str:
        return self.power[vm["id"]]

    def power_off(self, vm: Object) -> None:
        self.power[vm["id"]] = "Off"

    def is_off(self, vm: Object) -> bool:
        return self.power[vm["id"]] == "Off"

    def power_on(self, vm: Object) -> None:
        self.power[vm["id"]] = "On"

    def virtual_machine(self, work: VmRun, claims: dict[str, str]) -> Object:
        state = builder.run_strategy(work.option("targetPowerState"), work.vm.get("restorePowerState"))
        machine = builder.shell(work.vm, work.plan, work.source_vm["name"], work.labels, converted=False, run_strategy=state)
        nics = [builder.Nic("net-1", MAC, model="e1000e")]
        interfaces, networks = builder.networks(nics, self.network_pairs(work.run.network_map))
        names = {source: f"vol-{index}" for index, source in enumerate(claims)}
        domain: Object = {
            "cpu": builder.cpu(1, 1),
            "memory": {"guest": "64Mi"},
            "devices": {"disks": [{"name": name, "disk": {"bus": "virtio"}} for name in names.values()], "interfaces": interfaces},
        }
        volumes = [{"name": names[source], "persistentVolumeClaim": {"claimName": claim}} for source, claim in claims.items()]
        machine["spec"]["template"]["spec"].update(domain=domain, networks=networks, volumes=volumes)
        builder.use_instance_type(machine, children.instance_type(work))
        return machine


def _image(vm: str, volume: str) -> str:
    return f"forklift-migration-vm-{vm}-volume-{volume}"


class World(Cluster):
    """`run()` starts the controllers; a plan is made and run like by a user."""

    def __init__(self, folder: Path, source: Path, volumes: int = 2) -> None:
        self.source, self.power = source, {"vm-1": "On"}
        (source / "volumes").mkdir(parents=True)
        self.content = {f"v{n}": os.urandom(SIZE // 2) + bytes(SIZE // 2) for n in range(1, volumes + 1)}
        for name, content in self.content.items():
            (source / "volumes" / name).write_bytes(content)
        FileSource.folder, FileSource.power = source, self.power
        super().__init__(folder)
        self.beside = [populator.PopulatorReconciler, PlanReconciler, MigrationReconciler]
        self._furnish()
        self._fill_inventory()

    def _open(self) -> None:
        super()._open()
        self.inventory = _Inventory()
        self.context = context.Context(self.api, self.state, self.inventory)  # type: ignore[arg-type]
        self._fill_inventory()

    def _fill_inventory(self) -> None:
        address = {"addr": "192.0.2.1", "version": 4, "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": MAC}
        vm = {
            "id": "vm-1",
            "name": "web",
            "imageID": "",
            "addresses": {"lan": [address]},
            "attachedVolumes": [{"ID": name} for name in self.content],
            "concerns": [],
        }
        known = {
            "vms": [vm],
            "networks": [{"id": "net-1", "name": "lan"}],
            "volumetypes": [{"id": "type-1", "name": "fast"}],
            "volumes": [{"id": name, "name": name, "size": 1, "volumeType": "fast"} for name in self.content],
        }
        for provider in self.api.list("Provider"):
            host = provider["spec"]["type"] == "openshift"
            self.inventory.known[provider["metadata"]["uid"]] = Live(provider, self.api) if host else Files(provider, known)

    def _furnish(self) -> None:
        for name in (CONTROLLERS, PLANS):
            self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        password = base64.b64encode(b"s3cret").decode()
        self.create("v1", "Secret", PLANS, "src", type="Opaque", data={"password": password})
        self.ready("Provider", CONTROLLERS, "host", {"type": "openshift", "url": "", "secret": {}})
        self.ready(
            "Provider", PLANS, "src", {"type": "openstack", "url": "https://keystone/v3", "secret": {"name": "src", "namespace": PLANS}}
        )
        pair = {"source": {"name": "src", "namespace": PLANS}, "destination": {"name": "host", "namespace": CONTROLLERS}}
        networks = [{"source": {"id": "net-1"}, "destination": {"type": "pod"}}]
        self.ready("NetworkMap", PLANS, "net", {"provider": pair, "map": networks}, references=[{"id": "net-1", "name": "lan"}])
        storage = [{"source": {"name": "fast"}, "destination": {"storageClass": "vmshift-local"}}]
        self.ready("StorageMap", PLANS, "sto", {"provider": pair, "map": storage}, references=[{"id": "type-1", "name": "fast"}])

    def create(self, api_version: str, kind: str, namespace: str, name: str, **fields: Any) -> Object:
        return self.api.create({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields})

    def ready(self, kind: str, namespace: str, name: str, spec: Object, **status: Any) -> None:
        made = self.create(FORKLIFT, kind, namespace, name, spec=spec)
        ready = {"type": "Ready", "status": "True", "category": "Required", "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "."}
        self.api.update_status({**made, "status": {"conditions": [ready], "observedGeneration": 1, **status}})

    def plan(self, **spec: Any) -> None:
        provider = {"source": {"name": "src", "namespace": PLANS}, "destination": {"name": "host", "namespace": CONTROLLERS}}
        maps = {"network": {"name": "net", "namespace": PLANS}, "storage": {"name": "sto", "namespace": PLANS}}
        body = {"provider": provider, "map": maps, "targetNamespace": TARGET, "vms": [{"name": "web"}], **spec}
        self.create(FORKLIFT, "Plan", PLANS, "p", spec=body)

    def migration(self, name: str = "run", **spec: Any) -> None:
        self.create(FORKLIFT, "Migration", PLANS, name, spec={"plan": {"name": "p", "namespace": PLANS}, **spec})

    def say(self, name: str, text: str = "") -> None:
        (self.source / name).write_text(text)

    def unsay(self, name: str) -> None:
        (self.source / name).unlink()

    def as_qcow2(self, volume: str) -> None:
        """The source gives that volume as a qcow2 image."""
        place = self.source / "volumes" / volume
        raw = place.with_suffix(".raw")
        place.rename(raw)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(place)], check=True)
        raw.unlink()

    # Looking

    def vm(self) -> Object:
        plan = self.api.get("Plan", PLANS, "p")
        return next(iter(plan.get("status", {}).get("migration", {}).get("vms") or ()), {"phase": "", "pipeline": []})

    def conditions(self, obj: Object) -> set[str]:
        return {c["type"] for c in (obj.get("status") or obj).get("conditions") or () if c["status"] == "True"}

    async def ended(self, outcome: str, run: str = "run", seconds: float = 60) -> Object:
        """The VM's status once that run has ended, and so."""

        def over() -> Object | None:
            found = self.conditions(self.api.get("Migration", PLANS, run)) & {"Succeeded", "Failed", "Canceled"}
            return self.vm() if found else None

        vm = await self.until(over, seconds)
        assert outcome in self.conditions(self.api.get("Migration", PLANS, run)), vm
        return vm

    async def until_phase(self, phase: str) -> None:
        await self.until(lambda: self.vm()["phase"] == phase, 40)

    def step(self, name: str) -> Object:
        return next(step for step in self.vm()["pipeline"] if step["name"] == name)

    def pods(self) -> list[Object]:
        return [pod for pod in self.api.list("Pod", TARGET) if pod["metadata"]["name"].startswith("populate-")]

    async def fetching(self) -> list[Object]:
        """The populator pods, once all run."""

        def running() -> list[Object] | None:
            pods = [pod for pod in self.pods() if pod.get("status", {}).get("phase") == "Running"]
            return pods if len(pods) == len(self.content) else None

        return await self.until(running, 40)

    def disks(self) -> dict[str, bytes]:
        """Volume of the source -> what its PVC holds."""
        claims = self.api.list("PersistentVolumeClaim", TARGET)
        source = "forklift.konveyor.io/disk-source"
        return {
            c["metadata"]["annotations"][source]: self.state.volume(c["spec"]["volumeName"]).read_bytes()
            for c in claims
            if source in (c["metadata"].get("annotations") or {})
        }

    def are_disks_those_of_the_source(self) -> bool:
        return {name: _sum(found) for name, found in self.disks().items()} == {name: _sum(found) for name, found in self.content.items()}

    def left(self) -> list[str]:
        """What is temporary and still there, at the target or at the source."""
        found = [
            f"{obj['kind']} {obj['metadata']['name']}"
            for kind in ("Pod", "Job", "DataVolume", "OpenstackVolumePopulator", "Secret", "ConfigMap")
            for obj in self.api.list(kind, TARGET)
        ]
        found += [
            f"{c['metadata']['name']}: {c['metadata']['finalizers']}"
            for c in self.api.list("PersistentVolumeClaim", TARGET)
            if c["metadata"]["name"].startswith(("prime-", "scratch-dv-"))
            or "populate-target-protection" in str(c["metadata"]["finalizers"])
        ]
        found += [path.name for path in self.source.glob("forklift-migration-*")]
        return found + [f"process {pid}" for folder in self.state.pods.iterdir() for pid in supervisor.processes_of(folder)]


class _Inventory:
    """As much of the inventory as controllers of plans use."""

    def __init__(self) -> None:
        self.known: dict[str, ProviderInventory] = {}

    def get(self, uid: str) -> ProviderInventory | None:
        return self.known.get(uid)

    def subscribe(self, _callback: Any) -> Any:
        return lambda: None


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def act(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source, the program of its populators, and no long waits."""
    adapters = {"openstack": FileSource}
    monkeypatch.setattr(runner, "ADAPTERS", adapters)
    monkeypatch.setattr(plan_controller, "ADAPTERS", adapters)
    monkeypatch.setattr(sources, "ADAPTERS", adapters)
    monkeypatch.setattr(runner, "POLL", 0.05)
    monkeypatch.setattr(populator, "LOOK_AGAIN", 0.05)
    program = [sys.executable, str(PROGRAM)]
    monkeypatch.setitem(images.IMAGES, images.OPENSTACK_POPULATOR_IMAGE, lambda container: [*program, *container["args"]])
