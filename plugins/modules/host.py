#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host
short_description: Access of MTV to ESXi hosts, past vCenter
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Makes, changes or removes C(Host) resources of the Migration Toolkit for Virtualization (MTV, Forklift), together with the Secrets that
    hold their credentials. MTV then copies disks straight from these ESXi hosts of a vSphere provider, over the address given here, such as
    that of a migration network.
  - One task handles any number of hosts. They are found in MTV's inventory of the provider, and everything about all of them is checked
    before anything is written.
  - A C(Host) that stands for the same ESXi host already is taken over, whatever its name is.
  - Changed credentials go into a new Secret, so that MTV tries them at once; the old one is removed.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.attributes
  - vmshift.mtv.options.wait
  - vmshift.mtv.options.inventory
options:
  namespace:
    description:
      - Namespace of the C(Host) resources and their Secrets. Usually the one that the provider lies in, which MTV's webhooks expect.
    type: str
    required: true
  provider:
    description:
      - The vSphere provider. Its name, or a dictionary of C(name) and C(namespace); by default it lies in O(namespace).
    type: raw
    required: true
  state:
    description:
      - V(present) makes the hosts known to MTV, or brings the given options into the existing resources.
      - V(absent) removes the resources and the Secrets that belong to them.
    type: str
    choices: [present, absent]
    default: present
  hosts:
    description:
      - The ESXi hosts, each by its id or name. One that does not exist or is not unique is an error, which lists candidates.
      - Required with O(state=present). With O(state=absent) all C(Host) resources of the provider are meant without it.
    type: list
    elements: dict
    suboptions:
      id:
        description: Id of the host in the inventory, such as V(host-44).
        type: str
      name:
        description: Name of the host in the inventory, or the end of its path, such as V(Cluster1/esx1.example.com).
        type: str
      ip_address:
        description: Where MTV reaches the host. An IP address or a host name, with a port if it is not 443.
        type: str
      adapter:
        description:
          - Instead of O(hosts[].ip_address), the adapter whose address to take from the inventory, by port group such as
            V(Management Network) or by device such as V(vmk1).
        type: str
      secret:
        description: Credentials for this host, instead of O(secret) and O(secret_name). Same options as O(secret).
        type: dict
        suboptions: &secret
          user:
            description: User name, such as V(root).
            type: str
          password:
            description: Password of the user.
            type: str
          ca_cert:
            description: Certificates (PEM) of the authorities that signed the certificate.
            type: str
          ca_cert_file:
            description: File with these certificates, on the host that runs this module.
            type: path
          insecure_skip_verify:
            description: Whether MTV connects without verifying the certificate.
            type: bool
          thumbprint:
            description: SHA-1 fingerprint of the certificate. MTV takes the one of its inventory when it is not given.
            type: str
      secret_name:
        description: Name of an existing Secret for this host, instead of O(secret) and O(secret_name).
        type: str
  adapter:
    description:
      - Adapter of the hosts that give neither C(ip_address) nor C(adapter). Without it a host may have only one address.
    type: str
  secret:
    description:
      - Credentials for the hosts. Needed for those that MTV does not know yet, unless the provider is an ESXi host itself (setting
        C(sdkEndpoint=esxi)), whose credentials count then.
      - Without certificates and C(insecure_skip_verify) both are those of the provider, whose authority usually signs the certificates of
        its hosts, too.
    type: dict
    suboptions: *secret
  secret_name:
    description:
      - Name of an existing Secret in O(namespace) with the keys C(user) and C(password), instead of O(secret).
    type: str
  labels:
    description:
      - Labels to set on the C(Host) resources. Other labels stay; an empty value (V(null)) removes a label.
    type: dict
  annotations:
    description:
      - Annotations to set on the C(Host) resources. Other annotations stay; an empty value (V(null)) removes an annotation.
    type: dict
requirements:
  - kubernetes >= 29.0.0
seealso:
  - module: vmshift.mtv.provider
  - module: vmshift.mtv.inventory_info
"""

EXAMPLES = r"""
- name: Copy from these hosts over the migration network
  vmshift.mtv.host:
    namespace: openshift-mtv
    provider: vcenter
    adapter: Migration Network
    hosts:
      - name: esx1.example.com
      - name: esx2.example.com
    secret:
      user: root
      password: "{{ esxi_password }}"

- name: Give each host its address and credentials
  vmshift.mtv.host:
    namespace: openshift-mtv
    provider: vcenter
    hosts:
      - id: host-44
        ip_address: 10.10.0.44
        secret:
          user: root
          password: "{{ esxi_passwords['host-44'] }}"
      - name: Cluster1/esx2.example.com
        adapter: vmk1
        secret_name: esx2-credentials

- name: Remove all hosts of a provider
  vmshift.mtv.host:
    namespace: openshift-mtv
    provider: vcenter
    state: absent
