"""python -m ansible_collections.vmshift.mtv.lab: guests to migrate."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ansible_collections.vmshift.mtv.lab import boot, guests
from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    ova = commands.add_parser("ova", help="put the OVA of a guest into a folder and print its facts as JSON")
    ova.add_argument("folder", type=Path)
    ova.add_argument("--guest", choices=sorted(guests.BUILDERS), default="tiny")
    ova.add_argument("--name", default="lab-guest")
    vsphere = commands.add_parser("vsphere", help="start a vCenter with VMs, working in a folder, and print its facts as JSON")
    vsphere.add_argument("folder", type=Path)
    vsphere.add_argument("--all", action="store_true", help="make all kinds of VMs, not only one with a guest that boots")
    vsphere.add_argument("--program", type=Path, help="another vcsim to start")
    vsphere.add_argument("--vcenter", metavar="URL", help="use a real vCenter, with --user and the password in LAB_PASSWORD")
    vsphere.add_argument("--user", default="")
    vsphere.add_argument("--ca", type=Path, help="file of the CA of the real vCenter")
    vsphere.add_argument("--stop", action="store_true", help="end the one that was started in the folder")
    ovirt = commands.add_parser("ovirt", help="start an oVirt engine with VMs, working in a folder, and print its facts as JSON")
    ovirt.add_argument("folder", type=Path)
    ovirt.add_argument("--all", action="store_true", help="make all kinds of VMs, not only one with a guest that boots")
    ovirt.add_argument("--stop", action="store_true", help="end the one that was started in the folder")
    openshift = commands.add_parser(
        "openshift", help="put a VM on the embedded control plane of a state folder and print its facts as JSON"
    )
    openshift.add_argument("folder", type=Path, help="state folder of a control plane that runs")
    openstack = commands.add_parser("openstack", help="start an OpenStack with servers, working in a folder, and print its facts as JSON")
    openstack.add_argument("folder", type=Path)
    openstack.add_argument("--stop", action="store_true", help="end the one that was started in the folder")
    start = commands.add_parser("boot", help="boot a raw disk image and print the line with which its guest reports")
    start.add_argument("image", type=Path)
    start.add_argument("--hardware", choices=sorted(boot.DEVICES), default="virtio")
    start.add_argument("--timeout", type=float, default=240)
    start.add_argument("--memory", type=int, default=256, help="MiB")
    options = parser.parse_args()
    try:
        if options.command == "ova":
            print(json.dumps(asdict(guests.guest_ova(options.folder, options.guest, options.name)), indent=2))
        elif options.command == "vsphere":
            run_vsphere(options)
        elif options.command == "ovirt":
            run_ovirt(options)
        elif options.command == "openshift":
            run_openshift(options)
        elif options.command == "openstack":
            run_openstack(options)
        else:
            print(boot.boot(options.image, options.hardware, timeout=options.timeout, memory=options.memory))
    except (LabError, SourceError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


def run_vsphere(options: argparse.Namespace) -> None:
    from ansible_collections.vmshift.mtv.lab.vsphere.machines import MACHINES, ONE
    from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere

    folder = options.folder.resolve()
    if options.stop:
        VSphere.attach(folder).stop()
        return
    if options.vcenter:
        password, ca = os.environ.get("LAB_PASSWORD", ""), options.ca.read_text() if options.ca else ""
        lab = VSphere.real(folder, options.vcenter, options.user, password, ca)
    else:
        lab = VSphere.start(folder, MACHINES if options.all else ONE, program=options.program)
    print(json.dumps(lab.facts(), indent=2))


def run_ovirt(options: argparse.Namespace) -> None:
    from ansible_collections.vmshift.mtv.lab.ovirt.machines import MACHINES, ONE
    from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt

    folder = options.folder.resolve()
    if options.stop:
        OVirt.attach(folder).stop()
        return
    print(json.dumps(OVirt.start(folder, MACHINES if options.all else ONE).facts(), indent=2))


def run_openshift(options: argparse.Namespace) -> None:
    from ansible_collections.vmshift.mtv.controlplane.state import State
    from ansible_collections.vmshift.mtv.lab.openshift import furnish

    print(json.dumps(furnish(State(options.folder.resolve())), indent=2))


def run_openstack(options: argparse.Namespace) -> None:
    from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack

    folder = options.folder.resolve()
    if options.stop:
        OpenStack.attach(folder).stop()
        return
    print(json.dumps(OpenStack.start(folder).facts(), indent=2))


if __name__ == "__main__":
    sys.exit(main())
