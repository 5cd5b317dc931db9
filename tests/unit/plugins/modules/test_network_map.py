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
        ({"pairs": [{"source": "Storage"}]}, "pairs[0].destination: give the destination of this pair"),
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


# --- single pairs ---------------------------------------------------------------------------------------------------

PATCH = {"name": "nets", "namespace": "mig", "purge_pairs": False}
BACKUP = {"source": "Storage", "destination": "ignored"}


def sources(plane):
    return [(p["source"], p["destination"]["type"]) for p in maps(plane)[0]["spec"]["map"]]


def test_a_pair_is_added_replaced_and_removed_and_the_others_stay(plane, run, providers, ready):
    run("network_map", pairs=POD, **MAP)
    before = maps(plane)[0]["spec"]["provider"]
    predicted = run("network_map", check_mode=True, pairs=[BACKUP], **PATCH)
    assert sources(plane) == [({"name": "VM Network"}, "pod")]
    added = run("network_map", pairs=[BACKUP], **PATCH)
    assert added["changed"] and added["diff"] == predicted["diff"]
    assert [len(added["diff"][side]["spec"]["map"]) for side in ("before", "after")] == [1, 2]
    assert sources(plane) == [({"name": "VM Network"}, "pod"), ({"name": "Storage"}, "ignored")]
    assert not run("network_map", pairs=[BACKUP], **PATCH)["changed"]
    by_id = {"source": {"id": "n-2"}, "destination": "crm/net"}
    assert run("network_map", pairs=[by_id], **PATCH)["changed"]
    assert sources(plane) == [({"name": "VM Network"}, "pod"), ({"name": "Storage"}, "multus")]
    gone = [{"source": "VM Network", "state": "absent"}]
    assert run("network_map", pairs=gone, **PATCH)["changed"]
    assert not run("network_map", pairs=gone, **PATCH)["changed"]
    assert sources(plane) == [({"name": "Storage"}, "multus")]
    assert maps(plane)[0]["spec"]["provider"] == before


def test_two_tasks_at_once_lose_no_pair(plane, run, providers, ready, monkeypatch):
    from ansible_collections.vmshift.mtv.plugins.module_utils import maps as module

    run("network_map", pairs=POD, **MAP)
    patched, interfered = module.patched, []

    def patch_meanwhile(*given):
        if not interfered:
            interfered.append(1)
            plane.do("patch", "NetworkMap", "mig", "nets", {"spec": {"map": [{"source": {"id": "n-3"}, "destination": {"type": "pod"}}]}})
        return patched(*given)

    monkeypatch.setattr(module, "patched", patch_meanwhile)
    assert run("network_map", pairs=[BACKUP], **PATCH)["changed"]
    assert sources(plane) == [({"id": "n-3"}, "pod"), ({"name": "Storage"}, "ignored")]


def test_pairs_of_another_provider_are_not_kept(plane, run, providers, ready):
    run("network_map", pairs=POD, **MAP)
    plane.provider("other", url="nfs:/y")
    failed = run("network_map", pairs=[BACKUP], source="other", **PATCH)
    assert "source: NetworkMap mig/nets is about the provider mig/src, and purge_pairs false would keep its pairs." in failed["msg"]


# --- auto -----------------------------------------------------------------------------------------------------------


def nad(namespace, name, **annotations):
    meta = {"annotations": {f"vmshift.io/{k.replace('_', '-')}": v for k, v in annotations.items()}}
    return {"id": f"{namespace}-{name}", "namespace": namespace, "name": name, "object": {"metadata": meta}}


def vm(name, *networks):
    known = {n["name"]: {"ID": n["id"], "Name": n["name"]} for n in NETWORKS}
    return {
        "id": f"id-{name}",
        "name": name,
        "networks": [known[n] for n in dict.fromkeys(networks)],
        "nics": [{"Network": n} for n in networks],
    }


@pytest.fixture
def source_vms(plane, providers):
    def put(*vms, nads=()):
        uids = {p["metadata"]["name"]: p["metadata"]["uid"] for p in plane.do("list", "Provider")}
        plane.inventory[f"providers/ova/{uids['src']}/vms"] = list(vms)
        plane.inventory[f"providers/openshift/{uids['host']}/networkattachmentdefinitions"] = list(nads)

    return put


