# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the objects of a VM say about one step: each function looks at those that the step makes or changes. Pure.

A proof without a state tells only which object to look at; how far the VM has come then decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import FAILED as PHASE_FAILED
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import STEP_COMPLETED, condition
from ansible_collections.vmshift.mtv.plugins.module_utils.trace.children import CONSUMER, VIRT_V2V, Children, annotation, of_disk
from ansible_collections.vmshift.mtv.plugins.module_utils.workflows import CONVERSION, CUTOVER, V2V_TRANSFER

Object = Mapping[str, Any]

DONE, ACTIVE, WAITING, FAILED, SKIPPED = "done", "active", "waiting", "failed", "skipped"
STATES = (DONE, ACTIVE, WAITING, FAILED, SKIPPED)
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
#: Phases of a DataVolume that has had an importer.
_IMPORTING = ("ImportInProgress", "Paused", "Succeeded")
#: What KubeVirt says of a VM that will not start by itself.
_NEVER = ("ErrorUnschedulable", "ErrImagePull", "ImagePullBackOff", "ErrorPvcNotFound", "ErrorDataVolumeNotFound", "DataVolumeError")


class Proof(NamedTuple):
    """object: {kind, namespace, name}; pod: whose log tells more; final: the state holds however far the VM has come."""

    state: str | None = None
    object: dict[str, str] | None = None
    evidence: str = ""
    since: str | None = None
    pod: Object | None = None
    final: bool = False


class View(NamedTuple):
    """One VM: its entry of `status.migration.vms`, the plan's spec, what was made for it, its disks, whether its guest is converted."""

    vm: Object
    spec: Object
    children: Children
    disks: Sequence[str]
    converts: bool

    def step(self, name: str) -> Object | None:
        return next((s for s in self.vm.get("pipeline") or [] if s.get("name") == name), None)

    def task(self, step: str, disk: str | None) -> Object | None:
        return next((t for t in (self.step(step) or {}).get("tasks") or [] if t.get("name") == disk), None)

    def volume(self, disk: str | None) -> Object | None:
        return of_disk(self.children.all("DataVolume"), disk, self.disks)

    def claim(self, disk: str | None) -> Object | None:
        return of_disk(self.children.claims(), disk, self.disks)


Prover = Callable[[View, str, "str | None"], Proof]


def reference(obj: Object) -> dict[str, str]:
    meta = obj["metadata"]
    return {"kind": obj["kind"], "namespace": meta.get("namespace") or "", "name": meta["name"]}


def _made(obj: Object, evidence: str = "", pod: Object | None = None) -> Proof:
    return Proof(DONE, reference(obj), evidence, obj["metadata"].get("creationTimestamp"), pod)


def _phase(obj: Object) -> str:
    return (obj.get("status") or {}).get("phase") or ""


# --- disks ----------------------------------------------------------------------------------------------------------


def data_volume(view: View, _pipeline: str, disk: str | None) -> Proof:
    volume, claim = view.volume(disk), view.claim(disk)
    if volume is not None:
        return _made(volume, f"phase {_phase(volume)}" if _phase(volume) else "")
    if claim is not None:
        return _made(claim, "the DataVolume is deleted when the VM is made; the claim that it made is there")
    return Proof()


def claim(view: View, _pipeline: str, disk: str | None) -> Proof:
    found = view.claim(disk)
    if found is not None:
        return _made(found)
    volume = view.volume(disk)
    return Proof(None, reference(volume), _said(volume)) if volume is not None else Proof()


def filled_claim(view: View, _pipeline: str, disk: str | None) -> Proof:
    """MTV looks for it before the VM is touched, and does not look what is in it."""
    found = view.claim(disk)
    return _made(found, f"phase {_phase(found)}") if found is not None else Proof()


def volume(view: View, _pipeline: str, disk: str | None) -> Proof:
    found = view.claim(disk)
    return _bound(found, view.volume(disk)) if found is not None else Proof()


def _bound(found: Object, about: Object | None) -> Proof:
    name, phase = (found.get("spec") or {}).get("volumeName"), _phase(found)
    if phase == "Bound" and name:
        told = condition(about, "Bound") if about is not None else None
        since = told.get("lastTransitionTime") if told and told.get("status") == "True" else None
        return Proof(
            DONE, {"kind": "PersistentVolume", "namespace": "", "name": name}, f"claim {found['metadata']['name']} is bound", since
        )
    if phase == "Lost":
        return Proof(FAILED, reference(found), "the claim has lost its volume")
    said = _said(about) if about is not None else ""
    return Proof(None, reference(found), f"the claim is {phase or 'new'}" + (f": {said}" if said else ""))


