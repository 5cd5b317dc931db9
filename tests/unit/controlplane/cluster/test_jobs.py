from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import jobs, pods


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BACKOFF", 0.05)


def _job(cluster: Any, script: str, **spec: Any) -> Any:
    container = {"name": "main", "image": "test/sh", "args": [script]}
    template = {"metadata": {"labels": {"app": "hook"}}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    return cluster.make("batch/v1", "Job", "job", spec={"template": template, **spec})


async def _ended(cluster: Any, job: Any, type: str) -> Any:
    def condition() -> Any:
        conditions = cluster.get(job).get("status", {}).get("conditions", ())
        return next((c for c in conditions if c["type"] == type and c["status"] == "True"), None)

    return await cluster.until(condition)


async def test_job_that_completes(cluster: Any) -> None:
    cluster.run()
    job = _job(cluster, "echo hello")
    assert (await _ended(cluster, job, "Complete"))["reason"] == "CompletionsReached"
    status = cluster.get(job)["status"]
    assert (status["succeeded"], status["failed"], status["active"]) == (1, 0, 0)
    assert status["startTime"] <= status["completionTime"]
    (pod,) = cluster.api.list("Pod")
    assert pod["metadata"]["name"].startswith("job-")
    uid = job["metadata"]["uid"]
    assert pod["metadata"]["labels"] == {
        "app": "hook",
        "batch.kubernetes.io/controller-uid": uid,
        "controller-uid": uid,
        "batch.kubernetes.io/job-name": "job",
        "job-name": "job",
    }
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": uid, "controller": True, "blockOwnerDeletion": True}
    assert pod["metadata"]["ownerReferences"] == [owner]
    assert cluster.log(pod) == "hello\n"


async def test_job_is_tried_again(cluster: Any, tmp_path: Path) -> None:
    cluster.run()
    job = _job(cluster, f"echo x >> {tmp_path}/tries; [ $(wc -l < {tmp_path}/tries) = 3 ]")
    await _ended(cluster, job, "Complete")
    assert (cluster.get(job)["status"]["failed"], cluster.get(job)["status"]["succeeded"]) == (2, 1)


async def test_job_that_gives_up(cluster: Any) -> None:
    cluster.run()
    job = _job(cluster, "exit 1", backoffLimit=1)
    condition = await _ended(cluster, job, "Failed")
    assert (condition["reason"], condition["message"]) == ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    assert len(cluster.api.list("Pod")) == 2
    assert ("BackoffLimitExceeded", "Job has reached the specified backoff limit") in cluster.events(job)


async def test_job_that_takes_too_long(cluster: Any) -> None:
    cluster.run()
    job = _job(cluster, "sleep 60", activeDeadlineSeconds=1)
    assert (await _ended(cluster, job, "Failed"))["reason"] == "DeadlineExceeded"
    assert cluster.api.list("Pod") == []
    await cluster.until(lambda: not list(cluster.state.pods.iterdir()))


async def test_restarts_within_one_pod_count_as_tries(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "FIRST_BACKOFF", 0.05)
    cluster.run()
    container = {"name": "main", "image": "test/sh", "args": ["exit 3"]}
    template = {"spec": {"restartPolicy": "OnFailure", "containers": [container]}}
    job = cluster.make("batch/v1", "Job", "job", spec={"template": template, "backoffLimit": 2})
    assert (await _ended(cluster, job, "Failed"))["reason"] == "BackoffLimitExceeded"
    await cluster.until(lambda: not cluster.api.list("Pod"))


async def test_failed_tries_wait_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BACKOFF", 10.0)
    ended = {"state": {"terminated": {"finishedAt": jobs.now()}}}
    failed = {"metadata": {"creationTimestamp": jobs.now()}, "status": {"phase": "Failed", "containerStatuses": [ended]}}
    waits = [jobs._backoff([failed] * number) for number in (1, 2, 3, 20)]
    assert [round(wait or 0, -1) for wait in waits] == [10, 20, 40, 360]
    assert jobs._backoff([]) is None


async def test_job_continues_after_a_restart(cluster: Any, tmp_path: Path) -> None:
    cluster.run()
    job = _job(cluster, f"until [ -e {tmp_path}/go ]; do sleep 0.02; done")
    await cluster.until(lambda: cluster.get(job).get("status", {}).get("ready"))
    await cluster.restart()
    (tmp_path / "go").touch()
    await _ended(cluster, job, "Complete")
    assert len(cluster.api.list("Pod")) == 1


async def test_deleted_job_takes_its_pod_along(cluster: Any) -> None:
    cluster.run()
    job = _job(cluster, "sleep 60")
    await cluster.until(lambda: cluster.get(job).get("status", {}).get("ready"))
    cluster.api.delete("Job", "tgt", "job")
    await cluster.until(lambda: not cluster.api.list("Pod") and not list(cluster.state.pods.iterdir()))


async def test_ended_job_expires(cluster: Any) -> None:
    cluster.run()
    job = _job(cluster, "true", ttlSecondsAfterFinished=1)
    await _ended(cluster, job, "Complete")
    await cluster.until(lambda: cluster.find(job) is None)


async def test_suspended_job_waits(cluster: Any) -> None:
    cluster.run()
    job = _job(cluster, "true", suspend=True)
    await cluster.settle()
    assert cluster.api.list("Pod") == []
    cluster.api.patch("Job", "tgt", "job", {"spec": {"suspend": False}})
    await _ended(cluster, job, "Complete")
