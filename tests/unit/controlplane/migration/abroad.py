"""A second world, reached only over HTTPS: the cluster that VMs go to. It has a thread, a store and a folder of its own."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.vmshift.mtv.controlplane.apiserver import http, pki
from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
from ansible_collections.vmshift.mtv.controlplane.cluster import pod_ports
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import PLANS, World

T = TypeVar("T")


class Abroad:
    """`do` works on the world there, in its own thread, as everybody does who does not come by its API."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._await(self._open(folder))

    async def _open(self, folder: Path) -> None:
        self.world = World(folder)
        self.world.create("v1", "Namespace", "", "kube-system")
        self._keys = pki.ensure_pki(self.world.state)
        self.tokens = Tokens(self.world.api, self.world.state)
        await self._listen(0)

    async def _listen(self, port: int) -> None:
        app = http.build_app(
            self.world.api,
            tokens=self.tokens,
            pod_log=lambda *_unused: None,
            pod_port=lambda pod, port, path: pod_ports.answer(self.world.state, pod, port, path),
        )
        self._runner, self.port = await http.start(app, self._keys, "127.0.0.1", port)

    def hang_up(self) -> None:
        self._await(self._runner.cleanup())

    def pick_up(self) -> None:
        self._await(self._listen(self.port))

    def close(self) -> None:
        self.hang_up()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Callable[[World], T]) -> T:
        async def go() -> T:
            return work(self.world)

        return self._await(go())

    def turn(self) -> None:
        """What the cluster and the controllers there do by themselves."""
        self.do(World.cluster)
        self._await(self.world._reconcile())

    def provider(self, world: World, name: str = "abroad") -> dict[str, str]:
        """The Provider of this cluster in another world; a reference to it."""
        authority = (self.world.state.pki / "ca.crt").read_text()
        values = {"token": self.tokens.admin, "ca.crt": authority}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        world.create("v1", "Secret", PLANS, name, type="Opaque", data=data)
        secret = {"name": name, "namespace": PLANS}
        world.ready("Provider", PLANS, name, {"type": "openshift", "url": f"https://127.0.0.1:{self.port}", "secret": secret})
        return secret

    def _await(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
