"""Hooks of a real migration, and into a real guest with a service account that has only what the manifest in docs gives it."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from ansible_collections.vmshift.mtv.lab import guests
from ansible_collections.vmshift.mtv.tests.integration.accounts import DOCS, make_account, make_key_secret
from ansible_collections.vmshift.mtv.tests.integration.conftest import ANSIBLE_PLAYBOOK, ROOT, environment
from ansible_collections.vmshift.mtv.tests.integration.guest import Guest

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="the source is on this machine")

NAMESPACE, TARGET, GUEST = "konveyor-forklift", "hooked-target", "hook-guest"
FORKLIFT = ("forklift.konveyor.io", "v1beta1")
IMAGE = "quay.io/konveyor/hook-runner:latest"
# What it tells shows in a ConfigMap, because logs of hooks go with their Jobs.
BEFORE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_vars: {file: workload.yml, name: workload}
    - ansible.builtin.include_vars: {file: plan.yml, name: plan}
    - kubernetes.core.k8s:
        definition:
          apiVersion: v1
          kind: ConfigMap
          metadata: {name: told-before, namespace: konveyor-forklift}
          data: {vm: "{{ workload.vm.vm1.vm0.name }}", target: "{{ plan.targetnamespace }}"}
"""
AFTER = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_vars: {file: plan.yml, name: plan}
    - kubernetes.core.k8s_info:
        api_version: kubevirt.io/v1
        kind: VirtualMachine
        namespace: "{{ plan.targetnamespace }}"
      register: vms
    - kubernetes.core.k8s:
        definition:
          apiVersion: v1
          kind: ConfigMap
          metadata: {name: told-after, namespace: konveyor-forklift}
          data: {vms: "{{ vms.resources | map(attribute='metadata.name') | join(',') }}"}
"""
# As the documentation has it: works on a cluster and here.
INTO_THE_GUEST = """
- hosts: localhost
  gather_facts: false
  tasks:
    - kubernetes.core.k8s_info:
        api_version: kubevirt.io/v1
        kind: VirtualMachineInstance
        namespace: "{{ vm_namespace }}"
        name: "{{ vm_name }}"
      register: found
      until: >-
        found.resources[0].metadata.annotations["guest.vmshift.io/ssh"] is defined or
        found.resources[0].status.interfaces[0].ipAddress is defined
      retries: 60
      delay: 5
    - kubernetes.core.k8s_info:
        api_version: v1
        kind: Secret
        namespace: "{{ key_namespace }}"
        name: guest-ssh-key
      register: key
    - ansible.builtin.copy:
        dest: /tmp/key
        content: "{{ key.resources[0].data.key | b64decode }}"
        mode: "0600"
      no_log: true
    - ansible.builtin.add_host:
        name: guest
        ansible_host: "{{ address.split(':')[0] }}"
        ansible_port: "{{ address.split(':')[1] }}"
        ansible_user: root
        ansible_ssh_private_key_file: /tmp/key
        ansible_ssh_common_args: -o StrictHostKeyChecking=no
      vars:
        instance: "{{ found.resources[0] }}"
        local: "{{ instance.metadata.annotations['guest.vmshift.io/ssh'] | default('') }}"
        address: "{{ local if local else instance.status.interfaces[0].ipAddress ~ ':22' }}"
- hosts: guest
  gather_facts: false
  tasks:
    - ansible.builtin.wait_for_connection: {timeout: 300}
    - ansible.builtin.command: hostname
      register: name
    - ansible.builtin.debug:
        msg: "in the guest {{ name.stdout }}"
