"""The control_plane module: what it decides without a control plane, and that it refuses folders that are not one's."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.modules import control_plane
from ansible_collections.vmshift.mtv.plugins.modules.control_plane import Failure

SERVING = {
    "version": "0.1.0",
    "server": "https://127.0.0.1:6443",
    "inventory": "https://127.0.0.1:8443",
    "pid": 1,
    "kubeconfig": "x",
    "run_vms": True,
    "guest_network": "isolated",
}


def asked(**given):
    return {"port": 0, "inventory_port": 0, "run_vms": None, "guest_network": None, **given}


@pytest.mark.parametrize(
    ("version", "given", "fits"),
    [
        ("0.1.0", {}, True),
        ("0.1.0", {"port": 6443, "inventory_port": 8443}, True),
        ("0.1.0", {"port": 443}, False),
        ("0.1.0", {"inventory_port": 6443}, False),
        ("0.2.0", {}, False),
        ("0.1.0", {"run_vms": True}, True),
        ("0.1.0", {"run_vms": False}, False),
        ("0.1.0", {"guest_network": "isolated"}, True),
        ("0.1.0", {"guest_network": "nat"}, False),
    ],
)
def test_a_control_plane_that_is_another_one_is_not_the_one_asked_for(version, given, fits):
    assert control_plane.reusable(SERVING, version, asked(**given)) is fits


def test_what_is_asked_for_is_what_serve_gets():
    assert control_plane.arguments_of(asked()) == ["--port", "0", "--inventory-port", "0"]
    assert control_plane.arguments_of(asked(run_vms=True, guest_network="nat"))[4:] == ["--run-vms", "--guest-network", "nat"]
    assert control_plane.arguments_of(asked(run_vms=False)) == ["--port", "0", "--inventory-port", "0"]


def test_a_folder_with_something_else_in_it_is_not_removed(tmp_path):
    for name in ("run", "pki", "volumes", "letters"):
        (tmp_path / name).mkdir()
    with pytest.raises(Failure, match="holds letters, which no control plane has put there"):
        control_plane.refuse_foreign(tmp_path)
    (tmp_path / "letters").rmdir()
    control_plane.refuse_foreign(tmp_path)


def test_a_folder_that_only_looks_like_one_is_not_removed(tmp_path):
    with pytest.raises(Failure, match="not the folder of a control plane"):
        control_plane.refuse_foreign(tmp_path)
    (tmp_path / "volumes").mkdir()
    with pytest.raises(Failure, match="not the folder of a control plane"):
        control_plane.refuse_foreign(tmp_path)
