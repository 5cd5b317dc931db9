"""A guest of the embedded control plane, as a user sees it: through the API, and over SSH."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes import client, config

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import connect

Object = dict[str, Any]

KUBEVIRT = ("kubevirt.io", "v1")
SSH_ANNOTATION = "guest.vmshift.io/ssh"


def until(condition: Callable[[], Any], seconds: float = 900, told: Callable[[], Any] = lambda: "") -> Any:
    """The first true value of `condition()`; a failure says what `told()` gives."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not come about within {seconds:.0f} s: {told()}"
        time.sleep(0.2)
    return found


class Guest:
    """The VirtualMachine `name` and what runs in it. `key`: of root."""

    def __init__(self, kubeconfig: Path, namespace: str, name: str, key: Path | None = None) -> None:
        self.kubeconfig, self.namespace, self.name, self.key = kubeconfig, namespace, name, key
        self._cluster, api = connect({"kubeconfig": str(kubeconfig)}), config.new_client_from_config(str(kubeconfig))
        self._objects, self.core = client.CustomObjectsApi(api), client.CoreV1Api(api)

    def machine(self) -> Object:
        return self._objects.get_namespaced_custom_object(*KUBEVIRT, self.namespace, "virtualmachines", self.name)

    def instance(self) -> Object:
        """Empty while there is none."""
        try:
            return self._objects.get_namespaced_custom_object(*KUBEVIRT, self.namespace, "virtualmachineinstances", self.name)
        except client.ApiException as error:
            if error.status != 404:
                raise
            return {}

    def conditions(self) -> dict[str, str]:
        """type -> status"""
        return {c["type"]: c["status"] for c in self.instance().get("status", {}).get("conditions", [])}

    def switch(self, verb: str, **options: Any) -> None:
        """start, stop, restart"""
        self._cluster.request("PUT", self._subresource("virtualmachines", verb), body=options)

    def annotate(self, annotations: dict[str, str]) -> None:
        """From its next start on."""
        change = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        self._objects.patch_namespaced_custom_object(*KUBEVIRT, self.namespace, "virtualmachines", self.name, change)

    def ask(self, what: str) -> Object:
        """guestosinfo, userlist, filesystemlist"""
        return self._cluster.request("GET", self._subresource("virtualmachineinstances", what))

    def _subresource(self, plural: str, name: str) -> str:
        return f"/apis/subresources.kubevirt.io/v1/namespaces/{self.namespace}/{plural}/{self.name}/{name}"

    def launcher(self) -> str:
        """The name of its pod; "" while there is none."""
        pods = self.core.list_namespaced_pod(
            self.namespace, label_selector=f"kubevirt.io=virt-launcher,vm.kubevirt.io/name={self.name}"
        ).items
        return pods[0].metadata.name if pods else ""

    def console(self) -> str:
        """All that it wrote to its serial console since it was started."""
        pod = self.launcher()
        try:
            return self.core.read_namespaced_pod_log(pod, self.namespace, container="guest-console-log") if pod else ""
        except client.ApiException:
            return ""  # not started yet

    def await_console(self, text: str) -> str:
        """The line with `text`."""
        return until(lambda: next((line for line in self.console().splitlines() if text in line), ""), told=lambda: self.console()[-800:])

    def ssh_address(self) -> tuple[str, int]:
        found = until(lambda: self.instance().get("metadata", {}).get("annotations", {}).get(SSH_ANNOTATION))
        host, _unused, port = found.rpartition(":")
        return host, int(port)

    def ssh(self, command: str, timeout: float = 600) -> str:
        """What a command prints; fails with it."""
        host, port = self.ssh_address()
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=300"]
        argv = [
            "ssh",
            "-i",
            str(self.key),
            "-p",
            str(port),
            *(word for option in options for word in ("-o", option)),
            f"root@{host}",
            command,
        ]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


def make_guest(
    kubeconfig: Path, volume: Callable[[str], Path], fill: Callable[[Path], None], namespace: str, name: str, **options: Any
) -> None:
    """A VirtualMachine that runs, from a disk that `fill` writes into the file behind its claim. `volume`: PV -> file.

    `size` (bytes) and `memory` of it, more `devices`, `annotations` and `spec` of its template.
    """
    api = config.new_client_from_config(str(kubeconfig))
    core = client.CoreV1Api(api)
    claim = f"{name}-disk"
    core.create_namespaced_persistent_volume_claim(
        namespace,
        {
            "metadata": {"name": claim},
            "spec": {
                "storageClassName": "vmshift-immediate",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": str(options["size"])}},
            },
        },
    )
    bound = until(lambda: core.read_namespaced_persistent_volume_claim(claim, namespace).spec.volume_name)
    fill(volume(bound))
    interface = {"name": "net-0", "model": "virtio", "masquerade": {}, "macAddress": options.get("mac", "00:50:56:8a:0a:01")}
    domain = {
        "cpu": {"sockets": 1, "cores": options.get("cores", 1)},
        "memory": {"guest": options.get("memory", "512Mi")},
        "firmware": {"bootloader": {"bios": {}}},
        "devices": {
            "disks": [{"name": "vol-0", "disk": {"bus": "virtio"}}],
            "interfaces": [interface],
            "inputs": [{"name": "tablet", "type": "tablet", "bus": "virtio"}],
            **options.get("devices", {}),
        },
    }
    template = {
        "domain": domain,
        "networks": [{"name": "net-0", "pod": {}}],
        "volumes": [{"name": "vol-0", "persistentVolumeClaim": {"claimName": claim}}],
        **options.get("spec", {}),
    }
    machine = client.CustomObjectsApi(api).create_namespaced_custom_object(
        *KUBEVIRT,
        namespace,
        "virtualmachines",
        {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachine",
            "metadata": {"name": name},
            "spec": {"runStrategy": "Always", "template": {"metadata": {"annotations": options.get("annotations", {})}, "spec": template}},
        },
    )
    owner = {key: machine[key] for key in ("apiVersion", "kind")} | {key: machine["metadata"][key] for key in ("name", "uid")}
    core.patch_namespaced_persistent_volume_claim(claim, namespace, {"metadata": {"ownerReferences": [owner]}})
