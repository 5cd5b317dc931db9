"""What a plan wants of a conversion, as options of virt-v2v."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import guest_options
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mount, Mounts
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed

NOTHING = Mounts([])


def mac(number: int) -> str:
    return f"00:50:56:00:00:{number:02d}"


def test_a_guest_of_which_nothing_is_wanted() -> None:
    assert guest_options.of({}, NOTHING, 1) == ["--root", "first"]


def test_the_root_disk_and_what_the_administrator_adds() -> None:
    environment = {"V2V_RootDisk": "/dev/sdb2", "V2V_extra_args": '["--bridge", "a:b"]'}
    assert guest_options.of(environment, NOTHING, 1) == ["--root", "/dev/sdb2", "--bridge", "a:b"]


@pytest.mark.parametrize("text", ["--root x", '{"a": 1}', "[1]"])
def test_arguments_that_are_no_list_are_named(text: str) -> None:
    with pytest.raises(ConversionFailed, match="V2V_extra_args is .*; a list of strings in JSON is needed"):
        guest_options.of({"V2V_extra_args": text}, NOTHING, 1)


def test_addresses_that_are_kept() -> None:
    told = f"{mac(1)}:ip:192.0.2.7,192.0.2.1,24,192.0.2.53_{mac(2)}:ip:fd00::7,,64_"
    assert guest_options.static_ips({"V2V_staticIPs": told}) == [
        "--mac",
        f"{mac(1)}:ip:192.0.2.7,192.0.2.1,24,192.0.2.53",
        "--mac",
        f"{mac(2)}:ip:fd00::7",  # virt-v2v refuses an empty gateway
    ]


def test_passphrases_stay_in_their_files(tmp_path: Path) -> None:
    for name in ("second", "first"):
        (tmp_path / name).write_text("geheim")
    (tmp_path / "..data").mkdir()
    (tmp_path / ".hidden").write_text("geheim")
    mounts = Mounts([Mount("/etc/luks", str(tmp_path), "Secret", True)])
    found = guest_options.of({}, mounts, 2)
    assert found[2:6] == ["--key", f"/dev/sda:file:{tmp_path}/first", "--key", f"/dev/sda:file:{tmp_path}/second"]
    assert f"/dev/sda2:file:{tmp_path}/first" in found
    assert f"/dev/sdb15:file:{tmp_path}/second" in found
    assert "geheim" not in " ".join(found)
    assert ".hidden" not in " ".join(found)


def test_clevis_opens_all_disks_without_keys(tmp_path: Path) -> None:
    mounts = Mounts([Mount("/etc/luks", str(tmp_path), "Secret", True)])
    (tmp_path / "key").write_text("geheim")
    found = guest_options.keys({"V2V_NBDE_CLEVIS": "true"}, mounts, 1)
    assert set(found[1::2]) == {"/dev/sda:clevis", *(f"/dev/sda{number}:clevis" for number in range(1, 16))}
