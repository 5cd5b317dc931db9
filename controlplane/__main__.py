"""python -m ansible_collections.vmshift.mtv.controlplane: run or end an embedded control plane, or give others access to it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.cluster.processes import stop_guests
from ansible_collections.vmshift.mtv.controlplane.context import GUEST_NETWORKS, ISOLATED, Guests
from ansible_collections.vmshift.mtv.controlplane.lifetime import StartError, stop
from ansible_collections.vmshift.mtv.controlplane.state import State


def main() -> int:
    parser = argparse.ArgumentParser(prog="controlplane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve the API, the inventory and the controllers until SIGTERM")
    serving.add_argument("--port", type=_port, default=0, help="API server's port on 127.0.0.1; 0: that of the last time, or a free one")
    serving.add_argument("--inventory-port", type=_port, default=0, help="Inventory service's port, likewise")
    serving.add_argument("--run-vms", action="store_true", help="start VirtualMachines in QEMU")
    serving.add_argument(
        "--guest-network", choices=GUEST_NETWORKS, default=ISOLATED, help="isolated: guests reach nothing; nat: what this machine reaches"
    )
    serving.add_argument("--verbose", action="store_true", help="log each reconcile")
    stopping = commands.add_parser("stop", help="end the control plane that holds the state folder, and its guests")
    stopping.add_argument("--timeout", type=float, default=60, help="seconds to wait for its end")
    giving = commands.add_parser("kubeconfig", help="print a kubeconfig with fewer rights than the administrator's")
    giving.add_argument("--namespace", action="append", default=[], help="a namespace that it is for; may be given several times")
    giving.add_argument("--read-only", action="store_true", help="for looking only; without --namespace everywhere (but at no Secrets)")
    giving.add_argument("--days", type=float, default=30, help="how long its token is valid")
    giving.add_argument("--output", type=Path, help="the file to write, readable by its owner only, instead of printing")
    for command in (serving, stopping, giving):
        command.add_argument("--state", type=Path, required=True, help="state folder")
    options = parser.parse_args()
    state = State(options.state.expanduser().absolute())
    try:
        if options.command == "stop":
            if not stop(state, options.timeout):
                stop_guests(state)  # it may have been killed
            return 0
        if options.command == "kubeconfig":
            give(state, options)
            return 0
        # Imported here: `stop` must not wait for aiohttp.
        from ansible_collections.vmshift.mtv.controlplane.serve import serve

        logging.basicConfig(
            level=logging.DEBUG if options.verbose else logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s"
        )
        logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
        asyncio.run(serve(state, options.port, options.inventory_port, Guests(options.run_vms, options.guest_network)))
    except StartError as error:
        print(f"controlplane: {error}", file=sys.stderr)
        return 1
    return 0


def give(state: State, options: argparse.Namespace) -> None:
    from ansible_collections.vmshift.mtv.controlplane.access import kubeconfig
    from ansible_collections.vmshift.mtv.controlplane.apiserver.pki import write_private

    text = kubeconfig(state, options.namespace, read_only=options.read_only, days=options.days)
    if options.output:
        write_private(options.output.expanduser().absolute(), text.encode())
    else:
        sys.stdout.write(text)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 65536:
        raise argparse.ArgumentTypeError(f"{number} is no port; give one from 1 to 65535, or 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
