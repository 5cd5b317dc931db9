"""Pods as processes of this machine, which is the one node there is: no constraint on nodes is looked at.

A pod waits until all its claims are bound, then its container's image says which program runs (images.py). The program outlives
the control plane and is found again (processes.py). One that fails is started again where restartPolicy says so, after pauses that grow.
Pods have one container, beside one that brings VMware's disk library, which has no process; its root is this machine's, so a program
translates the paths of its mounts (datapath/mounts.py). The work of sidecars (init containers that are always restarted) is done by
the program, too, which writes their logs under their names.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.cluster import images, podstatus, processes, service_accounts
from ansible_collections.vmshift.mtv.controlplane.cluster.environment import Unconfigured, environment_of
from ansible_collections.vmshift.mtv.controlplane.cluster.mounts import claims_of, mounts_of, remove_secrets
from ansible_collections.vmshift.mtv.controlplane.cluster.processes import Ended, Lost, Running
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import SELECTED_NODE, waits_for_consumer
from ansible_collections.vmshift.mtv.controlplane.cluster.supervisor import LOG_FILE
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import FILE_NAME as MOUNTS_FILE
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE, PROGRESS_FILE, RESULT_FILE

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.state import State

log = logging.getLogger(__name__)

Object = dict[str, Any]

NODE = "localhost"
TOO_LONG = "Pod was active on the node longer than the specified deadline"
KUBELET, SCHEDULER = "kubelet", "default-scheduler"
RETRY = 2.0  # seconds until a pod whose configuration is incomplete is looked at again
FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 300.0  # seconds between restarts of a container; doubled with each
SIGKILLED = 137
LOST = "the process ended and nobody saw how: its supervisor was killed, or the machine was restarted"
_GRACE = 30.0  # seconds, where the pod says nothing
_LONGEST_MESSAGE = 4096  # bytes of a termination message
_LAST_LOG = 2048
_LEFTOVERS: Key = ("", "")  # the key under which folders of deleted pods are cleared
#: On a pod: seconds until it is killed, in place of its terminationGracePeriodSeconds.
GRACE_ANNOTATION = "local.vmshift.io/grace"


def log_path(state: State, pod: Object, container: str | None) -> Path | None:
    """The log file of a pod's container; None while there is none."""
    sidecar = container in [sidecar["name"] for sidecar in podstatus.sidecars(pod)]
    if not sidecar and container not in (None, pod["spec"]["containers"][0]["name"]):
        return None
    path = state.pod(pod["metadata"]["uid"]) / (container if sidecar and container else LOG_FILE)
    return path if path.exists() else None


def conversion_progress(state: State, uid: str) -> Object | None:
    """{"stage": str, "disks": {"0": percent, …}} of the conversion pod with that uid; None while there is none."""
    return _read_json(state.pod(uid) / PROGRESS_FILE)


def conversion_result(state: State, uid: str) -> Object | None:
    """{"firmware", "operatingSystem", "warnings"} or {"error"} of the conversion pod with that uid; None while there is none."""
    return _read_json(state.pod(uid) / RESULT_FILE)


def import_progress(state: State, uid: str) -> Object | None:
    """{"done": bytes, "total": bytes} of the importer pod with that uid; None while there is none."""
    return _read_json(state.pod(uid) / PROGRESS_FILE)


def import_result(state: State, uid: str) -> Object | None:
    """{"wanted", "read", "kept": bytes, "full": str} of the importer pod with that uid; None while there is none."""
    return _read_json(state.pod(uid) / RESULT_FILE)


populator_progress = import_progress  # of populator pods, which tell the same


def _read_json(path: Path) -> Object | None:
    """None when it is not there, or is empty: what is written often is not synced, and a power failure may leave just its name."""
    try:
        return json.loads(path.read_text() or "null")
    except FileNotFoundError:
        return None


