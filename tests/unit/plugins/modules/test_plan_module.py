"""The plan module against the embedded API server; the tests write what MTV's controllers would."""

from __future__ import annotations

import pytest

APP = {
    "id": "id-app",
    "name": "app",
    "networks": [{"ID": "net-1", "Name": "VM Network"}],
    "disks": [{"ID": "disk-1", "Name": "app-disk1.vmdk"}],
    "concerns": [{"id": "x", "label": "Shared disk", "category": "Critical", "assessment": "It is shared."}],
}
DB = {**APP, "id": "id-db", "name": "db", "concerns": []}
GIVEN = {
    "name": "demo",
    "namespace": "mig",
    "source": "src",
    "network_map": "demo",
    "storage_map": "demo",
    "target_namespace": "apps",
    "vms": ["app"],
    "wait_timeout": 10,
}


@pytest.fixture
def world(plane, conditions_of_status):
    """A source with two VMs, the cluster's own provider and two maps, all ready; plans become ready."""

    def ready(obj):
        return conditions_of_status(obj, "Ready")

    for obj in (plane.provider("src", url="h:/x"), plane.provider("host", "openshift", "konveyor-forklift")):
        plane.do("update_status", {**obj, "status": ready(obj)})
    provider = {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": "konveyor-forklift"}}
    for kind, source, destination in (
        ("NetworkMap", "VM Network", {"type": "pod"}),
        ("StorageMap", "app-disk1.vmdk", {"storageClass": "sc"}),
    ):
        spec = {"provider": provider, "map": [{"source": {"name": source}, "destination": destination}]}
        made = plane.make(kind, "demo", spec=spec)
        plane.do("update_status", {**made, "status": ready(made)})
    uid = plane.do("get", "Provider", "mig", "src")["metadata"]["uid"]
    plane.inventory[f"providers/ova/{uid}/vms"] = [APP, DB]
    plane.ready = ready
    plane.stop_plans = plane.controller("Plan", lambda plan: None if plan.get("status") and plan["status"].get("keep") else ready(plan))
    return plane


def test_a_plan_is_made_and_ready_and_a_second_run_changes_nothing(world, run):
    made = run("plan", **GIVEN)
    assert made["changed"] and made["vms"] == [{"id": "id-app", "name": "app", "overrides": {}}]
    assert made["concerns"] == [{"vm": "app", "vm_id": "id-app", **APP["concerns"][0]}]
    spec = world.do("get", "Plan", "mig", "demo")["spec"]
    assert spec["vms"] == [{"id": "id-app", "name": "app"}]
    assert spec["provider"]["destination"] == {"name": "host", "namespace": "konveyor-forklift"}
    assert spec["map"] == {"network": {"name": "demo", "namespace": "mig"}, "storage": {"name": "demo", "namespace": "mig"}}
    again = run("plan", **GIVEN)
    assert not again["changed"] and again["plan"]["status"]["conditions"][0]["type"] == "Ready"


def test_false_is_kept_against_a_default_of_true(world, run):
    run("plan", **GIVEN)
    assert world.do("get", "Plan", "mig", "demo")["spec"]["preserveStaticIPs"] is True
    changed = run("plan", **GIVEN, preserve_static_ips=False, migrate_shared_disks=False)
    assert changed["changed"] and changed["diff"]["after"]["spec"]["preserveStaticIPs"] is False
    spec = world.do("get", "Plan", "mig", "demo")["spec"]
    assert (spec["preserveStaticIPs"], spec["migrateSharedDisks"], spec["useCompatibilityMode"]) == (False, False, True)
    assert not run("plan", **GIVEN, preserve_static_ips=False, migrate_shared_disks=False)["changed"]


def test_an_existing_plan_takes_single_options_and_keeps_the_others(world, run):
    run("plan", **GIVEN)
    assert run("plan", name="demo", namespace="mig", description="two")["changed"]
    spec = world.do("get", "Plan", "mig", "demo")["spec"]
    assert (spec["description"], spec["targetNamespace"]) == ("two", "apps")
    assert run("plan", name="demo", namespace="mig", vms=["app", {"name": "db", "target_name": "db2"}])["changed"]
    assert world.do("get", "Plan", "mig", "demo")["spec"]["vms"][1] == {"id": "id-db", "name": "db", "targetName": "db2"}


def test_target_placement_is_taken_as_a_whole_and_taken_away(world, run):
    def term(key):
        terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "Exists"}]}]}
        return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    def spec():
        return world.do("get", "Plan", "mig", "demo")["spec"]

    pods = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]}}
    placed = {
        "target_labels": {"app": "web", "tier": "1"},
        "target_node_selector": {"disk": "ssd"},
        "target_affinity": {**term("a"), **pods},
    }
    run("plan", **GIVEN, **placed)
    assert spec()["targetAffinity"] == {**term("a"), **pods}
    assert not run("plan", **GIVEN, **placed)["changed"]
    moved = {"target_labels": {"app": "web"}, "target_affinity": term("b")}
    predicted = run("plan", check_mode=True, **GIVEN, **moved)
    changed = run("plan", **GIVEN, **moved)
    assert predicted["diff"] == changed["diff"]
    assert changed["diff"]["before"]["spec"]["targetLabels"] == placed["target_labels"]
    assert (spec()["targetLabels"], spec()["targetAffinity"], spec()["targetNodeSelector"]) == ({"app": "web"}, term("b"), {"disk": "ssd"})
    assert not run("plan", **GIVEN, **moved)["changed"]
    nothing = {"target_labels": {}, "target_affinity": {}, "target_node_selector": {}}
    assert run("plan", **GIVEN, **nothing)["changed"]
    assert not {"targetLabels", "targetAffinity", "targetNodeSelector"} & set(spec())
    assert not run("plan", **GIVEN, **nothing)["changed"]


