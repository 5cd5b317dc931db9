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
  secret:
    description:
      - Credentials. The module keeps them in a Secret, which then holds exactly what is given here.
      - Changed values are written into the existing Secret, and the wait lasts until MTV has tried them.
      - The Secret is the one that O(secret_name) names, else the one that belongs to the provider already, else one of the provider's name.
    type: dict
    suboptions:
      user:
        description: User name; for V(ovirt) with its domain, such as V(admin@internal).
        type: str
      password:
        description: Password of O(secret.user).
        type: str
      token:
        description: Bearer token for types V(openshift) and V(openstack).
        type: str
      ca_cert:
        description:
          - Certificates (PEM) of the authorities that signed the provider's certificate.
          - Types V(vsphere), V(ovirt) and V(hyperv) need it, unless O(secret.insecure_skip_verify=true).
        type: str
      insecure_skip_verify:
        description: Whether MTV connects without verifying the provider's certificate.
        type: bool
        default: false
      auth_type:
        description: How to log in to type V(openstack); MTV takes V(password) when it is not given.
        type: str
        choices: [password, token, applicationcredential]
      user_id:
        description: Id of the user, instead of O(secret.user). Type V(openstack).
        type: str
      application_credential_id:
        description: Id of an application credential. Type V(openstack).
        type: str
      application_credential_name:
        description: Name of an application credential of O(secret.user). Type V(openstack).
        type: str
      application_credential_secret:
        description: Secret of the application credential. Type V(openstack).
        type: str
      project_name:
        description: Name of the project. Type V(openstack).
        type: str
      project_id:
        description: Id of the project. Type V(openstack).
        type: str
      user_domain_name:
        description: Name of the user's domain. Type V(openstack).
        type: str
      user_domain_id:
        description: Id of the user's domain. Type V(openstack).
        type: str
      project_domain_name:
        description: Name of the project's domain. Type V(openstack).
        type: str
      project_domain_id:
        description: Id of the project's domain. Type V(openstack).
        type: str
      domain_name:
        description: Name of the domain. Type V(openstack).
        type: str
      domain_id:
        description: Id of the domain. Type V(openstack).
        type: str
      default_domain:
        description: Domain to use where none is given. Type V(openstack).
        type: str
      region:
        description: Region, for types V(openstack) and V(ec2).
        type: str
      availability:
        description: Which endpoint of the service catalog to use. Type V(openstack).
        type: str
      access_key_id:
        description: Access key of the source account. Type V(ec2).
        type: str
      secret_access_key:
        description: Secret of O(secret.access_key_id). Type V(ec2).
        type: str
      target_access_key_id:
        description: Access key of the account the cluster runs in. Type V(ec2).
        type: str
      target_secret_access_key:
        description: Secret of O(secret.target_access_key_id). Type V(ec2).
        type: str
      smb_url:
        description: Share that holds the disks, such as V(smb://server/share). Type V(hyperv).
        type: str
      smb_user:
        description: User of the share, O(secret.user) when not given. Type V(hyperv).
        type: str
      smb_password:
        description: Password of the share, O(secret.password) when not given. Type V(hyperv).
        type: str
  secret_name:
    description:
      - Name of an existing Secret in O(namespace) that holds the credentials in MTV's own keys; or with O(secret), of the Secret to keep
        them in.
    type: str
  settings:
    description:
      - Settings of the provider in MTV's own spelling, such as V(vddkInitImage), V(sdkEndpoint) and V(esxiCloneMethod) for type V(vsphere),
        V(applianceManagement) for V(ova), V(target-az) for V(ec2), V(managementType) for V(hyperv).
      - Settings not given stay as they are; an empty value (V(null)) removes one.
    type: dict
seealso:
  - module: vmshift.mtv.provider_info
  - module: vmshift.mtv.inventory_info
"""

EXAMPLES = r"""
- name: Migrate from the OVA files of an NFS share
  vmshift.mtv.provider:
    name: appliances
    namespace: openshift-mtv
    type: ova
    url: nfs.example.com:/exports/appliances

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

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError, reporting, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CREDENTIALS,
    INSECURE_OPTION,
    INVENTORY_CREATED,
    PROVIDER_TYPES,
    blocked,
    conditions_of,
    is_true,
    ready,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.options import OBJECT, WAIT
from ansible_collections.vmshift.mtv.plugins.module_utils.provider_definition import (
    secret_keys_missing,
    secret_manifest,
    secret_problems,
    settings_of,
    settings_problems,
    url_problems,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import Result, add_owner, ensure_absent, ensure_present, get
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import WaitError, target_of, wait_gone, wait_ready

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
    options["auth_type"]["choices"] = ["password", "token", "applicationcredential"]
    options[INSECURE_OPTION] = {"type": "bool", "default": False}
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
    problems = url_problems(type, url)
    if params["secret"]:
        problems += secret_problems(type, params["secret"])
    elif not params["secret_name"] and not current and (type != "openshift" or url) and type != "ova":
        needed = [c.option for c in CREDENTIALS[type] if c.required]
        problems.append(f"secret: a provider of type {type} needs credentials: give secret ({', '.join(needed)}) or secret_name.")
    if type == "ova" and spec.get("type") == "ova" and url != spec.get("url"):
        problems.append(f"url: MTV does not let the url of an OVA provider change (it is {spec.get('url')!r}); remove the provider first.")
    if problems:
        raise TalkError(" ".join(problems))
    for problem in settings_problems(type, params["settings"] or {}):
        cluster.warn(problem)
    return type, url


def check_secret(cluster: Cluster, params: Mapping[str, Any], type: str, check_mode: bool) -> None:
    """An absent Secret leaves a Provider without any status, so it is looked for first."""
    where = f"{params['namespace']}/{params['secret_name']}"
    found = get(cluster, "Secret", params["namespace"], params["secret_name"])
    missing = secret_keys_missing(type, found.get("data") or {}) if found else []
    if found and not missing:
        return
    problem = (
        f"secret_name: the Secret {where} has no {', '.join(missing)}, which a provider of type {type} needs."
        if found
        else f"secret_name: the Secret {where} does not exist."
    )
    if not check_mode:
        raise TalkError(problem)
    cluster.warn(problem)


def own_secret_name(cluster: Cluster, params: Mapping[str, Any], current: Mapping[str, Any] | None) -> str:
    """Where given credentials are kept: secret_name, else the Secret that belongs to the provider, else one of the provider's name."""
    if params["secret_name"]:
        return params["secret_name"]
    secret = owned_secret(cluster, current) if current else None
    return secret["metadata"]["name"] if secret else params["name"]


def owned_secret(cluster: Cluster, provider: Mapping[str, Any]) -> dict[str, Any] | None:
    """The Secret the provider refers to, if it belongs to it alone."""
    reference = (provider.get("spec") or {}).get("secret") or {}
    if not reference.get("name"):
        return None
    secret = get(cluster, "Secret", reference.get("namespace") or provider["metadata"]["namespace"], reference["name"])
    owners = ((secret or {}).get("metadata") or {}).get("ownerReferences") or []
    return secret if [o.get("uid") for o in owners] == [provider["metadata"]["uid"]] else None


def present(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    params, check_mode = module.params, module.check_mode
    current = get(cluster, "Provider", params["namespace"], params["name"])
    type, url = check(params, current, cluster)
    credentials = params["secret"]
    if credentials is None and type == "ova" and not params["secret_name"] and not current:
        credentials = {}  # an OVA provider needs a Secret too, but nothing that only the user knows
    secret: Result | None = None
    if credentials is not None:
        secret_name: str | None = own_secret_name(cluster, params, current)
        if not current:
            # What admission has against the Provider is heard before its Secret is made.
            ensure_present(cluster, provider_manifest(params, secret_name), check_mode=True)
        manifest = secret_manifest(secret_name or "", params["namespace"], type, url, credentials)
        secret = ensure_present(cluster, manifest, check_mode=check_mode)
    elif params["secret_name"]:
        secret_name = params["secret_name"]
        check_secret(cluster, params, type, check_mode)
    else:
        secret_name = None if current else ""
    provider = ensure_present(cluster, provider_manifest(params, secret_name), check_mode=check_mode)
    return finish(module, cluster, current, provider, secret)


def finish(
    module: AnsibleModule, cluster: Cluster, current: Mapping[str, Any] | None, provider: Result, secret: Result | None
) -> dict[str, Any]:
    """Let the Secret belong to the Provider, wait, and put the result together. `current`: the Provider before all writes."""
    found = provider.object or {}
    changed = provider.changed or bool(secret and secret.changed)
    version = ""
    if secret and secret.object:
        owners = secret.object["metadata"].get("ownerReferences") or []
        if not any(o.get("uid") == found["metadata"].get("uid") for o in owners):
            changed = True
            if not module.check_mode:
                secret = secret._replace(object=add_owner(cluster, secret.object, found))
        if secret.changed and current and secret.object:
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
    owned = owned_secret(cluster, current) if current else None
    secret = None
    if owned:
        # Looked at before the Provider goes, because the garbage collector may be faster than this module.
        meta = owned["metadata"]
        secret = ensure_absent(cluster, "Secret", meta["namespace"], meta["name"], check_mode=True, ask_server=False)
    provider = ensure_absent(cluster, "Provider", params["namespace"], params["name"], check_mode=check_mode)
    result = {"changed": provider.changed, "diff": diff_of(provider, secret), "provider": None}
    if current and not check_mode:
        if params["wait"]:
            with reporting(**result):
                wait_gone(cluster, [target_of(current)], timeout=params["wait_timeout"])
        if owned:
            try:
                ensure_absent(cluster, "Secret", meta["namespace"], meta["name"])
            except ClusterError as error:
                if error.status != 403:  # not allowed here; then it is left to the garbage collector
                    raise
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
            "secret": {"type": "dict", "options": secret_spec(), "no_log": False},
            "secret_name": {"type": "str", "no_log": False},
            "settings": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    work = absent if module.params["state"] == "absent" else present
    run_module(module, lambda cluster: work(module, cluster))


if __name__ == "__main__":
    main()