class PodReconciler(Reconciler):
    kind = "Pod"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._api, self._state = context.api, context.state
        self._watched: set[str] = set()  # uids whose supervisor's end wakes this reconciler
        self._clearing: dict[str, asyncio.Task[None]] = {}  # by uid
        # By uid, pods that finalizers keep while their process ends: that, and the seconds it has for it.
        self._ending: dict[str, tuple[asyncio.Task[None], float]] = {}

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        # The node is there from the start on, and so is looked at once: for folders of pods deleted while nobody was running.
        return {"PersistentVolumeClaim": self._users_of, "Node": lambda _node: [_LEFTOVERS]}

    def _users_of(self, claim: Object) -> Iterable[Key]:
        meta = claim["metadata"]
        return [pod.place for pod in self._api.referring(self.kind, "claim", meta["name"], meta["namespace"])]

    async def reconcile(self, namespace: str, name: str) -> float | None:
        pod = self._api.find(self.kind, namespace, name) if name else None
        if pod is None:
            self._clear_leftovers()
            return None
        if pod.get("status", {}).get("phase") in podstatus.ENDED:
            return None
        folder = self._folder(pod)
        found = processes.look(folder)
        if "deletionTimestamp" in pod["metadata"] and not isinstance(found, Ended | Lost):  # a finalizer keeps the object
            self._take_down(pod, found)
            return None
        if isinstance(found, Running):
            return await self._observe(pod, found)
        if isinstance(found, Lost):
            await processes.stop(folder, 0)
        if isinstance(found, (Ended, Lost)) and _restarts(pod, found):
            return self._back_off(pod, found)
        if isinstance(found, (Ended, Lost)):  # before it is told: whoever sees the end finds no secret any more
            remove_secrets(pod, folder)
            service_accounts.take_back(folder)
        if isinstance(found, Ended):
            self._end(pod, found)
        elif isinstance(found, Lost):
            self._write(pod, podstatus.failed(pod, "Lost", LOST))
        else:
            self._clear_leftovers()  # perhaps of an earlier pod of this name, whose end nobody has looked at
            return await self._start(pod)
        return None

    def _take_down(self, pod: Object, running: Running | None) -> None:
        """End the process of a pod that is deleted; nobody has to wait for that. It is looked at again when that is done."""
        uid, grace = pod["metadata"]["uid"], _grace(pod)
        if running is None:
            self._write(pod, podstatus.failed(pod, "Terminated", "the pod was deleted before its container started"))
            return
        before = self._ending.get(uid)
        if before and before[1] <= grace:
            return
        if before:  # it has less time now
            before[0].cancel()
        stopping = asyncio.create_task(processes.stop(self._folder(pod), grace))
        self._ending[uid] = stopping, grace

        def ended(task: asyncio.Task[None]) -> None:
            if self._ending.get(uid, (None,))[0] is task:
                del self._ending[uid]
                self.enqueue(key_of(pod))

        stopping.add_done_callback(ended)

    # Starting

    async def _start(self, pod: Object) -> float | None:
        waiting_for = self._unbound(pod)
        if waiting_for:
            self._write(pod, podstatus.unschedulable(pod, waiting_for))
            return None
        if not pod["spec"].get("nodeName"):
            meta = pod["metadata"]
            pod = self._api.patch(self.kind, meta["namespace"], meta["name"], {"spec": {"nodeName": NODE}})
            self._tell(pod, "Normal", "Scheduled", f"Successfully assigned {meta['namespace']}/{meta['name']} to {NODE}", SCHEDULER)
        try:
            await self._launch(pod)
        except images.UnknownImage as error:
            return self._hold(pod, "ErrImagePull", str(error), None)
        except (Unconfigured, processes.LaunchFailed, OSError) as error:
            if not self._api.find(self.kind, pod["metadata"]["namespace"], pod["metadata"]["name"]):
                return None  # deleted meanwhile
            return self._hold(pod, "CreateContainerConfigError", str(error), RETRY)
        self._tell(pod, "Normal", "Started", f"Started container {pod['spec']['containers'][0]['name']}", KUBELET)
        return 0.0

    def _unbound(self, pod: Object) -> str:
        """What a scheduler would wait for, "" for nothing. Claims that wait for a consumer learn that they have one."""
        namespace, pending = pod["metadata"]["namespace"], []
        for name in claims_of(pod):
            claim = self._api.find("PersistentVolumeClaim", namespace, name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            phase = claim.get("status", {}).get("phase")
            if "deletionTimestamp" in claim["metadata"]:
                return f'persistentvolumeclaim "{name}" is being deleted'
            if phase == "Lost":
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim["spec"]["volumeName"]}"'
            if phase != "Bound":
                pending.append(name)
                if waits_for_consumer(self._api, claim):
                    change = {"metadata": {"annotations": {SELECTED_NODE: NODE}}}
                    self._api.patch("PersistentVolumeClaim", namespace, name, change)
        return f"waiting for PersistentVolumeClaims to be bound: {', '.join(pending)}" if pending else ""

    async def _launch(self, pod: Object) -> None:
        """Raises UnknownImage, Unconfigured, LaunchFailed, OSError."""
        beside = [images.VDDK_CONTAINER, *(sidecar["name"] for sidecar in podstatus.sidecars(pod))]
        before = [container for container in pod["spec"].get("initContainers") or () if container["name"] not in beside]
        containers = [*before, *pod["spec"]["containers"]]
        if len(containers) != 1:
            raise Unconfigured(f"this control plane runs pods of one container; this one has {len(containers)}, init containers included")
        container = containers[0]
        argv = images.argv(container)
        environment = environment_of(self._api, pod, container)
        folder = self._folder(pod)
        folder.mkdir(mode=0o700, exist_ok=True)
        mounts = Mounts(mounts_of(self._context, pod, container, folder))
        (folder / MOUNTS_FILE).write_text(mounts.to_json())
        if images.runs_hook(container):
            environment.update(service_accounts.furnish(self._context, pod, folder))
        await processes.launch(folder, argv, environment, _grace(pod))

    def _hold(self, pod: Object, reason: str, message: str, again: float | None) -> float | None:
        """A pod that cannot start, for which the deadline counts, too. Returns the seconds until the next look, `again` at most."""
        before = pod.get("status", {}).get("containerStatuses") or [{}]
        if before[0].get("state", {}).get("waiting") != {"reason": reason, "message": message}:
            self._tell(pod, "Warning", "Failed", f"Error: {reason}: {message}", KUBELET)
        pod = self._write(pod, podstatus.waiting(pod, reason, message))
        rest = _rest(pod)
        if rest is not None and rest <= 0:
            self._write(pod, podstatus.failed(pod, "DeadlineExceeded", TOO_LONG))
            return None
        return min(seconds for seconds in (rest, again) if seconds is not None) if rest is not None or again is not None else None

    # Running and ended

    async def _observe(self, pod: Object, running: Running) -> float | None:
        if not _shown_running(pod):
            pod = self._write(pod, podstatus.running(pod, running.started, processes.failures(self._folder(pod))))
        rest = _rest(pod)
        if rest is not None and rest <= 0:
            await processes.stop(self._folder(pod), _grace(pod))
            self._write(pod, podstatus.failed(pod, "DeadlineExceeded", TOO_LONG))
            return None
        if not self._watch(pod, running.pid):
            return 1.0
        return rest

    def _watch(self, pod: Object, pid: int) -> bool:
        """Look at the pod again when its supervisor ends. False when the kernel cannot tell, or when it has ended already."""
        uid, key, loop = pod["metadata"]["uid"], key_of(pod), asyncio.get_running_loop()
        if uid in self._watched:
            return True
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return False

        def ended() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._watched.discard(uid)
            self.enqueue(key)

        self._watched.add(uid)
        loop.add_reader(descriptor, ended)
        return True

    def _end(self, pod: Object, ended: Ended) -> None:
        self._write(pod, podstatus.terminated(pod, processes.failures(self._folder(pod)), *self._account(pod, ended)))

    def _account(self, pod: Object, ended: Ended) -> tuple[int, str, str, str, str]:
        """Exit code, reason, message, begin and end, as a kubelet tells them."""
        reason = "Completed" if not ended.code else "StartError" if ended.message else "Error"
        return ended.code, reason, ended.message or self._termination_message(pod, ended.code), ended.started, ended.finished

    def _back_off(self, pod: Object, found: Ended | Lost) -> float:
        """Wait, or start the process of a pod again that has failed. Returns the seconds until it is due."""
        folder = self._folder(pod)
        ended = found if isinstance(found, Ended) else Ended(SIGKILLED, None, found.started, now(), LOST)
        failures = processes.failures(folder)
        pause = _pause(failures)
        if not _waits(pod, failures):
            self._write(pod, podstatus.backing_off(pod, pause, failures, *self._account(pod, ended)))
            told = f"Back-off restarting failed container {pod['spec']['containers'][0]['name']} in pod {pod['metadata']['name']}"
            self._tell(pod, "Warning", "BackOff", told, KUBELET)
        rest = pause - (time.time() - datetime.fromisoformat(ended.finished).timestamp()) if isinstance(found, Ended) else 0.0
        if rest > 0:
            return rest
        (folder / MESSAGE_FILE).unlink(missing_ok=True)
        processes.put_aside(folder)
        return 0.0

    def _termination_message(self, pod: Object, code: int) -> str:
        folder, container = self._folder(pod), pod["spec"]["containers"][0]
        with contextlib.suppress(FileNotFoundError):
            return (folder / MESSAGE_FILE).read_bytes()[:_LONGEST_MESSAGE].decode(errors="replace").strip()
        if code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            with contextlib.suppress(FileNotFoundError):
                return (folder / LOG_FILE).read_bytes()[-_LAST_LOG:].decode(errors="replace").strip()
        return ""

    # After deletion

    def _clear_leftovers(self) -> None:
        """See to it that processes of pods that are gone end, and that their folders go. Nobody has to wait for that."""
        for uid in {entry.name for entry in os.scandir(self._state.pods)} - self._clearing.keys():
            if self._api.store.by_uid(uid) is None:
                self._clearing[uid] = asyncio.create_task(self._clear(uid))

    async def _clear(self, uid: str) -> None:
        folder = self._state.pod(uid)
        try:
            await processes.stop(folder, _GRACE)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        finally:
            del self._clearing[uid]

    # Writing

    def _folder(self, pod: Object) -> Path:
        return self._state.pod(pod["metadata"]["uid"])

    def _write(self, pod: Object, status: Object) -> Object:
        """Raises ApiError 409 when the pod was changed meanwhile, 404 when it was deleted: both lead to another look."""
        return self._api.update_status({**pod, "status": status})

    def _tell(self, pod: Object, type: str, reason: str, message: str, who: str) -> None:
        self._api.record_event(pod, type, reason, message, who)