def test_check_mode_predicts_exactly_and_writes_nothing(world, run):
    predicted = run("plan", check_mode=True, **GIVEN)
    assert predicted["changed"] and world.do("find", "Plan", "mig", "demo") is None
    assert run("plan", **GIVEN)["diff"] == predicted["diff"]
    assert not run("plan", check_mode=True, **GIVEN)["changed"]


def test_check_mode_without_providers_and_maps_warns(plane, run):
    predicted = run("plan", check_mode=True, **GIVEN)
    assert predicted["changed"] and predicted["vms"] == [{"id": None, "name": "app", "overrides": {}}]
    said = " ".join(w if isinstance(w, str) else w["event"]["msg"] for w in predicted["warnings"])
    assert "the provider mig/src does not exist" in said and "the NetworkMap mig/demo does not exist" in said


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"vms": ["ap"]}, "vms[0]: there is no VM 'ap' (did you mean 'app'?)"),
        ({"vms": [{"nmae": "app"}]}, "vms[0]: unknown option 'nmae'"),
        ({"vms": []}, "vms: the list is empty"),
        ({"vms": ["app", {"folder": "prod"}]}, "vms[1]: 'folder' is not known for providers of type ova; known are name, id, path, "),
        ({"exclude": [{"tag": "x"}]}, "exclude[0]: 'tag' is not known for providers of type ova; known are name, id, path, "),
        ({"exclude": [{"target_name": "x"}]}, "exclude[0]: unknown option 'target_name'; accepted are name, id, path, "),
        ({"exclude": ["app"]}, "exclude leaves none of the 1 VMs"),
        ({"vms": [{"regex": "x.*"}]}, "vms[0]: regex 'x.*' matches none of the 2 VMs"),
        ({"vms": ["app", {"name": "db", "target_name": "x"}, {"name": "app", "target_name": "x"}]}, "would both be named 'x'"),
        ({"source": "sr"}, "source: the provider mig/sr does not exist; in the namespace mig there are src (ova)."),
        ({"network_map": "nope"}, "network_map: the NetworkMap mig/nope does not exist."),
        ({"storage_map": {"nmae": "demo"}}, "storage_map: give a name, or a dictionary of name and namespace"),
        ({"vms": [{"name": "app", "luks": "key"}]}, "The plan needs the Secret mig/key, which does not exist."),
        ({"vms": [{"name": "app", "hooks": [{"step": "PreHook", "hook": "h"}]}]}, "The plan needs the Hook mig/h, which does not exist."),
        ({"customization_scripts": "s"}, "The plan needs the ConfigMap mig/s, which does not exist."),
        ({"target_namespace": "My Apps"}, "target_namespace: 'My Apps' cannot be a name in Kubernetes"),
        ({"vms": None}, "The plan mig/demo does not exist yet; to make it give vms."),
        (
            {"conversion_temp_storage_class": "sc"},
            "parameters are required together: conversion_temp_storage_class, conversion_temp_storage_size",
        ),
    ],
)
def test_mistakes_are_named_before_anything_is_written(world, run, options, text):
    failed = run("plan", **{**GIVEN, **options})
    assert failed["failed"] and text in failed["msg"]
    assert world.do("find", "Plan", "mig", "demo") is None