def test_auto_maps_what_the_vms_use_and_says_why(plane, run, source_vms, ready):
    source_vms(vm("web", "VM Network", "Storage"), vm("db", "Storage"), vm("other", "VM Network"), nads=[nad("web", "storage")])
    given = {**MAP, "auto": True, "target_namespace": "web", "vms": ["db"]}
    predicted = run("network_map", check_mode=True, **given)
    made = run("network_map", **given)
    assert made["changed"] and made["diff"] == predicted["diff"] and made["guesses"] == predicted["guesses"]
    assert [v["name"] for v in made["vms"]] == ["db"]
    assert made["guesses"] == [
        {
            "source": {"id": "n-2", "name": "Storage"},
            "destination": {"type": "multus", "namespace": "web", "name": "storage"},
            "rule": "same_name",
            "reason": "NetworkAttachmentDefinition web/storage: its name is that of 'Storage', as Kubernetes can write it",
            "vms": ["db"],
        }
    ]
    assert sources(plane) == [({"id": "n-2", "name": "Storage"}, "multus")]
    assert not run("network_map", **given)["changed"]
    wider = run("network_map", **{**given, "vms": ["web", "db"]})
    assert [(g["source"]["name"], g["rule"], g["vms"]) for g in wider["guesses"]] == [
        ("Storage", "same_name", ["web", "db"]),
        ("VM Network", "default", ["web"]),
    ]


def test_given_pairs_come_before_guesses(plane, run, source_vms, ready):
    source_vms(vm("web", "VM Network", "Storage"), nads=[nad("web", "storage")])
    made = run("network_map", **MAP, auto=True, vms=["web"], pairs=[{"source": "Storage", "destination": "ignored"}])
    assert [g["source"]["name"] for g in made["guesses"]] == ["VM Network"]
    assert sources(plane) == [({"name": "Storage"}, "ignored"), ({"id": "n-1", "name": "VM Network"}, "pod")]
    # With purge_pairs false those of the map count as given, too.
    kept = run("network_map", **PATCH, auto=True, vms=["web"])
    assert not kept["changed"] and kept["guesses"] == []


def test_two_interfaces_on_the_pod_network_are_refused(plane, run, source_vms, ready):
    source_vms(vm("web", "VM Network", "Storage"))
    failed = run("network_map", **MAP, auto=True, vms=["web"])
    assert failed["msg"] == (
        "A VM can have one interface on the pod network. VM 'web' has 2 interfaces ('VM Network', 'Storage') that are mapped to the pod "
        "network: map all but one of them to NetworkAttachmentDefinitions (NAMESPACE/NAME), or to ignored."
    )
    assert maps(plane) == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"auto": True}, "auto: give vms"),
        ({"vms": ["web"], "pairs": POD}, "vms and exclude go with auto"),
        ({}, "pairs: give the pairs of the map, or auto"),
        ({"auto": True, "vms": ["wbe"]}, "vms[0]: there is no VM 'wbe' (did you mean 'web'?)"),
        ({"auto": True, "vms": [{"nmae": "web"}]}, "vms[0]: unknown option 'nmae'"),
        ({"auto": True, "vms": ["web"], "exclude": ["web"]}, "exclude leaves none of the 1 VMs"),
        ({"auto": True, "vms": ["web"], "source": "OMIT"}, "source: the NetworkMap mig/nets does not exist yet"),
    ],
)
def test_mistakes_with_auto(plane, run, source_vms, ready, params, said):
    source_vms(vm("web", "VM Network"))
    failed = run("network_map", **{**MAP, **params})
    assert failed["failed"] and said in failed["msg"] and maps(plane) == []


# --- older releases -------------------------------------------------------------------------------------------------


@pytest.mark.mtv("2.11.3")
@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (
            [{"source": {"name": "lan", "vlan": 7}, "destination": "pod"}],
            "pairs[].source.vlan: the MTV of this cluster does not know this option; MTV 2.12.1 and newer do.",
        ),
        (
            [{"source": "lan", "destination": "crm/net"}, {"source": "lan", "destination": "crm/other"}],
            "pairs: several destinations for the network 'lan': the MTV of this cluster does not know this option; MTV 2.11.7 "
            "and newer do.",
        ),
    ],
)
def test_what_an_older_mtv_does_not_know_is_refused(plane, run, pairs, said):
    source = plane.provider("src", "hyperv")
    host = plane.provider("host", type="openshift", namespace="konveyor-forklift")
    plane.inventory[f"providers/hyperv/{source['metadata']['uid']}/networks"] = [{"id": "x", "name": "lan"}]
    nads = [nad("crm", "net"), nad("crm", "other")]
    plane.inventory[f"providers/openshift/{host['metadata']['uid']}/networkattachmentdefinitions"] = nads
    failed = run("network_map", pairs=pairs, **MAP)
    assert failed["msg"] == said and maps(plane) == []
