"""Descriptors of the exporters, and descriptors that nobody should have to read."""

from __future__ import annotations

import re

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovf import Network, Nic, OvfError, parse, unit_bytes

VIRTUALBOX = b"""<?xml version="1.0"?>
<Envelope ovf:version="2.0" xmlns="http://schemas.dmtf.org/ovf/envelope/2" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/2"
 xmlns:rasd="urn:rasd" xmlns:epasd="urn:epasd" xmlns:sasd="urn:sasd" xmlns:vssd="urn:vssd" xmlns:vbox="http://www.virtualbox.org/ovf/machine">
<References><File ovf:id="file1" ovf:href="deb-disk001.vmdk"/></References>
<DiskSection><Disk ovf:capacity="8589934592" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="urn:vmdk"/></DiskSection>
<NetworkSection><Network ovf:name="NAT"><Description>Logical network</Description></Network></NetworkSection>
<VirtualSystem ovf:id="deb"><OperatingSystemSection ovf:id="96"><Description>Debian_64</Description>
<vbox:OSType ovf:required="false">Debian_64</vbox:OSType></OperatingSystemSection>
<VirtualHardwareSection><System><vssd:VirtualSystemIdentifier>deb</vssd:VirtualSystemIdentifier></System>
<Item><rasd:ElementName>2 virtual CPU</rasd:ElementName><rasd:ResourceType>3</rasd:ResourceType>
<rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
<Item><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType>
<rasd:VirtualQuantity>1024</rasd:VirtualQuantity></Item>
<StorageItem><sasd:Description>Disk Image</sasd:Description><sasd:ResourceType>17</sasd:ResourceType></StorageItem>
<EthernetPortItem><epasd:Connection>NAT</epasd:Connection><epasd:ElementName>Ethernet adapter on 'NAT'</epasd:ElementName>
<epasd:ResourceType>10</epasd:ResourceType></EthernetPortItem></VirtualHardwareSection>
<vbox:Machine ovf:required="false"><Hardware><Firmware type="EFI"/></Hardware></vbox:Machine></VirtualSystem></Envelope>"""

OVIRT = b"""<?xml version="1.0" encoding="UTF-8"?>
<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:rasd="urn:rasd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xmlns:ovirt="http://www.ovirt.org/ovf">
<References><File ovf:href="c6e2b1f0" ovf:id="c6e2b1f0"/></References>
<Section xsi:type="ovf:NetworkSection_Type"><Network ovf:name="ovirtmgmt"/></Section>
<Section xsi:type="ovf:DiskSection_Type">
<Disk ovf:diskId="d1" ovf:fileRef="c6e2b1f0" ovf:capacity="10" ovf:capacityAllocationUnits="byte * 2^30"/></Section>
<Content ovf:id="6f0a1c52-1d0b-4ff6-9a0e-0d8a5a3f1111" xsi:type="ovf:VirtualSystem_Type"><Name>db</Name><BiosType>4</BiosType>
<Section xsi:type="ovf:OperatingSystemSection_Type"><Description>rhel_8x64</Description></Section>
<Section xsi:type="ovf:VirtualHardwareSection_Type">
<Item><rasd:ResourceType>3</rasd:ResourceType><rasd:num_of_sockets>2</rasd:num_of_sockets><rasd:cpu_per_socket>4</rasd:cpu_per_socket>
<rasd:threads_per_cpu>1</rasd:threads_per_cpu></Item>
<Item><rasd:ResourceType>4</rasd:ResourceType><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits>
<rasd:VirtualQuantity>4096</rasd:VirtualQuantity></Item>
<Item><rasd:ResourceType>10</rasd:ResourceType><rasd:Name>nic1</rasd:Name><rasd:Connection>ovirtmgmt</rasd:Connection>
<rasd:MACAddress>56:6f:00:00:00:01</rasd:MACAddress></Item></Section></Content></ovf:Envelope>"""


def test_virtualbox_export() -> None:
    envelope = parse(VIRTUALBOX)
    system = envelope.systems[0]
    assert (envelope.exporter, system.name, system.os_type, system.firmware) == ("VirtualBox", "deb", "Debian_64", "efi")
    assert (system.cpus, system.memory, system.memory_units) == (2, 1024, "MegaBytes")
    assert system.nics == (Nic("Ethernet adapter on 'NAT'", "", "NAT"),)
    assert system.devices == ("Disk Image",)
    assert envelope.networks == (Network("NAT", "Logical network"),)
    assert (envelope.disks[0].href, envelope.disks[0].capacity, envelope.disks[0].units) == ("deb-disk001.vmdk", 8589934592, "")


def test_ovirt_export_in_the_old_form() -> None:
    envelope = parse(OVIRT)
    system = envelope.systems[0]
    assert (envelope.exporter, system.name, system.os_type) == ("oVirt", "db", "rhel_8x64")
    assert (system.firmware, system.secure_boot) == ("efi", True)
    assert (system.cpus, system.cores_per_socket, system.memory) == (8, 4, 4096)
    assert system.nics == (Nic("nic1", "56:6f:00:00:00:01", "ovirtmgmt"),)
    assert envelope.disks[0].capacity * unit_bytes(envelope.disks[0].units) == 10 * 2**30