def consumer(view: View, _pipeline: str, _disk: str | None) -> Proof:
    pod, claims = view.children.pod(CONSUMER), view.children.claims()
    # A claim that is populated is bound at the end only; its temporary one is made when a node is known.
    settled = bool(claims) and all(_phase(c) == "Bound" or view.children.temporary(c) is not None for c in claims)
    if pod is not None:
        proof = _made(pod, f"phase {_phase(pod)}")
        return proof if settled else proof._replace(state=None)
    chosen = next((c for c in claims if annotation(c, _SELECTED_NODE)), None)
    if settled and chosen is not None:
        node = annotation(chosen, _SELECTED_NODE)
        return Proof(DONE, reference(chosen), f"the pod is deleted when the VM is made; it had the claims bound for node {node}")
    if settled:
        return Proof(SKIPPED, reference(claims[0]), "the storage class binds claims without it", final=True)
    return Proof()


def importer(view: View, _pipeline: str, disk: str | None) -> Proof:
    found = view.claim(disk)
    if found is None:
        return Proof()
    name, pod = view.children.importer(found)
    if pod is not None:
        return _made(pod, f"phase {_phase(pod)}{_restarts(pod)}", pod)
    if name:
        return Proof(DONE, reference(found), f"the claim names its importer {name}, which is gone by now")
    volume = view.volume(disk)
    if volume is not None and _phase(volume) in _IMPORTING:
        return Proof(DONE, reference(volume), f"phase {_phase(volume)}")
    gone = "its importer is deleted when the VM is made" if view.children.one("VirtualMachine") is not None else ""
    return Proof(None, reference(found), gone)


def transfer(view: View, pipeline: str, disk: str | None) -> Proof:
    """Copied by an importer or a populator: the task of the disk tells how far, the object is the most telling one that is there."""
    volume, found = view.volume(disk), view.claim(disk)
    pod = populator = None
    if found is not None:
        pod = view.children.importer(found)[1] or view.children.populator_pod(found)
        populator = view.children.populator_of(found)
    shown = next((o for o in (pod, populator, volume, found) if o is not None), None)
    proof = _counted(view, pipeline, disk, shown, pod)
    if volume is not None and _phase(volume) == PHASE_FAILED and proof.state != DONE:
        return proof._replace(state=FAILED, object=reference(volume), evidence=_said(volume) or "the DataVolume has failed")
    progress = ((populator or {}).get("status") or {}).get("progress")
    if proof.state != DONE and progress:
        return proof._replace(evidence=f"{progress} %" + (f"; {proof.evidence}" if proof.evidence else ""))
    return proof


def v2v_transfer(view: View, _pipeline: str, disk: str | None) -> Proof:
    pod, found = view.children.pod(VIRT_V2V), view.claim(disk)
    return _counted(view, V2V_TRANSFER, disk, pod if pod is not None else found, pod)


def final_copy(view: View, _pipeline: str, disk: str | None) -> Proof:
    volume, found = view.volume(disk), view.claim(disk)
    pod = view.children.importer(found)[1] if found is not None else None
    return _counted(view, CUTOVER, disk, next((o for o in (pod, volume, found) if o is not None), None), pod)


def task_of_pipeline(view: View, pipeline: str, disk: str | None) -> Proof:
    return _counted(view, pipeline, disk, None, None) if disk else Proof()


def _counted(view: View, pipeline: str, disk: str | None, shown: Object | None, pod: Object | None) -> Proof:
    """By the task of a disk. (Its step is no witness: it counts as completed while disks of a warm migration are copied, recorded.)"""
    task = view.task(pipeline, disk) or {}
    progress, error, done = task.get("progress") or {}, task.get("error"), task.get("phase") == STEP_COMPLETED
    texts = []
    if progress.get("total"):
        texts.append("{} of {} MiB".format(progress.get("completed") or 0, progress["total"]))
    if error:
        texts.append("; ".join(error.get("reasons") or []))
    elif task.get("reason") and not done:
        texts.append(task["reason"])
    if pod is not None and _restarts(pod):
        texts.append(_restarts(pod).strip(", "))
    state = FAILED if error else DONE if done else None
    since = task.get("completed") if done else task.get("started")
    return Proof(state, reference(shown) if shown is not None else None, ", ".join(texts), since, pod)


