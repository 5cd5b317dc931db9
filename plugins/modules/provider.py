#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: provider
short_description: A provider of MTV, a place that virtual machines come from or go to
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Makes, changes or removes a C(Provider) of the Migration Toolkit for Virtualization (MTV, Forklift), together with the C(Secret) that
    holds its credentials.
  - The Secret gets the labels on which MTV's admission webhooks act, so that wrong credentials are refused at once, and belongs to the
    Provider, so that it goes with it.
  - Waits until MTV has connected to the provider and has read its inventory.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes
  - vmshift.mtv.options
  - vmshift.mtv.options.wait
  - vmshift.mtv.provider.secret
  - vmshift.mtv.provider.keys
options:
  type:
    description:
      - Type of the provider. Required when the provider does not exist yet.
    type: str
    choices: [openshift, vsphere, ovirt, openstack, ova, ec2, hyperv]
  url:
    description:
      - Where the provider is. What it looks like depends on O(type).
      - V(openshift) takes the URL of the other cluster's API; without a URL the provider is the cluster that MTV runs on.
      - V(vsphere) takes C(https://HOST/sdk), V(ovirt) C(https://ENGINE/ovirt-engine/api), V(openstack) the URL of Keystone.
      - V(ova) takes C(SERVER:/PATH) of an NFS share with OVA files. MTV does not let it change later.
      - V(hyperv) takes the name or address of the host. V(ec2) needs none.
    type: str
notes:
  - What does not fit together is refused before anything is written - a URL that is none of the type, options of O(secret) that the type or
    O(secret.auth_type) does not use or misses, half of a pair, O(secret.insecure_skip_verify=true) beside certificates.
seealso:
  - module: vmshift.mtv.provider_info
  - module: vmshift.mtv.inventory_info
  - module: vmshift.mtv.host
"""

EXAMPLES = r"""
- name: Migrate from the OVA files of an NFS share
  vmshift.mtv.provider:
    name: appliances
    namespace: openshift-mtv
    type: ova
    url: nfs.example.com:/exports/appliances

- name: Migrate from a vCenter whose certificate was looked at in vSphere
  vmshift.mtv.provider:
    name: vcenter
    namespace: openshift-mtv
    type: vsphere
    url: https://vcenter.example.com/sdk
    secret:
      user: migration@vsphere.local
      password: "{{ vcenter_password }}"
      ca_fingerprint: 5C:E2:98:0D:2B:3E:9A:51:77:C4:04:1F:BA:6D:90:0E:5F:21:33:A8
    settings:
      vddkInitImage: registry.example.com/vddk:8.0.3
      useVddkAioOptimization: true

- name: Migrate from OpenStack with an application credential
  vmshift.mtv.provider:
    name: openstack
    namespace: openshift-mtv
    type: openstack
    url: https://keystone.example.com:5000/v3
    secret:
      auth_type: applicationcredential
      application_credential_id: "{{ credential_id }}"
      application_credential_secret: "{{ credential_secret }}"
      region: RegionOne
      ca_cert_file: /etc/pki/openstack-ca.pem

- name: Migrate from Amazon EC2
  vmshift.mtv.provider:
    name: ec2
    namespace: openshift-mtv
    type: ec2
    secret:
      region: eu-central-1
      access_key_id: "{{ source_key_id }}"
      secret_access_key: "{{ source_key }}"
      target_access_key_id: "{{ target_key_id }}"
      target_secret_access_key: "{{ target_key }}"
    settings:
      target-az: eu-central-1a
      target-region: eu-central-1

- name: Migrate from Hyper-V
  vmshift.mtv.provider:
    name: hyperv
    namespace: openshift-mtv
    type: hyperv
    url: hyperv1.example.com
    secret:
      user: Administrator
      password: "{{ hyperv_password }}"
      smb_url: smb://hyperv1.example.com/vms
      insecure_skip_verify: true
    settings:
      managementType: standalone
      winrmPort: 5986

- name: Migrate from another OpenShift cluster
  vmshift.mtv.provider:
    name: old-cluster
    namespace: openshift-mtv
    type: openshift
    url: https://api.old.example.com:6443
    secret:
      token: "{{ old_cluster_token }}"
      ca_cert: "{{ lookup('ansible.builtin.file', 'old-cluster-ca.pem') }}"

- name: Make sure that the provider of the cluster itself is there
  vmshift.mtv.provider:
    name: host
    namespace: openshift-mtv
    type: openshift

- name: Use credentials that another tool keeps in a Secret
  vmshift.mtv.provider:
    name: engine
    namespace: openshift-mtv
    type: ovirt
    url: https://engine.example.com/ovirt-engine/api
    secret_name: engine-credentials

- name: Remove a provider and the Secret that belongs to it
  vmshift.mtv.provider:
    name: old-cluster
    namespace: openshift-mtv
    state: absent
"""

RETURN = r"""
provider:
  description: The C(Provider) as the API server has it, null when it is absent. Credentials are never part of it.
  returned: success
  type: dict
  sample:
    apiVersion: forklift.konveyor.io/v1beta1
    kind: Provider
    metadata:
      name: appliances
      namespace: openshift-mtv
      uid: 5632703e-933a-4de7-94bd-3f5a9b836e53
    spec:
      type: ova
      url: nfs.example.com:/exports/appliances
      secret:
        name: appliances
        namespace: openshift-mtv
    status:
      phase: Ready
      conditions:
        - type: Ready
          status: "True"
          category: Required
          message: The provider is ready.
conditions:
  description: Conditions of the provider when the wait for it ended.
  returned: when the wait fails
  type: list
  elements: dict
  sample:
    - type: ConnectionTestFailed
      status: "True"
      category: Critical
      reason: Tested
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils import owned_secrets
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, TalkError, reporting, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CA_OPTION,
    CREDENTIALS,
    INSECURE_OPTION,
    INVENTORY_CREATED,
    OPENSTACK_AVAILABILITIES,
    OPENSTACK_LOGINS,
    PROVIDER_TYPES,
    blocked,
    conditions_of,
    is_true,
    ready,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.options import OBJECT, WAIT
from ansible_collections.vmshift.mtv.plugins.module_utils.provider_definition import (
    secret_manifest,
    secret_problems,
    secret_warnings,
    settings_of,
    settings_problems,
    settings_warnings,
    url_problems,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.provider_needs import (
    check_secret,
    fetched_certificate,
    own_secret_name,
    refuse_too_new,
    with_certificates,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.readiness import wait_ready
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import NOT_READ, Result, ensure_absent, ensure_present, get

_HIDDEN_OPTIONS = {
    "password",
    "token",
    "application_credential_secret",
    "secret_access_key",
    "target_secret_access_key",
    "smb_password",
}
#: How long a status that looks as before may still be about the credentials of before.
_OLD_VERDICT_SECONDS = 20


def secret_spec() -> dict[str, Any]:
    options = {c.option: {"type": "str", "no_log": c.option in _HIDDEN_OPTIONS} for keys in CREDENTIALS.values() for c in keys}
    options["auth_type"]["choices"] = list(OPENSTACK_LOGINS)
    options["availability"]["choices"] = list(OPENSTACK_AVAILABILITIES)
    options[INSECURE_OPTION] = {"type": "bool", "default": False}
    options["ca_cert_file"] = {"type": "path"}
    options["ca_fingerprint"] = {"type": "str"}
    return options


def provider_manifest(params: Mapping[str, Any], secret_name: str | None) -> dict[str, Any]:
    """The Provider as far as the task speaks about it."""
    spec: dict[str, Any] = {key: params[key] for key in ("type", "url") if params[key] is not None}
    if secret_name is not None:
        spec["secret"] = {"name": secret_name, "namespace": params["namespace"]} if secret_name else {}
    if params["settings"] is not None:
        spec["settings"] = settings_of(params["settings"])
    metadata = {key: params[key] for key in ("name", "namespace", "labels", "annotations") if params[key] is not None}
    return {"kind": "Provider", "metadata": metadata, "spec": spec}


def check(params: Mapping[str, Any], current: Mapping[str, Any] | None, cluster: Cluster) -> tuple[str, str]:
    """(type, url) that the provider will have. Raises TalkError when the options do not fit them."""
    spec = (current or {}).get("spec") or {}
    type = params["type"] or spec.get("type")
    if not type:
        raise TalkError(
            f"type: the provider {params['namespace']}/{params['name']} does not exist yet; give one of {', '.join(PROVIDER_TYPES)}."
        )
    url = spec.get("url", "") if params["url"] is None else params["url"]
    problems = url_problems(type, url) + settings_problems(type, params["settings"] or {})
    if params["secret"] and type == "openshift" and not url:
        problems.append("secret: without a url the provider is the cluster that MTV runs on, which needs no credentials.")
    elif params["secret"]:
        problems += secret_problems(type, params["secret"])
    elif not params["secret_name"] and not current and (type != "openshift" or url) and type != "ova":
        needed = [c.option for c in CREDENTIALS[type] if c.required] or ["user, password and more"]
        problems.append(f"secret: a provider of type {type} needs credentials: give secret ({', '.join(needed)}) or secret_name.")
    if type == "ova" and spec.get("type") == "ova" and url != spec.get("url"):
        problems.append(f"url: MTV does not let the url of an OVA provider change (it is {spec.get('url')!r}); remove the provider first.")
    if problems:
        raise TalkError(" ".join(problems))
    for problem in settings_warnings(type, params["settings"] or {}) + secret_warnings(type, params["secret"] or {}):
        cluster.warn(problem)
    return type, url


def present(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    params, check_mode = dict(module.params), module.check_mode
    if params["secret"]:
        params["secret"] = with_certificates(params["secret"])
    current = get(cluster, "Provider", params["namespace"], params["name"])
    type, url = check(params, current, cluster)
    refuse_too_new(cluster, params, current)
    credentials = params["secret"]
    if credentials is None and type == "ova" and not params["secret_name"] and not current:
        credentials = {}  # an OVA provider needs a Secret too, but nothing that only the user knows
    secret: Result | None = None
    if credentials is not None:
        secret_name: str | None = own_secret_name(cluster, params, current)
        if credentials.get("ca_fingerprint"):
            credentials = {**credentials, CA_OPTION: fetched_certificate(cluster, params, current, type, url, secret_name or "")}
        if not current:
            # What admission has against the Provider is heard before its Secret is made.
            ensure_present(cluster, provider_manifest(params, secret_name), check_mode=True, current=None)
        manifest = secret_manifest(secret_name or "", params["namespace"], type, url, credentials)
        secret = ensure_present(cluster, manifest, check_mode=check_mode)
    elif params["secret_name"]:
        secret_name = params["secret_name"]
        check_secret(cluster, {"namespace": params["namespace"], "name": params["secret_name"]}, type, check_mode)
    else:
        secret_name = None if current else ""
        reference = ((current or {}).get("spec") or {}).get("secret") or {}
        if current and type != current["spec"].get("type") and reference.get("name"):
            check_secret(cluster, {"namespace": params["namespace"], **reference}, type, check_mode)
    # What new credentials have led to is looked at anew.
    known = NOT_READ if secret and secret.changed else current
    provider = ensure_present(cluster, provider_manifest(params, secret_name), check_mode=check_mode, current=known)
    return finish(module, cluster, current, provider, secret)


def finish(
    module: AnsibleModule, cluster: Cluster, current: Mapping[str, Any] | None, provider: Result, secret: Result | None
) -> dict[str, Any]:
    """Let the Secret belong to the Provider, wait, and put the result together. `current`: the Provider before all writes."""
    found = provider.object or {}
    changed = provider.changed or bool(secret and secret.changed)
    version = ""
    if secret and secret.object:
        rotated = secret.changed and current
        secret = owned_secrets.give_to(cluster, secret, found, module.check_mode)
        changed = changed or secret.changed
        if rotated and secret.object:
            version = secret.object["metadata"].get("resourceVersion", "")
    result = {"changed": changed, "diff": diff_of(provider, secret), "provider": found}
    if module.params["wait"] and not module.check_mode:
        with reporting(changed=changed, diff=result["diff"]):
            result["provider"] = wait_connected(cluster, found, module.params["wait_timeout"], version, conditions_of(current or {}))
    return result


def wait_connected(
    cluster: Cluster, provider: Mapping[str, Any], timeout: float, secret_version: str, before: list[dict[str, Any]]
) -> dict[str, Any]:
    """Wait for Ready and the inventory.

    `secret_version`: resourceVersion of credentials that have just changed, else ""; `before`: the conditions of before that change.
    The status does not say which credentials a failure is about, and only some versions say it about a success. So for a while after a
    change only the new version or conditions that differ count.
    """

    def connected(obj: dict[str, Any]) -> bool:
        return ready(obj) and is_true(obj, INVENTORY_CREATED)

    def newly_connected(obj: dict[str, Any]) -> bool:
        return connected(obj) and (obj["status"].get("secretResourceVersion") == secret_version or conditions_of(obj) != before)

    def newly_blocked(obj: dict[str, Any]) -> str | None:
        return blocked(obj) if conditions_of(obj) != before else None

    hint = "the Secret of the provider (does it exist, has it the keys of the type?), its url, and the log of the forklift-controller pod"
    if secret_version:
        # Here and below, because every provider that is connected already would pay for its import.
        from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import WaitError

        limit = min(timeout, _OLD_VERDICT_SECONDS)
        try:
            return wait_ready(cluster, provider, timeout=limit, hint=hint, success=newly_connected, failure=newly_blocked)
        except WaitError as error:
            if not error.timed_out or limit >= timeout:
                raise
            timeout -= limit
    return wait_ready(cluster, provider, timeout=timeout, hint=hint, success=connected)


def absent(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    params, check_mode = module.params, module.check_mode
    current = get(cluster, "Provider", params["namespace"], params["name"])
    owned = owned_secrets.owned_secret(cluster, current) if current else None
    secret = owned_secrets.predicted_removal(cluster, owned)
    provider = ensure_absent(cluster, "Provider", params["namespace"], params["name"], check_mode=check_mode)
    result = {"changed": provider.changed, "diff": diff_of(provider, secret), "provider": None}
    if current and not check_mode:
        if params["wait"]:
            from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import target_of, wait_gone

            with reporting(**result):
                wait_gone(cluster, [target_of(current)], timeout=params["wait_timeout"])
        owned_secrets.remove(cluster, owned)
    return result


def diff_of(provider: Result, secret: Result | None) -> dict[str, Any]:
    """What the task owns of both objects, before and after."""
    parts = {"provider": provider, **({"secret": secret} if secret else {})}
    return {"before": {k: p.before for k, p in parts.items()}, "after": {k: p.after for k, p in parts.items()}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OBJECT,
            **WAIT,
            "type": {"type": "str", "choices": list(PROVIDER_TYPES)},
            "url": {"type": "str"},
            "secret": {
                "type": "dict",
                "options": secret_spec(),
                "no_log": False,
                "mutually_exclusive": [("ca_cert", "ca_cert_file", "ca_fingerprint")],
            },
            "secret_name": {"type": "str", "no_log": False},
            "settings": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    work = absent if module.params["state"] == "absent" else present
    run_module(module, lambda cluster: work(module, cluster))


if __name__ == "__main__":
    main()