"""


@pytest.fixture(scope="module")
def core(plane: Any) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(plane.kubeconfig)))


@pytest.fixture(scope="module")
def objects(core: client.CoreV1Api) -> client.CustomObjectsApi:
    return client.CustomObjectsApi(core.api_client)


def hook(objects: client.CustomObjectsApi, name: str, playbook: str, **spec: Any) -> None:
    encoded = base64.b64encode(playbook.encode()).decode()
    body = {
        "apiVersion": "/".join(FORKLIFT),
        "kind": "Hook",
        "metadata": {"name": name},
        "spec": {"image": IMAGE, "playbook": encoded, **spec},
    }
    objects.create_namespaced_custom_object(*FORKLIFT, NAMESPACE, "hooks", body)


@pytest.fixture(scope="module")
def account(core: client.CoreV1Api) -> str:
    """An account for hooks of migrations that tell what they saw."""
    core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": "teller"}})
    rbac = client.RbacAuthorizationV1Api(core.api_client)
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "get", "patch"]},
        {"apiGroups": ["kubevirt.io"], "resources": ["virtualmachines"], "verbs": ["get", "list"]},
    ]
    rbac.create_cluster_role({"metadata": {"name": "teller"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "teller", "namespace": NAMESPACE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "teller"}
    rbac.create_cluster_role_binding({"metadata": {"name": "teller"}, "roleRef": reference, "subjects": [subject]})
    return "teller"


@pytest.fixture(scope="module")
def request_document(plane: Any) -> dict[str, Any]:
    guests.guest_ova(plane.export, name=GUEST)
    return {
        "name": "hooked",
        "namespace": NAMESPACE,
        "source_provider": {"name": "hooked-export", "type": "ova", "url": f"localhost:{plane.export}"},
        "target_namespace": TARGET,
        "network_map": {"pairs": [{"source": "VM Network", "destination": "pod"}]},
        "storage_map": {"pairs": [{"source": f"{GUEST}-disk{n}.vmdk", "destination": "vmshift-local"} for n in (1, 2)]},
        "vms": [{"name": GUEST, "hooks": [{"step": "PreHook", "hook": "before"}, {"step": "PostHook", "hook": "after"}]}],
    }


def test_hooks_run_before_and_after_a_migration(
    plane: Any,
    play: Callable[..., Any],
    core: client.CoreV1Api,
    objects: client.CustomObjectsApi,
    account: str,
    request_document: dict[str, Any],
) -> None:
    hook(objects, "before", BEFORE, serviceAccount=account, deadline=300)
    hook(objects, "after", AFTER, serviceAccount=account)
    play("playbooks/migrate.yml", {"kubeconfig": str(plane.kubeconfig), "migration_request": request_document})
    assert core.read_namespaced_config_map("told-before", NAMESPACE).data == {"vm": GUEST, "target": TARGET}
    assert core.read_namespaced_config_map("told-after", NAMESPACE).data == {"vms": GUEST}
    (vm,) = objects.get_namespaced_custom_object(*FORKLIFT, NAMESPACE, "plans", "hooked")["status"]["migration"]["vms"]
    assert [(s["name"], s["phase"], s["progress"]) for s in vm["pipeline"] if s["name"].endswith("Hook")] == [
        (name, "Completed", {"completed": 1, "total": 1}) for name in ("PreHook", "PostHook")
    ]
    assert client.BatchV1Api(core.api_client).list_namespaced_job(NAMESPACE, label_selector="resource=hook-config").items == []


@pytest.fixture(scope="module")
def furnished(core: client.CoreV1Api, debian: Guest) -> None:
    """The account of docs for hooks that enter the guest, and the Secret with its key."""
    make_account(core, "hook_rbac.yml", NAMESPACE, debian.namespace)
    assert debian.key
    make_key_secret(core, NAMESPACE, debian.key)


def test_the_manifest_in_docs_is_enough_for_a_hook_that_enters_a_guest_and_for_nothing_else(
    plane: Any, core: client.CoreV1Api, debian: Guest, furnished: None, tmp_path: Path
) -> None:
    (tmp_path / "hook.yml").write_text(INTO_THE_GUEST)
    variables = {
        "hook_plan": "hooked",
        "hook_namespace": NAMESPACE,
        "hook_vm": GUEST,
        "hook_step": "PostHook",
        "hook_file": str(tmp_path / "hook.yml"),
        "hook_service_account": "hook-runner",
        "hook_vars": {"vm_namespace": debian.namespace, "vm_name": debian.name, "key_namespace": NAMESPACE},
    }
    cluster = {"K8S_AUTH_KUBECONFIG": str(plane.kubeconfig)}
    entered = with_environment("playbooks/hook_dry_run.yml", variables, cluster)
    assert "in the guest lab-debian" in entered
    review = client.AuthorizationV1Api(core.api_client)
    for verb, group, resource, name in (
        ("list", "", "secrets", ""),
        ("get", "", "secrets", "other"),
        ("delete", "kubevirt.io", "virtualmachines", ""),
    ):
        attributes = {"verb": verb, "group": group, "resource": resource, "name": name, "namespace": NAMESPACE}
        asked = {"spec": {"user": f"system:serviceaccount:{NAMESPACE}:hook-runner", "resourceAttributes": attributes}}
        assert review.create_subject_access_review(asked).status.allowed is False


def with_environment(playbook: str, variables: dict[str, Any], more: dict[str, str], *, fails: bool = False) -> str:
    """Run a playbook as the documentation calls it: the cluster comes from the environment. What it prints."""
    done = subprocess.run(
        [ANSIBLE_PLAYBOOK, playbook, "-e", json.dumps(variables)],
        cwd=ROOT,
        env={**environment(), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert bool(done.returncode) == fails, done.stdout[-4000:]
    return done.stdout


def test_the_playbook_for_aap_needs_a_token_of_that_account_alone(
    core: client.CoreV1Api, debian: Guest, furnished: None, tmp_path: Path
) -> None:
    """Run as AAP runs it: with the variables of a launch, and with what its credential for a cluster leaves in the environment."""
    (example,) = re.findall(r"```yaml\n(- name: Does the VM run.*?)```", (DOCS / "hooks.md").read_text(), re.DOTALL)
    (tmp_path / "hook.yml").write_text(example)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    configuration = core.api_client.configuration
    credential = {
        "K8S_AUTH_HOST": configuration.host,
        "K8S_AUTH_SSL_CA_CERT": configuration.ssl_ca_cert,
        "K8S_AUTH_VERIFY_SSL": "true",
        "K8S_AUTH_API_KEY": core.create_namespaced_service_account_token("hook-runner", NAMESPACE, asked).status.token,
    }
    launch = {
        "vm_id": "vm-1",
        "vm_name": debian.name,
        "vm_namespace": debian.namespace,
        "plan_name": "hooked",
        "migration_phase": "PostHook",
    }
    assert "ok=2" in with_environment(str(tmp_path / "hook.yml"), launch, credential)
    elsewhere = with_environment(str(tmp_path / "hook.yml"), {**launch, "vm_namespace": TARGET}, credential, fails=True)
    assert "is forbidden" in elsewhere or "Forbidden" in elsewhere
