"""Which way a request document is carried out, and what is said about it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.vmshift.mtv.plugins.filter.workflow import FilterModule
from ansible_collections.vmshift.mtv.plugins.module_utils.workflow import workflow

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
COLD, WARM = {"type": "cold"}, {"type": "warm"}
ELSEWHERE = {"name": "there", "type": "openshift", "url": "https://api.there:6443"}
V2V_AFTERWARDS = "virt-v2v converts the guests after it"
VIRT_V2V = "the disks are copied and converted by virt-v2v, because the target is the local cluster"
RAW = "no guest is converted, because plan.skip_guest_conversion is true"
OFFLOAD = {"pairs": [{"source": "ds", "destination": "sc", "offload_plugin": {"vendor": "ontap"}}]}


def request(source="vsphere", plan=None, **more):
    given = {"storage_map": {"auto": True}, "plan": plan, **more}
    return {"name": "shop", "source_provider": {"name": "src", "type": source}, **given}


def decided(document, **found):
    return workflow(document, now=NOW, **found)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (
            request(plan=COLD),
            f"plan.type is cold; {VIRT_V2V}",
        ),
        (
            request(),
            f"plan.type is not given, and MTV takes cold; {VIRT_V2V}",
        ),
        (
            request(plan=COLD, target_provider={"name": "host", "type": "openshift"}),
            f"plan.type is cold; {VIRT_V2V}",
        ),
        (
            request(plan=COLD, target_provider=ELSEWHERE),
            f"plan.type is cold; CDI copies the disks, because the target is another cluster; {V2V_AFTERWARDS}",
        ),
        (
            request(plan={**COLD, "migrate_shared_disks": False}),
            f"plan.type is cold; CDI copies the disks, because plan.migrate_shared_disks is false; {V2V_AFTERWARDS}",
        ),
        (request(plan={**COLD, "skip_guest_conversion": "yes"}), f"plan.type is cold; CDI copies the disks as they are; {RAW}"),
        (
            request(plan=COLD, storage_map=OFFLOAD),
            f"plan.type is cold; a storage array copies the disks, because the storage map has an offload_plugin; {V2V_AFTERWARDS}",
        ),
        (
            request("ova", plan={"warm": False}, target_provider=ELSEWHERE),
            "plan.warm is false; the disks are copied and converted by virt-v2v, because the source is of type ova",
        ),
        (
            request("ovirt", plan=COLD),
            "plan.type is cold; volume populators (OvirtVolumePopulator) copy the disks, because the target is the local cluster;"
            " no guest is converted, because those of type ovirt run on KVM already",
        ),
        (
            request("ovirt", plan=COLD, target_provider=ELSEWHERE),
            "plan.type is cold; CDI copies the disks, because the target is another cluster;"
            " no guest is converted, because those of type ovirt run on KVM already",
        ),
        (
            request("openstack", plan=COLD),
            "plan.type is cold; volume populators (OpenstackVolumePopulator) copy the disks out of images,"
            " because the source is of type openstack; no guest is converted, because those of type openstack run on KVM already",
        ),
        (
            request("openshift", plan=COLD),
            "plan.type is cold; CDI copies the disks that the source exports, because the source is of type openshift;"
            " no guest is converted, because those of type openshift run on KVM already",
        ),
        (
            request("ec2", plan=COLD),
            "plan.type is cold; volumes are made of snapshots of the disks, because the source is of type ec2;"
            " virt-v2v converts the guests in them",
        ),
        (request(None, plan=COLD), "plan.type is cold; who copies the disks is not known, because there is no provider src yet"),
    ],
)
def test_cold(document, why):
    found = decided(document)
    assert found.pop("role") in ("cold_migration", "populator_migration")
    assert found == {"way": "cold", "why": f"cold migration: {why}", "refusal": ""}


@pytest.mark.parametrize(
    ("document", "role"),
    [
        (request("openstack"), "populator_migration"),
        (request("ovirt", plan=COLD), "populator_migration"),
        (request("ovirt", plan=COLD, target_provider=ELSEWHERE), "cold_migration"),
        (request("ovirt", plan={"warm": True}), "warm_migration"),
        (request("vsphere"), "cold_migration"),
        (request("ova"), "cold_migration"),
        (request("openshift"), "cold_migration"),
    ],
)
def test_the_role_that_carries_it_out(document, role):
    assert decided(document)["role"] == role


def test_live():
    found = decided(request("openshift", plan={"type": "live"}))
    assert found["why"] == "live migration: plan.type is live; KubeVirt hands the running guests over to the other cluster"
    assert (found["way"], found["role"], found["refusal"]) == ("cold", "cold_migration", "")


@pytest.mark.parametrize(
    ("document", "asked", "after"),
    [
        (request(plan=WARM), "plan.type is warm", V2V_AFTERWARDS),
        (request(plan={"warm": True}), "plan.warm is true", V2V_AFTERWARDS),
        (request(plan={"warm": "yes", "skip_guest_conversion": True}), "plan.warm is true", RAW),
        (request("ovirt", plan=WARM), "plan.type is warm", "no guest is converted, because those of type ovirt run on KVM already"),
    ],
)
def test_warm(document, asked, after):
    copies = "CDI copies the disks while the VMs run, and then what changes, until the cutover"
    assert decided(document) == {
        "way": "warm",
        "role": "warm_migration",
        "why": f"warm migration: {asked}; {copies}; {after}",
        "refusal": "",
    }


def test_what_the_request_leaves_out_is_that_of_the_objects_that_are_there():
    document = {"name": "shop", "source_provider": {"name": "src"}, "target_provider": {"name": "there"}}
    source, there = {"spec": {"type": "vsphere"}}, {"spec": {"type": "openshift", "url": "https://there"}}
    here = {"spec": {"type": "openshift", "url": ""}}
    assert "because the target is another cluster" in decided(document, source=source, target=there)["why"]
    assert "because the target is the local cluster" in decided(document, source=source, target=here)["why"]
    raw = {"spec": {"type": "warm", "skipGuestConversion": True}}
    found = decided(document, source=source, target=here, plan=raw)
    assert found["way"] == "warm"
    assert "the plan shop is there and is warm" in found["why"] and RAW in found["why"]
    asked_otherwise = decided({**document, "plan": COLD}, source=source, target=here, plan=raw)
    assert asked_otherwise["way"] == "cold"
    assert decided({**document, "plan": {"warm": False}}, source=source, target=here, plan=raw)["way"] == "cold"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (request("ova", plan=WARM), "plan: MTV copies VMs of VMware vSphere and oVirt while they run, and the source is of type ova"),
        (request("openstack", plan={"warm": True}), "the source is of type openstack; give plan.type cold."),
        (request(plan={"type": "warm", "warm": False}), "plan.type is warm and plan.warm is false; give one of them."),
        (request(plan={"type": "cold", "warm": True}), "plan.type is cold and plan.warm is true; give one of them."),
        (request(plan=COLD, cutover="now"), "cutover: this goes with plan.type warm only; the migration is cold."),
        (request(plan=WARM, cutover="tonight"), "cutover: 'tonight' is not a time; give one with its zone"),
        (request(plan=WARM, cutover="2027-03-07 22:00"), "says no zone"),
        (request(plan=WARM, cutover="2026-02-01T00:00:00Z"), "cutover: 2026-02-01T00:00:00Z is over, it is 2026-03-01T12:00:00Z"),
    ],
)
def test_refusals(document, said):
    assert said in decided(document)["refusal"]


@pytest.mark.parametrize(
    "cutover",
    [None, "now", "Wait", "2027-03-07 22:00 Europe/Berlin", datetime(2027, 3, 7, 22, tzinfo=timezone.utc), "2026-03-01T11:59:00Z"],
)
def test_times_to_cut_over(cutover):
    assert decided(request(plan=WARM, cutover=cutover))["refusal"] == ""


def test_a_time_that_is_over_may_be_that_of_a_migration_that_is_there():
    over = request(plan=WARM, cutover="2026-02-01T00:00:00Z")
    assert decided(over, plan={"spec": {"type": "warm"}})["refusal"] == ""


def test_a_conversion_of_disks_that_others_have_copied_needs_no_storage_map():
    found = decided(request(plan={"type": "conversion"}, storage_map=None))
    why = "conversion without a copy: plan.type is conversion; somebody else has copied the disks; virt-v2v converts the guests in them"
    assert found == {"way": "cold", "role": "cold_migration", "why": why, "refusal": ""}
    there = decided(request(storage_map=None), plan={"spec": {"type": "conversion"}})
    assert "the plan shop is there and is of type conversion" in there["why"]


@pytest.mark.parametrize(
    ("document", "refusal"),
    [
        (request("ova", plan={"type": "conversion"}), "plan: MTV converts disks that others have copied of VMs of VMware vSphere only"),
        (request(storage_map=None), "storage_map: there is none; only plans of type conversion"),
        (request(plan={"type": "conversion"}, cutover="now"), "cutover: this goes with plan.type warm only"),
    ],
)
def test_what_does_not_go_with_such_a_conversion(document, refusal):
    assert decided(document)["refusal"].startswith(refusal)


def test_both_spellings_may_agree():
    assert decided(request(plan={"type": "warm", "warm": True}))["refusal"] == ""


def test_the_filter_is_this_function():
    assert FilterModule().filters() == {"workflow": workflow}
