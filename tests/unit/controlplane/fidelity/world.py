"""The world in which recorded scenarios are run again: their objects, a vSphere that is only acted, and pods that end as recorded."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import count
from typing import Any
from unittest.mock import patch

import yaml

from ansible_collections.vmshift.mtv.controlplane.cluster import imports
from ansible_collections.vmshift.mtv.controlplane.inventory.items import Live, ProviderInventory
from ansible_collections.vmshift.mtv.controlplane.migration.sources.openshift import OpenShiftSource
from ansible_collections.vmshift.mtv.controlplane.migration.sources.vsphere import VsphereSource
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import SUCCESS, Disk, Snapshot, TaskState
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.vms import base_file
from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity import source
from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity.recording import (
    GOLDEN,
    Entry,
    Object,
    Recorder,
    conditions,
    lines,
    of,
    replay,
)
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import CONTROLLERS, FORKLIFT, World

PROVIDERS = "konveyor-forklift"
FINGERPRINT = "62:88:2F:30:45:60:06:BE:0D:FB:FA:B9:ED:A0:53:F6:1D:BE:C2:C7"
PLAYBOOK = "LS0tCi0gaG9zdHM6IGxvY2FsaG9zdAo="  # of hooks that have none; a hook with an image of its own is not run here
STILL = 3  # rounds in which nothing happens: nothing will
ENDED = ("Succeeded", "Failed", "Canceled")


class Acted:
    """VMs of a vSphere: their power, and their snapshots. A guest that is asked to shut down is off at the second look."""

    def __init__(self, vms: list[Object]) -> None:
        self.vms = {vm["id"]: vm for vm in vms}
        self.power = {vm["id"]: vm["powerState"] for vm in vms}
        self.asked: set[str] = set()
        self.snapshots: dict[str, list[Snapshot]] = defaultdict(list)
        self.numbers = count(1)

    @contextmanager
    def machine(self, vm: Object) -> Iterator[ActedMachine]:
        yield ActedMachine(self, vm["id"])


class ActedMachine:
    """As much of a machine as the source asks. What it begins has ended at the next look."""

    def __init__(self, acted: Acted, id: str) -> None:
        self._acted = acted
        self._id = id

    def power_state(self) -> str:
        now = self._acted.power[self._id]
        if self._id in self._acted.asked:
            self._acted.power[self._id] = "poweredOff"
        return now

    def shut_down(self) -> None:
        self._acted.asked.add(self._id)

    def power_on(self) -> None:
        self._acted.asked.discard(self._id)
        self._acted.power[self._id] = "poweredOn"

    def snapshots(self) -> list[Snapshot]:
        return list(self._acted.snapshots[self._id])

    def create_snapshot(self, name: str, description: str) -> str:
        new = Snapshot(f"snapshot-{next(self._acted.numbers)}", name, description, None, "")
        self._acted.snapshots[self._id].append(new)
        return "task-1"

    def remove_snapshot(self, snapshot: str) -> str:
        self._acted.snapshots[self._id] = [found for found in self.snapshots() if found.id != snapshot]
        return "task-1"

    def task(self, _id: str) -> TaskState:
        return TaskState(SUCCESS)

    def disks(self, snapshot: str) -> list[Disk]:
        files = [(disk["key"], base_file(disk["file"]), disk["capacity"]) for disk in self._acted.vms[self._id]["disks"]]
        return [Disk(key, file, file, size, "scsi0:0", f"{snapshot}/{key}") for key, file, size in files]


class Scenario:
    """A recording."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[Entry] = replay(name)
        self.records = lines(name)
        self.from_openshift = name.startswith("ocp-")
        self.vms = [] if self.from_openshift else source.prepared() if name.startswith("plan-not-ready") else source.machines(self.seen)
        if name.endswith("-windows"):
            for vm in self.vms:
                vm.update(guestId="windows2019srv_64Guest", guestName="Microsoft Windows Server 2019 (64-bit)")
        self.inputs = self._inputs()

    def _inputs(self) -> dict[tuple[str, str], list[Object]]:
        """What the user applied, by kind and name, in order."""
        assert GOLDEN is not None
        found = defaultdict(list)
        for document in yaml.safe_load_all((GOLDEN / f"scenarios/{self.name}/input.yaml").read_text()):
            if document and document.get("kind"):
                found[document["kind"], document["metadata"]["name"]].append(document)
        return found

    @property
    def vddk_image(self) -> str:
        jobs = [job["metadata"]["annotations"]["vddk"] for job in of(self.seen, "Job") if "vddk" in job["metadata"].get("annotations", {})]
        conversions = [conversion["spec"].get("vddkImage") for conversion in of(self.seen, "Conversion")]
        return next(filter(None, [*jobs, *conversions]), "registry.invalid/vddk:8")

    @property
    def actions(self) -> list[Object]:
        return [record for record in self.records if record["event"] == "ACTION"]

    def at(self, kind: str, name: str, time: float) -> Object | None:
        """An object as it was then."""
        states = [e[4] for e in self.seen if e[1] == kind and e[3] == name and e[0] <= time]
        return states[-1] if states else None

    def end_of(self, job: Object) -> Object:
        """The status in which Jobs of that kind ended."""
        begin = job["metadata"].get("generateName")
        there = [
            found["status"] for found in of(self.seen, "Job") if found["metadata"].get("generateName") == begin and found.get("status")
        ]
        ended = [
            status for status in there if status.get("succeeded") or any(c["status"] == "True" for c in status.get("conditions") or ())
        ]
        return ended[-1] if ended else {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}

    def fails_late(self, id: str) -> bool:
        """Its conversion failed while disks were copied."""
        steps = [step for plan in of(self.seen, "Plan") for vm in _vms(plan) if vm["id"] == id for step in vm["pipeline"]]
        return any(step["name"] == "DiskTransferV2v" and "error" in step for step in steps)

    def outcomes(self) -> dict[str, list[bool]]:
        """Of the conversion pods of each VM, in order: whether they succeeded."""
        last: dict[str, Object] = {}
        for pod in of(self.seen, "Pod"):
            if (pod["metadata"].get("labels") or {}).get("forklift.app") == "virt-v2v":
                last[pod["metadata"]["name"]] = pod
        found = defaultdict(list)
        for pod in last.values():
            found[pod["metadata"]["labels"]["vmID"]].append(pod.get("status", {}).get("phase") != "Failed")
        return found