def test_a_network_that_no_pair_maps_is_named_before_anything_is_written(world, run):
    uid = world.do("get", "Provider", "mig", "src")["metadata"]["uid"]
    world.inventory[f"providers/ova/{uid}/vms"] = [{**APP, "networks": [{"ID": "net-2", "Name": "Backup"}]}]
    failed = run("plan", **GIVEN)
    assert "network 'Backup' (id net-2) of VM 'app' is not in the network map, which maps 'VM Network'" in failed["msg"]
    assert world.do("find", "Plan", "mig", "demo") is None


def test_a_map_that_is_not_ready_is_waited_for_and_its_blocker_named(world, run, conditions_of_status):
    broken = world.do("get", "StorageMap", "mig", "demo")
    status = conditions_of_status(broken, "DestinationStorageNotValid", category="Critical", message="Destination storage not valid.")
    world.do("update_status", {**broken, "status": status})
    failed = run("plan", **GIVEN)
    assert failed["failed"] and "StorageMap mig/demo" in failed["msg"] and "Destination storage not valid." in failed["msg"]
    assert world.do("find", "Plan", "mig", "demo") is None


def test_a_blocked_plan_fails_with_condition_items_suggestion_and_concerns(world, run, conditions_of_status):
    world.stop_plans()
    world.controller(
        "Plan",
        lambda plan: conditions_of_status(
            plan,
            "VMCriticalConcerns",
            category="Critical",
            message="VM has critical concerns.",
            items=["app (Shared disk)"],
            suggestion="Fix it.",
        ),
    )
    failed = run("plan", **GIVEN)
    assert failed["failed"] and failed["changed"] and failed["conditions"][0]["type"] == "VMCriticalConcerns"
    assert "VM has critical concerns. [app (Shared disk)] (Fix it.)" in failed["msg"]
    assert "Critical concerns: app: Shared disk (It is shared.)" in failed["msg"]


def test_a_blocker_that_passes_by_itself_is_waited_out(world, run, conditions_of_status):
    world.stop_plans()
    passes = iter([False, False, True])

    def decide(plan):
        if next(passes, True):
            return world.ready(plan)
        return conditions_of_status(plan, "StorageMapNotReady", category="Critical", message=str(plan["metadata"]["resourceVersion"]))

    world.controller("Plan", decide)
    assert run("plan", **GIVEN)["plan"]["status"]["conditions"][0]["type"] == "Ready"


def test_warn_conditions_become_warnings(world, run, conditions_of_status):
    world.stop_plans()

    def decide(plan):
        status = world.ready(plan)
        status["conditions"] += conditions_of_status(plan, "HostNotReady", category="Warn", message="VM host is in maintenance mode.")[
            "conditions"
        ]
        return status

    world.controller("Plan", decide)
    said = str(run("plan", **GIVEN)["warnings"])
    assert "Plan mig/demo: HostNotReady=True: VM host is in maintenance mode." in said


def ended(world, *types):
    plan = world.do("get", "Plan", "mig", "demo")
    listed = [{"type": t, "status": "True", "category": "Advisory", "lastTransitionTime": "2026-01-01T00:00:00Z"} for t in types]
    some = {"name": "demo", "namespace": "mig", "uid": "u", "generation": 1}
    entry = {"plan": some, "migration": some, "provider": {"source": some, "destination": some}, "map": {"network": some, "storage": some}}
    status = {**plan["status"], "migration": {"history": [{**entry, "conditions": listed}]}}
    status["conditions"] = [*status["conditions"], *listed]
    world.do("update_status", {**plan, "status": status})


