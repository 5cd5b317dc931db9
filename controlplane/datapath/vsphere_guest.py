"""A VM on vSphere as the guest of a conversion.

Its disks are read from their datastores over HTTPS: nbdkit shows each on a socket of this machine, and an overlay takes what
virt-v2v changes. This stands where virt-v2v of MTV asks vCenter by way of libvirt and reads disks with VMware's library, neither of
which is free to be had. Credentials come from files of the pod and go to nbdkit in a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ansible_collections.vmshift.mtv.controlplane.datapath import tools
from ansible_collections.vmshift.mtv.controlplane.datapath.datastore import Datastores, Extent
from ansible_collections.vmshift.mtv.controlplane.datapath.guest_input import GuestInput, Hardware, libvirt_domain
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import items, properties, vms
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.machine import Machine
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, Session, connect, explained

SECRET = "/etc/secret"
SCHEMES = ("vpx", "esx")
KEEP_ALIVE = 300.0  # seconds; vCenter ends a session that nobody has asked anything for half an hour
_STARTING = 30.0  # seconds for nbdkit to open a disk
_READ = ("name", "config.hardware.memoryMB", "config.hardware.numCPU", "config.firmware", "config.bootOptions.efiSecureBootEnabled")
_DEVICES = "config.hardware.device"


@dataclass(frozen=True)
class Request:
    """`place`: the path of the host of the VM in vCenter, "" where the endpoint is a host."""

    endpoint: Endpoint
    place: str
    vm: str
    deadline: float  # seconds


def request(environment: Mapping[str, str], mounts: Mounts, deadline: float) -> Request:
    """Raises ConversionFailed for what is missing or cannot be understood."""
    missing = [name for name in ("V2V_libvirtURL", "V2V_vmName") if not environment.get(name)]
    if missing:
        raise ConversionFailed(f"the environment of the pod lacks {' and '.join(missing)}")
    url = urlsplit(environment["V2V_libvirtURL"])
    if url.scheme not in SCHEMES or not url.hostname:
        raise ConversionFailed(f"V2V_libvirtURL is {environment['V2V_libvirtURL']!r}; vpx://user@vcenter/… or esx://user@host is needed")
    insecure = parse_qs(url.query).get("no_verify") == ["1"]
    address = url.netloc.rpartition("@")[2]
    secret = _folder(mounts)
    endpoint = Endpoint(
        f"https://{address}/sdk",
        _text(secret, "accessKeyId"),
        _text(secret, "secretKey"),
        ca="" if insecure else _text(secret, "cacert"),
        insecure=insecure,
    )
    if not endpoint.user or not endpoint.password:
        raise ConversionFailed(f"the Secret at {SECRET} lacks accessKeyId or secretKey")
    return Request(endpoint, unquote(url.path).strip("/"), environment["V2V_vmName"], deadline)


def _folder(mounts: Mounts) -> Path:
    try:
        return mounts.host_path(SECRET)
    except NotMounted as error:
        raise ConversionFailed(str(error)) from None


def _text(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_text() if path.exists() else ""


@contextlib.asynccontextmanager
async def opened(wanted: Request, scratch: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> AsyncIterator[GuestInput]:
    """The guest, readable until the end of the context. Raises ConversionFailed, SourceError, tools.ToolMissing."""
    session = await asyncio.to_thread(connect, wanted.endpoint)
    try:
        hardware, extents = await asyncio.to_thread(_look, wanted, session)
        async with shown(wanted.endpoint, session, extents, scratch, environment, wanted.deadline, say) as overlays:
            guest = libvirt_domain(scratch / "domain.xml", hardware, overlays)
            yield GuestInput(guest.argv, [(extent.size, number) for number, extent in enumerate(extents)])
    finally:
        await asyncio.to_thread(session.close)


# Looking at the VM


def _look(wanted: Request, session: Session) -> tuple[Hardware, list[Extent]]:
    machine, record = _find(wanted, session)
    datastores = Datastores(wanted.endpoint, session, machine.datacenter())
    described = items.vm(machine.id, {_DEVICES: properties.devices(record.get(_DEVICES) or ())})
    extents = [datastores.extent(disk["file"]) for disk in vms.ordered_disks(described)]
    macs = tuple(nic["mac"] for nic in described["nics"] if nic.get("mac"))
    hardware = Hardware(
        wanted.vm,
        int(record.get("config.hardware.memoryMB") or 1024),
        int(record.get("config.hardware.numCPU") or 1),
        str(record.get("config.firmware") or ""),
        bool(record.get("config.bootOptions.efiSecureBootEnabled")),
        macs,
    )
    return hardware, extents


def _find(wanted: Request, session: Session) -> tuple[Machine, Mapping[str, Any]]:
    """The VM by its name on its host, as libvirt finds it; and its properties."""
    candidates = [vm for host in _hosts(wanted, session) for vm in host]
    named = session.read(candidates, ["name"])
    found = [id for id, properties in named.items() if properties.get("name") in (wanted.vm, _escaped(wanted.vm))]
    if len(found) != 1:
        where = f"on /{wanted.place} " if wanted.place else ""
        raise ConversionFailed(f'{wanted.endpoint.url} has {len(found) or "no"} VMs "{wanted.vm}" {where}(one is needed)')
    machine = Machine(session, found[0])
    return machine, session.read([session.object("VirtualMachine", found[0])], [*_READ, _DEVICES])[found[0]]


def _escaped(name: str) -> str:
    """As vCenter tells names with characters that are special in paths."""
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


def _hosts(wanted: Request, session: Session) -> list[Sequence[Any]]:
    """The VMs of each host that is meant."""
    from pyVmomi import vim

    with explained(wanted.endpoint):
        if not wanted.place:
            view = session.content.viewManager.CreateContainerView(session.content.rootFolder, [vim.HostSystem], True)
            hosts = list(view.view)
            view.Destroy()
        else:
            place = session.content.searchIndex.FindByInventoryPath(wanted.place)
            if not isinstance(place, (vim.HostSystem, vim.ComputeResource)):
                raise ConversionFailed(f"{wanted.endpoint.url} has no host /{wanted.place}")
            hosts = [place] if isinstance(place, vim.HostSystem) else list(place.host)
    return [found.get("vm") or () for found in session.read(hosts, ["vm"]).values()]


# Showing its disks here


@contextlib.asynccontextmanager
async def shown(
    endpoint: Endpoint,
    session: Session,
    extents: Sequence[Extent],
    scratch: Path,
    environment: Mapping[str, str],
    deadline: float,
    say: Callable[[str], None],
) -> AsyncIterator[list[Path]]:
    """An overlay of each disk (qcow2), readable until the end of the context. Raises ConversionFailed, tools.ToolMissing."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_kept_alive(session))
        overlays = []
        for number, extent in enumerate(extents):
            socket = scratch / f"source{number}"
            await stack.enter_async_context(_served(endpoint, deadline, session.cookie, extent, socket, environment, say))
            overlays.append(await _overlay(scratch / f"overlay{number}", socket, environment))
        yield overlays


