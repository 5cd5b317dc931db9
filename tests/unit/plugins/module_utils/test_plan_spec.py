"""From a task's options to the spec of a Plan."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.plugins.module_utils import plan_spec
from ansible_collections.vmshift.mtv.plugins.module_utils.plan_spec import InvalidRequest, check_templates

LINKS = {"source": {"name": "src", "namespace": "mig"}, "network": {"name": "net", "namespace": "mig"}}


def served_plan_schema():
    return Registry().named("Plan").schema["properties"]["spec"]["properties"]


def test_every_field_of_the_resource_is_an_option_and_the_other_way_round():
    fields = set(served_plan_schema()) - {"provider", "map", "vms"}
    assert {plan_spec.field(option) for option in plan_spec.PLAN_OPTIONS} == fields
    vm_fields = set(served_plan_schema()["vms"]["items"]["properties"]) - {"id", "name", "namespace", "type"}
    assert {plan_spec.field(option) for option in plan_spec.VM_OPTIONS} == vm_fields


def test_false_is_sent_and_what_is_not_given_is_not():
    spec = plan_spec.plan_spec({"preserve_static_ips": False, "migrate_shared_disks": None, "warm": True}, {}, None, "mig")
    assert spec == {"preserveStaticIPs": False, "warm": True}


def test_spec_of_a_new_plan():
    vms = [
        {"id": "vm-1", "name": "a", "overrides": {"target_name": "b", "nbde_clevis": False}},
        {"id": "u", "name": "c", "namespace": "n", "overrides": {}},
    ]
    spec = plan_spec.plan_spec({"target_namespace": "apps", "type": "cold"}, LINKS, vms, "mig")
    assert spec == {
        "targetNamespace": "apps",
        "type": "cold",
        "provider": {"source": LINKS["source"]},
        "map": {"network": LINKS["network"]},
        "vms": [{"id": "vm-1", "name": "a", "targetName": "b", "nbdeClevis": False}, {"id": "u", "name": "c", "namespace": "n"}],
    }


def test_references_always_have_a_namespace():
    vms = [
        {"id": "1", "name": "a", "overrides": {"luks": "key", "hooks": [{"step": "PreHook", "hook": {"name": "h", "namespace": "hooks"}}]}}
    ]
    given = {
        "transfer_network": "fast",
        "target_namespace": "apps",
        "customization_scripts": "scripts",
        "tag_mapping": {"label_tags": ["env"], "disabled": None},
    }
    spec = plan_spec.plan_spec(given, {}, vms, "mig")
    assert spec["transferNetwork"] == {"name": "fast", "namespace": "apps"}
    assert spec["customizationScripts"] == {"name": "scripts", "namespace": "mig"}
    assert spec["tagMapping"] == {"labelTags": ["env"]}
    assert spec["vms"][0]["luks"] == {"name": "key", "namespace": "mig"}
    assert spec["vms"][0]["hooks"] == [{"step": "PreHook", "hook": {"name": "h", "namespace": "hooks"}}]
    assert plan_spec.referenced(spec) == [
        ("ConfigMap", {"name": "scripts", "namespace": "mig"}),
        ("NetworkAttachmentDefinition", {"name": "fast", "namespace": "apps"}),
        ("Hook", {"name": "h", "namespace": "hooks"}),
        ("Secret", {"name": "key", "namespace": "mig"}),
    ]


@pytest.mark.parametrize("given", [3, {"namespace": "x"}, {"name": "x", "uid": "y"}, {"name": ["x"]}])
def test_bad_references(given):
    with pytest.raises(InvalidRequest, match="network_map: give a name, or a dictionary of name and namespace"):
        plan_spec.reference(given, "network_map", "mig")


def test_entries_get_the_types_of_their_options():
    assert plan_spec.selectors(["a", {"name": "b", "nbde_clevis": "no"}, {"id": "vm-1", "name": "c"}]) == [
        "a",
        {"name": "b", "nbde_clevis": False},
        {"id": "vm-1", "name": "c"},
    ]


def test_unquoted_on_and_off_of_yaml_are_power_states():
    assert plan_spec.selectors([{"name": "a", "target_power_state": False}, {"name": "b", "target_power_state": True}]) == [
        {"name": "a", "target_power_state": "off"},
        {"name": "b", "target_power_state": "on"},
    ]


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([], "vms: the list is empty"),
        (["ok", 3], r"vms\[1\]: give the name or id of a VM, or a dictionary; this is 3"),
        ([{"nmae": "a"}], r"vms\[0\]: unknown option 'nmae'; accepted are name, id, path, "),
        ([{}], r"vms\[0\]: one of the following is required: name, id, path, namespace, folder, "),
        ([{"power_state": "of"}], r"vms\[0\]: value of power_state must be one of: on, off, suspended, got: of"),
        ([{"name": "a", "target_power_state": "of"}], r"vms\[0\]: value of target_power_state must be one of: on, off, auto, got: of"),
        ([{"name": "a", "hooks": [{"step": "Pre", "hook": "h"}]}], r"vms\[0\]: value of step must be one of: PreHook, PostHook"),
        ([{"name": "a", "target_name": "App_1"}], r"vms\[0\]: target_name 'App_1' cannot be a VM's name"),
    ],
)
def test_bad_entries_are_named(entries, text):
    with pytest.raises(InvalidRequest, match=text):
        plan_spec.selectors(entries)


def test_two_vms_cannot_get_one_name():
    vms = [{"name": n, "overrides": {"target_name": t} if t else {}} for n, t in [("a", "x"), ("b", None), ("c", "x")]]
    assert plan_spec.duplicate_targets(vms) == "vms: 'a' and 'c' would both be named 'x' (target_name): give each its own."
    assert plan_spec.duplicate_targets(vms[:2]) is None


def test_exclusions_take_no_options_of_vms():
    assert plan_spec.exclusions([]) == []
    assert plan_spec.exclusions(["a", {"tag": "t", "power_state": True}]) == ["a", {"tag": "t", "power_state": "on"}]
    with pytest.raises(InvalidRequest, match=r"exclude\[0\]: unknown option 'target_name'; accepted are name, id, path, "):
        plan_spec.exclusions([{"name": "a", "target_name": "b"}])
    with pytest.raises(InvalidRequest, match=r"exclude\[1\]: one of the following is required"):
        plan_spec.exclusions(["a", {}])


def test_an_empty_value_takes_an_option_away():
    given = {"description": "", "transfer_network": "", "target_affinity": {}, "tag_mapping": {}, "disk_bus": None}
    spec = plan_spec.plan_spec(given, {}, [{"id": "1", "overrides": {"luks": "", "root_disk": ""}}], "mig")
    assert spec == {
        "description": None,
        "transferNetwork": None,
        "targetAffinity": None,
        "tagMapping": None,
        "vms": [{"id": "1", "luks": None, "rootDisk": None}],
    }


def test_dictionaries_replace_what_was_there_and_references_do_not():
    current = {
        "targetLabels": {"old": "1", "kept": "1"},
        "targetAffinity": {"podAffinity": {"a": 1}, "nodeAffinity": {"deep": {"x": 1, "y": 2}}},
        "transferNetwork": {"name": "n", "namespace": "apps", "kind": "NetworkAttachmentDefinition"},
    }
    given = {"target_labels": {"kept": "2"}, "target_affinity": {"nodeAffinity": {"deep": {"x": 3}}}, "transfer_network": "n"}
    spec = plan_spec.as_given(current, plan_spec.plan_spec({**given, "target_namespace": "apps"}, {}, None, "mig"))
    assert spec == {
        "targetLabels": {"old": None, "kept": "2"},
        "targetAffinity": {"podAffinity": None, "nodeAffinity": {"deep": {"x": 3, "y": None}}},
        "transferNetwork": {"name": "n", "namespace": "apps"},
        "targetNamespace": "apps",
    }


@pytest.mark.parametrize("option", ["target_labels", "target_node_selector", "convertor_labels", "convertor_node_selector"])
def test_labels_are_texts(option):
    with pytest.raises(InvalidRequest, match=f"{option}: the value of 'tier' is 1; labels are texts, so write it in quotes"):
        plan_spec.plan_spec({option: {"app": "web", "tier": 1}}, {}, None, "mig")


@pytest.mark.parametrize(
    "given",
    [
        {"pvc_name_template": "{{trunc 15 .PlanName}}-{{.TargetVmName | lower}}-{{.DiskIndex}}"},
        {"pvc_name_template": '{{trimSuffix ".vmdk" .FileName}}-{{.SourcePVCName}}{{.VolumeID}}{{.SnapshotID}}{{.DiskId}}'},
        {"pvc_name_template": "{{if .Shared}}shared-{{end}}{{.RootDiskIndex}}"},
        {"pvc_name_template": '{{print "disk-" .DiskIndex}}'},  # Go's own, which only a cluster can judge
        {"pvc_name_template": "{{$i := .DiskIndex}}disk-{{$i}}"},
        {"volume_name_template": "vol-{{.VolumeIndex}}-{{.PVCName}}", "network_name_template": "{{lower .NetworkType}}-{{.NetworkName}}"},
        {"pvc_name_template": ""},
    ],
)
def test_templates_that_a_cluster_may_take(given):
    check_templates(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"pvc_name_template": "{{.VmName"},
            "^pvc_name_template: '{{.VmName' is no template that MTV can use: line 1, column 1: unclosed action",
        ),
        ({"volume_name_template": "{{.VmName}}"}, "^volume_name_template: .*can't evaluate field VmName; known: PVCName, VolumeIndex"),
        ({"network_name_template": "Net_{{.NetworkIndex}}"}, "^network_name_template: .* gives names like 'Net_0'; a name has up to 63"),
        ({"pvc_name_template": '{{trim .VmId "x"}}'}, "wrong number of args"),
        ({"pvc_name_template": "{{/* nothing */}}"}, "gives names like ''"),
    ],
)
def test_templates_that_give_no_names(given, said):
    with pytest.raises(InvalidRequest, match=said):
        check_templates(given)