def test_vmware_settings(ovf_text) -> None:
    extra = """<vmw:Config vmw:key="firmware" vmw:value="efi"/><vmw:Config vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="true"/>
    <vmw:Config vmw:key="cpuHotAddEnabled" vmw:value="true"/><vmw:ExtraConfig vmw:key="memoryHotAddEnabled" vmw:value="false"/>"""
    system = parse(ovf_text(extra=extra)).systems[0]
    assert (system.firmware, system.secure_boot) == ("efi", True)
    settings = ("cpuHotAddEnabled", "memoryHotAddEnabled", "cpuHotRemoveEnabled")
    assert [system.enabled(setting) for setting in settings] == [True, False, False]


def test_disk_is_named_by_its_file_reference_not_by_its_place(ovf_text) -> None:
    text = ovf_text().replace(b"<References>", b'<References><File ovf:href="tools.iso" ovf:id="iso"/>')
    assert [disk.href for disk in parse(text).disks] == ["web-disk1.vmdk"]


def test_only_the_default_deployment_option_counts(ovf_text) -> None:
    options = b"""<DeploymentOptionSection><Configuration ovf:id="tiny"/>
    <Configuration ovf:id="medium" ovf:default="true"/></DeploymentOptionSection>"""
    item = b"""<Item ovf:configuration="%s"><rasd:ResourceType>3</rasd:ResourceType>
    <rasd:VirtualQuantity>%d</rasd:VirtualQuantity></Item>"""
    text = ovf_text(extra=(item % (b"medium", 4) + item % (b"tiny large", 16)).decode())
    assert parse(text.replace(b"<DiskSection>", options + b"<DiskSection>", 1)).systems[0].cpus == 4


@pytest.mark.parametrize(
    ("namespace", "exporter"),
    [
        ("http://www.vmware.com/schema/ovf/1.2", "VMware"),
        ("http://www.citrix.com/xenclient/ovf/1", "Xen"),
        ("urn:nobody", "Unknown"),
    ],
)
def test_exporter(namespace: str, exporter: str) -> None:
    text = f'<Envelope xmlns:x="{namespace}"><VirtualSystem id="a" xmlns:late="http://www.virtualbox.org/ovf/machine"/></Envelope>'
    assert parse(text.encode()).exporter == exporter


@pytest.mark.parametrize(
    ("units", "size"),
    [
        ("", 1),
        ("byte", 1),
        ("byte * 2^30", 2**30),
        ("byte*2^20", 2**20),
        ("bytes * 10^9", 10**9),
        ("byte * 1024 * 1024", 2**20),
        ("MegaBytes", 2**20),
        (" GigaBytes ", 2**30),
    ],
)
def test_allocation_units(units: str, size: int) -> None:
    assert unit_bytes(units) == size


@pytest.mark.parametrize("units", ["hertz * 10^6", "byte * 2^999999999", "byte * x", "2^30"])
def test_allocation_units_that_are_not_understood(units: str) -> None:
    with pytest.raises(ValueError, match="allocation unit .* is not understood"):
        unit_bytes(units)


BOMB = b"""<!DOCTYPE Envelope [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><Envelope><VirtualSystem id="&b;"/></Envelope>"""
OUTSIDE = b"""<!DOCTYPE Envelope [<!ENTITY a SYSTEM "file:///etc/passwd">]><Envelope><Name>&a;</Name></Envelope>"""
DISK = b"<Envelope><VirtualSystem/><DiskSection><Disk %s/></DiskSection></Envelope>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not well-formed XML"),
        (b"<Envelope><VirtualSystem>", "not well-formed XML (line 1, column 26)"),
        (b"\x00\xff\xfe binary", "not well-formed XML"),
        (BOMB, "declares XML entities or external references"),
        (OUTSIDE, "declares XML entities or external references"),
        (b'<?xml version="1.0" encoding="nonsense-8"?><Envelope/>', "encoding"),
        (b"<domain/>", "root element is 'domain', not 'Envelope'"),
        (b"<Envelope/>", "without a virtual machine"),
        (b"<Envelope><VirtualSystemCollection><VirtualSystem/></VirtualSystemCollection></Envelope>", "vApp"),
        (DISK % b'diskId="d" fileRef="f9"', "refers to the file 'f9'"),
        (DISK % b'diskId="d" capacity="${size}"', "capacity of disk 'd' is '${size}'"),
        (DISK % b'diskId="d" capacity="99999999999999999999"', "not a whole number"),
    ],
)
def test_bad_descriptors_are_one_sentence(text: bytes, said: str) -> None:
    with pytest.raises(OvfError) as refused:
        parse(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("amount", "units", "size"),
    [
        (2, "byte * 2^30", 2 << 30),
        (512, "byte * 2^20", 512 << 20),
        (512, "byte*2 ^ 20", 512 << 20),
        (3, "byte * 1024 * 1024", 3 << 20),
        (7, "byte", 7),
        (7, "", 7),
        (256, "MegaBytes", 256 << 20),
        (2, "gigabytes", 2 << 30),
    ],
)
def test_amounts_in_units(amount, units, size):
    assert amount * unit_bytes(units) == size


@pytest.mark.parametrize("units", ["hertz * 10^6", "byte * two", "byte + 2^30", "blocks"])
def test_units_that_nobody_understands_are_an_error_that_shows_them(units):
    with pytest.raises(ValueError, match=f"allocation unit {re.escape(repr(units))} is not understood"):
        unit_bytes(units)
