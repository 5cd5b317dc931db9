"""QEMU's command line for a VirtualMachineInstance: the device model of its spec, nothing guessed. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ansible_collections.vmshift.mtv.controlplane import quantity
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.firmware import Firmware

Object = dict[str, Any]

PROGRAM = "qemu-system-x86_64"
AGENT_CHANNEL = "org.qemu.guest_agent.0"
# Sockets are made in the working directory: their full paths could be longer than the 107 bytes that a socket's address takes.
MONITOR_SOCKET, AGENT_SOCKET, CONSOLE_SOCKET, TPM_SOCKET = "qmp.sock", "agent.sock", "console.sock", "tpm.sock"
SATA_PORTS = 6  # of the controller that q35 has
DEFAULT_MEMORY = "512Mi"  # of a VM that asks for none
_NIC_MODELS = {"virtio": "virtio-net-pci", "e1000e": "e1000e", "e1000": "e1000", "rtl8139": "rtl8139"}
_DISK_KINDS = ("disk", "cdrom", "lun")
_MEMORY_STEP = 1 << 20


class Unsupported(Exception):
    """The spec asks for what this machine cannot give; the text is one sentence for the user."""


@dataclass(frozen=True)
class Host:
    """What the guest's machine is made from on this one. `disks`: volume name -> file."""

    accelerator: str
    disks: Mapping[str, Path]
    firmware: Firmware | None = None
    isolated: bool = True  # no route out of the user network
    services: tuple[Service, ...] = ()
    console_log: str = ""


@dataclass(frozen=True)
class Service:
    """An address in the guest's network behind which a command answers, one process for each connection."""

    address: str
    port: int
    command: str


