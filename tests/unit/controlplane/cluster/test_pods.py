from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.cluster import images, pods, processes, supervisor
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import IMMEDIATE_CLASS

COLLECTIONS = Path(pods.__file__).parents[5]


def _alive(pid: int) -> bool:
    return supervisor.start_time(pid) is not None


def _terminated(pod: Any) -> Any:
    return pod["status"]["containerStatuses"][0]["state"]["terminated"]


def _read_pid(path: Path) -> int:
    return int(path.read_text()) if path.exists() and path.read_text().strip() else 0


# A life without incidents


async def test_pod_that_succeeds(cluster: Any) -> None:
    cluster.run()
    pod = await cluster.phase_is(cluster.pod("echo out; echo err >&2"), "Succeeded")
    assert pod["spec"]["nodeName"] == "localhost"
    status = pod["status"]
    assert {c["type"]: (c["status"], c.get("reason")) for c in status["conditions"]} == {
        "PodScheduled": ("True", None),
        "Initialized": ("True", None),
        "Ready": ("False", "PodCompleted"),
        "ContainersReady": ("False", "PodCompleted"),
    }
    assert (status["podIP"], status["hostIP"], status["podIPs"], status["qosClass"]) == (
        "127.0.0.1",
        "127.0.0.1",
        [{"ip": "127.0.0.1"}],
        "BestEffort",
    )
    container = status["containerStatuses"][0]
    assert (container["name"], container["image"], container["ready"], container["restartCount"]) == ("main", "test/sh", False, 0)
    assert (_terminated(pod)["exitCode"], _terminated(pod)["reason"]) == (0, "Completed")
    assert _terminated(pod)["startedAt"] <= _terminated(pod)["finishedAt"]
    assert sorted(cluster.log(pod).splitlines()) == ["err", "out"]
    assert sorted(reason for reason, _unused in cluster.events(pod)) == ["Scheduled", "Started"]


async def test_pod_while_it_runs(cluster: Any) -> None:
    cluster.run()
    pod = await cluster.phase_is(cluster.pod("sleep 60"), "Running")
    assert all(c["status"] == "True" for c in pod["status"]["conditions"])
    container = pod["status"]["containerStatuses"][0]
    assert container["ready"] and container["started"] and "startedAt" in container["state"]["running"]
    assert pod["status"]["startTime"]


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ("exit 3", 3, None),
        ("kill -9 $$", 137, None),
        ('echo "no root device" > "$VMSHIFT_POD_DIR/termination-message"; exit 1', 1, "no root device"),
    ],
)
async def test_pod_that_fails(cluster: Any, script: str, code: int, message: str | None) -> None:
    cluster.run()
    pod = await cluster.phase_is(cluster.pod(script), "Failed")
    ended = _terminated(pod)
    assert (ended["exitCode"], ended["reason"], ended.get("message")) == (code, "Error", message)
    assert pod["status"]["conditions"][-1]["reason"] == "PodFailed"


async def test_message_of_a_failure_may_be_the_end_of_the_log(cluster: Any) -> None:
    cluster.run()
    container = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    pod = await cluster.phase_is(cluster.pod("echo last words; exit 1", container=container), "Failed")
    assert _terminated(pod)["message"] == "last words"


async def test_program_that_is_not_there(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(images.IMAGES, "test/none", lambda _container: ["/no/such/program"])
    cluster.run()
    pod = await cluster.phase_is(cluster.pod("", image="test/none"), "Failed")
    ended = _terminated(pod)
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert ended["message"] == "cannot start /no/such/program: No such file or directory"


async def test_image_that_nothing_stands_for(cluster: Any) -> None:
    cluster.run()
    pod = cluster.pod("", image="quay.io/some/thing:1")
    await cluster.until(lambda: cluster.get(pod)["status"].get("containerStatuses"))
    state = cluster.get(pod)["status"]["containerStatuses"][0]["state"]["waiting"]
    assert state["reason"] == "ErrImagePull"
    assert '"quay.io/some/thing:1" is none of the programs that it has' in state["message"]
    assert cluster.phase(pod) == "Pending"


async def test_consumer_image_binds_volumes_and_is_done(cluster: Any) -> None:
    cluster.run()
    claims = [cluster.claim(name) for name in ("a", "b")]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in ("a", "b")]
    pod = cluster.pod("", image=images.CONSUMER_IMAGE, volumes=volumes)
    await cluster.phase_is(pod, "Succeeded")
    assert {cluster.phase(claim) for claim in claims} == {"Bound"}


