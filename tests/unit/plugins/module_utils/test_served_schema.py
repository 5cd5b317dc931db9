"""What older releases of MTV are found to lack, asked over the API that they would serve."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import ClusterError, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.releases import KINDS, number, since
from ansible_collections.vmshift.mtv.plugins.module_utils.served_schema import (
    knows,
    older_than,
    refuse_newer,
    refuse_older_than,
    spec_fields,
)

EVERYTHING = [(kind, path, release) for kind in KINDS for path, release in since(kind).items()]


def test_fields_of_the_spec_are_read_from_the_api_server(there):
    assert spec_fields(there, "Hook")["aap"]["required"] == ["jobTemplateId"]
    with pytest.raises(ClusterError, match="does not know the kind Flying"):
        spec_fields(there, "Flying")


def test_the_newest_api_knows_everything(there):
    assert [entry for entry in EVERYTHING if not knows(there, *entry[:2])] == []
    assert not older_than(there, "5.0")


@pytest.mark.parametrize("release", [pytest.param(r, marks=pytest.mark.mtv(r)) for r in ("2.8", "2.10", "2.12.2")])
def test_an_older_api_knows_exactly_what_it_had(there, release):
    for kind, path, first in EVERYTHING:
        # Before 2.10 the spec of ForkliftController took anything.
        expected = number(first) <= number(release) or (kind, release) == ("ForkliftController", "2.8")
        if path:
            assert knows(there, kind, path) is expected, (kind, path)
    assert not older_than(there, release)


@pytest.mark.mtv("2.10")
def test_an_old_installation_is_recognized_by_what_it_lacks(there):
    assert older_than(there, "2.11.0")
    assert older_than(there, "2.12.3")
    refuse_older_than(there, [("settings.esxiCloneMethod", "2.10")])
    with pytest.raises(
        TalkError, match=r"^settings\.managementType: the MTV of this cluster does not know .*; MTV 2\.12\.3 and newer do\.$"
    ):
        refuse_older_than(there, [("settings.esxiCloneMethod", "2.10"), ("settings.managementType", "2.12.3")])


@pytest.mark.mtv("2.11.0")
def test_fields_that_a_newer_release_lacked_again_do_not_make_it_old(there):
    plan = spec_fields(there, "Plan")
    for field in ("enableNestedVirtualization", "virtV2vImage", "xfsCompatibility"):
        del plan[field]
    assert not older_than(there, "2.11.0")
    with pytest.raises(TalkError, match=r"virt_v2v_image: .* MTV 2\.10\.6 and newer \(not 2\.11\.0\) do\."):
        refuse_newer(there, "Plan", {"virtV2vImage": "x"})


@pytest.mark.mtv("2.12.2")
def test_a_release_that_no_field_tells_apart_is_given_the_benefit_of_the_doubt(there):
    refuse_older_than(there, [("settings.managementType", "2.12.3")])


@pytest.mark.mtv("2.10")
@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        (
            "Plan",
            {"customizationScripts": {"name": "s"}},
            "customization_scripts: the MTV of this cluster does not know this option; MTV 2.11.0",
        ),
        (
            "Plan",
            {"vms": [{"scsiReservation": False}]},
            "vms[].scsi_reservation: the MTV of this cluster does not know this option; MTV 2.12.2",
        ),
        ("Plan", {"virtV2vImage": "x"}, "MTV 2.10.6 and newer (not 2.11.0) do."),
        ("NetworkMap", {"map": [{"source": {"vlan": "7"}}]}, "map[].source.vlan: the MTV"),
        (
            "StorageMap",
            {"map": [{"offloadPlugin": {"csiVolumeImport": {"secretRef": "s"}}}]},
            "map[].offload_plugin.csi_volume_import: the MTV of this cluster does not know this option; MTV 2.12.2 and newer do.",
        ),
        ("Hook", {"aap": {"jobTemplateId": 1}}, "aap: the MTV of this cluster does not know this option; MTV 2.12.0 and newer do."),
        ("Migration", {"resumeConversion": True}, "resume_conversion: the MTV"),
    ],
)
def test_what_is_too_new_is_named_with_its_release(there, kind, spec, said):
    with pytest.raises(TalkError) as error:
        refuse_newer(there, kind, spec)
    assert said in str(error.value)


@pytest.mark.mtv("2.9.3")
def test_a_value_that_is_too_new_is_named(there):
    refuse_newer(there, "Plan", {"type": "warm"})
    with pytest.raises(TalkError, match=r"^type: the MTV of this cluster does not know live; MTV 2\.10 and newer do\.$"):
        refuse_newer(there, "Plan", {"type": "live"})


def test_nothing_is_asked_about_what_is_old_or_there_already(cluster, kube):
    refuse_newer(cluster, "Plan", {"warm": True, "targetLabels": None, "vms": [{"name": "a"}]})
    current = {"spec": {"targetLabels": {"a": "b"}, "vms": [{"targetName": "x"}]}}
    refuse_newer(cluster, "Plan", {"targetLabels": {"c": "d"}, "vms": [{"name": "a"}, {"targetName": "y"}]}, current)
    refuse_newer(cluster, "Plan", {"warm": True}, lambda: pytest.fail("the object is read without need"))
    refuse_newer(cluster, "Plan", {"targetLabels": {"c": "d"}}, lambda: current)
    assert kube.requests == []


def test_the_definitions_are_read_once(cluster, kube):
    schema = {
        "properties": {"spec": {"properties": {}}},
        "x-kubernetes-group-version-kind": [{"group": "forklift.konveyor.io", "kind": "Plan"}],
    }
    kube.answer = lambda request, handler: kube.send(handler, 200, {"components": {"schemas": {"plan": schema}}})
    for _again in range(3):
        refuse_newer(cluster, "Plan", {"targetLabels": {"a": "b"}, "tagMapping": {}})
    assert [r.path for r in kube.requests] == ["/openapi/v3/apis/forklift.konveyor.io/v1beta1"]
