"""What the action plugin tells the control_plane module."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.vmshift.mtv.plugins.action import control_plane


def test_the_collection_is_found_where_it_was_loaded_from():
    assert Path(control_plane.collections_path(), "ansible_collections/vmshift/mtv/controlplane/__main__.py").exists()


def test_connection_options_of_module_defaults_are_left_out():
    given = {"state": "started", "kubeconfig": "x", "api_key": "y", "verify_ssl": False, "state_dir": "z"}
    assert control_plane.without_connection(given) == {"state": "started", "state_dir": "z"}
