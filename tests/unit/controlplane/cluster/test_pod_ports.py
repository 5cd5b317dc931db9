"""What conversion pods answer on their ports."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import pod_ports
from ansible_collections.vmshift.mtv.controlplane.state import State

POD = {"metadata": {"uid": "u-1"}}
RESULT = {"firmware": "efi", "operatingSystem": "debian<12>", "warnings": ["no Grub"]}


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path)
    state.prepare()
    state.pod("u-1").mkdir()
    return state


def test_progress_counts_disks_from_one(state):
    (state.pod("u-1") / "progress.json").write_text(json.dumps({"stage": "Copying", "disks": {"0": 42, "1": 0}}))
    assert pod_ports.answer(state, POD, 2112, "metrics").splitlines()[1:] == [
        'v2v_disk_transfers{disk_id="1"} 42',
        'v2v_disk_transfers{disk_id="2"} 0',
    ]


def test_results(state):
    (state.pod("u-1") / "result.json").write_text(json.dumps(RESULT))
    assert "efi: {}" in pod_ports.answer(state, POD, 8080, "vm")
    assert "<osinfo>debian&lt;12&gt;</osinfo>" in pod_ports.answer(state, POD, 8080, "inspection")
    assert json.loads(pod_ports.answer(state, POD, 8080, "warnings"))[0]["message"] == "no Grub"


def test_inspections(state):
    (state.pod("u-1") / "result.json").write_text(json.dumps({"inspection": {"passed": True}}))
    assert pod_ports.answer(state, POD, 8080, "ready")
    assert json.loads(pod_ports.answer(state, POD, 8080, "results")) == {"passed": True}
    assert pod_ports.answer(state, POD, 8080, "vm") is None
    (state.pod("u-1") / "result.json").write_text(json.dumps(RESULT))
    assert pod_ports.answer(state, POD, 8080, "results") is pod_ports.answer(state, POD, 8080, "ready") is None


def test_nothing_listens_before_there_is_something_to_tell_nor_after_a_failure(state):
    assert pod_ports.answer(state, POD, 2112, "metrics") is pod_ports.answer(state, POD, 8080, "vm") is None
    (state.pod("u-1") / "result.json").write_text(json.dumps({"error": "no"}))
    assert pod_ports.answer(state, POD, 8080, "vm") is None
    assert pod_ports.answer(state, POD, 8081, "vm") is pod_ports.answer(state, POD, 8080, "passwd") is None