def test_a_plan_that_has_succeeded_is_left_alone_and_a_change_of_it_refused(world, run):
    run("plan", **GIVEN)
    world.stop_plans()
    ended(world, "Succeeded")
    assert not run("plan", **GIVEN)["changed"]
    failed = run("plan", **{**GIVEN, "vms": ["app", "db"]})
    assert "has succeeded, and MTV ignores changes of it (vms); use a plan of another name" in failed["msg"]
    assert len(world.do("get", "Plan", "mig", "demo")["spec"]["vms"]) == 1


def test_a_plan_that_has_run_is_archived_before_it_is_removed(world, run, conditions_of_status):
    run("plan", **GIVEN)
    world.stop_plans()
    ended(world, "Failed")
    archived = []

    def archive(plan):
        if plan["spec"].get("archived"):
            archived.append(True)
            return {**conditions_of_status(plan, "Archived"), "migration": plan["status"]["migration"]}
        return None

    world.controller("Plan", archive)
    assert run("plan", check_mode=True, name="demo", namespace="mig", state="absent")["changed"] and not archived
    removed = run("plan", name="demo", namespace="mig", state="absent", wait_timeout=10)
    assert removed["changed"] and removed["plan"] is None and archived
    assert world.do("find", "Plan", "mig", "demo") is None
    assert not run("plan", name="demo", namespace="mig", state="absent")["changed"]


def test_a_plan_that_never_ran_is_removed_at_once(world, run):
    run("plan", **GIVEN)
    assert run("plan", name="demo", namespace="mig", state="absent", wait_timeout=10)["changed"]
    assert world.do("find", "Plan", "mig", "demo") is None


def test_a_plan_that_is_executed_is_not_removed(world, run):
    run("plan", **GIVEN)
    world.stop_plans()
    ended(world, "Executing")
    for options in ({"state": "absent"}, {"archived": True}):
        failed = run("plan", name="demo", namespace="mig", **options)
        assert "is being executed; give cancel_running, or cancel its migration first" in failed["msg"]
    assert "archived" not in world.do("get", "Plan", "mig", "demo")["spec"]


@pytest.fixture
def controllers(world, conditions_of_status):
    """A run of `demo` goes on; its Migration can be canceled, and plans archived."""
    world.stop_plans()
    plan = world.do("get", "Plan", "mig", "demo")
    migration = world.make("Migration", "demo-1", spec={"plan": {"name": "demo", "namespace": "mig"}})
    some = {"name": "x", "namespace": "mig", "uid": "x", "generation": 1}
    entry = {"plan": some, "provider": {"source": some, "destination": some}, "map": {"network": some, "storage": some}}
    entry["migration"] = {"name": "demo-1", "namespace": "mig", "uid": migration["metadata"]["uid"], "generation": 1}
    told = []

    def status(plan, *types):
        told.append(types)
        found = conditions_of_status(plan, *types, category="Advisory")
        vms = [{"id": "id-app", "name": "app", "phase": "ConvertGuest", "pipeline": []}]
        return {**found, "migration": {"history": [{**entry, "conditions": found["conditions"]}], "vms": vms}}

    def decide(plan):
        if plan["metadata"]["name"] != "demo":
            return conditions_of_status(plan, "Archived" if plan["spec"].get("archived") else "Ready")
        if not world.api.find("Migration", "mig", "demo-1")["spec"].get("cancel"):
            return status(plan, "Executing")
        return status(plan, *(["Canceled", "Archived"] if plan["spec"].get("archived") else ["Canceled"]))

    world.do("update_status", {**plan, "status": status(plan, "Executing")})
    world.controller("Plan", decide)
    return told


@pytest.mark.parametrize("options", [{"state": "absent"}, {"archived": True}])
def test_a_run_is_canceled_before_its_plan_ends(world, run, request, options):
    run("plan", **GIVEN)
    told = request.getfixturevalue("controllers")
    given = {"name": "demo", "namespace": "mig", "cancel_running": True, "wait_timeout": 10, **options}
    assert run("plan", check_mode=True, **given)["changed"] and "cancel" not in world.do("get", "Migration", "mig", "demo-1")["spec"]
    done = run("plan", **given)
    assert done["changed"]
    assert world.do("get", "Migration", "mig", "demo-1")["spec"]["cancel"] == [{"id": "id-app", "name": "app"}]
    assert list(dict.fromkeys(told)) == [("Executing",), ("Canceled",), ("Canceled", "Archived")]
    assert not run("plan", **given)["changed"]
    assert (world.do("find", "Plan", "mig", "demo") is None) == ("state" in options)