def _restarts(pod: Object) -> str:
    count = sum(c.get("restartCount") or 0 for c in (pod.get("status") or {}).get("containerStatuses") or [])
    return f", restarted {count} times" if count else ""


def _said(obj: Object | None) -> str:
    """What a DataVolume says about what keeps it."""
    for kind in ("Running", "Bound", "Ready"):
        told = condition(obj or {}, kind) or {}
        if told.get("status") != "True" and told.get("message"):
            return str(told["message"]).rstrip(". ")
    return ""


# --- populators -----------------------------------------------------------------------------------------------------


def populator(view: View, _pipeline: str, disk: str | None) -> Proof:
    found = view.claim(disk)
    if found is None:
        return Proof()
    filler = view.children.populator_of(found)
    return _made(found, f"filled by {filler['kind']} {filler['metadata']['name']}" if filler is not None else "")


def temporary_claim(view: View, _pipeline: str, disk: str | None) -> Proof:
    found = view.claim(disk)
    if found is None:
        return Proof()
    prime = view.children.temporary(found)
    if prime is not None:
        return _made(prime)
    return Proof(DONE, reference(found), "deleted since: the claim has its volume") if _phase(found) == "Bound" else Proof()


def temporary_volume(view: View, _pipeline: str, disk: str | None) -> Proof:
    found = view.claim(disk)
    if found is None:
        return Proof()
    prime = view.children.temporary(found)
    return _bound(prime if prime is not None else found, None) if prime is not None or _phase(found) == "Bound" else Proof()


def populator_pod(view: View, _pipeline: str, disk: str | None) -> Proof:
    found = view.claim(disk)
    if found is None:
        return Proof()
    pod = view.children.populator_pod(found)
    if pod is not None:
        again = annotation(found, "recreations")
        return _made(pod, f"phase {_phase(pod)}" + (f", made anew {again} times" if again else ""), pod)
    return Proof(DONE, reference(found), "deleted since: the claim has its volume") if _phase(found) == "Bound" else Proof()


def rebinding(view: View, _pipeline: str, disk: str | None) -> Proof:
    found = view.claim(disk)
    if found is None:
        return Proof()
    prime = view.children.temporary(found)
    if _phase(found) == "Bound" and prime is None:
        return Proof(DONE, reference(found), "bound to volume {}".format((found.get("spec") or {}).get("volumeName") or "?"))
    if _phase(found) == "Bound":
        return Proof(ACTIVE, reference(prime or found), "the temporary claim is still there")
    return Proof(None, reference(found), "")


# --- the whole VM ---------------------------------------------------------------------------------------------------


def hook(view: View, pipeline: str, _disk: str | None) -> Proof:
    step, job = view.step(pipeline) or {}, view.children.one("Job", step=pipeline)
    named = next((h.get("hook") or {} for h in view.vm.get("hooks") or [] if h.get("step") == pipeline), {})
    evidence = f"hook {named.get('name')}" if named.get("name") else ""
    since = step.get("completed") or step.get("started")
    if job is not None:
        failed = (job.get("status") or {}).get("failed")
        texts = [evidence, f"{failed} pods have failed" if failed else ""]
        return Proof(None, reference(job), ", ".join(t for t in texts if t), since)
    if named.get("name"):  # its Job is deleted after success, and a job template of an automation controller has none
        return Proof(None, {"kind": "Hook", "namespace": named.get("namespace") or "", "name": named["name"]}, "", since)
    return Proof(None, None, evidence, since)


def source_off(view: View, _pipeline: str, _disk: str | None) -> Proof:
    power = view.vm.get("restorePowerState") or ""
    if power == "Off":
        return Proof(SKIPPED, None, "it was off", final=True)
    return Proof(None, None, f"power state before: {power}" if power else "")


def first_snapshot(view: View, _pipeline: str, _disk: str | None) -> Proof:
    rounds = (view.vm.get("warm") or {}).get("precopies") or []
    if not rounds:
        return Proof()
    name = rounds[0].get("snapshot")
    return Proof(None, None, f"snapshot {name}" if name else "", rounds[0].get("start"))