"""

RETURN = r"""
hosts:
  description: The C(Host) resources as the API server has them, in the order of O(hosts); [] when they are absent.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: forklift.konveyor.io/v1beta1
      kind: Host
      metadata:
        name: vcenter-host-44
        namespace: openshift-mtv
      spec:
        id: host-44
        name: esx1.example.com
        ipAddress: 10.10.0.44
        provider:
          name: vcenter
          namespace: openshift-mtv
        secret:
          name: vcenter-host-44
          namespace: openshift-mtv
      status:
        conditions:
          - type: Ready
            status: "True"
            category: Required
            message: The host is ready.
conditions:
  description: Conditions of the host that is not ready when the wait ended.
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
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.vmshift.mtv.plugins.module_utils import esxi_hosts, owned_secrets
from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC
from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError, reporting, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    blocked,
    blockers,
    caught_up,
    describe_condition,
    object_reference,
    ready,
    warnings,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.host_needs import Needs
from ansible_collections.vmshift.mtv.plugins.module_utils.options import INVENTORY, WAIT
from ansible_collections.vmshift.mtv.plugins.module_utils.references import exists, parse
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import Result, ensure_absent, ensure_present, list_objects
from ansible_collections.vmshift.mtv.plugins.module_utils.waiting import Target, WaitError, target_of, wait_for, wait_gone

_HINT = "the Secret of the host (has it user and password?), its provider, and the log of the forklift-controller pod"


class Wanted(NamedTuple):
    """One ESXi host as the task wants it, as manifests. `secret`: None when it stays as it is; `old_secret`: no longer needed."""

    host: dict[str, Any]
    secret: dict[str, Any] | None
    old_secret: Mapping[str, Any] | None


class Written(NamedTuple):
    """What came of one ESXi host, or would come of it."""

    host: Result
    secret: Result | None

    @property
    def changed(self) -> bool:
        return self.host.changed or bool(self.secret and self.secret.changed)


