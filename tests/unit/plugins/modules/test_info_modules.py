"""provider_info, plan_info, migration_info, inventory_info: what they find, and that they write nothing."""

from __future__ import annotations

import json

import pytest
import yaml

VMS = [
    {"id": "vm-1", "name": "web", "concerns": [{"category": "Critical", "label": "bad"}], "memoryMB": 512},
    {"id": "vm-2", "name": "db", "concerns": [], "memoryMB": 4096},
]


@pytest.fixture
def source(plane):
    provider = plane.provider("src", url="nfs:/x")
    plane.provider("host", type="openshift", namespace="konveyor-forklift")
    base = f"providers/ova/{provider['metadata']['uid']}"
    plane.inventory[f"{base}/vms"] = VMS
    plane.inventory[f"{base}/vms/vm-1"] = VMS[0]
    plane.do("patch", "Provider", "mig", "src", {"metadata": {"labels": {"wave": "1", "app": "crm"}}})
    return provider


def names(objects):
    return sorted(o["metadata"]["name"] for o in objects)


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, ["host", "src"]),
        ({"namespace": "mig"}, ["src"]),
        ({"namespace": "mig", "name": "src"}, ["src"]),
        ({"name": "host"}, ["host"]),
        ({"namespace": "mig", "name": "host"}, []),
        ({"label_selectors": ["wave in (1,2)", "app=crm"]}, ["src"]),
        ({"label_selectors": ["wave=1", "app=hr"]}, []),
        ({"namespace": "mig", "name": "src", "label_selectors": ["app=hr"]}, []),
    ],
)
def test_providers(run, source, params, found):
    result = run("provider_info", **params)
    assert names(result["providers"]) == found
    assert result["changed"] is False
    assert all(p["kind"] == "Provider" and p["apiVersion"] == "forklift.konveyor.io/v1beta1" for p in result["providers"])


def test_plans_and_migrations(plane, run, source):
    reference = {"name": "src", "namespace": "mig"}
    spec = {
        "provider": {"source": reference, "destination": reference},
        "map": {"network": reference, "storage": reference},
        "targetNamespace": "t",
        "vms": [],
    }
    plane.make("Plan", "crm", spec=spec)
    for name, plan in (("run-b", "crm"), ("run-a", "crm"), ("other", "hr")):
        plane.make("Migration", name, spec={"plan": {"name": plan, "namespace": "mig"}})
    assert names(run("plan_info", namespace="mig")["plans"]) == ["crm"]
    assert names(run("migration_info", namespace="mig", plan="crm")["migrations"]) == ["run-a", "run-b"]
    assert names(run("migration_info", name="other")["migrations"]) == ["other"]
    assert run("migration_info", namespace="mig", plan="nope")["migrations"] == []
    assert run("migration_info", namespace="mig", plan="No Name")["migrations"] == []
    assert run("plan_info", namespace="mig")["follow_ups"] == []
    meta = {"name": "crm-retry-1", "namespace": "mig", "labels": {"vmshift.io/continues": "crm"}}
    plane.do("create", {"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": meta, "spec": spec})
    plane.do("patch", "Plan", "mig", "crm", {"metadata": {"annotations": {"vmshift.io/continued-by": "crm-retry-1"}}})
    plane.make("Migration", "run-c", spec={"plan": {"name": "crm-retry-1", "namespace": "mig"}})
    one = run("plan_info", namespace="mig", name="crm")
    assert (names(one["plans"]), names(one["follow_ups"])) == (["crm"], ["crm-retry-1"])
    every = run("plan_info")
    assert (names(every["plans"]), every["follow_ups"]) == (["crm", "crm-retry-1"], [])
    assert names(run("migration_info", plan="crm")["migrations"]) == ["run-a", "run-b", "run-c"]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, VMS),
        ({"name": "db"}, [VMS[1]]),
        ({"id": "vm-1"}, [VMS[0]]),
        ({"id": "vm-9"}, []),
        ({"query": "[?memoryMB > `1000`].name"}, ["db"]),
        ({"query": "length(@)"}, [2]),
        ({"query": "[0].nothing"}, []),
    ],
)
def test_inventory(run, source, params, found):
    result = run("inventory_info", provider="src", namespace="mig", check_mode=True, **params)
    assert result["resources"] == found
    assert result["changed"] is False


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"provider": "nope"}, "provider: the provider mig/nope does not exist"),
        ({"resource": "datastores"}, "resource: the inventory of a provider of type ova has no 'datastores'"),
        ({"query": "[?"}, "query: '[?' is not a JMESPath expression"),
        ({"namespace": "OMIT"}, "namespace: give the namespace of the provider src"),
        ({"provider": {"nmae": "src"}}, "provider: give the name of a provider"),
        ({"id": "vm-1", "name": "web"}, "mutually exclusive"),
    ],
)
def test_inventory_with_bad_options(run, source, params, said):
    result = run("inventory_info", **{"provider": "src", "namespace": "mig", **params})
    assert result["failed"]
    assert said in result["msg"]


def test_inventory_that_is_not_loaded_yet(plane, run, source):
    plane.inventory[f"providers/ova/{source['metadata']['uid']}/vms"] = (206, {})
    assert "Wait for the provider" in run("inventory_info", provider="src", namespace="mig")["msg"]


def test_a_kubeconfig_may_be_a_dictionary_and_only_its_credentials_are_hidden(plane, run, source):
    with open(plane.kubeconfig, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    result = run("provider_info", kubeconfig=config, namespace="mig")
    assert result["providers"][0]["apiVersion"] == "forklift.konveyor.io/v1beta1"
    assert config["users"][0]["user"]["token"] not in json.dumps(result)
    assert result["invocation"]["module_args"]["kubeconfig"]["clusters"] == config["clusters"]


def test_a_missing_kubeconfig_is_named(run):
    assert run("provider_info", kubeconfig="/no/such/file")["msg"] == "The kubeconfig /no/such/file does not exist on this host."