def _restarts(pod: Object, found: Ended | Lost) -> bool:
    """A pod that is not on its way out, by its policy. The kubelet starts none again that was to end, whose Job may do that."""
    policy = pod["spec"].get("restartPolicy", "Always")
    if "deletionTimestamp" in pod["metadata"] or policy == "Never":
        return False
    return policy == "Always" or isinstance(found, Lost) or found.code != 0


def _pause(failures: int) -> float:
    """Seconds; the first restart is at once."""
    return min(FIRST_BACKOFF * 2 ** (failures - 1), LONGEST_BACKOFF) if failures else 0.0


def _shown_running(pod: Object) -> bool:
    containers = pod.get("status", {}).get("containerStatuses") or [{}]
    return pod.get("status", {}).get("phase") == "Running" and "running" in containers[0].get("state", {})


def _waits(pod: Object, failures: int) -> bool:
    """The status tells already that the container waits after its last failure."""
    container = (pod.get("status", {}).get("containerStatuses") or [{}])[0]
    waiting = container.get("state", {}).get("waiting", {}).get("reason") == podstatus.CRASH_LOOP
    return waiting and container.get("restartCount") == failures


def _rest(pod: Object) -> float | None:
    """Seconds until the deadline of a pod; None when it has none."""
    limit = pod["spec"].get("activeDeadlineSeconds")
    return None if limit is None else limit - (time.time() - datetime.fromisoformat(pod["status"]["startTime"]).timestamp())


def _grace(pod: Object) -> float:
    asked = (pod["metadata"].get("annotations") or {}).get(GRACE_ANNOTATION)
    return float(asked or pod["spec"].get("terminationGracePeriodSeconds", _GRACE))
