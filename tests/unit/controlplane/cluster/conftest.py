"""A cluster of one machine: the real API, store and controllers over a state folder, and an image that runs shell scripts."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ansible_collections.vmshift.mtv.controlplane import cluster as stand_ins
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.cluster import images, processes, storage
from ansible_collections.vmshift.mtv.controlplane.context import NO_GUESTS, Context, Guests
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Manager, Reconciler
from ansible_collections.vmshift.mtv.controlplane.state import State

Object = dict[str, Any]

NAMESPACE = "tgt"
SHELL = "test/sh"  # runs its container's first argument as a shell script


class Cluster:
    """`run()` starts the controllers; `restart()` ends them and begins anew from what is on disk."""

    def __init__(self, folder: Path, guests: Guests = NO_GUESTS) -> None:
        self.state = State(folder)
        self.guests = guests
        self.state.prepare()
        self._task: asyncio.Task[None] | None = None
        self._names = itertools.count()
        self.beside: list[Callable[[Context], Reconciler]] = []  # controllers that run with those of the cluster
        self._open()
        for obj in (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "localhost"}},
            *storage.storage_classes(),
            *storage.storage_profiles(),
        ):
            self.api.create(obj)

    def _open(self) -> None:
        self.store = Store(self.state.store)
        self.api = Api(self.store, Registry())
        self.context = Context(self.api, self.state, None, guests=self.guests)  # type: ignore[arg-type]

    def run(self) -> Cluster:
        controllers = [*stand_ins.reconcilers(self.context), *(controller(self.context) for controller in self.beside)]
        self._task = asyncio.create_task(Manager(self.api, controllers).run())
        return self

    async def end(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.store.close()

    async def restart(self) -> None:
        await self.end()
        self._open()
        self.run()

    async def until(self, condition: Callable[[], Any], seconds: float = 15) -> Any:
        """The first true value of `condition()`."""
        for _unused in range(int(seconds / 0.02)):
            value = condition()
            if value:
                return value
            await asyncio.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {[(p['metadata']['name'], p['status']) for p in self.api.list('Pod')]}")

    async def settle(self, seconds: float = 0.3) -> None:
        """Time for something that is not to happen."""
        await asyncio.sleep(seconds)

    # Making

    def make(self, api_version: str, kind: str, name: str, **fields: Any) -> Object:
        meta = {"name": name, "namespace": NAMESPACE, **fields.pop("metadata", {})}
        return self.api.create({"apiVersion": api_version, "kind": kind, "metadata": meta, **fields})

    def pod(self, script: str, *, container: Object | None = None, image: str = SHELL, **spec: Any) -> Object:
        main = {"name": "main", "image": image, "args": [script], **(container or {})}
        return self.make("v1", "Pod", f"pod-{next(self._names)}", spec={"restartPolicy": "Never", "containers": [main], **spec})

    def claim(self, name: str, size: str = "1Mi", **spec: Any) -> Object:
        wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
        return self.make("v1", "PersistentVolumeClaim", name, spec=wanted)

    # Looking

    def get(self, obj: Object) -> Object:
        return self.api.get(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])

    def find(self, obj: Object) -> Object | None:
        return self.api.find(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])

    def phase(self, obj: Object) -> str:
        return self.get(obj).get("status", {}).get("phase", "")

    async def phase_is(self, obj: Object, phase: str) -> Object:
        await self.until(lambda: self.phase(obj) == phase)
        return self.get(obj)

    def events(self, obj: Object) -> list[tuple[str, str]]:
        """(reason, message)"""
        events = self.api.list("Event", NAMESPACE)
        return [(e["reason"], e["message"]) for e in events if e["involvedObject"]["uid"] == obj["metadata"]["uid"]]

    def folder(self, pod: Object) -> Path:
        return self.state.pod(pod["metadata"]["uid"])

    def log(self, pod: Object) -> str:
        return (self.folder(pod) / "log").read_text()


@pytest_asyncio.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """Not running yet."""
    monkeypatch.setitem(images.IMAGES, SHELL, lambda container: ["sh", "-c", *container["args"]])
    made = Cluster(tmp_path / "state")
    yield made
    await made.end()
    await asyncio.to_thread(processes.stop_all, made.state.pods, 0.1)
