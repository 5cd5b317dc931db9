"""A run beside the recorded one: Forklift's own controllers migrating `ova-app1` from an OVA file.

The same plan is run here over the acted cluster, and what a client sees of it is compared: phases, pipeline, conditions, events
and every child object. Identities, times and what the cluster itself fills in are left out.
"""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity.recording import (
    GOLDEN,
    Recorder,
    anonymous,
    conditions,
    of,
    plain_pipeline,
    replay,
    stripped,
    without_repeats,
)
from ansible_collections.vmshift.mtv.tests.unit.controlplane.migration.world import FORKLIFT, World

pytestmark = pytest.mark.skipif(GOLDEN is None, reason="no recorded scenarios here")

VM_ID = "796051fce57ca1d00b2bc0ec8c895c524e29"
PLAN_NAMESPACE, TARGET = "mig-ova", "tgt-ova"
CHILDREN = ("Secret", "ConfigMap", "DataVolume", "PersistentVolumeClaim", "PersistentVolume", "Conversion", "Pod", "VirtualMachine")


@pytest.fixture(scope="module")
def recorded():
    return [entry for entry in replay("ova") if entry[0] < 59]  # until it was archived


@pytest.fixture(scope="module")
def ran(tmp_path_factory, recorded):
    inventory = json.loads((GOLDEN / f"inventory/ova/workloads-id-{VM_ID}.json").read_text())["body"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ansible_collections.vmshift.mtv.controlplane.datapath.tools.missing", lambda names: [])
        world = World(tmp_path_factory.mktemp("world"), [inventory])
        recorder = Recorder(world)
        _apply_inputs(world, recorded)
        world.run(lambda: "Ready" in conditions(world.api.get("Plan", PLAN_NAMESPACE, "ova")))
        run = next(e[4] for e in recorded if e[1] == "Migration")
        world.api.create(
            {"apiVersion": FORKLIFT, "kind": "Migration", "metadata": {"name": "ova-run", "namespace": PLAN_NAMESPACE}, "spec": run["spec"]}
        )
        asyncio.run(world.migrations.reconcile(PLAN_NAMESPACE, "ova-run"))  # looked at before its plan is, as it was there
        world.run(lambda: "Succeeded" in conditions(world.api.get("Migration", PLAN_NAMESPACE, "ova-run")))
        world.settle(6)
        return recorder.seen


def _apply_inputs(world, recorded):
    """The objects of the recorded user, but for those whose controllers do not run here: they are there, and Ready."""
    world.create("v1", "Namespace", "", PLAN_NAMESPACE)
    world.create("v1", "Namespace", "", TARGET)
    world.create("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", TARGET, "net-a", spec={"config": "{}"})
    world.create("storage.k8s.io/v1", "StorageClass", "", "file-sc", provisioner="sim", volumeBindingMode="Immediate")
    for kind in ("Provider", "NetworkMap", "StorageMap"):
        last = next(e[4] for e in reversed(recorded) if e[1] == kind)
        made = world.create(FORKLIFT, kind, PLAN_NAMESPACE, last["metadata"]["name"], spec=last["spec"])
        world.api.update_status({**made, "status": last["status"]})
    world.eager.add("file-sc")
    world.start()
    plan = next(e[4] for e in recorded if e[1] == "Plan")
    world.create(FORKLIFT, "Plan", PLAN_NAMESPACE, "ova", spec=plan["spec"])


def phases(seen):
    found = [plan.get("status", {}).get("migration", {}).get("vms") for plan in of(seen, "Plan")]
    return without_repeats([vms[0]["phase"] for vms in found if vms])


def test_phases_in_their_order(ran, recorded):
    assert phases(ran) == phases(recorded)


@pytest.mark.parametrize("kind", ["Plan", "Migration"])
def test_the_final_status_of_the_vm(ran, recorded, kind):
    def vm(seen):
        status = of(seen, kind)[-1]["status"]
        return (status["migration"] if kind == "Plan" else status)["vms"][0]

    ours, theirs = vm(ran), vm(recorded)
    assert plain_pipeline(ours) == plain_pipeline(theirs)
    assert ours.pop("operatingSystem") == "debian12"  # theirs is not looked for in OVA files
    assert set(ours) == set(theirs)
    for field in ("id", "name", "phase", "luks", "firmware", "detectedBootDisk"):
        assert ours[field] == theirs[field]
    assert conditions({"status": ours}) == conditions({"status": theirs})


def test_the_pipeline_when_the_run_begins(ran, recorded):
    def first(seen):
        return next(p["status"]["migration"]["vms"][0] for p in of(seen, "Plan") if p.get("status", {}).get("migration", {}).get("vms"))

    assert plain_pipeline(first(ran)) == plain_pipeline(first(recorded))
    assert set(first(ran)) == set(first(recorded))


@pytest.mark.parametrize("kind", ["Plan", "Migration"])
def test_conditions_over_time(ran, recorded, kind):
    def story(seen):
        types = without_repeats([sorted(conditions(obj)) for obj in of(seen, kind)])
        return [t for t in types if t and "StorageMapNotReady" not in t]

    assert story(ran) == story(recorded)
    assert conditions(of(ran, kind)[-1]) == conditions(of(recorded, kind)[-1])


def test_history_has_the_same_fields(ran, recorded):
    def shape(value):
        if isinstance(value, dict):
            return {key: shape(inner) for key, inner in value.items()}
        return [shape(inner) for inner in value] if isinstance(value, list) else type(value)

    [ours], [theirs] = (of(seen, "Plan")[-1]["status"]["migration"]["history"] for seen in (ran, recorded))
    assert shape(ours) == shape(theirs)


def test_events_of_the_plan(ran, recorded):
    def said(seen):
        events = [e for e in of(seen, "Event") if e["involvedObject"]["kind"] in ("Plan", "Conversion")]
        return {(e["involvedObject"]["kind"], e["type"], e["reason"], e["message"], e["source"]["component"]) for e in events}

    # Theirs was archived before the Conversion came to its end; the storage map of ours was ready from the start.
    more = {("Conversion", "Normal", "Ready", "The conversion has completed successfully.", "conversion")}
    less = {e for e in said(recorded) if e[2] in ("StorageMapNotReady", "Archived")}
    assert said(ran) - more == said(recorded) - less


def firsts(seen, kind):
    """Each child of a kind as it was made, without identities."""
    made = {}
    for entry in seen:
        labels = entry[4]["metadata"].get("labels") or {}
        if entry[1] == kind and labels.get("vmID") == VM_ID:
            made.setdefault(entry[3], entry[4])
    return sorted((alike(obj) for obj in made.values()), key=lambda obj: json.dumps(obj, sort_keys=True))


def alike(obj):
    return json.loads(_anonymous(json.dumps(stripped(obj))))


def _anonymous(text):
    return re.sub(r"(ova-ova-app1-disk-0|ova-store-pvc?-ova-src-ova|ova-" + VM_ID + r")-[a-z0-9]{5}\b", r"\1-RANDOM", anonymous(text))


@pytest.mark.parametrize("kind", CHILDREN)
def test_children_are_made_alike(ran, recorded, kind):
    ours, theirs = firsts(ran, kind), firsts(recorded, kind)
    assert ours == theirs
    assert ours or kind == "ConfigMap"


def test_the_claim_ends_up_with_the_virtual_machine(ran, recorded):
    def owners(seen):
        claims = [c for c in of(seen, "PersistentVolumeClaim", TARGET) if "vm-config" in json.dumps(c["metadata"]["labels"])]
        return [{k: v for k, v in o.items() if k != "uid"} for o in claims[-1]["metadata"]["ownerReferences"]]

    assert owners(ran) == owners(recorded)


def test_stages_of_the_conversion(ran, recorded):
    def stages(seen):
        return without_repeats([(c["status"]["phase"], c["status"]["stage"]) for c in of(seen, "Conversion") if c.get("status")])

    ended = [("Succeeded", "Finished")]
    assert stages(ran) == stages(recorded) + ended