def precopies(view: View, _pipeline: str, _disk: str | None) -> Proof:
    warm = view.vm.get("warm") or {}
    texts = [f"copied {warm['successes']} times" if warm.get("successes") else ""]
    texts.append(f"{warm['failures']} failed" if warm.get("failures") else "")
    if view.vm.get("phase") == "CopyingPaused" and warm.get("nextPrecopyAt"):
        texts.append(f"the next at {warm['nextPrecopyAt']}")
    rounds = warm.get("precopies") or []
    since = next((r["end"] for r in rounds if r.get("end")), None)
    return Proof(None, None, ", ".join(t for t in texts if t), since)


def _why_unconverted(view: View) -> str:
    return "the plan has skipGuestConversion" if view.spec.get("skipGuestConversion") else "guests of this source need no conversion"


def conversion_pod(view: View, _pipeline: str, _disk: str | None) -> Proof:
    if not view.converts:
        return Proof(SKIPPED, None, _why_unconverted(view), final=True)
    pod, wanted = view.children.pod(VIRT_V2V), view.children.conversion()
    if pod is not None:
        return _made(pod, "", pod)
    if wanted is None:
        return Proof()
    stage = (wanted.get("status") or {}).get("stage") or _phase(wanted)
    return Proof(None, reference(wanted), f"stage {stage}" if stage else "", wanted["metadata"].get("creationTimestamp"))


def conversion(view: View, _pipeline: str, _disk: str | None) -> Proof:
    if not view.converts:
        return Proof(SKIPPED, None, _why_unconverted(view), final=True)
    pod, wanted, step = view.children.pod(VIRT_V2V), view.children.conversion(), view.step(CONVERSION) or {}
    done = step.get("phase") == STEP_COMPLETED and not step.get("error")
    since = step.get("completed") if done else step.get("started")
    shown = pod if pod is not None else wanted
    evidence = f"phase {_phase(shown)}" if shown is not None and _phase(shown) else ""
    return Proof(DONE if done else None, reference(shown) if shown is not None else None, evidence, since, pod)


def virtual_machine(view: View, _pipeline: str, _disk: str | None) -> Proof:
    machine = view.children.one("VirtualMachine")
    return _made(machine) if machine is not None else Proof()


def power_on(view: View, _pipeline: str, _disk: str | None) -> Proof:
    machine = view.children.one("VirtualMachine")
    if machine is None:
        return Proof()
    spec, status = machine["spec"], machine.get("status") or {}
    says = status.get("printableStatus") or ""
    if status.get("ready") or says == "Running":
        told = condition(machine, "Ready") or {}
        since = told.get("lastTransitionTime") if told.get("status") == "True" else None
        instance = {**reference(machine), "kind": "VirtualMachineInstance"}
        return Proof(DONE, instance, f"the VM is {says or 'ready'}", since, final=True)
    if spec.get("runStrategy") == "Halted" or spec.get("running") is False:
        return Proof(SKIPPED, reference(machine), _why_off(view), final=True)
    return Proof(FAILED if says in _NEVER else ACTIVE, reference(machine), f"the VM is {says or 'not started yet'}", final=True)


def _why_off(view: View) -> str:
    wanted = view.vm.get("targetPowerState") or view.spec.get("targetPowerState")
    if wanted == "off":
        return "the plan has targetPowerState: off"
    power = view.vm.get("restorePowerState")
    return "the source was off" if power == "Off" else "the VM is off"


PROVERS: Mapping[str, Prover] = {
    "pre_hook": hook,
    "post_hook": hook,
    "source_off": source_off,
    "first_snapshot": first_snapshot,
    "data_volume": data_volume,
    "claim": claim,
    "filled_claim": filled_claim,
    "volume": volume,
    "consumer": consumer,
    "importer": importer,
    "transfer": transfer,
    "precopies": precopies,
    "final_copy": final_copy,
    "populator": populator,
    "temporary_claim": temporary_claim,
    "temporary_volume": temporary_volume,
    "populator_pod": populator_pod,
    "rebinding": rebinding,
    "conversion_pod": conversion_pod,
    "conversion": conversion,
    "v2v_transfer": v2v_transfer,
    "virtual_machine": virtual_machine,
    "power_on": power_on,
}
#: Steps that the task of a disk counts.
COUNTED = ("transfer", "final_copy", "v2v_transfer")