async def test_pod_of_two_containers_is_refused_in_plain_words(cluster: Any) -> None:
    cluster.run()
    pod = cluster.pod("true", initContainers=[{"name": "first", "image": "test/sh"}])
    await cluster.until(lambda: cluster.get(pod)["status"].get("containerStatuses"))
    waiting = cluster.get(pod)["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert "runs pods of one container; this one has 2" in waiting["message"]


async def test_only_one_container_has_a_log(cluster: Any) -> None:
    cluster.run()
    pod = cluster.pod("echo hello")
    assert pods.log_path(cluster.state, pod, None) is None
    await cluster.phase_is(pod, "Succeeded")
    for container in (None, "main"):
        path = pods.log_path(cluster.state, pod, container)
        assert path is not None and path.read_text() == "hello\n"
    assert pods.log_path(cluster.state, pod, "sidecar") is None


async def test_what_a_conversion_leaves_can_be_read(cluster: Any) -> None:
    cluster.run()
    script = """echo '{"stage": "s", "disks": {"0": 5}}' > "$VMSHIFT_POD_DIR/progress.json"
echo '{"error": "e"}' > "$VMSHIFT_POD_DIR/result.json" """
    pod = cluster.pod(script)
    uid = pod["metadata"]["uid"]
    assert (pods.conversion_progress(cluster.state, uid), pods.conversion_result(cluster.state, uid)) == (None, None)
    await cluster.phase_is(pod, "Succeeded")
    assert pods.conversion_progress(cluster.state, uid) == {"stage": "s", "disks": {"0": 5}}
    assert pods.conversion_result(cluster.state, uid) == {"error": "e"}


# Environment and volumes


def _secret(cluster: Any, **data: str) -> Any:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return cluster.make("v1", "Secret", "creds", data=encoded)


async def test_environment_of_a_container(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_API_KEY", "the control plane's own")
    _secret(cluster, user="alice", password="geheim")
    cluster.make("v1", "ConfigMap", "settings", data={"SIZE": "big"})
    cluster.run()
    container = {
        "envFrom": [{"prefix": "V2V_", "secretRef": {"name": "creds"}}, {"configMapRef": {"name": "none", "optional": True}}],
        "env": [
            {"name": "PLAIN", "value": "a b=c"},
            {"name": "EMPTY"},
            {"name": "WHO", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "user"}}},
            {"name": "SIZE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "SIZE"}}},
            {"name": "SELF", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "none", "optional": True}}},
        ],
    }
    pod = await cluster.phase_is(cluster.pod("env; sleep 0.2", container=container), "Succeeded")
    environment = dict(line.partition("=")[::2] for line in cluster.log(pod).splitlines())
    expected = {"V2V_user": "alice", "V2V_password": "geheim", "PLAIN": "a b=c", "EMPTY": "", "WHO": "alice", "SIZE": "big"}
    assert expected.items() <= environment.items()
    assert environment["SELF"] == pod["metadata"]["name"]
    assert environment["VMSHIFT_POD_DIR"] == str(cluster.folder(pod).resolve())
    assert not {"ABSENT", "K8S_AUTH_API_KEY"} & environment.keys()


async def test_secrets_are_in_no_argv_and_no_file_that_others_can_read(cluster: Any) -> None:
    _secret(cluster, password="geheim-4711")
    cluster.run()
    container = {
        "envFrom": [{"secretRef": {"name": "creds"}}],
        "volumeMounts": [{"name": "creds", "mountPath": "/etc/secret"}],
    }
    pod = cluster.pod("sleep 60", container=container, volumes=[{"name": "creds", "secret": {"secretName": "creds"}}])
    await cluster.phase_is(pod, "Running")
    for pid in supervisor.processes_of(cluster.folder(pod)):
        assert b"geheim-4711" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert cluster.folder(pod).stat().st_mode & 0o777 == 0o700
    assert (cluster.folder(pod) / "volumes/creds/password").stat().st_mode & 0o777 == 0o600
    assert "geheim-4711" not in json.dumps(cluster.get(pod)) + json.dumps(cluster.events(pod))


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
async def test_nothing_of_a_secret_is_left_when_a_pod_has_ended(cluster: Any, code: int, phase: str) -> None:
    _secret(cluster, password="geheim-4712")
    cluster.run()
    container = {"volumeMounts": [{"name": "creds", "mountPath": "/etc/secret"}]}
    secret = [{"name": "creds", "secret": {"secretName": "creds"}}]
    pod = cluster.pod(f"wc -c $VMSHIFT_POD_DIR/volumes/creds/password; exit {code}", container=container, volumes=secret)
    await cluster.phase_is(pod, phase)
    assert (cluster.folder(pod) / supervisor.LOG_FILE).read_text().startswith("11 "), "the pod had it"
    assert [path for path in cluster.folder(pod).rglob("*") if path.is_file() and b"geheim-4712" in path.read_bytes()] == []
    assert not (cluster.folder(pod) / "volumes/creds").exists()


