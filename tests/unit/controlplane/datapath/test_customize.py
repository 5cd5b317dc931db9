"""Pods that change disks with virt-customize: paths of their volumes, what they leave behind, how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import images
from ansible_collections.vmshift.mtv.controlplane.datapath import customize, tools
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import FILE_NAME, Mount, Mounts

MOUNTS = Mounts(
    [
        Mount("/mnt/disks/disk0", "/state/volumes/a.img", "Filesystem"),
        Mount("/dev/block1", "/state/volumes/b.img", "Block"),
        Mount("/mnt/bundle/0", "/state/pods/p/part0", "ConfigMap"),
    ]
)


def test_paths_of_volumes_are_those_of_this_machine_and_the_rest_is_the_guests():
    given = ["--add", "/mnt/disks/disk0/disk.img", "--add", "/dev/block1", "--upload", "/mnt/bundle/0/part:/root/part", "--delete", "/r"]
    wanted = ["/state/volumes/a.img", "/state/volumes/b.img", "/state/pods/p/part0/part:/root/part", "/r"]
    assert customize.found(given, MOUNTS)[1::2] == wanted
    assert customize.found(["--run-command", "echo a:b", "--no-network"], MOUNTS) == ["--run-command", "echo a:b", "--no-network"]


def test_whichever_image_has_it_the_program_of_this_machine_is_run():
    container = {"image": "quay.io/kubev2v/forklift-virt-v2v", "command": ["virt-customize", "--format"], "args": ["raw"]}
    assert images.argv(container)[1:] == ["-m", customize.__name__, "--format", "raw"]
    with pytest.raises(images.UnknownImage):
        images.argv({**container, "command": ["sh", "-c", "virt-customize"]})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the program with a virt-customize that is a shell script; its exit code."""

    def run(script: str) -> int:
        program = tmp_path / "virt-customize"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(tools, "find", lambda _name: str(program))
        monkeypatch.setenv("VMSHIFT_POD_DIR", str(tmp_path))
        (tmp_path / FILE_NAME).write_text(MOUNTS.to_json())
        return customize.main(["--add", "/dev/block1"])

    return run


def test_its_exit_code_is_that_of_the_pod_and_its_last_words_the_message(run, tmp_path, capfd):
    assert run("echo step \"'install the package' failed\"; exit 3") == 3
    assert "install the package" in (tmp_path / "termination-message").read_text()
    assert "step 'install the package' failed" in capfd.readouterr().out


def test_it_works_in_a_folder_of_its_own_which_goes(run, tmp_path):
    told = tmp_path / "told.json"
    assert run(f'printf \'["%s", "%s"]\' "$TMPDIR" "$2" > {told}; test -d "$TMPDIR"') == 0
    scratch, disk = json.loads(told.read_text())
    assert disk == "/state/volumes/b.img" and not Path(scratch).exists()
