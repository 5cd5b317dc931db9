"""Where an OVA provider's export lies on this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.exports import local_folder

MOUNTS = """/dev/sda1 / ext4 rw 0 0
nas:/exports /mnt/all nfs4 rw,addr=10.0.0.5 0 0
nas:/exports/ova /mnt/own\\040ova nfs rw 0 0
nas:/other /mnt/cifs cifs rw 0 0
[fd00::5]:/ /mnt/six nfs4 rw 0 0
"""


@pytest.fixture
def mounts(tmp_path) -> str:
    (tmp_path / "mounts").write_text(MOUNTS)
    return str(tmp_path / "mounts")


@pytest.mark.parametrize("server", ["localhost", "127.0.0.1", "127.0.1.1", "[::1]", "LOCALHOST", socket.gethostname()])
def test_this_machine(server: str, mounts: str) -> None:
    assert local_folder(f"{server}:/srv/ova/", mounts) == Path("/srv/ova")


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("nas:/exports/ova", "/mnt/own ova"),
        ("nas:/exports/ova/team", "/mnt/own ova/team"),
        ("nas:/exports/ovations", "/mnt/all/ovations"),
        ("[fd00::5]:/data", "/mnt/six/data"),
    ],
)
def test_mounted_export(url: str, folder: str, mounts: str) -> None:
    assert local_folder(url, mounts) == Path(folder)


@pytest.mark.parametrize("url", ["nas:/other", "far:/exports/ova"])
def test_export_that_is_not_mounted(url: str, mounts: str) -> None:
    with pytest.raises(SourceError) as refused:
        local_folder(url, mounts)
    assert refused.value.kind == "connection"
    assert f"mount -t nfs {url} /mnt/ova" in str(refused.value) and "localhost:/FOLDER" in str(refused.value)


@pytest.mark.parametrize("url", ["", "/srv/ova", "nfs://nas/exports", "nas:exports", "nas"])
def test_malformed_url(url: str) -> None:
    with pytest.raises(SourceError) as refused:
        local_folder(url)
    assert refused.value.kind == "data"
    assert repr(url) in str(refused.value) and "server:/path" in str(refused.value)
