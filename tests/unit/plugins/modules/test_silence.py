"""Mistakes about which the real controllers say nothing (recorded). The API server here has no controllers: it is as silent as they are.

Each is told early, and nothing is written. That waits which hear nothing end early is tested in test_waiting.
"""

from __future__ import annotations

import pytest

APP = {
    "id": "id-app",
    "name": "app",
    "networks": [{"ID": "net-1", "Name": "VM Network"}, {"ID": "net-2", "Name": "Backup"}],
    "nics": [{"Network": "VM Network"}, {"Network": "Backup"}],
    "disks": [{"ID": "disk-1", "Name": "app-disk1.vmdk"}],
}
DB = {**APP, "id": "id-db", "name": "db", "nics": [], "networks": []}
PLAN = {
    "name": "demo",
    "namespace": "mig",
    "source": "src",
    "network_map": "demo",
    "storage_map": "demo",
    "target_namespace": "apps",
    "vms": ["db"],
    "wait": False,
}


@pytest.fixture
def silent(plane, conditions_of_status):
    """Providers and maps that once were found to be ready, by somebody who is gone."""

    def ready(obj):
        plane.do("update_status", {**obj, "status": conditions_of_status(obj, "Ready")})
        return obj

    source = ready(plane.provider("src", url="h:/x"))
    host = ready(plane.provider("host", "openshift", "konveyor-forklift"))
    ready(plane.provider("vc", "vsphere", url="https://vc/sdk"))
    provider = {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": "konveyor-forklift"}}
    pod, fast = {"type": "pod"}, {"storageClass": "fast"}
    networks = [{"source": {"name": name}, "destination": pod} for name in ("VM Network", "Backup")]
    ready(plane.make("NetworkMap", "demo", spec={"provider": provider, "map": networks}))
    storages = [{"source": {"name": "app-disk1.vmdk"}, "destination": fast}]
    ready(plane.make("StorageMap", "demo", spec={"provider": provider, "map": storages}))
    plane.inventory[f"providers/ova/{source['metadata']['uid']}/vms"] = [APP, DB]
    there = f"providers/openshift/{host['metadata']['uid']}"
    plane.inventory[f"{there}/clusterinstancetypes"] = [{"id": "1", "name": "u1.medium", "namespace": ""}]
    plane.inventory[f"{there}/instancetypes"] = [{"id": n, "name": n, "namespace": n} for n in ("apps", "hr")]
    plane.make("Secret", "no-user", "mig", "v1", stringData={"password": "canary-silence"})
    plane.make("Secret", "elsewhere", "konveyor-forklift", "v1", stringData={"key": "canary-silence"})
    return plane


PROVIDER = {"name": "new", "namespace": "mig", "type": "vsphere", "url": "https://vc/sdk"}
HOST = {"provider": "vc", "namespace": "mig"}


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("provider", {**PROVIDER, "secret_name": "absent"}, "absent"),
        ("provider", PROVIDER, "secret"),
        ("provider", {**PROVIDER, "secret": {"user": "u"}}, "password"),
        ("provider", {**PROVIDER, "url": "https://vc:port/sdk"}, "url: a provider of type vsphere takes https://HOST/sdk"),
        ("provider", {**PROVIDER, "url": "https://[::1/sdk"}, "url: a provider of type vsphere takes https://HOST/sdk"),
        ("host", {**HOST, "hosts": [{"name": "esx1", "secret_name": "no-user"}]}, "user"),
        (
            "host",
            {**HOST, "provider": "src", "hosts": [{"name": "esx1", "secret": {"user": "somebody", "password": "s3cret-w0rd"}}]},
            "vsphere",
        ),
        ("plan", {**PLAN, "vms": ["db", "dbb"]}, "vms[1]: there is no VM 'dbb' (did you mean 'db'?)"),
        ("plan", {**PLAN, "vms": [{"name": "db", "hooks": [{"step": "PreHook", "hook": "absent"}]}]}, "needs the Hook mig/absent"),
        ("plan", {**PLAN, "vms": [{"name": "db", "luks": "absent"}]}, "needs the Secret mig/absent, which does not exist"),
        (
            "plan",
            {**PLAN, "vms": [{"name": "db", "luks": {"name": "elsewhere", "namespace": "konveyor-forklift"}}]},
            "luks: MTV mounts the Secret from the namespace of the plan, mig; it cannot lie in konveyor-forklift.",
        ),
        ("plan", {**PLAN, "customization_scripts": "absent"}, "needs the ConfigMap mig/absent"),
        (
            "plan",
            {**PLAN, "vms": [{"name": "db", "instance_type": "hr"}]},
            "instance_type: 'hr' of VM 'db' is neither an instance type of the cluster nor of namespace apps; there are: apps, u1.medium.",
        ),
        ("plan", {**PLAN, "vms": ["app"]}, "A VM can have one interface on the pod network. VM 'app' has 2 interfaces"),
    ],
)
def test_what_the_controllers_keep_silent_about_is_told_before_anything_is_written(silent, run, module, options, said):
    before = {kind: len(silent.do("list", kind)) for kind in ("Provider", "Host", "Plan", "Secret")}
    failed = run(module, **options)
    assert failed["failed"] and said.lower() in failed["msg"].lower(), failed
    assert "canary-silence" not in str(failed)
    assert {kind: len(silent.do("list", kind)) for kind in before} == before


@pytest.mark.parametrize("name", ["apps", "u1.medium"])
def test_instance_types_of_the_cluster_and_of_the_namespace_are_taken(silent, run, name):
    assert run("plan", **{**PLAN, "vms": [{"name": "db", "instance_type": name}]})["changed"]
