"""In what a run here is known to differ from the recorded ones, and why. docs/fidelity.md tells the same to readers."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: The scenarios that are run again.
SCENARIOS = (
    "archive-and-delete",
    "cancel-one-vm",
    "cold-vsphere-2vms",
    "cold-vsphere-multidisk",
    "cold-vsphere-windows",
    "customization-and-transfer-network",
    "delete-running-migration",
    "fail-then-retry",
    "fail-then-retry-single",
    "hooks-prehook-fails",
    "hooks-succeed",
    "luks",
    "ocp-to-ocp",
    "per-vm-options",
    "plan-not-ready",
    "plan-not-ready-more",
    "raw-copy-compat",
    "raw-copy-nocompat",
    "second-migration-after-cancel",
    "second-migration-after-success",
    "second-migration-while-running",
    "shared-disks",
    "static-ips",
    "static-ips-off",
    "target-power-state",
    "warm-vsphere",
    "warm-vsphere-windows",
)

REBOOTS = "Nobody waits for the reboots of a converted Windows guest; a warning of the VM says so."
TEMPLATES = "A PVC name template of a VM is taken, also where the plan names the VM by its name."
COPIES = "A ConfigMap that is copied for a run carries the labels of that run."
IMAGES = "A hook needs a playbook; one with an image of its own is refused."
CUT_OFF = "A plan that was repaired at the end of the recording is Ready, where the recording ends before it is looked at again."
TWO_ON_POD = "Two interfaces on the pod network are refused, also where the map names its networks by name."
JOB = "The image with VMware's disk library is tried also for a plan that something else keeps from being ready."
UNKNOWN_VM = "A plan with an unknown VM beside a good one is told so."

EXPORT = "The export of a VM at its source cluster carries the labels of the run."

_REBOOT_POD = r"^Pod forklift-wait-reboot- .*: only there$"

#: scenario -> (pattern of a difference, why)
KNOWN: dict[str, tuple[tuple[str, str], ...]] = {
    "cold-vsphere-windows": ((r"^VM vm-119 of plan win: condition WaitForGuestReboots only here$", REBOOTS), (_REBOOT_POD, REBOOTS)),
    "warm-vsphere-windows": ((r"^VM vm-116 of plan warmw: condition WaitForGuestReboots only here$", REBOOTS), (_REBOOT_POD, REBOOTS)),
    "customization-and-transfer-network": ((r"^ConfigMap .*: only here$", COPIES),),
    "hooks-succeed": ((r"^ConfigMap hooked-vm-74-posthook- .*playbook_yml", IMAGES),),
    "ocp-to-ocp": ((r"^VirtualMachineExport web: \+metadata\.labels\.", EXPORT),),
    "plan-not-ready": (
        (r"^Plan (hook-missing|serviceaccount-missing): condition (ValidatingVDDK only there|Ready only here)$", CUT_OFF),
        (r"^Plan netmap-not-ready: condition (NetworkMapNotReady only there|Ready only here)$", CUT_OFF),
        (r"^Plan (hook-missing|netmap-not-ready): life \[\] there, \[\['Ready'\]\] here$", CUT_OFF),
        (r"^Plan two-pod-nics: ", TWO_ON_POD),
        (r"^Job vddk-validator-netmap-not-ready: only here$", JOB),
    ),
    "plan-not-ready-more": (
        (r"^Plan missing-vm-and-good-vm: condition .* only here$", UNKNOWN_VM),
        (r"^Job vddk-validator-missing-vm-and-good-vm: only here$", UNKNOWN_VM),
        (r"^Plan two-pod-nics-by-name: ", TWO_ON_POD),
    ),
    "per-vm-options": ((r"^(PersistentVolumeClaim|Conversion|Pod|VirtualMachine) .*vm-122.*pervm-crm-db-disk-0.*app-23-d0", TEMPLATES),),
}


def sorted_out(scenario: str, differences: Sequence[str]) -> tuple[list[str], list[str]]:
    """(differences that nobody knows of, known ones that are not there any more)"""
    patterns = KNOWN.get(scenario, ())
    unknown = [difference for difference in differences if not any(re.search(pattern, difference) for pattern, _why in patterns)]
    gone = [pattern for pattern, _why in patterns if not any(re.search(pattern, difference) for difference in differences)]
    return unknown, gone