@pytest.mark.parametrize("options", [{"state": "absent"}, {"archived": True}])
def test_follow_ups_end_with_their_first_plan(world, run, conditions_of_status, options):
    run("plan", **GIVEN)
    world.stop_plans()
    spec = world.do("get", "Plan", "mig", "demo")["spec"]
    for name, later in (("demo", "demo-retry-1"), ("demo-retry-1", "demo-retry-2"), ("demo-retry-2", None)):
        if name != "demo":
            meta = {"name": name, "namespace": "mig", "labels": {"vmshift.io/continues": "demo"}}
            world.do("create", {"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": meta, "spec": spec})
        if later:
            world.do("patch", "Plan", "mig", name, {"metadata": {"annotations": {"vmshift.io/continued-by": later}}})
    world.controller("Plan", lambda plan: conditions_of_status(plan, "Archived" if plan["spec"].get("archived") else "Ready"))
    world.do("patch", "Plan", "mig", "demo", {"metadata": {"labels": {"go": "on"}}})
    given = {"name": "demo", "namespace": "mig", "wait_timeout": 10, **options}
    assert run("plan", check_mode=True, **given)["changed"] and len(world.do("list", "Plan", "mig")) == 3
    assert run("plan", **given)["changed"]
    left = world.do("list", "Plan", "mig")
    assert [p["spec"].get("archived") for p in left] == ([] if "state" in options else [True] * 3)
    assert not run("plan", **given)["changed"]


def test_a_plan_blocked_by_what_it_has_migrated_is_no_error_but_cannot_be_changed_once_it_is_continued(world, run, conditions_of_status):
    run("plan", **GIVEN)
    world.stop_plans()
    some = {"name": "demo", "namespace": "mig", "uid": "u", "generation": 1}
    entry = {"plan": some, "migration": some, "provider": {"source": some, "destination": some}, "map": {"network": some, "storage": some}}

    def decide(plan):
        if plan["spec"].get("archived"):
            return conditions_of_status(plan, "Archived", category="Advisory")
        found = conditions_of_status(plan, "MacConflicts", category="Critical", message="MACs conflict.")
        ended = conditions_of_status(plan, "Failed", category="Advisory")["conditions"]
        done = conditions_of_status(plan, "Succeeded", category="Advisory")["conditions"]
        vm = {"phase": "Completed", "pipeline": []}
        vms = [{**vm, "id": "id-app", "name": "app", "conditions": done}, {**vm, "id": "id-db", "name": "db", "conditions": ended}]
        return {**found, "conditions": found["conditions"] + ended, "migration": {"history": [{**entry, "conditions": ended}], "vms": vms}}

    world.controller("Plan", decide)
    world.do("patch", "Plan", "mig", "demo", {"metadata": {"labels": {"go": "on"}}})
    again = run("plan", **GIVEN)
    assert not again["changed"] and any("vmshift.mtv.migration with retry" in w for w in again["warnings"])
    meta = {"annotations": {"vmshift.io/continued-by": "demo-retry-1"}}
    world.do("patch", "Plan", "mig", "demo", {"metadata": meta, "spec": {"archived": True}})
    assert not run("plan", **GIVEN)["changed"]
    failed = run("plan", **{**GIVEN, "vms": ["app", "db"]})
    assert failed["msg"] == (
        "Plan mig/demo is archived, and MTV ignores changes of it (vms); use a plan of another name. Its other VMs went to the follow-up "
        "plan demo-retry-1."
    )


