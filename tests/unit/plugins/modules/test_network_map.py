from __future__ import annotations

import pytest

NETWORKS = [{"id": "n-1", "name": "VM Network"}, {"id": "n-2", "name": "Storage"}]
ATTACHMENTS = [{"id": "a-1", "name": "net", "namespace": "crm"}]
MAP = {"name": "nets", "namespace": "mig", "source": "src"}
POD = [{"source": "VM Network", "destination": "pod"}]


@pytest.fixture
def providers(plane):
    source = plane.provider("src", url="nfs:/x")
    host = plane.provider("host", type="openshift", namespace="konveyor-forklift")
    plane.inventory[f"providers/ova/{source['metadata']['uid']}/networks"] = NETWORKS
    plane.inventory[f"providers/openshift/{host['metadata']['uid']}/networkattachmentdefinitions"] = ATTACHMENTS


@pytest.fixture
def ready(plane, conditions_of_status):
    plane.controller("NetworkMap", lambda obj: conditions_of_status(obj, "Ready"))


def maps(plane):
    return plane.do("list", "NetworkMap", "mig")


def test_from_nothing_to_absent(plane, run, providers, ready):
    pairs = [*POD, {"source": {"id": "n-2"}, "destination": "crm/net"}]
    predicted = run("network_map", check_mode=True, pairs=pairs, **MAP)
    assert maps(plane) == []
    made = run("network_map", pairs=pairs, **MAP)
    assert made["changed"]
    assert made["diff"] == predicted["diff"]
    assert made["network_map"]["spec"] == {
        "provider": {
            "source": {"name": "src", "namespace": "mig"},
            "destination": {"name": "host", "namespace": "konveyor-forklift"},
        },
        "map": [
            {"source": {"name": "VM Network"}, "destination": {"type": "pod"}},
            {"source": {"id": "n-2"}, "destination": {"type": "multus", "namespace": "crm", "name": "net"}},
        ],
    }
    assert made["network_map"]["status"]["conditions"][0]["type"] == "Ready"
    assert not run("network_map", pairs=pairs, **MAP)["changed"]

    changed = run("network_map", pairs=POD, **MAP)
    assert changed["changed"]
    assert len(changed["diff"]["before"]["spec"]["map"]) == 2
    assert len(changed["diff"]["after"]["spec"]["map"]) == 1

    assert run("network_map", check_mode=True, name="nets", namespace="mig", state="absent")["changed"]
    assert run("network_map", name="nets", namespace="mig", state="absent")["network_map"] is None
    assert maps(plane) == []
    assert not run("network_map", name="nets", namespace="mig", state="absent")["changed"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"pairs": [{"source": "VM Netwrk", "destination": "pod"}]},
            "pairs[0].source: 'VM Netwrk' does not exist there; there are: VM Network",
        ),
        ({"pairs": [*POD, {"source": "Storage", "destination": "crm/nope"}]}, "pairs[1].destination: 'crm/nope' does not exist"),
        ({"pairs": [{"source": "Storage", "destination": "net"}]}, "pairs[0].destination: a network of type multus needs its namespace"),
        ({"pairs": POD, "source": "nope"}, "source: the provider mig/nope does not exist"),
        ({"pairs": POD, "destination": "nope"}, "destination: the provider mig/nope does not exist"),
        ({"pairs": [{"source": "Storage"}]}, "missing required arguments: destination"),
    ],
)
def test_nothing_is_made_of_bad_options(plane, run, providers, ready, params, said):
    result = run("network_map", **{**MAP, **params})
    assert result["failed"]
    assert said in result["msg"]
    assert maps(plane) == []


def test_without_an_inventory_the_map_is_made_with_a_warning(plane, run, providers, ready):
    plane.inventory.clear()
    result = run("network_map", pairs=POD, **MAP)
    assert result["changed"]
    assert any("not checked against the inventory" in w for w in result["warnings"])


def test_check_mode_before_the_providers_exist(plane, run):
    result = run("network_map", check_mode=True, pairs=POD, **MAP)
    assert result["changed"]
    assert result["network_map"]["spec"]["map"] == [{"source": {"name": "VM Network"}, "destination": {"type": "pod"}}]
    assert {w.split(":")[0] for w in result["warnings"]} == {"source", "destination"}


def test_check_mode_before_the_destination_exists(run, providers):
    pairs = [{"source": "Storage", "destination": "crm/later"}]
    result = run("network_map", check_mode=True, pairs=pairs, **MAP)
    assert result["changed"]
    assert any("'crm/later' does not exist" in w for w in result["warnings"])


def test_a_blocking_condition_fails_and_a_provider_that_is_not_ready_is_waited_for(plane, run, providers, conditions_of_status):
    def decide(obj):
        if "wave" not in obj["metadata"].get("labels", {}):
            return conditions_of_status(obj, "SourceProviderNotReady", category="Critical")
        return conditions_of_status(obj, "DestinationNetworkNotValid", category="Critical", reason="NotFound", message="NAD not found.")

    plane.controller("NetworkMap", decide)
    plane.later(1.5, "patch", "NetworkMap", "mig", "nets", {"metadata": {"labels": {"wave": "1"}}})
    result = run("network_map", pairs=POD, wait_timeout=20, **MAP)
    assert result["msg"] == "NetworkMap mig/nets did not become ready: DestinationNetworkNotValid=True NotFound: NAD not found."
    assert result["changed"]
    assert result["conditions"][0]["reason"] == "NotFound"


def test_warn_conditions_are_warnings(plane, run, providers, conditions_of_status):
    def decide(obj):
        status = conditions_of_status(obj, "Ready")
        status["conditions"] += conditions_of_status(obj, "SourceNetworkNotValid", category="Warn", reason="NotFound")["conditions"]
        return status

    plane.controller("NetworkMap", decide)
    result = run("network_map", pairs=POD, **MAP)
    assert result["warnings"] == ["NetworkMap mig/nets: SourceNetworkNotValid=True NotFound"]