class RecordedWorld(World):
    def __init__(self, folder: Any, scenario: Scenario) -> None:
        self.scenario = scenario
        if any(_switches_off(action) for action in scenario.actions):
            for vm in scenario.vms:
                vm["powerState"] = "poweredOn"
        self.acted = Acted(scenario.vms)
        self.outcomes = {id: list(ends) for id, ends in scenario.outcomes().items()}
        self.ends: dict[str, bool] = {}
        super().__init__(folder, [])
        self.eager |= {"block-sc", "file-sc"}

    def inventory_of(self, provider: Object) -> ProviderInventory:
        if provider["spec"]["type"] == "openshift":
            return Live(provider, self.api)
        if provider["metadata"]["name"] == "twodc":
            found = source.Recorded(provider, source.twins())
            found.collections["datastores"] = list(source.STORES)
            return found
        return source.Recorded(provider, self.scenario.vms)

    def _furnish(self) -> None:
        if self.scenario.name.startswith("plan-not-ready"):
            self.create("v1", "Namespace", "", "tgt-cold")
            interface = {"name": "net-0", "macAddress": "00:0c:29:63:65:61", "masquerade": {}}
            template = {"spec": {"domain": {"devices": {"interfaces": [interface]}}}}
            self.create("kubevirt.io/v1", "VirtualMachine", "tgt-cold", "app-01", spec={"runStrategy": "Always", "template": template})
        controllers = {CONTROLLERS, PROVIDERS}
        for name in controllers:
            self.create("v1", "Namespace", "", name)
        self.create(FORKLIFT, "ForkliftController", CONTROLLERS, "forklift-controller", spec={})
        for name in ("block-sc", "file-sc"):
            self.create("storage.k8s.io/v1", "StorageClass", "", name, provisioner="sim", volumeBindingMode="Immediate")
        self.create(
            "v1",
            "Secret",
            PROVIDERS,
            "vc",
            type="Opaque",
            data={"user": "dXNlcg==", "password": "cGFzcw==", "insecureSkipVerify": "dHJ1ZQ=="},
        )
        self.ready("Provider", PROVIDERS, "host", {"type": "openshift", "url": "", "secret": {}})
        spec = {
            "type": "vsphere",
            "url": "https://127.0.0.1:18990/sdk",
            "secret": {"name": "vc", "namespace": PROVIDERS},
            "settings": {"sdkEndpoint": "vcenter", "vddkInitImage": self.scenario.vddk_image},
        }
        self.ready("Provider", PROVIDERS, "vc", spec, fingerprint=FINGERPRINT)

    # The cluster, acted

    def cluster(self) -> None:
        for job in self.api.list("Job"):
            if not job.get("status"):
                job["status"] = self.scenario.end_of(job)
                self.api.update_status(job)
        for export in self.api.list("VirtualMachineExport"):
            self._serve(export)
        super().cluster()

    def _serve(self, export: Object) -> None:
        """As the recorded world did: an export serves at once."""
        meta = export["metadata"]
        if export.get("status"):
            return
        self.create("v1", "Secret", meta["namespace"], f"export-token-{meta['name']}", data={"token": "c2VjcmV0"})
        there = self.scenario.at("VirtualMachineExport", meta["name"], float("inf"))
        assert there is not None
        self.api.update_status({**export, "status": there["status"]})

    def _volume(self, volume: Object) -> None:
        """One with checkpoints is at rest after each but the last."""
        super()._volume(volume)
        meta, spec = volume["metadata"], volume["spec"]
        claim = self.api.get("PersistentVolumeClaim", meta["namespace"], meta["name"])
        if not spec.get("checkpoints") or claim.get("status", {}).get("phase") != "Bound":
            return
        copied = {imports.copied_key(checkpoint["current"]): "pod" for checkpoint in spec["checkpoints"]}
        claim["metadata"]["annotations"] = {**claim["metadata"]["annotations"], **copied}
        self.api.update(claim)
        volume = self.api.get("DataVolume", meta["namespace"], meta["name"])
        volume["status"]["phase"] = "Succeeded" if spec.get("finalCheckpoint") else "Paused"
        self.api.update_status(volume)

    def modes(self, storage_class: str) -> Object:
        if storage_class == "block-sc":
            return {"accessModes": ["ReadWriteMany"], "volumeMode": "Block"}
        return super().modes(storage_class)

    def _converted(self, pod: Object, before: str) -> Object:
        uid, id = pod["metadata"]["uid"], pod["metadata"]["labels"]["vmID"]
        if uid not in self.ends:
            left = self.outcomes.get(id) or [True]
            self.ends[uid] = left.pop(0) if len(left) > 1 else left[0]
        if self.ends[uid]:
            return super()._converted(pod, before)
        if not self.scenario.fails_late(id):
            return {"phase": "Running" if before == "Pending" else "Failed"}
        name = next(e["value"] for e in pod["spec"]["containers"][0]["env"] if e["name"] == "V2V_vmName")
        self.failing = {name: ""}
        status = super()._converted(pod, before)
        self.failing = {}
        return {**status, "phase": "Failed"} if status["phase"] == "Succeeded" else status

    # The user

    def play(self) -> list[Entry]:
        """Do what the recorded user did, each time when the plans have come as far as they had then. Returns what was seen."""
        self.recorder = Recorder(self)
        with ExitStack() as acted:
            acted.enter_context(patch.object(VsphereSource, "_machine", lambda _source, vm: self.acted.machine(vm)))
            # The recorded source was the same API server, reached by its URL.
            acted.enter_context(patch.object(OpenShiftSource, "_cluster", lambda source: nullcontext(source._api)))
            acted.enter_context(patch.object(OpenShiftSource, "_fetched", self._manifest))
            for action in self.scenario.actions:
                self._await(action["t"])
                self._act(action)
            self._await(float("inf"))
            self.settle(30)
        return self.recorder.seen

    def _manifest(self, url: str, _headers: Object, _authority: str) -> bytes:
        *_base, namespace, name = url.split("/")
        return json.dumps({"kind": "List", "items": [self.api.get("VirtualMachine", namespace, name)]}).encode()

    def _act(self, action: Object) -> None:
        kind, namespace, name = action.get("kind", ""), action.get("namespace", ""), action.get("name", "")
        if action["action"] == "apply" and action["http"] in (200, 201):
            new = self.scenario.inputs[kind, name]
            body = new.pop(0) if len(new) > 1 else new[0]
            self._apply(json.loads(json.dumps(body)))
        elif action["action"] == "patch":
            obj = self.api.get(kind, namespace, name)
            self.api.update(_merged(obj, action["body"]))
        elif action["action"] == "delete":
            self.gone(kind, namespace, name)
        elif _switches_off(action):
            for vm in self.scenario.vms:
                vm["powerState"] = self.acted.power[vm["id"]] = "poweredOff"

    def _apply(self, body: Object) -> None:
        kind, meta = body["kind"], body["metadata"]
        if kind == "Secret" and "stringData" in body:
            from base64 import b64encode

            body["data"] = {key: b64encode(str(value).encode()).decode() for key, value in body.pop("stringData").items()}
        if kind == "Hook":
            body["spec"].setdefault("playbook", PLAYBOOK)
        made = self.api.create(body)
        if kind == "Provider":
            self.inventory.known[made["metadata"]["uid"]] = self.inventory_of(made)
        if kind == "Migration":
            asyncio.run(self.migrations.reconcile(meta["namespace"], meta["name"]))  # looked at before its plan is, as it was there

    def _catch_up(self, time: float) -> None:
        """Objects whose controllers do not run here have the status that they had then."""
        for kind in ("Provider", "NetworkMap", "StorageMap", "Hook"):
            for obj in self.api.list(kind):
                there = self.scenario.at(kind, obj["metadata"]["name"], time)
                if there and there.get("status") and there["metadata"]["namespace"] == obj["metadata"]["namespace"]:
                    status = json.loads(json.dumps(there["status"]))
                    for reference in status.get("references") or () if self.scenario.from_openshift else ():
                        reference.pop("id", None)  # objects of a cluster are known by uids, which are others here
                    self.api.update_status({**obj, "status": status})

    def _await(self, time: float) -> None:
        """Work until the plans are where they were at that time; a world that does not come that far goes on as it is."""
        self._catch_up(time)
        if not self.api.list("Plan"):
            return
        still = 0
        while still < STILL:
            before = len(self.recorder.seen)
            if all(self._reached(plan, time) for plan in self.api.list("Plan")):
                return
            self.reconcile()
            if all(self._reached(plan, time) for plan in self.api.list("Plan")):
                return
            self.cluster()
            still = 0 if len(self.recorder.seen) > before else still + 1

    def _reached(self, plan: Object, time: float) -> bool:
        there = self.scenario.at("Plan", plan["metadata"]["name"], time)
        if there is None or not there.get("status"):
            return True
        if not plan.get("status", {}).get("conditions"):
            return False
        ours = _phases(plan)
        for id, phase in _phases(there).items():
            order = self._order(plan["metadata"]["name"], id, time)
            if ours.get(id) not in (phase, "Completed") and order.index(phase) > (order.index(ours[id]) if ours.get(id) in order else -1):
                return False
        was, now = set(conditions(there)), set(conditions(plan))
        if not {"Ready", "Archived", *ENDED} & was <= now or _precopies(plan) < _precopies(there):
            return False
        return all(type in was or type not in now for type in ("Ready", "Executing", "ValidatingVDDK"))

    def _order(self, plan: str, id: str, time: float) -> list[str]:
        states = [e[4] for e in self.scenario.seen if e[1] == "Plan" and e[3] == plan and e[0] <= time]
        return list(dict.fromkeys(p for p in (_phases(state).get(id) for state in states) if p))


def _vms(plan: Object) -> list[Object]:
    return ((plan.get("status") or {}).get("migration") or {}).get("vms") or []


def _phases(plan: Object) -> dict[str, str]:
    return {vm["id"]: vm["phase"] for vm in _vms(plan)}


def _precopies(plan: Object) -> int:
    return sum(len((vm.get("warm") or {}).get("precopies") or ()) for vm in _vms(plan))


def _switches_off(action: Object) -> bool:
    return action["action"] == "source" and "powered off" in json.dumps(action)


def _merged(obj: Object, patch: Object) -> Object:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(obj.get(key), dict):
            obj[key] = _merged(obj[key], value)
        elif value is None:
            obj.pop(key, None)
        else:
            obj[key] = value
    return obj