def test_archiving_needs_no_other_option_and_waits(world, run, conditions_of_status):
    run("plan", **GIVEN)
    world.stop_plans()
    world.controller("Plan", lambda plan: conditions_of_status(plan, "Archived" if plan["spec"].get("archived") else "Ready"))
    done = run("plan", name="demo", namespace="mig", archived=True, wait_timeout=10)
    assert done["changed"] and done["plan"]["status"]["conditions"][0]["type"] == "Archived"
    assert not run("plan", name="demo", namespace="mig", archived=True, wait_timeout=10)["changed"]


def test_exclude_needs_vms(plane, run):
    failed = run("plan", name="demo", namespace="mig", exclude=["app"])
    assert failed["failed"] and "missing parameter(s) required by 'exclude': vms" in failed["msg"]


def test_vms_are_chosen_by_pattern_and_left_out_by_name(world, run):
    made = run("plan", **{**GIVEN, "vms": [{"regex": "a.*|d.*"}], "exclude": [{"regex": "d."}, "nothing"]})
    assert [vm["name"] for vm in made["vms"]] == ["app"]
    said = [w if isinstance(w, str) else w["event"]["msg"] for w in made["warnings"]]
    assert any(text.startswith("exclude[1] leaves no VM out: there is no VM 'nothing'") for text in said)


def test_folders_are_read_from_the_inventory_of_the_source(world, run):
    source = world.provider("vc", "vsphere", url="https://vc/sdk")
    world.do("update_status", {**source, "status": world.ready(source)})
    at = f"providers/vsphere/{source['metadata']['uid']}/"
    world.inventory[at + "vms"] = [
        {"id": "vm-1", "name": "web", "parent": {"kind": "Folder", "id": "f-2"}, "powerState": "poweredOff"},
        {"id": "vm-2", "name": "db", "parent": {"kind": "Folder", "id": "f-1"}, "powerState": "poweredOn"},
    ]
    world.inventory[at + "folders"] = [
        {"id": "f-1", "name": "vm", "path": "/DC/vm", "parent": {"kind": "Datacenter", "id": "dc"}},
        {"id": "f-2", "name": "prod", "path": "/DC/vm/prod", "parent": {"kind": "Folder", "id": "f-1"}},
    ]
    world.inventory[at + "datacenters"] = [{"id": "dc", "name": "DC", "path": "/DC", "parent": {"kind": "Folder", "id": ""}}]
    by_folder = {**GIVEN, "source": "vc", "vms": [{"folder": "/DC/vm"}], "exclude": [{"power_state": "on"}]}
    made = run("plan", check_mode=True, **by_folder)
    assert made["vms"] == [{"id": "vm-1", "name": "web", "overrides": {}}]
    failed = run("plan", **{**by_folder, "vms": [{"folder": "prdo"}]})
    assert "vms[0]: there is no folder 'prdo' (did you mean 'prod'" in failed["msg"]


@pytest.mark.mtv("2.8")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target_labels": {"a": "b"}}, "target_labels: the MTV of this cluster does not know this option; MTV 2.10 and newer do."),
        ({"vms": [{"name": "app", "target_name": "x"}]}, "vms[].target_name: the MTV of this cluster does not know this option; MTV 2.9.0"),
        ({"delete_vm_on_fail_migration": False, "source": "absent"}, "delete_vm_on_fail_migration: the MTV of this cluster"),
    ],
)
def test_what_an_old_mtv_does_not_know_is_refused_before_anything_is_written(world, run, options, said):
    result = run("plan", **{**GIVEN, **options})
    assert result["msg"].startswith(said)
    assert world.do("list", "Plan", "mig") == []


@pytest.mark.mtv("2.8")
def test_an_old_mtv_takes_what_it_knows(world, run):
    assert run("plan", **GIVEN, warm=True, preserve_static_ips=False)["changed"]
    assert not run("plan", **GIVEN, warm=True, preserve_static_ips=False)["changed"]


class Counted(dict):
    """An inventory that keeps what was asked for."""

    def __init__(self, *args):
        super().__init__(*args)
        self.asked = []

    def get(self, path, default=None):
        self.asked.append(path.rsplit("/", 1)[1])
        return super().get(path, default)


