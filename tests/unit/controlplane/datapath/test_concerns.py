"""What an inspection makes of what the tools say."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import concerns
from ansible_collections.vmshift.mtv.controlplane.datapath.concerns import CRITICAL, WARNING, Contents, Root, Space

SYSTEM = """
  <operatingsystem>
    <root>{root}</root><name>{type}</name><arch>x86_64</arch><distro>{distro}</distro>
    <product_name>Debian GNU/Linux 12</product_name><major_version>12</major_version><minor_version>9</minor_version>
    <mountpoints><mountpoint dev="{root}">/</mountpoint><mountpoint dev="/dev/sda2">/boot</mountpoint></mountpoints>
    <filesystems>
      <filesystem dev="{root}"><type>ext4</type><label>root</label><uuid>c70f</uuid></filesystem>
      <filesystem dev="/dev/sda2"><type>vfat</type></filesystem>
    </filesystems>
  </operatingsystem>"""
ROOMY = Space(200 << 20, 1000, 900)


def xml(*systems, distro="debian", type="linux"):
    inside = "".join(SYSTEM.format(root=root, distro=distro, type=type) for root in systems)
    return f'<?xml version="1.0"?>\n<operatingsystems>{inside}</operatingsystems>\n'


def root(**other):
    return Root(
        **{"device": "/dev/sda1", "type": "linux", "distro": "debian", "product": "Debian 12", "version": "12", "arch": "x86_64", **other}
    )


def found(told):
    return [(concern.id, concern.category) for concern in told]


def test_what_virt_inspector_says_is_understood():
    [system] = concerns.roots(xml("/dev/sda1"))
    mountpoints = (("/dev/sda1", "/"), ("/dev/sda2", "/boot"))
    filesystems = (("/dev/sda1", "ext4", "c70f"), ("/dev/sda2", "vfat", ""))
    assert system == root(product="Debian GNU/Linux 12", mountpoints=mountpoints, filesystems=filesystems)
    assert concerns.roots('<?xml version="1.0"?>\n<operatingsystems/>') == []


@pytest.mark.parametrize(
    ("systems", "wanted", "expected"),
    [
        ([], "", [("os-not-found", CRITICAL)]),
        (["/dev/sda1"], "", []),
        (["/dev/sda1"], "first", []),
        (["/dev/sda1", "/dev/sdb1"], "", [("multiple-os", WARNING)]),
        (["/dev/sda1", "/dev/sdb1"], "/dev/sdb1", []),
        (["/dev/sda1"], "/dev/sdb1", [("root-disk-not-found", CRITICAL)]),
    ],
)
def test_roots(systems, wanted, expected):
    assert found(concerns.of_roots(concerns.roots(xml(*systems)), wanted)) == expected


@pytest.mark.parametrize(
    ("type", "distro", "expected"),
    [
        ("linux", "rhel", []),
        ("windows", "windows", []),
        ("freebsd", "freebsd", [("os-not-supported", CRITICAL)]),
        ("linux", "archlinux", [("os-not-supported", CRITICAL)]),
        ("linux", "newlinux", [("os-not-known", WARNING)]),
        ("linux", "", [("os-not-known", WARNING)]),
    ],
)
def test_operating_systems(type, distro, expected):
    assert found(concerns.of_roots([root(type=type, distro=distro)], "")) == expected


def test_the_root_that_the_plan_chooses_is_judged():
    systems = [root(), root(device="/dev/sdb1", distro="gentoo")]
    assert found(concerns.of_roots(systems, "/dev/sda1")) == []
    assert found(concerns.of_roots(systems, "/dev/sdb1")) == [("os-not-supported", CRITICAL)]


@pytest.mark.parametrize(("clevis", "keys", "category"), [(True, False, WARNING), (False, True, CRITICAL), (False, False, CRITICAL)])
def test_encrypted_disks(clevis, keys, category):
    told = concerns.encrypted(clevis, keys)
    assert told.category == category
    assert ("none of the keys" in told.message) == keys


@pytest.mark.parametrize(
    ("path", "space", "expected"),
    [
        ("/", ROOMY, []),
        ("/", Space(99 << 20, 1000, 900), [("not-enough-space", CRITICAL)]),
        ("/boot", Space(50 << 20, 1000, 900), []),
        ("/boot", Space(49 << 20, 1000, 900), [("not-enough-space", CRITICAL)]),
        ("/home", Space(10 << 20, 1000, 900), []),
        ("/home", Space(9 << 20, 1000, 900), [("not-enough-space", CRITICAL)]),
        ("/", Space(200 << 20, 1000, 99), [("not-enough-inodes", CRITICAL)]),
        ("/boot/efi", Space(200 << 20, 0, 0), []),  # vfat has no inodes
    ],
)
def test_room_that_virt_v2v_needs(path, space, expected):
    assert found(concerns.of_contents(Contents(spaces={path: space}))) == expected


def test_a_file_system_that_cannot_be_mounted_is_told_and_fatal_only_where_it_is_the_root():
    tried = [("/dev/sda1", "/"), ("/dev/sdb1", "/srv")]
    assert found(concerns.of_contents(Contents(tried, {"/": ROOMY}))) == [("filesystem-not-mountable", WARNING)]
    assert found(concerns.of_contents(Contents(tried, {"/srv": ROOMY}))) == [("filesystem-not-mountable", CRITICAL)]


def test_file_systems_known_by_the_place_of_their_disk_are_not_found_after_the_migration():
    fstab = "# /dev/disk/by-path/x /old\nUUID=1 / ext4 defaults 0 1\n/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:1:0-part1 /home xfs\n"
    [concern] = concerns.of_contents(Contents(fstab=fstab))
    assert (concern.id, concern.category) == ("fstab-by-path", CRITICAL)
    assert "pci-0000:03:00.0-scsi-0:0:1:0-part1 mounted at: /home" in concern.message


def test_commands_of_guestfish_and_what_it_says():
    tried = [("/dev/sda1", "/"), ("/dev/sda2", "/boot")]
    assert concerns.commands(tried)[:4] == ["run", "-mount-ro /dev/sda1 /", "echo at /", "-statvfs /"]
    figures = "bsize: 1024\nfrsize: 1024\nblocks: 10\nbfree: {}\nfiles: 100\nffree: 90\n"
    output = f"at /\n{figures.format(7)}at /boot\n{figures.format(7)}mounted\n/dev/sda1: /\n"
    assert concerns.spaces(output) == {"/": Space(7 * 1024, 100, 90)}  # what is told of /boot is of /
    assert concerns.spaces(output + "/dev/sda2: /boot\n").keys() == {"/", "/boot"}
    assert concerns.spaces("") == {}


@pytest.mark.parametrize(
    "mountpoint", [("/dev/sda1", "/a\n!id"), ("/dev/sda1", "/a b"), ("/dev/sda1\n!id", "/a"), ("/dev/x;y", "/"), ("sda", "/")]
)
def test_what_a_guest_calls_its_file_systems_is_no_command(mountpoint):
    good = ("btrfsvol:/dev/vg-0/root/@", "/srv/a.b")
    assert concerns.plain(root(mountpoints=(good, mountpoint))) == [good]


def test_results_are_told_as_inspection_pods_do_with_the_worst_concern_last():
    [system] = concerns.roots(xml("/dev/sda1"))
    told = concerns.results(system, [concerns.encrypted(False, False), concerns.encrypted(True, False)])
    assert told["passed"] is False
    assert [concern["category"] for concern in told["all_concerns"]] == [WARNING, CRITICAL]
    assert set(told["all_concerns"][0]) == {"id", "category", "label", "message"}
    assert told["os_info"] == {"name": "linux", "distro": "debian", "major_version": "12", "architecture": "x86_64"}
    assert told["filesystems"][0] == {"device": "/dev/sda1", "type": "ext4", "uuid": "c70f"}
    assert told["mountpoints"][1] == {"device": "/dev/sda2", "mount_point": "/boot"}
    assert concerns.results(None, []) == {"passed": True, "all_concerns": [], "filesystems": [], "mountpoints": []}