async def test_volumes_of_a_container(cluster: Any, tmp_path: Path) -> None:
    share = tmp_path / "exports"
    share.mkdir()
    cluster.api.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "share"},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "capacity": {"storage": "1Gi"},
                "nfs": {"server": socket.gethostname(), "path": str(share)},
            },
        }
    )
    cluster.claim("share", accessModes=["ReadOnlyMany"], storageClassName="", volumeName="share")
    cluster.claim("disk", storageClassName=IMMEDIATE_CLASS)
    cluster.claim("block", volumeMode="Block")
    cluster.make("v1", "ConfigMap", "settings", data={"a": "1", "b": "2"})
    cluster.run()
    container = {
        "volumeMounts": [
            {"name": "share", "mountPath": "/ova", "readOnly": True},
            {"name": "disk", "mountPath": "/mnt/disks/disk0"},
            {"name": "empty", "mountPath": "/opt"},
            {"name": "settings", "mountPath": "/etc/settings"},
        ],
        "volumeDevices": [{"name": "block", "devicePath": "/dev/block1"}],
    }
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in ("share", "disk", "block")]
    volumes += [
        {"name": "empty", "emptyDir": {}},
        {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "b", "path": "x/y"}]}},
    ]
    pod = await cluster.phase_is(cluster.pod("true", container=container, volumes=volumes), "Succeeded")
    folder = cluster.folder(pod)
    mounts = {entry.get("mountPath") or entry["devicePath"]: entry for entry in json.loads((folder / "mounts.json").read_text())}
    names = {name: cluster.api.get("PersistentVolumeClaim", "tgt", name)["spec"]["volumeName"] for name in ("disk", "block")}
    assert {path: (entry["kind"], entry["source"], entry["readOnly"]) for path, entry in mounts.items()} == {
        "/ova": ("NFS", str(share), True),
        "/mnt/disks/disk0": ("Filesystem", str(cluster.state.volume(names["disk"])), False),
        "/dev/block1": ("Block", str(cluster.state.volume(names["block"])), False),
        "/opt": ("EmptyDir", str(folder / "volumes/empty"), False),
        "/etc/settings": ("ConfigMap", str(folder / "volumes/settings"), True),
    }
    assert "devicePath" in mounts["/dev/block1"]
    assert {p.name: p.read_text() for p in (folder / "volumes/settings").rglob("*") if p.is_file()} == {"y": "2"}


@pytest.mark.parametrize(
    ("volume", "mount", "message"),
    [
        ({"secret": {"secretName": "none"}}, {}, 'secret "none" not found'),
        ({"hostPath": {"path": "/"}}, {}, 'the volume "v" is of the kind hostPath, which this control plane does not have'),
        ({"emptyDir": {}}, {"subPath": "x"}, 'the volume "v" is mounted with a subPath'),
        ({"emptyDir": {}}, {"name": "w"}, 'the container mounts the volume "w", which the pod does not have'),
    ],
)
async def test_volumes_that_cannot_be_had(cluster: Any, volume: Any, mount: Any, message: str) -> None:
    cluster.run()
    container = {"volumeMounts": [{"name": "v", "mountPath": "/v", **mount}]}
    pod = cluster.pod("true", container=container, volumes=[{"name": "v", **volume}])
    await cluster.until(lambda: cluster.get(pod)["status"].get("containerStatuses"))
    waiting = cluster.get(pod)["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert message in waiting["message"]


async def test_share_that_is_not_mounted_here(cluster: Any) -> None:
    spec = {"accessModes": ["ReadOnlyMany"], "capacity": {"storage": "1Gi"}, "nfs": {"server": "nas.example", "path": "/ova"}}
    cluster.api.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "share"}, "spec": spec})
    cluster.claim("share", accessModes=["ReadOnlyMany"], storageClassName="", volumeName="share")
    cluster.run()
    volumes = [{"name": "share", "persistentVolumeClaim": {"claimName": "share"}}]
    pod = cluster.pod("true", container={"volumeMounts": [{"name": "share", "mountPath": "/ova"}]}, volumes=volumes)
    (status,) = await cluster.until(lambda: cluster.get(pod)["status"].get("containerStatuses"))
    assert "nas.example:/ova is not mounted on this machine" in status["state"]["waiting"]["message"]