def test_many_vms_of_very_many_are_chosen_in_one_task_with_one_read_of_the_inventory(world, run):
    """One of four folders, by all kinds of words, with options for single VMs."""
    source = world.provider("vc", "vsphere", url="https://vc/sdk")
    world.do("update_status", {**source, "status": world.ready(source)})
    provider = {"source": {"name": "vc", "namespace": "mig"}, "destination": {"name": "host", "namespace": "konveyor-forklift"}}
    maps = (("NetworkMap", "network-1", {"type": "pod"}), ("StorageMap", "datastore-1", {"storageClass": "sc"}))
    for kind, id, destination in maps:
        made = world.make(kind, "vc", spec={"provider": provider, "map": [{"source": {"id": id}, "destination": destination}]})
        world.do("update_status", {**made, "status": world.ready(made)})

    def vm(number):
        return {
            "id": f"vm-{number}",
            "name": f"app-{number:05}",
            "path": f"/DC/vm/wave{number % 4}/app-{number:05}",
            "parent": {"kind": "Folder", "id": f"f-{number % 4}"},
            "host": f"host-{number % 8}",
            "powerState": "poweredOn" if number % 2 else "poweredOff",
            "tags": [{"id": "t-1", "name": "stays", "categoryID": "c"}] if number % 100 == 2 else [],
            "memoryMB": 1024 * (number % 5),
            "networks": [{"kind": "Network", "id": "network-1"}],
            "nics": [{"network": {"kind": "Network", "id": "network-1"}}],
            "disks": [{"datastore": {"kind": "Datastore", "id": "datastore-1"}}],
        }

    at = f"providers/vsphere/{source['metadata']['uid']}/"
    datacenter = {"id": "dc", "name": "DC", "path": "/DC", "parent": {"kind": "Folder", "id": ""}}
    root = {"id": "f-vm", "name": "vm", "path": "/DC/vm", "parent": {"kind": "Datacenter", "id": "dc"}}
    waves = [{"id": f"f-{n}", "name": f"wave{n}", "path": f"/DC/vm/wave{n}", "parent": {"kind": "Folder", "id": "f-vm"}} for n in range(4)]
    world.inventory = Counted(
        {
            at + "vms": [vm(number) for number in range(2000)],
            at + "folders": [root, *waves],
            at + "datacenters": [datacenter],
            at + "hosts": [{"id": f"host-{n}", "name": f"esx{n}", "cluster": "cl-1"} for n in range(8)],
            at + "clusters": [{"id": "cl-1", "name": "Cluster"}],
            at + "datastores": [{"id": "datastore-1", "name": "ssd"}],
            at + "networks": [{"id": "network-1", "name": "lan"}],
        }
    )
    vms = [
        {"folder": "wave2", "cluster": "Cluster", "target_power_state": "on"},
        {"name": "app-00006", "target_name": "special"},
        {"regex": "app-0000[0-9]", "query": "memoryMB == `0`", "root_disk": "/dev/sdb"},
    ]
    exclude = [{"tag": "stays"}, {"host": "esx6", "power_state": "off"}, "app-00010"]
    made = run("plan", **{**GIVEN, "source": "vc", "network_map": "vc", "storage_map": "vc", "vms": vms, "exclude": exclude})
    assert made["changed"], made
    chosen = {v["name"]: v["overrides"] for v in made["vms"]}
    expected = [n for n in range(2000) if (n % 4 == 2 or n in (0, 5)) and n % 100 != 2 and not (n % 8 == 6 and n % 2 == 0) and n != 10]
    assert sorted(chosen) == [f"app-{n:05}" for n in expected if n != 6]
    assert chosen["app-00018"] == {"target_power_state": "on"} and chosen["app-00005"] == {"root_disk": "/dev/sdb"}
    assert sorted(world.inventory.asked) == sorted(set(world.inventory.asked)), "each collection is read once"
    assert "vms" in world.inventory.asked


def test_a_plan_that_only_converts_has_no_storage_map(world, run):
    given = {key: value for key, value in GIVEN.items() if key != "storage_map"}
    made = run("plan", **given, type="conversion")
    assert made["changed"]
    spec = world.do("get", "Plan", "mig", "demo")["spec"]
    assert (spec["type"], spec["map"]["storage"]) == ("conversion", {})
    assert not run("plan", **given, type="conversion")["changed"]
    assert not run("plan", **given)["changed"], "the plan that is there tells that nothing is copied"
