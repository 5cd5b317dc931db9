"""One migration through many lives of its control plane (mortal_plane.py): started, killed, looked at, started again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mortal_plane
import quick_guests

from ansible_collections.vmshift.mtv.controlplane import lifetime
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import unpack
from ansible_collections.vmshift.mtv.controlplane.cluster import supervisor
from ansible_collections.vmshift.mtv.controlplane.migration import itineraries
from ansible_collections.vmshift.mtv.controlplane.state import State

SECTOR = 512
FORKLIFT = "/apis/forklift.konveyor.io/v1beta1/namespaces"
#: What a loss of power leaves of a pod's folder for sure; the rest was written without a sync.
DURABLE = (supervisor.PROCESS_FILE, supervisor.EXIT_FILE, "result.json", "termination-message")


class Stored:
    """What the store of a dead control plane holds."""

    def __init__(self, state: State) -> None:
        database = sqlite3.connect(f"file:{state.store}?mode=ro", uri=True)
        with contextlib.closing(database):
            self.revision: int = database.execute("SELECT value FROM revision").fetchone()[0]
            self._objects = [json.loads(unpack(body)) for (body,) in database.execute("SELECT body FROM objects")]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [obj for obj in self._objects if obj["kind"] == kind]


@dataclass
class Lives:
    """`checksums` of the VM's disks of `sizes` bytes; `plan` and `namespace` name the plan to be run, `spec` is more of its Migration.

    there: the control plane that VMs go to, when it is another one; it is not killed. target: their namespace.
    """

    state: State
    checksums: list[str]
    plan: str
    namespace: str
    dice: random.Random
    environment: dict[str, str]
    deaths: list[dict[str, Any]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    spec: dict[str, Any] = field(default_factory=dict)
    sizes: Sequence[int] = quick_guests.SIZES
    there: State | None = None
    target: str = ""

    @property
    def ledger(self) -> Path:
        return self.state.root.with_name(f"{self.state.root.name}-ledger")

    def die_in_each(self, phases: Sequence[str], latest: Mapping[str, float]) -> None:
        """Death after death, in the phase that comes next each time, until the run has left the last one of `phases`.

        latest: so many seconds into a phase at most, and never later than its end.
        """
        while (phase := self.next_of(phases)) is not None:
            if not self.die_in(phase, latest.get(phase, 0.03)):
                break

    def die_in(self, phase: str, latest: float = 0.03) -> bool:
        """Before the write that begins the phase (and then after it), after it, or in the midst of what is done in it."""
        when = self.dice.choice(("before", "after", "later"))
        fate = {**into(phase), "when": "after"}
        if when == "later":
            fate["delay"] = self.dice.uniform(0.001, latest)
        if not self.live({**fate, "when": "before"} if when == "before" else fate):
            return False
        self.assert_whole()
        if when == "before":  # once is enough: the next life is to get on
            self.live(fate)
            self.assert_whole()
        return True

    def live(self, fate: dict[str, Any], seconds: float = 120) -> bool:
        """Start the control plane with this fate and have the plan run; True when it died, False when the run was over before."""
        self._begin(fate)
        assert self.process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                assert self.process.returncode == -9, self.log()
                self.deaths.append(fate)
                return True
            with contextlib.suppress(OSError, ValueError):  # it is not there yet, or not any more
                dies_later = fate.get("phase") == itineraries.COMPLETED and "delay" in fate
                if lifetime.read_endpoints(self.state) and self._run_is_over() and not dies_later and not self.left():
                    self.end()
                    return False
            time.sleep(0.05)
        raise AssertionError(f"neither death nor the end of the run within {seconds} s; left: {self.left()}\n{self.log()}")

    def _begin(self, fate: dict[str, Any]) -> None:
        self.ledger.mkdir(exist_ok=True)
        (self.state.run / "endpoints.json").unlink(missing_ok=True)
        argv = [sys.executable, mortal_plane.__file__, "serve", "--state", str(self.state.root)]
        environment = {**self.environment, "MORTAL": json.dumps(fate)}
        with (self.state.run / "controlplane.log").open("ab") as log:
            self.process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _run_is_over(self) -> bool:
        plan = self._ask("GET", f"{FORKLIFT}/{self.namespace}/plans/{self.plan}")
        history = (plan.get("status") or {}).get("migration", {}).get("history") or []
        if len(history) < self.number:
            meta = {"name": f"{self.plan}-{self.number}", "namespace": self.namespace}
            spec = {"plan": {"name": self.plan, "namespace": self.namespace}, **self.spec}
            body = {"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Migration", "metadata": meta, "spec": spec}
            self._ask("POST", f"{FORKLIFT}/{self.namespace}/migrations", body)  # refused (an OSError) when it is there already
            return False
        if self._timeless:
            path = f"{FORKLIFT}/{self.namespace}/migrations/{self.plan}-{self.number}"
            self._ask("PUT", path, {**(found := self._ask("GET", path)), "spec": {**found["spec"], **self.spec}})
            self._timeless = False
        return any(c["type"] in ("Succeeded", "Failed", "Canceled") and c["status"] == "True" for c in history[-1]["conditions"])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Once, unlike the collection's modules. Raises OSError."""
        headers = {"Authorization": f"Bearer {(self.state.pki / 'admin.token').read_text()}", "Content-Type": "application/json"}
        url = lifetime.read_endpoints(self.state)["server"] + path
        request = urllib.request.Request(url, body and json.dumps(body).encode(), headers, method=method)
        with urllib.request.urlopen(request, timeout=10, context=self._trust()) as answer:
            return json.load(answer)

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.state.pki / "ca.crt"))

    #: The run that is wanted: the first, or after a failure the next.
    number: int = 1

    def cut_over(self, time: str) -> None:
        """Give the Migration its time as soon as a control plane lives. One that is over: at once."""
        self.spec["cutover"] = time
        self._timeless = True

    _timeless: bool = False

    def end(self) -> None:
        """Let a control plane that lives go in peace."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def lose_power(self) -> None:
        """After a death: all processes of pods die too, and of each file there is what was synced, with some of what was not."""
        for folder in self.state.pods.iterdir():
            supervisor.end_processes(folder)
        for path in self.state.root.glob("store.sqlite*"):
            if path.name.endswith("-shm"):
                path.unlink()
            elif (self.ledger / path.name).exists():
                path.write_bytes(self._mixed((self.ledger / path.name).read_bytes(), path.read_bytes()))
        for folder in self.state.pods.iterdir():
            if not (folder / supervisor.EXIT_FILE).exists():
                self._spoil_volumes(folder)
            for path in folder.iterdir():
                if path.is_file() and path.name not in DURABLE:
                    os.truncate(path, 0)

    def acknowledged(self) -> int:
        """The revision of the last write that a control plane with a ledger has said is done; 0 before the first."""
        told = self.ledger / mortal_plane.ACKNOWLEDGED
        return int(told.read_text().split()[-1]) if told.exists() else 0

    def _mixed(self, synced: bytes, written: bytes) -> bytes:
        """What a disk may hold of a file: of each sector the synced or the newer content."""
        result = bytearray(synced)
        for start in range(0, len(written), SECTOR):
            newer = written[start : start + SECTOR]
            if newer != synced[start : start + SECTOR] and self.dice.random() < 0.5:
                if start > len(result):
                    result += bytes(start - len(result))
                result[start : start + len(newer)] = newer
        return bytes(result)

    def _spoil_volumes(self, folder: Path) -> None:
        """Nothing of the disks of a conversion that has not ended is known to be on the disk."""
        mounts = folder / "mounts.json"
        for mount in json.loads(mounts.read_text()) if mounts.exists() and mounts.stat().st_size else ():
            volume = Path(mount["source"])
            if volume.parent == self.state.volumes:
                with volume.open("r+b") as file:
                    file.seek(self.dice.randrange(0, 1 << 20))
                    file.write(self.dice.randbytes(4096))

    def retry_what_was_lost(self) -> int:
        """Want another run, as `retry: true` does, of one that failed because its processes were killed. Returns 1."""
        outcome, reasons = self.outcome()
        assert any("its supervisor was killed, or the machine was restarted" in reason for reason in reasons), (outcome, reasons)
        self.assert_whole()
        self.number += 1
        return 1

    def next_of(self, phases: Sequence[str]) -> str | None:
        """The phase after the one that the store says; None after the last."""
        plans = [plan for plan in self.stored().of("Plan") if plan["metadata"]["name"] == self.plan]
        vms = (plans[0].get("status") or {}).get("migration", {}).get("vms") or ()
        if not vms:
            return phases[1] if self.stored().of("Migration") else phases[0]
        now = vms[0]["phase"]
        return next(iter(phases[phases.index(now) + 1 :]), None) if now in phases else None

    # What must hold

    def stored(self) -> Stored:
        return Stored(self.state)

    def assert_whole(self) -> None:
        """No VirtualMachine stands on disks that are not complete."""
        where = self.there or self.state
        found = Stored(where)
        claims = {claim["metadata"]["name"]: claim for claim in found.of("PersistentVolumeClaim")}
        for machine in self.machines(found):
            volumes = machine["spec"]["template"]["spec"]["volumes"]
            names = [volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume]
            files = [where.volume(claims[name]["spec"]["volumeName"]) for name in names]
            sums = [checksum(file, size) for file, size in zip(files, self.sizes, strict=True)]
            assert sums == self.checksums, f"a VirtualMachine on a partial disk after {self.deaths}"

    def machines(self, found: Stored | None = None) -> list[dict[str, Any]]:
        """The VirtualMachines that the plan has made."""
        made = (found or Stored(self.there or self.state)).of("VirtualMachine")
        return [machine for machine in made if self.target in ("", machine["metadata"]["namespace"])]

    def outcome(self) -> tuple[str, list[str]]:
        """How the last run ended, and the reasons of its VM."""
        (plan,) = [plan for plan in self.stored().of("Plan") if plan["metadata"]["name"] == self.plan]
        status = plan["status"]["migration"]
        ends = [c["type"] for c in status["history"][-1]["conditions"] if c["type"] in ("Succeeded", "Failed", "Canceled")]
        return ends[0], [reason for vm in status["vms"] for reason in (vm.get("error") or {}).get("reasons") or []]

    def left(self) -> list[str]:
        """Processes of pods, and the volumes and folders of pods that no object has."""
        found = self.stored()
        volumes = {path.stem for path in self.state.volumes.iterdir()} - {v["metadata"]["name"] for v in found.of("PersistentVolume")}
        folders = {path.name for path in self.state.pods.iterdir()} - {pod["metadata"]["uid"] for pod in found.of("Pod")}
        return [*processes_below(self.state.pods), *volumes, *folders]

    def log(self) -> str:
        return (self.state.run / "controlplane.log").read_text()[-4000:]


def into(phase: str) -> dict[str, str]:
    """The write that begins a phase. The first one is over in the pass that finds the Migration and is never stored."""
    return {"made": "Migration"} if phase == "Started" else {"phase": phase}


def checksum(path: Path, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(size)).hexdigest()


def processes_below(folder: Path) -> list[str]:
    """Command lines of processes that carry the folder of a pod below `folder` in their environment."""
    marker = os.fsencode(f"{supervisor.FOLDER_VARIABLE}={folder.resolve()}/")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if marker in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " "))
    return found


def copies(base: State, folder: Path, count: int) -> Iterator[State]:
    """Copies of a state folder whose control plane has ended."""
    for number in range(count):
        shutil.copytree(base.root, folder / f"copy{number}")
        yield State(folder / f"copy{number}")