def command(instance: Object, host: Host, now: datetime | None = None) -> list[str]:
    """The whole command line. QEMU stops before the guest's first instruction, until it is told to go on. Raises Unsupported."""
    spec = instance["spec"]
    domain = spec["domain"]
    devices = domain.get("devices") or {}
    return [
        PROGRAM,
        *("-name", f"guest={_value(instance['metadata']['namespace'] + '_' + instance['metadata']['name'])},debug-threads=on"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-S"),
        *("-sandbox", _sandbox(host)),
        *("-machine", _machine(domain, host)),
        *("-cpu", _cpu(domain, host.accelerator)),
        *("-smp", _processors(domain)),
        *("-m", f"size={memory(domain) // _MEMORY_STEP}M"),
        *_identity(instance),
        *("-rtc", _clock(domain, now or datetime.now(timezone.utc))),
        *_boot_firmware(domain, host),
        *_monitor(),
        *_channels(devices, host),
        *_graphics(devices),
        *_small_devices(devices),
        *_disks(spec, host),
        *_interfaces(instance, host),
    ]


def _sandbox(host: Host) -> str:
    """Guests come from elsewhere: QEMU gives up what it does not need. The commands behind services need more than children may."""
    kept_shut = "on,obsolete=deny,resourcecontrol=deny"
    return kept_shut if host.services else f"{kept_shut},elevateprivileges=deny,spawn=deny"


# Processor, memory, board


def memory(domain: Object) -> int:
    """Bytes of the guest's memory. Raises Unsupported."""
    resources = domain.get("resources") or {}
    asked = (domain.get("memory") or {}).get("guest") or _resource(resources, "memory") or DEFAULT_MEMORY
    try:
        return quantity.bytes_of(str(asked))
    except ValueError as error:
        raise Unsupported(f"memory: {error}") from None


def processors(domain: Object) -> tuple[int, int, int]:
    """(sockets, cores, threads)"""
    cpu = domain.get("cpu") or {}
    sockets, cores, threads = (int(cpu.get(name) or 0) for name in ("sockets", "cores", "threads"))
    if not (sockets or cores or threads):
        sockets = _whole(_resource(domain.get("resources") or {}, "cpu"))
    return max(sockets, 1), max(cores, 1), max(threads, 1)


def _resource(resources: Object, name: str) -> Any:
    return (resources.get("requests") or {}).get(name) or (resources.get("limits") or {}).get(name)


def _whole(cpus: Any) -> int:
    """ "2", "1500m" -> 2"""
    text = str(cpus or "1")
    try:
        number = Decimal(text[:-1]) / 1000 if text.endswith("m") else Decimal(text)
    except ArithmeticError:
        raise Unsupported(f'cpu: "{text}" is no number of CPUs') from None
    return int(number.to_integral_value(rounding="ROUND_CEILING"))


def _processors(domain: Object) -> str:
    sockets, cores, threads = processors(domain)
    return f"cpus={sockets * cores * threads},sockets={sockets},cores={cores},threads={threads}"


def _machine(domain: Object, host: Host) -> str:
    asked = (domain.get("machine") or {}).get("type") or "q35"
    # The names of distributions (pc-q35-rhel9.4.0) mean boards that QEMU has under its own.
    board = "q35" if "q35" in asked else "pc" if asked.startswith("pc") else ""
    if not board:
        raise Unsupported(f'machine: the type "{asked}" is not available here; q35 and pc are')
    secure = secure_boot(domain) or bool(((domain.get("features") or {}).get("smm") or {}).get("enabled"))
    return f"{board},accel={host.accelerator},usb=off,smm={'on' if secure else 'off'}"


def _cpu(domain: Object, accelerator: str) -> str:
    cpu = domain.get("cpu") or {}
    model = cpu.get("model") or "host-model"
    emulated = accelerator != "kvm"
    if model in ("host-model", "host-passthrough"):
        # la57 changes the way addresses are looked up, which old kernels mistake under emulation.
        model = "max,la57=off" if emulated else "host"
    features = []
    for feature in cpu.get("features") or ():
        policy = feature.get("policy") or "require"
        if policy in ("disable", "forbid"):
            features.append(f"{feature['name']}=off")
        elif policy in ("require", "force"):
            features.append(f"{feature['name']}=on")
    return ",".join([model, *features])


def _identity(instance: Object) -> Iterator[str]:
    """What the guest reads from its firmware about itself: UUID, serial number, maker."""
    firmware = instance["spec"]["domain"].get("firmware") or {}
    uuid = firmware.get("uuid") or lasting_uid(instance)
    yield from ("-uuid", uuid)
    told = {"manufacturer": "KubeVirt", "product": "None", "uuid": uuid, "family": "KubeVirt", "serial": firmware.get("serial")}
    yield from ("-smbios", "type=1," + ",".join(f"{key}={_value(text)}" for key, text in told.items() if text))


def lasting_uid(instance: Object) -> str:
    """That of the VirtualMachine, which stays over restarts; of an instance without one, its own."""
    owners = instance["metadata"].get("ownerReferences") or [instance["metadata"]]
    return owners[0]["uid"]


def _clock(domain: Object, now: datetime) -> str:
    clock = domain.get("clock") or {}
    if clock.get("timezone"):
        try:
            local = now.astimezone(ZoneInfo(clock["timezone"]))
        except (ZoneInfoNotFoundError, ValueError):
            raise Unsupported(f'clock: "{clock["timezone"]}" is no time zone that this machine knows') from None
        return f"base={local:%Y-%m-%dT%H:%M:%S},driftfix=slew"
    offset = (clock.get("utc") or {}).get("offsetSeconds")
    if offset:
        shifted = datetime.fromtimestamp(now.timestamp() + int(offset), timezone.utc)
        return f"base={shifted:%Y-%m-%dT%H:%M:%S},driftfix=slew"
    return "base=utc,driftfix=slew"


# Firmware


def boots_uefi(domain: Object) -> bool:
    return ((domain.get("firmware") or {}).get("bootloader") or {}).get("efi") is not None


def secure_boot(domain: Object) -> bool:
    """KubeVirt's default is secure."""
    efi = ((domain.get("firmware") or {}).get("bootloader") or {}).get("efi")
    return efi is not None and efi.get("secureBoot") is not False


def has_tpm(domain: Object) -> bool:
    tpm = (domain.get("devices") or {}).get("tpm")
    return tpm is not None and tpm.get("enabled") is not False


def keeps_tpm(domain: Object) -> bool:
    """What its TPM holds outlives the instance."""
    return has_tpm(domain) and domain["devices"]["tpm"].get("persistent") is True


def _boot_firmware(domain: Object, host: Host) -> Iterator[str]:
    if not boots_uefi(domain):
        return
    if host.firmware is None:
        raise Unsupported("firmware: the guest boots with UEFI, and no UEFI firmware was found on this machine")
    code, variables = host.firmware.code, host.firmware.variables
    yield from ("-drive", f"if=pflash,unit=0,readonly=on,format={_format(code)},file={_value(str(code))}")
    yield from ("-drive", f"if=pflash,unit=1,format={_format(variables)},file={_value(str(variables))}")
    if secure_boot(domain):
        yield from ("-global", "driver=cfi.pflash01,property=secure,value=on")


def _format(file: Path) -> str:
    return "qcow2" if file.suffix == ".qcow2" else "raw"


# Channels to the outside


def _monitor() -> Iterator[str]:
    yield from ("-chardev", f"socket,id=monitor,path={MONITOR_SOCKET},server=on,wait=off", "-mon", "chardev=monitor,mode=control")


def _channels(devices: Object, host: Host) -> Iterator[str]:
    if devices.get("autoattachSerialConsole") is not False:
        log = f",logfile={_value(host.console_log)},logappend=on" if host.console_log else ""
        yield from ("-chardev", f"socket,id=console,path={CONSOLE_SOCKET},server=on,wait=off{log}", "-serial", "chardev:console")
    yield from ("-device", f"virtio-serial-pci,id=channels{_transitional(devices)}")
    yield from ("-chardev", f"socket,id=agent,path={AGENT_SOCKET},server=on,wait=off")
    yield from ("-device", f"virtserialport,bus=channels.0,chardev=agent,id=agent-port,name={AGENT_CHANNEL}")


def _graphics(devices: Object) -> Iterator[str]:
    if devices.get("autoattachGraphicsDevice") is not False:
        yield from ("-device", "VGA,id=video")


def _small_devices(devices: Object) -> Iterator[str]:
    inputs = devices.get("inputs") or ()
    if any(item.get("bus", "usb") == "usb" for item in inputs):
        yield from ("-device", "qemu-xhci,id=usb")
    for number, item in enumerate(inputs):
        if item.get("type", "tablet") != "tablet":
            raise Unsupported(f'inputs: the type "{item["type"]}" is not available here; tablet is')
        model = "usb-tablet,bus=usb.0" if item.get("bus", "usb") == "usb" else "virtio-tablet-pci"
        yield from ("-device", f"{model},id=input{number}")
    if devices.get("autoattachMemBalloon") is not False:
        yield from ("-device", f"virtio-balloon-pci,id=balloon{_transitional(devices)}")
    if devices.get("rng") is not None:
        yield from (
            "-object",
            "rng-random,id=entropy,filename=/dev/urandom",
            "-device",
            f"virtio-rng-pci,rng=entropy{_transitional(devices)}",
        )
    if has_tpm({"devices": devices}):
        yield from ("-chardev", f"socket,id=tpm-socket,path={TPM_SOCKET}", "-tpmdev", "emulator,id=tpm,chardev=tpm-socket")
        yield from ("-device", "tpm-crb,tpmdev=tpm")


def _transitional(devices: Object) -> str:
    """Old guests know only the first revision of virtio."""
    return ",disable-legacy=off,disable-modern=off" if devices.get("useVirtioTransitional") else ""


# Disks


def _disks(spec: Object, host: Host) -> Iterator[str]:
    devices = spec["domain"].get("devices") or {}
    disks = devices.get("disks") or []
    first = None if _has_boot_order(devices) else _first_disk(disks)
    if any(bus_of(disk) == "scsi" for disk in disks):
        yield from ("-device", f"virtio-scsi-pci,id=scsi{_transitional(devices)}")
    ports: Iterator[int] = iter(range(SATA_PORTS))
    for number, disk in enumerate(disks):
        name = disk["name"]
        if name not in host.disks:
            raise Unsupported(f'the disk "{name}" has no volume of that name that a guest could be started from here')
        drive = f"drive{number}"
        kind = next((kind for kind in _DISK_KINDS if kind in disk), "disk")
        yield from ("-drive", _drive(drive, host.disks[name], disk, kind))
        device = [_disk_device(bus_of(disk), kind, drive, ports, devices), f"id=disk{number}"]
        order = disk.get("bootOrder") or (1 if disk is first else None)
        device += [f"bootindex={order}"] if order else []
        device += [f"serial={_value(disk['serial'])}"] if disk.get("serial") else []
        device += ["share-rw=on"] if disk.get("shareable") else []
        yield from ("-device", ",".join(device))


def bus_of(disk: Object) -> str:
    described = next((disk[kind] for kind in _DISK_KINDS if disk.get(kind)), None) or {}
    return described.get("bus") or ("sata" if "cdrom" in disk else "virtio")


def _first_disk(disks: list[Object]) -> Object | None:
    return next((disk for disk in disks if "cdrom" not in disk), None)


def _has_boot_order(devices: Object) -> bool:
    return any(item.get("bootOrder") for item in (*(devices.get("disks") or ()), *(devices.get("interfaces") or ())))


def _drive(drive: str, file: Path, disk: Object, kind: str) -> str:
    parts = [f"file={_value(str(file))}", "format=raw", "if=none", f"id={drive}"]
    # What the guest discards becomes a hole again: volumes are sparse files.
    parts += ["discard=unmap", "detect-zeroes=unmap"] if kind != "cdrom" else ["media=cdrom", "readonly=on"]
    if (disk.get(kind) or {}).get("readonly") and kind != "cdrom":
        parts.append("readonly=on")
    if disk.get("shareable"):
        parts += ["file.locking=off", "cache.direct=on"]
    return ",".join(parts)


def _disk_device(bus: str, kind: str, drive: str, ports: Iterator[int], devices: Object) -> str:
    if bus == "virtio" and kind != "cdrom":
        return f"virtio-blk-pci,drive={drive}{_transitional(devices)}"
    if bus == "scsi":
        return f"scsi-{'cd' if kind == 'cdrom' else 'hd'},bus=scsi.0,drive={drive}"
    if bus == "sata":
        port = next(ports, None)
        if port is None:
            raise Unsupported(f"disks: a guest has at most {SATA_PORTS} disks on the bus sata here")
        return f"ide-{'cd' if kind == 'cdrom' else 'hd'},bus=ide.{port},drive={drive}"
    raise Unsupported(f'disks: the bus "{bus}" is not available here for a {kind}; virtio, scsi and sata are')


# Network


def network_prefix(number: int) -> str:
    """The guest's network behind its interface `number`: as KubeVirt's for the first one."""
    return f"10.0.{2 + number}"


def mac_of(instance: Object, number: int) -> str:
    """The address of a guest's interface: that of the spec, else one of the VM's own."""
    interface = instance["spec"]["domain"]["devices"]["interfaces"][number]
    given = interface.get("macAddress")
    if given:
        return given.replace("-", ":").lower()
    digest = hashlib.sha256(f"{lasting_uid(instance)}/{number}".encode()).digest()
    return "02:" + ":".join(f"{byte:02x}" for byte in digest[:5])


def _interfaces(instance: Object, host: Host) -> Iterator[str]:
    devices = instance["spec"]["domain"].get("devices") or {}
    for number, interface in enumerate(devices.get("interfaces") or ()):
        model = interface.get("model") or "virtio"
        if model not in _NIC_MODELS:
            raise Unsupported(f'interfaces: the model "{model}" is not available here; {", ".join(_NIC_MODELS)} are')
        yield from ("-netdev", _netdev(number, host))
        device = [_NIC_MODELS[model], f"netdev=net{number}", f"id=nic{number}"]
        device.append(f"mac={mac_of(instance, number)}")
        # Without a place in the boot order nothing is loaded from the network, and its ROM would only cost time.
        device.append(f"bootindex={interface['bootOrder']}" if interface.get("bootOrder") else "romfile=")
        if model == "virtio":
            device[0] += _transitional(devices)
        yield from ("-device", ",".join(device))


def _netdev(number: int, host: Host) -> str:
    parts = ["user", f"id=net{number}", f"net={network_prefix(number)}.0/24", f"restrict={'on' if host.isolated else 'off'}"]
    if number == 0:
        parts += [f"guestfwd=tcp:{service.address}:{service.port}-cmd:{_value(service.command)}" for service in host.services]
    return ",".join(parts)


def _value(text: str) -> str:
    """A value in one of QEMU's lists: a comma in it is doubled."""
    return re.sub(r"[\x00-\x1f]", " ", text).replace(",", ",,")
