"""The device model of a VirtualMachineInstance, as QEMU is told it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath.guest import firmware, qemu, services
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.qemu import Host, Unsupported
from ansible_collections.vmshift.mtv.controlplane.datapath.guest.qmp import Monitor, MonitorError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def host(tmp_path: Path, *names: str, **more: Any) -> Host:
    return Host("tcg", {name: tmp_path / f"{name}.img" for name in names or ("vol-0",)}, **more)


def told(instance: Any, here: Host, option: str) -> list[str]:
    """The values of an option."""
    argv = qemu.command(instance, here, NOW)
    return [value for name, value in zip(argv, argv[1:], strict=False) if name == option]


def devices(instance: Any, here: Host) -> dict[str, str]:
    """id -> device"""
    found = told(instance, here, "-device")
    return {next(part[3:] for part in device.split(",") if part.startswith("id=")): device for device in found if "id=" in device}


def test_what_a_migrated_linux_guest_gets(instance: Any, tmp_path: Path) -> None:
    here = host(tmp_path)
    found = devices(instance, here)
    assert found["disk0"] == "virtio-blk-pci,drive=drive0,id=disk0,bootindex=1,serial=abc"
    assert found["nic0"] == "virtio-net-pci,netdev=net0,id=nic0,mac=00:50:56:8a:aa:bb,romfile="
    assert found["input0"] == "virtio-tablet-pci,id=input0"
    assert found["agent-port"].endswith("name=org.qemu.guest_agent.0")
    assert told(instance, here, "-smp") == ["cpus=2,sockets=2,cores=1,threads=1"]
    assert told(instance, here, "-m") == ["size=64M"]
    assert told(instance, here, "-netdev") == ["user,id=net0,net=10.0.2.0/24,restrict=on"]
    assert told(instance, here, "-smbios")[0].endswith("serial=42,,3")
    assert told(instance, here, "-drive") == [f"file={tmp_path}/vol-0.img,format=raw,if=none,id=drive0,discard=unmap,detect-zeroes=unmap"]
    assert told(instance, here, "-rtc") == ["base=utc,driftfix=slew"]
    assert "spawn=deny" in told(instance, here, "-sandbox")[0]
    assert told(instance, host(tmp_path, isolated=False), "-netdev")[0].endswith("restrict=off")


@pytest.mark.parametrize(
    ("disk", "device"),
    [
        ({"disk": {"bus": "sata"}}, "ide-hd,bus=ide.0,drive=drive0,id=disk0,bootindex=1"),
        ({"disk": {"bus": "scsi"}}, "scsi-hd,bus=scsi.0,drive=drive0,id=disk0,bootindex=1"),
        ({"lun": {"bus": "scsi"}}, "scsi-hd,bus=scsi.0,drive=drive0,id=disk0,bootindex=1"),
        ({"cdrom": {"bus": "sata"}}, "ide-cd,bus=ide.0,drive=drive0,id=disk0"),
        ({"disk": {"bus": "virtio"}, "bootOrder": 3}, "virtio-blk-pci,drive=drive0,id=disk0,bootindex=3"),
        ({"disk": {"bus": "virtio"}, "shareable": True}, "virtio-blk-pci,drive=drive0,id=disk0,bootindex=1,share-rw=on"),
        ({}, "virtio-blk-pci,drive=drive0,id=disk0,bootindex=1"),
    ],
)
def test_buses_of_disks(instance: Any, tmp_path: Path, disk: Any, device: str) -> None:
    instance["spec"]["domain"]["devices"]["disks"] = [{"name": "vol-0", **disk}]
    assert devices(instance, host(tmp_path))["disk0"] == device


def test_the_order_of_disks_stays_and_the_boot_order_counts(instance: Any, tmp_path: Path) -> None:
    disks = [{"name": "a", "disk": {"bus": "sata"}}, {"name": "b", "disk": {"bus": "sata"}, "bootOrder": 1}]
    instance["spec"]["domain"]["devices"]["disks"] = disks
    found = devices(instance, host(tmp_path, "a", "b"))
    assert found["disk0"] == "ide-hd,bus=ide.0,drive=drive0,id=disk0"
    assert found["disk1"] == "ide-hd,bus=ide.1,drive=drive1,id=disk1,bootindex=1"


@pytest.mark.parametrize("model", ["e1000e", "e1000", "rtl8139"])
def test_models_and_networks_of_nics(instance: Any, tmp_path: Path, model: str) -> None:
    nics = [{"name": "net-0", "model": model}, {"name": "net-1", "bootOrder": 1, "macAddress": "00-50-56-00-00-02"}]
    instance["spec"]["domain"]["devices"]["interfaces"] = nics
    found = devices(instance, host(tmp_path))
    assert found["nic0"] == f"{model},netdev=net0,id=nic0,mac={qemu.mac_of(instance, 0)},romfile="
    assert found["nic1"] == "virtio-net-pci,netdev=net1,id=nic1,mac=00:50:56:00:00:02,bootindex=1"
    assert told(instance, host(tmp_path), "-netdev")[1].startswith("user,id=net1,net=10.0.3.0/24")
    assert "bootindex" not in found["disk0"]  # an interface is first


def test_an_address_that_nobody_chose_stays_with_its_vm(instance: Any) -> None:
    instance["spec"]["domain"]["devices"]["interfaces"] = [{"name": "a"}, {"name": "b"}]
    instance["metadata"]["ownerReferences"] = [{"uid": "of-the-vm"}]
    before = [qemu.mac_of(instance, number) for number in (0, 1)]
    instance["metadata"]["uid"] = "of-the-next-instance"
    assert [qemu.mac_of(instance, number) for number in (0, 1)] == before
    assert before[0] != before[1] and all(mac.startswith("02:") for mac in before)


def test_compatibility_hardware(instance: Any, tmp_path: Path) -> None:
    model = instance["spec"]["domain"]["devices"]
    model["disks"][0]["disk"]["bus"] = "sata"
    model["interfaces"][0]["model"] = "e1000e"
    model["inputs"] = [{"name": "tablet", "type": "tablet", "bus": "usb"}]
    found = devices(instance, host(tmp_path))
    assert found["disk0"].startswith("ide-hd") and found["nic0"].startswith("e1000e")
    assert (found["usb"], found["input0"]) == ("qemu-xhci,id=usb", "usb-tablet,bus=usb.0,id=input0")


def test_uefi_and_secure_boot(instance: Any, tmp_path: Path) -> None:
    domain = instance["spec"]["domain"]
    some = firmware.Firmware(tmp_path / "code.fd", tmp_path / "vars.qcow2")
    domain["firmware"]["bootloader"] = {"efi": {"secureBoot": False}}
    drives = told(instance, host(tmp_path, firmware=some), "-drive")
    assert drives[0] == f"if=pflash,unit=0,readonly=on,format=raw,file={tmp_path}/code.fd"
    assert drives[1] == f"if=pflash,unit=1,format=qcow2,file={tmp_path}/vars.qcow2"
    assert told(instance, host(tmp_path, firmware=some), "-machine") == ["q35,accel=tcg,usb=off,smm=off"]
    domain["firmware"]["bootloader"] = {"efi": {}}  # KubeVirt's default is secure
    assert told(instance, host(tmp_path, firmware=some), "-machine") == ["q35,accel=tcg,usb=off,smm=on"]
    assert "driver=cfi.pflash01,property=secure,value=on" in told(instance, host(tmp_path, firmware=some), "-global")
    with pytest.raises(Unsupported, match="no UEFI firmware was found"):
        told(instance, host(tmp_path), "-drive")


def test_variables_are_the_guests_own(tmp_path: Path) -> None:
    (tmp_path / "vars.fd").write_bytes(b"fresh")
    copied = firmware.Firmware(tmp_path / "code.fd", tmp_path / "vars.fd").copied_to(tmp_path)
    assert copied.variables != tmp_path / "vars.fd" and copied.variables.read_bytes() == b"fresh"


def test_processors_and_memory(instance: Any, tmp_path: Path) -> None:
    domain = instance["spec"]["domain"]
    domain["cpu"] = {
        "model": "Nehalem",
        "features": [{"name": "vmx", "policy": "disable"}, {"name": "aes"}, {"name": "svm", "policy": "optional"}],
    }
    domain["resources"] = {"requests": {"cpu": "1500m", "memory": "1G"}}
    assert told(instance, host(tmp_path), "-cpu") == ["Nehalem,vmx=off,aes=on"]
    assert told(instance, host(tmp_path), "-smp") == ["cpus=2,sockets=2,cores=1,threads=1"]
    assert qemu.memory(domain) == 64 << 20
    del domain["memory"]
    assert qemu.memory(domain) == 10**9
    del domain["cpu"]
    assert told(instance, host(tmp_path), "-cpu") == ["max,la57=off"]
    assert told(instance, Host("kvm", host(tmp_path).disks), "-cpu") == ["host"]


def test_clocks(instance: Any, tmp_path: Path) -> None:
    instance["spec"]["domain"]["clock"] = {"timezone": "Asia/Tokyo"}
    assert told(instance, host(tmp_path), "-rtc") == ["base=2026-01-02T12:04:05,driftfix=slew"]
    instance["spec"]["domain"]["clock"] = {"utc": {"offsetSeconds": -60}}
    assert told(instance, host(tmp_path), "-rtc") == ["base=2026-01-02T03:03:05,driftfix=slew"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clock": {"timezone": "Mars/Olympus"}}, '"Mars/Olympus" is no time zone'),
        ({"memory": {"guest": "much"}}, "memory: 'much' is no quantity"),
        ({"machine": {"type": "virt"}}, 'the type "virt" is not available'),
        ({"devices": {"disks": [{"name": "x", "disk": {}}]}}, 'the disk "x" has no volume'),
        ({"devices": {"disks": [{"name": "vol-0", "disk": {"bus": "usb"}}]}}, 'the bus "usb" is not available'),
        ({"devices": {"disks": [{"name": "vol-0", "disk": {"bus": "sata"}}] * 7}}, "at most 6 disks on the bus sata"),
        ({"devices": {"interfaces": [{"name": "n", "model": "vmxnet3"}]}}, 'the model "vmxnet3" is not available'),
        ({"devices": {"inputs": [{"name": "n", "type": "keyboard"}]}}, 'the type "keyboard" is not available'),
    ],
)
def test_what_is_not_available_is_said(instance: Any, tmp_path: Path, change: Any, said: str) -> None:
    instance["spec"]["domain"].update(change)
    with pytest.raises(Unsupported, match=said):
        qemu.command(instance, host(tmp_path), NOW)


def test_services_of_an_isolated_guest(instance: Any, tmp_path: Path) -> None:
    instance["metadata"]["annotations"] = {services.ANNOTATION: "10.0.2.100:80=127.0.0.1:8080 10.0.2.101:443=mirror:8443"}
    (first, second) = services.of(instance)
    assert (first.address, first.port, first.command.split()[-2:]) == ("10.0.2.100", 80, ["127.0.0.1", "8080"])
    assert (second.address, second.port, second.command.split()[-2:]) == ("10.0.2.101", 443, ["mirror", "8443"])
    netdev = told(instance, host(tmp_path, services=(first, second)), "-netdev")[0]
    assert "restrict=on" in netdev and "guestfwd=tcp:10.0.2.100:80-cmd:" in netdev and "guestfwd=tcp:10.0.2.101:443-cmd:" in netdev
    assert "spawn" not in told(instance, host(tmp_path, services=(first,)), "-sandbox")[0]


@pytest.mark.parametrize("text", ["10.0.2.100:80", "10.9.9.9:80=127.0.0.1:1", "10.0.2.100:80=127.0.0.1:0", "10.0.2.300:1=a:1", "x=y"])
def test_services_that_cannot_be(instance: Any, text: str) -> None:
    instance["metadata"]["annotations"] = {services.ANNOTATION: text}
    with pytest.raises(Unsupported, match=services.ANNOTATION):
        services.of(instance)


# QEMU itself has the last word


def _every_device(domain: Any) -> None:
    kinds = [
        {"disk": {"bus": "virtio"}},
        {"disk": {"bus": "sata"}},
        {"disk": {"bus": "scsi"}},
        {"cdrom": {"bus": "sata"}},
        {"cdrom": {"bus": "scsi"}},
    ]
    domain["devices"] = {
        "disks": [{"name": "vol-0", "shareable": True, **kind} for kind in kinds],
        "interfaces": [{"name": f"net-{n}", "model": model} for n, model in enumerate(("virtio", "e1000e", "e1000", "rtl8139"))],
        "inputs": [{"name": "a", "type": "tablet", "bus": "usb"}, {"name": "b", "type": "tablet", "bus": "virtio"}],
        "rng": {},
        "useVirtioTransitional": True,
    }


@pytest.mark.parametrize("boot", ["bios", "uefi", "secure"])
async def test_qemu_accepts_every_device(instance: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boot: str) -> None:
    if not shutil.which(qemu.PROGRAM):
        pytest.skip("QEMU is not installed")
    domain = instance["spec"]["domain"]
    _every_device(domain)
    some = None
    if boot != "bios":
        domain["firmware"]["bootloader"] = {"efi": {"secureBoot": boot == "secure"}}
        found = firmware.find(secure=boot == "secure")
        if found is None:
            pytest.skip("no UEFI firmware is installed")
        some = found.copied_to(tmp_path)
    (tmp_path / "vol-0.img").write_bytes(bytes(1 << 20))
    monkeypatch.chdir(tmp_path)
    with subprocess.Popen(
        qemu.command(instance, host(tmp_path, firmware=some, console_log="console"), NOW), stderr=subprocess.PIPE, text=True
    ) as machine:
        try:
            monitor = await _connected(machine, tmp_path / qemu.MONITOR_SOCKET)
            status = await monitor.run("query-status")
            assert (status["running"], status["status"]) == (False, "prelaunch")
            with pytest.raises(MonitorError, match="no-such-command: "):
                await monitor.run("no-such-command")
            assert "unknown command" in await monitor.human("nonsense")
            await monitor.run("quit")
            await asyncio.to_thread(machine.wait, 20)
            with pytest.raises(MonitorError, match="QEMU has ended"):
                await monitor.run("query-status")
            await monitor.close()
        finally:
            machine.kill()


async def _connected(machine: subprocess.Popen[str], socket: Path) -> Monitor:
    for _unused in range(600):
        try:
            return await Monitor.connect(socket, lambda _event: None)
        except OSError:
            if machine.poll() is not None:
                raise AssertionError(machine.communicate()[1]) from None
            await asyncio.sleep(0.05)
    raise AssertionError("QEMU's monitor did not answer")
