"""The process of the engine: `python -m ansible_collections.vmshift.mtv.lab.ovirt.engine FOLDER`.

User and password are in LAB_USER and LAB_PASSWORD, the machines in machines.json in the folder. Prints one line of JSON once it serves;
ends at SIGTERM, or with the process LAB_WHILE.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from pathlib import Path

from aiohttp import web

from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.ovirt import machines, seed
from ansible_collections.vmshift.mtv.lab.ovirt.api import Engine
from ansible_collections.vmshift.mtv.lab.ovirt.imageio import Daemon
from ansible_collections.vmshift.mtv.lab.ovirt.model import World

ORPHAN_CHECK = 0.5  # seconds


async def serve(folder: Path) -> None:
    world, daemon = World(folder), Daemon(folder)
    engine = Engine(world, daemon, os.environ["LAB_USER"], os.environ.pop("LAB_PASSWORD"), (folder / "ca.crt").read_text())
    runner = web.AppRunner(engine.application(), access_log=None)
    try:
        seeding = asyncio.create_task(seed.seed(world, machines.from_json((folder / "machines.json").read_text())))
        try:
            await daemon.start()
        finally:  # also when that fails: asyncio can wait for ever for a program that is given up while it is being started
            facts = await seeding
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        print(json.dumps({"url": f"https://localhost:{port}/ovirt-engine/api", "imageio": daemon.port, "vms": facts}), flush=True)
        await _until_over(int(os.environ.get("LAB_WHILE", "0")))
    finally:
        await runner.cleanup()
        await daemon.stop()


async def _until_over(process: int) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    while not over.is_set():
        try:
            await asyncio.wait_for(over.wait(), ORPHAN_CHECK)
        except TimeoutError:
            if process and not Path(f"/proc/{process}").exists():
                return


if __name__ == "__main__":
    try:
        asyncio.run(serve(Path(sys.argv[1])))
    except LabError as error:
        sys.exit(str(error))
