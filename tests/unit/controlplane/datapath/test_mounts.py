from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import FILE_NAME, Mount, Mounts, NotMounted

POD = [
    Mount("/ova", "/exports/appliances", "NFS", read_only=True),
    Mount("/mnt/disks/disk0", "/state/volumes/a.img", "Filesystem"),
    Mount("/dev/block1", "/state/volumes/b.img", "Block"),
    Mount("/etc/secret", "/state/pods/x/volumes/secret", "Secret", read_only=True),
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ova/team/app1.ova", "/exports/appliances/team/app1.ova"),
        ("/ova", "/exports/appliances"),
        ("/mnt/disks/disk0/disk.img", "/state/volumes/a.img"),
        ("/dev/block1", "/state/volumes/b.img"),
        ("/etc/secret/user", "/state/pods/x/volumes/secret/user"),
    ],
)
def test_container_paths_on_this_machine(path: str, expected: str) -> None:
    assert Mounts(POD).host_path(path) == Path(expected)


@pytest.mark.parametrize("path", ["/ova/../etc/passwd", "/ovalux/app.ova", "/mnt/disks/disk0/other.img", "/etc/passwd"])
def test_paths_outside_of_volumes_are_refused(path: str) -> None:
    with pytest.raises(NotMounted, match=path.replace("/ova/..", "")):
        Mounts(POD).host_path(path)


def test_longest_mount_wins() -> None:
    mounts = Mounts([Mount("/data", "/one", "EmptyDir"), Mount("/data/inner", "/two", "EmptyDir")])
    assert mounts.host_path("/data/inner/file") == Path("/two/file")
    assert mounts.host_path("/data/file") == Path("/one/file")


def test_disks_come_in_the_order_of_their_numbers() -> None:
    mounts = [Mount(f"/mnt/disks/disk{n}", f"/v/{n}", "Filesystem") for n in (10, 2, 0)] + [Mount("/dev/block1", "/v/1", "Block")]
    assert Mounts(mounts).disks() == [Path(f"/v/{n}") for n in (0, 1, 2, 10)]


def test_mounts_survive_the_pod_folder(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(Mounts(POD).to_json())
    assert Mounts.load(tmp_path).host_path("/dev/block1") == Path("/state/volumes/b.img")
    assert Mounts.load(tmp_path).to_json() == Mounts(POD).to_json()
    assert '"devicePath": "/dev/block1"' in Mounts(POD).to_json()
