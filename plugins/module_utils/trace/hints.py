# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to look at when a step has failed, or when it waits for something that does not come by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.trace.proofs import ACTIVE, FAILED

Object = Mapping[str, Any]

#: Name of a step -> where its mistakes come from.
_FAILED: Mapping[str, str] = {
    "pre_hook": "The hook's playbook has failed; the source VM was not touched. Mend the playbook, then retry.",
    "post_hook": "The hook's playbook has failed; the VM was made and stays. Mend the playbook and run it by hand.",
    "source_off": "Shut the source VM down by hand, or mend its VMware Tools, then retry.",
    "first_snapshot": "Look at the source for why it makes no snapshot: rights, space, changed-block tracking, snapshots that are left.",
    "inspection": "The guest cannot be converted as it is: mend what the inspection found, or set run_preflight_inspection: false.",
    "data_volume": "Look at the conditions of the DataVolume, and at the storage class in the storage map.",
    "claim": "Look at the events of the DataVolume: a quota of the target namespace or a wrong storage class keep CDI from it.",
    "volume": "Look at the events of the claim: the provisioner of its storage class says there what it lacks.",
    "consumer": "Look at the events of the pod: no node may fit all claims.",
    "importer": "Look at the events of the claim; the Secret of the disk's source or the node's resources may be missing.",
    "transfer": "The disk could not be copied: look at the log for the source that was not reached, credentials, certificate, or space.",
    "precopies": "Look at the source for snapshots that cannot be made or removed.",
    "final_copy": "What changed last could not be copied, and the source VM is off: start it there, or retry at once.",
    "populator": "Look at the events of the claim: a quota of the target namespace or a wrong storage class.",
    "temporary_claim": "Look at the events of the claim: a quota of the target namespace or a wrong storage class.",
    "temporary_volume": "Look at the events of the temporary claim: the provisioner of its storage class says there what it lacks.",
    "populator_pod": "Look at the events of the claim and the log: image or ticket at the source, credentials, certificate.",
    "rebinding": "Look at the claims and their volume: a provisioner that knows no change of a volume's claim cannot be populated.",
    "conversion_pod": "Look at the events of the target namespace: quota, nodes with KVM, the image of virt-v2v, a missing Secret.",
    "conversion": "Look at the log for what virt-v2v says of the guest: system, root disk, encryption, a file system in use.",
    "v2v_transfer": "Look at the log for what virt-v2v says: of the guest, of a source that was not reached, of a volume that is full.",
    "virtual_machine": "Look at the message for what the cluster refuses: names that are taken, quota, instance type, networks.",
    "power_on": "The VM is migrated but does not start: look at its conditions and events, for resources, networks and claims.",
    "consolidation": "The VM is migrated; the source still has a snapshot, which can be removed there by hand.",
}
_UNNOTICED = "MTV does not notice that, and waits for ever: cancel the VM and retry."


def hint(step: str, state: str, vm: Object, cutover: bool) -> str:
    """ "" when there is nothing to do but wait. cutover: the VM has a time for it."""
    if state == FAILED:
        text = _FAILED.get(step, "Look at the error, and at the events in the namespaces of plan and target.")
        running = not vm.get("completed") and step in ("transfer", "final_copy")
        return f"{text} {_UNNOTICED}" if running else text
    if state != ACTIVE:
        return ""
    if step == "source_off" and vm.get("phase") == "WaitForPowerOff":
        return "MTV has asked the guest to shut down and waits without limit: see that it does, or switch it off at the source."
    if step == "precopies" and not cutover:
        return "There is no cutover: copies go on until vmshift.mtv.migration is given one."
    if step in ("volume", "temporary_volume"):
        return "If that lasts, look at the events of the claim for what its storage class waits for."
    return ""