async def test_pod_starts_once_its_secret_is_there(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "RETRY", 0.1)
    cluster.run()
    pod = cluster.pod("true", container={"envFrom": [{"secretRef": {"name": "creds"}}]})
    await cluster.until(lambda: cluster.get(pod)["status"].get("containerStatuses"))
    assert cluster.get(pod)["status"]["containerStatuses"][0]["state"]["waiting"]["message"] == 'secret "creds" not found'
    _secret(cluster, user="x")
    await cluster.phase_is(pod, "Succeeded")


async def test_pod_waits_for_its_claim(cluster: Any) -> None:
    cluster.run()
    pod = cluster.pod("true", volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "late"}}])
    await cluster.until(lambda: cluster.get(pod)["status"].get("conditions"))
    condition = cluster.get(pod)["status"]["conditions"][0]
    assert (condition["reason"], condition["message"]) == ("Unschedulable", 'persistentvolumeclaim "late" not found')
    cluster.claim("late")
    await cluster.phase_is(pod, "Succeeded")


# Ends that are asked for

_FAMILY = """echo $$ > "$VMSHIFT_POD_DIR/leader"; sleep 300 & echo $! > "$VMSHIFT_POD_DIR/child"
setsid sh -c 'echo $$ > "$VMSHIFT_POD_DIR/daemon"; exec sleep 300' & """


async def _family(cluster: Any, pod: Any) -> list[int]:
    files = [cluster.folder(pod) / name for name in ("leader", "child", "daemon")]
    await cluster.until(lambda: all(map(_read_pid, files)))
    pids = [_read_pid(file) for file in files]
    assert all(map(_alive, pids))
    return pids


async def test_deleted_pod_leaves_no_process_and_no_folder(cluster: Any) -> None:
    cluster.run()
    pod = cluster.pod(_FAMILY + "wait")
    pids = await _family(cluster, pod)
    cluster.api.delete("Pod", "tgt", pod["metadata"]["name"])
    await cluster.until(lambda: not cluster.folder(pod).exists())
    assert not any(map(_alive, pids))


async def test_program_that_ignores_termination_is_killed_after_its_grace(cluster: Any) -> None:
    cluster.run()
    pod = cluster.pod("trap '' TERM; " + _FAMILY + "while :; do sleep 1; done", terminationGracePeriodSeconds=1)
    pids = await _family(cluster, pod)
    cluster.api.delete("Pod", "tgt", pod["metadata"]["name"])
    await asyncio.sleep(0.4)
    assert _alive(pids[0])
    await cluster.until(lambda: not cluster.folder(pod).exists())
    assert not any(map(_alive, pids))


async def test_processes_left_by_a_program_that_ended_are_ended_too(cluster: Any) -> None:
    cluster.run()
    pod = cluster.pod(_FAMILY + 'until [ -s "$VMSHIFT_POD_DIR/daemon" ]; do sleep 0.02; done; exit 0')
    await cluster.phase_is(pod, "Succeeded")
    assert not any(_alive(_read_pid(cluster.folder(pod) / name)) for name in ("child", "daemon"))


async def test_program_may_end_orderly_when_its_pod_is_deleted(cluster: Any, tmp_path: Path) -> None:
    cluster.run()
    pod = cluster.pod(f"trap 'touch {tmp_path}/orderly; exit 0' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done")
    await cluster.until((tmp_path / "ready").exists)
    cluster.api.delete("Pod", "tgt", pod["metadata"]["name"])
    await cluster.until(lambda: not cluster.folder(pod).exists())
    assert (tmp_path / "orderly").exists()


