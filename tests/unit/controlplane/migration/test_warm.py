"""What a warm migration adds to its DataVolumes for each round."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration import labels
from ansible_collections.vmshift.mtv.controlplane.migration.phases import warm

DISK = "[fast] app/app.vmdk"


class Target:
    """A cluster with the DataVolume of one disk."""

    def __init__(self, checkpoints):
        meta = {"name": "app", "annotations": {labels.DISK_SOURCE: DISK}}
        self.volume = {"metadata": meta, "spec": {"checkpoints": checkpoints}}

    def list(self, _kind, _namespace, _labels):
        return [self.volume]

    def patch(self, _kind, _namespace, _name, change):
        self.volume["spec"].update(change["spec"])


def second_round(known):
    """The checkpoints and warnings after the second round, when `known` is the change id at the first one."""
    first = {"current": "snapshot-1", "previous": ""}
    rounds = [{"snapshot": "snapshot-1", "deltas": [{"disk": DISK, "deltaId": known}]}, {"snapshot": "snapshot-2"}]
    vm = {"phase": "AddCheckpoint", "warm": {"precopies": rounds}}
    disks, step = [SimpleNamespace(source=DISK)], {"name": "DiskTransfer"}
    work = SimpleNamespace(vm=vm, disks=disks, step=step, target=Target([first]), namespace="tgt", labels={})
    for _twice in range(2):  # once more after the control plane was killed
        assert warm.add_checkpoint(work)
    added = work.target.volume["spec"]["checkpoints"]
    assert added[0] == first
    return added[1:], step.get("warning", {}).get("reasons", [])


@pytest.mark.parametrize(
    ("known", "warnings"),
    [
        ("52 aa/1", []),
        ("", [f"Disk {DISK}: its changes since the last copy were not tracked, so the whole disk is copied again"]),
    ],
)
def test_a_round_begins_at_what_is_copied_and_says_when_that_is_not_known(known, warnings):
    assert second_round(known) == ([{"current": "snapshot-2", "previous": known}], warnings)
