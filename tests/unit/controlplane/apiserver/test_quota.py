"""ResourceQuotas at the door: what is counted, what is refused, in which words."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError

Object = dict[str, Any]
NAMESPACE = "team"


@pytest.fixture(name="limit")
def _limit(api: Api) -> Any:
    def limit(name: str = "limits", **hard: str) -> None:
        given = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}
        meta = {"name": name, "namespace": NAMESPACE}
        api.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": given}})

    return limit


def claim(name: str, size: str = "1Gi", storage_class: str | None = None) -> Object:
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def pod(name: str, *containers: Object, init: tuple[Object, ...] = ()) -> Object:
    spec = {"containers": [{"name": f"c{i}", "image": "i", **c} for i, c in enumerate(containers or ({},))]}
    if init:
        spec["initContainers"] = [{"name": f"i{i}", "image": "i", **c} for i, c in enumerate(init)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def asks(cpu: str, memory: str, limits: bool = False) -> Object:
    return {"resources": {"limits" if limits else "requests": {"cpu": cpu, "memory": memory}}}


def used(api: Api, name: str = "limits") -> Object:
    return api.get("ResourceQuota", NAMESPACE, name)["status"]["used"]


def refusal(api: Api, obj: Object) -> str:
    before = len(api.list(obj["kind"], NAMESPACE))
    with pytest.raises(ApiError) as refused:
        api.create(obj)
    assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
    assert len(api.list(obj["kind"], NAMESPACE)) == before
    return refused.value.message


def test_storage_is_counted_and_refused_in_the_words_of_a_cluster(api: Api, limit: Any) -> None:
    limit(requests_storage="3Gi", persistentvolumeclaims="5")
    api.create(claim("a"))
    api.create(claim("b", "512Mi"))
    assert used(api) == {"requests.storage": "1536Mi", "persistentvolumeclaims": "2"}
    assert refusal(api, claim("c", "2Gi")) == (
        'persistentvolumeclaims "c" is forbidden: exceeded quota: limits, requested: requests.storage=2Gi, '
        "used: requests.storage=1536Mi, limited: requests.storage=3Gi"
    )
    assert used(api) == {"requests.storage": "1536Mi", "persistentvolumeclaims": "2"}


def test_all_that_is_exceeded_is_named(api: Api, limit: Any) -> None:
    limit(requests_storage="1Gi", persistentvolumeclaims="0")
    assert refusal(api, claim("a", "2G")).endswith(
        "requested: persistentvolumeclaims=1,requests.storage=2G, used: persistentvolumeclaims=0,requests.storage=0, "
        "limited: persistentvolumeclaims=0,requests.storage=1Gi"
    )


def test_a_class_has_a_quota_of_its_own(api: Api, limit: Any) -> None:
    hard = "fast.storageclass.storage.k8s.io/requests.storage"
    meta = {"name": "limits", "namespace": NAMESPACE}
    api.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {hard: "1Gi"}}})
    api.create(claim("slow", "9Gi", "slow"))
    api.create(claim("fast", "1Gi", "fast"))
    assert f"requested: {hard}=1, used: {hard}=1Gi" in refusal(api, claim("more", "1", "fast"))


def test_what_was_there_before_the_quota_counts(api: Api, limit: Any) -> None:
    api.create(claim("a", "2Gi"))
    limit(requests_storage="2Gi")
    assert "used: requests.storage=2Gi" in refusal(api, claim("b", "1Mi"))


def test_what_went_away_makes_room_at_once(api: Api, limit: Any) -> None:
    limit(persistentvolumeclaims="1")
    api.create(claim("a"))
    api.delete("PersistentVolumeClaim", NAMESPACE, "a")
    api.create(claim("b"))
    assert used(api) == {"persistentvolumeclaims": "1"}


def test_a_raised_quota_lets_in_what_was_refused(api: Api, limit: Any) -> None:
    limit(requests_storage="1Gi")
    refusal(api, claim("a", "2Gi"))
    api.patch("ResourceQuota", NAMESPACE, "limits", {"spec": {"hard": {"requests.storage": "2Gi"}}})
    api.create(claim("a", "2Gi"))
    assert used(api) == {"requests.storage": "2Gi"}


def test_a_dry_run_takes_nothing(api: Api, limit: Any) -> None:
    limit(persistentvolumeclaims="1")
    api.create(claim("a"), dry_run=True)
    api.create(claim("b"))
    with pytest.raises(ApiError, match="exceeded quota"):
        api.create(claim("c"), dry_run=True)


def test_pods_count_until_they_have_ended(api: Api, limit: Any) -> None:
    limit(pods="1", count__pods="2")
    first = api.create(pod("a"))
    assert "requested: pods=1, used: pods=1, limited: pods=1" in refusal(api, pod("b"))
    api.update_status({**first, "status": {"phase": "Succeeded"}})
    api.create(pod("b"))
    assert "requested: count/pods=1,pods=1" in refusal(api, pod("c"))


def test_cpu_and_memory_of_containers(api: Api, limit: Any) -> None:
    """Containers together, or one init container if that takes more; requests that are not said are the limits."""
    limit(requests_cpu="2", memory="4Gi", limits_cpu="8")
    both = {"resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": "1"}}}
    init = {"resources": {"limits": {"cpu": "1500m", "memory": "512Mi"}}}
    api.create(pod("a", both, {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, init=(init,)))
    assert used(api) == {"requests.cpu": "1500m", "memory": "2Gi", "limits.cpu": "2"}
    assert "requested: requests.cpu=1, used: requests.cpu=1500m, limited: requests.cpu=2" in refusal(api, pod("b", asks("1", "1Gi", True)))


def test_a_quota_of_compute_wants_to_be_told(api: Api, limit: Any) -> None:
    limit(limits_memory="4Gi", cpu="2")
    assert refusal(api, pod("a", asks("1", "1Gi"), {})) == (
        'pods "a" is forbidden: failed quota: limits: must specify cpu for: c1; limits.memory for: c0,c1'
    )


def test_any_kind_can_be_counted(api: Api, limit: Any) -> None:
    limit(count__plans_forklift_konveyor_io="0", configmaps="1")
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "c-", "namespace": NAMESPACE}}
    api.create(data)
    assert "requested: configmaps=1, used: configmaps=1, limited: configmaps=1" in refusal(api, data)
    job = {"template": {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}}
    meta = {"name": "j", "namespace": NAMESPACE}
    limit("jobs", count__jobs_batch="0")
    assert refusal(api, {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": job}).startswith(
        'jobs.batch "j" is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1'
    )


def test_the_strictest_of_several_counts_and_nothing_is_taken_from_the_others(api: Api, limit: Any) -> None:
    limit("a", persistentvolumeclaims="9")
    limit("b", persistentvolumeclaims="0")
    assert "exceeded quota: b" in refusal(api, claim("x"))
    assert "status" not in api.get("ResourceQuota", NAMESPACE, "a")


def test_other_namespaces_are_free(api: Api, limit: Any) -> None:
    limit(persistentvolumeclaims="0")
    elsewhere = claim("a")
    elsewhere["metadata"]["namespace"] = "another"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "another"}})
    api.create(elsewhere)


def test_a_claim_that_grows(api: Api, limit: Any) -> None:
    limit(requests_storage="3Gi", persistentvolumeclaims="1")
    made = api.create(claim("a"))
    made["spec"]["resources"]["requests"]["storage"] = "2Gi"
    made = api.update(made)
    assert used(api)["requests.storage"] == "2Gi"
    made["spec"]["resources"]["requests"]["storage"] = "4Gi"
    with pytest.raises(ApiError, match=r"requested: requests.storage=2Gi, used: requests.storage=2Gi, limited: requests.storage=3Gi"):
        api.update(made)


def test_a_quota_that_cannot_be_counted(api: Api, limit: Any) -> None:
    with pytest.raises(ApiError, match=r"spec.hard\[pods\]: Invalid value: \"-1\": must be a quantity greater than or equal to 0"):
        limit(pods="-1")


def test_a_quota_with_scopes_is_not_taken_for_one_without(api: Api) -> None:
    meta = {"name": "limits", "namespace": NAMESPACE}
    spec = {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}
    with pytest.raises(ApiError, match="spec.scopes: Forbidden: this control plane counts all objects"):
        api.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec})
