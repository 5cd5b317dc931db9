"""The files that programs of pods leave, and what it costs to name them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import write_json

PACKAGE = "ansible_collections.vmshift.mtv.controlplane.datapath"


@pytest.mark.parametrize("lasting", [False, True])
def test_a_file_is_replaced_as_a_whole(tmp_path, lasting):
    path = tmp_path / "progress.json"
    write_json(path, {"done": 1}, lasting=lasting)
    with pytest.raises(TypeError):
        write_json(path, {"done": object()}, lasting=lasting)
    assert json.loads(path.read_text()) == {"done": 1}
    write_json(path, {"done": 2}, lasting=lasting)
    assert json.loads(path.read_text()) == {"done": 2}


@pytest.mark.parametrize("program", ["importer", "hook_runner"])
def test_pods_that_convert_nothing_do_not_import_the_conversion(program):
    """It is most of what such a pod would cost."""
    code = f"import sys; import {PACKAGE}.{program}; print('{PACKAGE}.conversion' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")
