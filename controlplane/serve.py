"""One process: API server, Inventory service, controllers and cluster stand-ins over one state folder."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane import cluster, controllers
from ansible_collections.vmshift.mtv.controlplane.apiserver import http, pki
from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.cluster import pod_ports, pods, processes
from ansible_collections.vmshift.mtv.controlplane.cluster.kubevirt.subresources import Subresources
from ansible_collections.vmshift.mtv.controlplane.context import NO_GUESTS, Context, Guests
from ansible_collections.vmshift.mtv.controlplane.controllers.admission import webhooks
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Manager
from ansible_collections.vmshift.mtv.controlplane.inventory.cache import Inventory
from ansible_collections.vmshift.mtv.controlplane.inventory.http import build_inventory_app, proxy_handler
from ansible_collections.vmshift.mtv.controlplane.lifetime import StartError, explained, held, read_ports, write_endpoints, write_ports
from ansible_collections.vmshift.mtv.controlplane.seed import seed
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.controlplane.version import VERSION

log = logging.getLogger(__name__)
HOST = "127.0.0.1"


async def serve(state: State, port: int = 0, inventory_port: int = 0, guests: Guests = NO_GUESTS) -> None:
    """Serve until SIGTERM or SIGINT. Ports of 0 mean those of the last time, so that a kubeconfig stays true, or free ones."""
    with held(state):
        with explained(state):
            plane = ControlPlane(state, guests)
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        async with plane:
            with explained(state):
                await plane.listen(port, inventory_port)
            work = asyncio.create_task(plane.work())
            ending = asyncio.create_task(stopping.wait())
            await asyncio.wait({work, ending}, return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            if work.done():
                work.result()  # a controller loop only ends by breaking
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await asyncio.to_thread(processes.stop_guests, state)


class ControlPlane:
    """The parts of one control plane, put together."""

    def __init__(self, state: State, guests: Guests = NO_GUESTS) -> None:
        self.state = state
        self.pki = pki.ensure_pki(state)
        self.store = Store(state.store)
        self.api = Api(self.store, Registry())
        self.tokens = Tokens(self.api, state)
        self.inventory = Inventory(self.api)
        self.context = Context(self.api, state, self.inventory, guests=guests, tokens=self.tokens)
        self.api.admission.extend(webhooks(self.context))
        self._runners: list[web.AppRunner] = []

    async def __aenter__(self) -> ControlPlane:
        with explained(self.state):
            seed(self.api, self.context.namespace)
        return self

    async def __aexit__(self, *_unused: object) -> None:
        for runner in self._runners:
            await runner.cleanup()
        self.store.close()

    async def listen(self, port: int, inventory_port: int) -> None:
        """Open both ports, write the kubeconfig and tell clients where to find them."""
        last = read_ports(self.state)
        app = http.build_app(
            self.api,
            tokens=self.tokens,
            pod_log=lambda pod, container: pods.log_path(self.state, pod, container),
            service_proxy={"forklift-inventory": proxy_handler(self.inventory, self.tokens, self.api)},
            pod_port=lambda pod, port, path: pod_ports.answer(self.state, pod, port, path),
            aggregated=[Subresources(self.context)],
        )
        port = await self._open(app, port, last.get("server", 0))
        inventory_app = build_inventory_app(self.inventory, self.tokens, self.api)
        inventory_port = await self._open(inventory_app, inventory_port, last.get("inventory", 0))
        write_ports(self.state, {"server": port, "inventory": inventory_port})
        server = f"https://{HOST}:{port}"
        pki.write_kubeconfig(self.state, server, self.tokens.admin)
        write_endpoints(
            self.state,
            {
                "pid": os.getpid(),
                "server": server,
                "inventory": f"https://{HOST}:{inventory_port}",
                "kubeconfig": str(self.state.kubeconfig),
                "version": VERSION,
                "run_vms": self.context.guests.run,
                "guest_network": self.context.guests.network,
            },
        )
        log.info("serving %s", server)

    async def work(self) -> None:
        """Controllers, stand-ins and collectors, until cancelled."""
        manager = Manager(self.api, [*controllers.reconcilers(self.context), *cluster.reconcilers(self.context)])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(manager.run())
            tasks.create_task(self.inventory.watch_sources())

    async def _open(self, app: web.Application, wanted: int, last: int) -> int:
        """Listen on the port asked for; else on that of the last time; else, if that is taken by now, on a free one."""
        for port in [wanted] if wanted else [last, 0]:
            try:
                runner, port = await http.start(app, self.pki, HOST, port)
            except OSError as error:
                if port in (wanted, 0):
                    raise StartError(f"cannot listen on {HOST}:{port}: {error.strerror}") from error
            else:
                self._runners.append(runner)
                return port
        raise AssertionError("port 0 always opens or raises")