@contextlib.asynccontextmanager
async def _kept_alive(session: Session) -> AsyncIterator[None]:
    async def ask() -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE)
            with contextlib.suppress(Exception):  # a read of a disk will tell
                await asyncio.to_thread(session.instance.CurrentTime)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@contextlib.asynccontextmanager
async def _served(
    endpoint: Endpoint,
    deadline: float,
    cookie: str,
    extent: Extent,
    socket: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> AsyncIterator[None]:
    """nbdkit shows the file on a socket."""
    argv = nbdkit(endpoint, extent.url, socket, _private(socket.with_suffix(".cookie"), cookie), socket.with_suffix(".ca"))
    serving = asyncio.create_task(tools.run(argv, deadline=deadline, env=environment, on_line=tools.remembering(say)))
    try:
        await _listening(serving, socket, extent)
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def _listening(serving: asyncio.Task[str], socket: Path, extent: Extent) -> None:
    try:
        async with asyncio.timeout(_STARTING):
            while not socket.exists() and not serving.done():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise ConversionFailed(f"nbdkit did not open {extent.url.partition('?')[0]} within {_STARTING:.0f} s") from None
    if serving.done():
        raise ConversionFailed(f"nbdkit does not serve {extent.url.partition('?')[0]}: {serving.exception() or 'it has ended'}")


def nbdkit(endpoint: Endpoint, url: str, socket: Path, cookie: Path, ca: Path) -> list[str]:
    """`cookie`: file with the session's cookie; `ca`: where the certificate of the CA may be put."""
    argv = [tools.find("nbdkit"), "--foreground", "--exit-with-parent", "--readonly", "--unix", str(socket), "--filter=retry"]
    argv += ["curl", f"url={url}", f"cookie=+{cookie}", "protocols=https"]
    if endpoint.insecure:
        argv += ["sslverify=false"]
    elif endpoint.ca:
        argv += [f"cainfo={_private(ca, endpoint.ca)}"]
    return argv


def _private(path: Path, content: str) -> Path:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content)
    return path


async def _overlay(path: Path, socket: Path, environment: Mapping[str, str]) -> Path:
    argv = [tools.find("qemu-img"), "create", "-q", "-f", "qcow2", "-F", "raw", "-b", f"nbd+unix:///?socket={socket}", str(path)]
    await tools.run(argv, deadline=_STARTING, env=environment)
    return path