async def test_deadline_of_a_pod(cluster: Any) -> None:
    cluster.run()
    pod = await cluster.phase_is(cluster.pod("sleep 60", activeDeadlineSeconds=1), "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert supervisor.processes_of(cluster.folder(pod)) == []


async def test_new_pod_of_an_old_name_is_another_pod(cluster: Any) -> None:
    cluster.run()
    first = await cluster.phase_is(cluster.pod("echo first; sleep 60"), "Running")
    name = first["metadata"]["name"]
    cluster.api.delete("Pod", "tgt", name)
    container = {"name": "main", "image": "test/sh", "args": ["echo second"]}
    second = cluster.make("v1", "Pod", name, spec={"restartPolicy": "Never", "containers": [container]})
    await cluster.phase_is(second, "Succeeded")
    assert cluster.log(second) == "second\n"
    await cluster.until(lambda: not cluster.folder(first).exists())


# The control plane comes and goes


async def test_running_pod_is_picked_up_after_a_restart(cluster: Any, tmp_path: Path) -> None:
    cluster.run()
    pod = cluster.pod(f"echo x >> {tmp_path}/starts; until [ -e {tmp_path}/go ]; do sleep 0.02; done; exit 7")
    await cluster.phase_is(pod, "Running")
    await cluster.restart()
    await cluster.settle()
    assert cluster.phase(pod) == "Running"
    (tmp_path / "go").touch()
    ended = await cluster.phase_is(pod, "Failed")
    assert _terminated(ended)["exitCode"] == 7
    assert (tmp_path / "starts").read_text() == "x\n"


async def test_end_that_nobody_watched_is_found_after_a_restart(cluster: Any, tmp_path: Path) -> None:
    cluster.run()
    pod = cluster.pod(f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo done; exit 5")
    await cluster.phase_is(pod, "Running")
    await cluster.end()
    (tmp_path / "go").touch()
    for _unused in range(200):
        if isinstance(processes.look(cluster.folder(pod)), processes.Ended):
            break
        await asyncio.sleep(0.02)
    await cluster.restart()
    assert _terminated(await cluster.phase_is(pod, "Failed"))["exitCode"] == 5


async def test_pod_deleted_while_nobody_was_running_is_ended_on_start(cluster: Any) -> None:
    cluster.run()
    pod = cluster.pod(_FAMILY + "wait")
    pids = await _family(cluster, pod)
    cluster._task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await cluster._task
    cluster.api.delete("Pod", "tgt", pod["metadata"]["name"])
    await asyncio.sleep(0.2)
    assert all(map(_alive, pids))
    await cluster.restart()
    await cluster.until(lambda: not cluster.folder(pod).exists())
    assert not any(map(_alive, pids))


async def test_killed_supervisor_makes_the_pod_lost_and_ends_its_processes(cluster: Any) -> None:
    cluster.run()
    pod = cluster.pod(_FAMILY + "wait")
    pids = await _family(cluster, pod)
    await cluster.phase_is(pod, "Running")
    os.kill(processes.look(cluster.folder(pod)).pid, signal.SIGKILL)  # type: ignore[union-attr]
    lost = await cluster.phase_is(pod, "Failed")
    assert lost["status"]["reason"] == "Lost"
    assert "nobody saw how" in lost["status"]["message"]
    assert not any(map(_alive, pids))


@contextlib.contextmanager
def _control_plane(folder: Path, script: str) -> Iterator[subprocess.Popen[str]]:
    """A control plane in a process of its own, with one pod; it prints the pod's phases."""
    program = f"""
    import asyncio, sys
    from pathlib import Path
    from ansible_collections.vmshift.mtv.controlplane import cluster
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
    from ansible_collections.vmshift.mtv.controlplane.cluster import images
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Manager
    from ansible_collections.vmshift.mtv.controlplane.state import State

    async def main():
        state = State(Path(sys.argv[1]))
        api = Api(Store(state.store), Registry())
        images.IMAGES["test/sh"] = lambda container: ["sh", "-c", *container["args"]]
        api.subscribe(lambda event, kind, obj: kind == "Pod" and print(obj["status"]["phase"], flush=True))
        container = {{"name": "main", "image": "test/sh", "args": [{script!r}]}}
        meta = {{"name": "survivor", "namespace": "tgt"}}
        spec = {{"restartPolicy": "Never", "containers": [container]}}
        api.create({{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}})
        await Manager(api, cluster.reconcilers(Context(api, state, None))).run()

    asyncio.run(main())
    """
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    argv = [sys.executable, "-c", textwrap.dedent(program), str(folder)]
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_pod_survives_the_kill_of_its_control_plane(cluster: Any, tmp_path: Path) -> None:
    await cluster.end()
    script = f"echo x >> {tmp_path}/starts; until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo survived"
    with _control_plane(cluster.state.root, script) as process:
        assert process.stdout is not None
        while await asyncio.to_thread(process.stdout.readline) != "Running\n":
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    (tmp_path / "go").touch()
    await cluster.restart()
    pod = cluster.api.get("Pod", "tgt", "survivor")
    await cluster.phase_is(pod, "Succeeded")
    assert cluster.log(pod) == "survived\n"
    assert (tmp_path / "starts").read_text() == "x\n"


# Restarts


def _container(pod: Any) -> Any:
    return pod["status"]["containerStatuses"][0]


FAILS_TWICE = 'echo x >> runs; test $(wc -l < runs) -ge 3 || { echo "attempt $(wc -l < runs)" > termination-message; exit 7; }'


@pytest.fixture
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "FIRST_BACKOFF", 0.1)


@pytest.mark.parametrize("policy", ["OnFailure", "Always"])
async def test_container_that_fails_is_started_again(cluster: Any, quick_backoff: None, policy: str) -> None:
    cluster.run()
    made = cluster.pod(FAILS_TWICE, restartPolicy=policy)
    seen: list[Any] = []
    cluster.api.subscribe(lambda _event, kind, obj: seen.append(obj) if kind == "Pod" and obj["status"].get("containerStatuses") else None)
    await cluster.until(lambda: (cluster.folder(made) / "runs").exists() and cluster.log(made) == "" and len(_runs(cluster, made)) >= 3)
    pod = cluster.get(made)
    if policy == "OnFailure":
        pod = await cluster.phase_is(made, "Succeeded")
        assert len(_runs(cluster, made)) == 3
        assert _terminated(pod)["exitCode"] == 0
        assert _container(pod)["restartCount"] == 2
    assert "Failed" not in {obj["status"]["phase"] for obj in seen}
    waits = [obj for obj in seen if _container(obj)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"]
    assert waits[0]["status"]["phase"] == "Running"
    last = _container(waits[0])["lastState"]["terminated"]
    assert (last["exitCode"], last["message"], _container(waits[0])["restartCount"]) == (7, "attempt 1", 0)
    assert ("BackOff", f"Back-off restarting failed container main in pod {made['metadata']['name']}") in cluster.events(made)
    cluster.api.delete("Pod", "tgt", made["metadata"]["name"])


def _runs(cluster: Any, pod: Any) -> list[str]:
    path = cluster.folder(pod) / "runs"
    return path.read_text().splitlines() if path.exists() else []


async def test_the_pauses_between_restarts_grow(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "FIRST_BACKOFF", 60.0)
    cluster.run()
    made = cluster.pod("echo x >> runs; exit 1", restartPolicy="OnFailure")
    await cluster.until(lambda: len(_runs(cluster, made)) == 2)  # at once after the first failure
    await cluster.until(lambda: "back-off 60s" in _container(cluster.get(made))["state"].get("waiting", {}).get("message", ""))
    assert _container(cluster.get(made))["restartCount"] == 1
    await cluster.settle()
    assert len(_runs(cluster, made)) == 2


async def test_restarts_go_on_after_the_control_plane_was_away(cluster: Any, quick_backoff: None) -> None:
    cluster.run()
    made = cluster.pod("echo x >> runs; test -e enough", restartPolicy="OnFailure")
    await cluster.until(lambda: len(_runs(cluster, made)) >= 2)
    await cluster.restart()
    so_far = len(_runs(cluster, made))
    await cluster.until(lambda: len(_runs(cluster, made)) > so_far)
    (cluster.folder(made) / "enough").touch()
    pod = await cluster.phase_is(made, "Succeeded")
    assert _container(pod)["restartCount"] == len(_runs(cluster, made)) - 1


async def test_a_lost_process_is_started_again_too(cluster: Any, quick_backoff: None) -> None:
    cluster.run()
    made = cluster.pod("echo x >> runs; test $(wc -l < runs) -ge 2 || sleep 600", restartPolicy="OnFailure")
    await cluster.until(lambda: _runs(cluster, made))
    os.kill(processes.look(cluster.folder(made)).pid, signal.SIGKILL)  # type: ignore[union-attr]
    pod = await cluster.phase_is(made, "Succeeded")
    assert _container(pod)["restartCount"] == 1
    assert "nobody saw how" in _container(pod)["lastState"]["terminated"]["message"]


async def test_a_deleted_pod_is_not_started_again(cluster: Any, quick_backoff: None) -> None:
    cluster.run()
    made = cluster.pod("echo x >> runs; trap 'exit 1' TERM; sleep 600 & wait", restartPolicy="Always")
    folder = cluster.folder(made)
    await cluster.until(lambda: _runs(cluster, made))
    cluster.api.delete("Pod", "tgt", made["metadata"]["name"])
    await cluster.until(lambda: not folder.exists())
