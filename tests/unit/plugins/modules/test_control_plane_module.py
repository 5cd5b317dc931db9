"""The control_plane module: what it decides without a control plane, and that it refuses folders that are not one's."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.modules import control_plane
from ansible_collections.vmshift.mtv.plugins.modules.control_plane import Failure

SERVING = {"version": "0.1.0", "server": "https://127.0.0.1:6443", "inventory": "https://127.0.0.1:8443", "pid": 1, "kubeconfig": "x"}


@pytest.mark.parametrize(
    ("version", "port", "inventory_port", "fits"),
    [("0.1.0", 0, 0, True), ("0.1.0", 6443, 8443, True), ("0.1.0", 443, 0, False), ("0.1.0", 0, 6443, False), ("0.2.0", 0, 0, False)],
)
def test_a_control_plane_of_another_version_or_port_is_not_the_one_asked_for(version, port, inventory_port, fits):
    assert control_plane.reusable(SERVING, version, port, inventory_port) is fits


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