class Task:
    """One run of the module with `state: present`."""

    def __init__(self, module: AnsibleModule, cluster: Cluster, entries: list[dict[str, Any]]) -> None:
        self.params = module.params
        self.check_mode = module.check_mode
        self.cluster = cluster
        self.entries = entries
        self.namespace = module.params["namespace"]
        self.needs = Needs(cluster, module.params, module.check_mode)
        self.provider = self.needs.provider

    def run(self) -> dict[str, Any]:
        self.needs.check(self.entries)
        items = self.needs.inventory(self.entries)
        known = list_objects(self.cluster, "Host", self.namespace)
        wanted = [self.wanted(entry, items, known) for entry in self.entries]
        self.refuse_twice(wanted)
        # What admission (which tries the credentials) has against one of them is heard before any is written.
        written = [self.write(one, check_mode=True) for one in wanted]
        if not self.check_mode:
            written = [self.write(one) if guess.changed else guess for one, guess in zip(wanted, written)]
        hosts = [w.host.object or {} for w in written]
        result = {"changed": any(w.changed for w in written), "diff": diff_of(written)}
        if self.params["wait"] and not self.check_mode:
            with reporting(**result, hosts=hosts):
                hosts = self.await_ready(hosts)
        return {**result, "hosts": hosts}

    def wanted(self, entry: Mapping[str, Any], items: list[dict[str, Any]], known: list[dict[str, Any]]) -> Wanted:
        item = esxi_hosts.resolved(entry, items)
        address = esxi_hosts.address(entry, item, self.params["adapter"])
        provider = object_reference(self.provider)
        current = esxi_hosts.existing(known, provider, item)
        name = current["metadata"]["name"] if current else esxi_hosts.host_name(provider["name"], item["id"])
        host = esxi_hosts.host_manifest(name, self.namespace, provider, item, address)
        host["metadata"].update({key: self.params[key] for key in ("labels", "annotations") if self.params[key] is not None})
        secret, secret_name = self.needs.credentials(entry)
        owned = owned_secrets.owned_secret(self.cluster, current) if current else None
        if secret_name:
            return Wanted(esxi_hosts.with_secret(host, secret_name), None, owned)
        if secret or self.needs.is_esxi:
            given = {**self.needs.provider_tls(), **(secret or {})}
            return self.with_credentials(host, esxi_hosts.secret_manifest(name, provider["name"], item, host, given), owned)
        if current is None and exists(self.provider):
            raise TalkError(f"{entry['path']}: give secret (user, password) or secret_name, here or for all hosts.")
        kept = esxi_hosts.address_manifest(owned, address) if owned else None
        return Wanted(host, kept, None)

    def with_credentials(self, host: dict[str, Any], secret: dict[str, Any], owned: Mapping[str, Any] | None) -> Wanted:
        """Changed credentials go into another Secret: MTV looks at a Host again when its spec changes, not when its Secret does."""
        first = host["metadata"]["name"]
        name = owned["metadata"]["name"] if owned else first
        secret["metadata"]["name"] = name
        if owned and ensure_present(self.cluster, secret, check_mode=True, ask_server=False).changed:
            secret["metadata"]["name"] = first if name != first else f"{first}-2"
            return Wanted(esxi_hosts.with_secret(host, secret["metadata"]["name"]), secret, owned)
        return Wanted(esxi_hosts.with_secret(host, name), secret, None)

    @staticmethod
    def refuse_twice(wanted: list[Wanted]) -> None:
        seen: dict[str, int] = {}
        for index, one in enumerate(wanted):
            spec = one.host["spec"]
            if spec["id"] in seen:
                raise TalkError(f"hosts[{index}]: {spec['name']} (id {spec['id']}) is meant by hosts[{seen[spec['id']]}] already.")
            seen[spec["id"]] = index

    def write(self, wanted: Wanted, check_mode: bool = False) -> Written:
        ask = exists(self.provider)
        secret = ensure_present(self.cluster, wanted.secret, check_mode=check_mode, ask_server=ask) if wanted.secret else None
        host = ensure_present(self.cluster, wanted.host, check_mode=check_mode, ask_server=ask)
        if secret and secret.object:
            secret = owned_secrets.give_to(self.cluster, secret, host.object or {}, check_mode)
        if not check_mode:
            owned_secrets.remove(self.cluster, wanted.old_secret)
        return Written(host, secret)

    def await_ready(self, hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = {target_of(host): host["spec"]["name"] for host in hosts}
        try:
            seen = wait_for(self.cluster, names, ready, blocks, timeout=self.params["wait_timeout"], hint=_HINT)
        except WaitError as error:
            text = f"ESXi host {names[error.target]}: {error}{self.others_blocked(names, error.target)}"
            raise TalkError(text, **error.details) from error
        for target, host in seen.items():
            for condition in warnings(host):
                self.cluster.warn(f"{target} (ESXi host {names[target]}): {describe_condition(condition)}")
        return [seen[target] for target in names]

    def others_blocked(self, names: Mapping[Target, str], told: Target) -> str:
        """The wait ends at the first host that cannot become ready; which others cannot either."""
        try:
            present = {target_of(host): host for host in list_objects(self.cluster, "Host", self.namespace)}
        except ClusterError:
            return ""
        others = [(name, blocks(present[t])) for t, name in names.items() if t != told and t in present and caught_up(present[t])]
        return "".join(f" ESXi host {name}: {reason}." for name, reason in others if reason)


def blocks(host: dict[str, Any]) -> str | None:
    """Why the host cannot become ready; a provider that is not ready yet may become so."""
    return blocked(host) if any(c.get("type") != "ProviderNotReady" for c in blockers(host)) else None


def diff_of(written: list[Written]) -> dict[str, Any]:
    secrets = [w.secret for w in written if w.secret]
    return {
        "before": {"hosts": [w.host.before for w in written], "secrets": [s.before for s in secrets]},
        "after": {"hosts": [w.host.after for w in written], "secrets": [s.after for s in secrets]},
    }


def absent(module: AnsibleModule, cluster: Cluster, entries: list[dict[str, Any]] | None) -> dict[str, Any]:
    params, namespace = module.params, module.params["namespace"]
    name, where = parse(params["provider"], "provider")
    known = esxi_hosts.of_provider(list_objects(cluster, "Host", namespace), {"name": name, "namespace": where or namespace})
    chosen = known if entries is None else [host for entry in entries for host in esxi_hosts.meant(known, entry)]
    chosen = list({host["metadata"]["uid"]: host for host in chosen}.values())
    owned = [owned_secrets.owned_secret(cluster, host) for host in chosen]
    secrets = [owned_secrets.predicted_removal(cluster, secret) for secret in owned]
    gone = [ensure_absent(cluster, "Host", namespace, host["metadata"]["name"], check_mode=module.check_mode) for host in chosen]
    result = {
        "changed": any(g.changed for g in gone),
        "diff": diff_of([Written(host, secret) for host, secret in zip(gone, secrets)]),
        "hosts": [],
    }
    if chosen and not module.check_mode:
        if params["wait"]:
            with reporting(**result):
                wait_gone(cluster, [target_of(host) for host in chosen], timeout=params["wait_timeout"])
        for secret in owned:
            owned_secrets.remove(cluster, secret)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **AUTH_ARGUMENT_SPEC,
            **WAIT,
            **INVENTORY,
            "namespace": {"type": "str", "required": True},
            "provider": {"type": "raw", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "hosts": esxi_hosts.ENTRIES,
            "adapter": {"type": "str"},
            "secret": esxi_hosts.SECRET,
            "secret_name": {"type": "str", "no_log": False},
            "labels": {"type": "dict"},
            "annotations": {"type": "dict"},
        },
        mutually_exclusive=[("secret", "secret_name")],
        required_if=[("state", "present", ["hosts"])],
        supports_check_mode=True,
    )
    given = module.params["hosts"]
    try:
        entries = None if given is None else esxi_hosts.entries(given)
    except TalkError as error:
        module.fail_json(msg=str(error))
    if module.params["state"] == "absent":
        run_module(module, lambda cluster: absent(module, cluster, entries))
    run_module(module, lambda cluster: Task(module, cluster, entries or []).run())


if __name__ == "__main__":
    main()
