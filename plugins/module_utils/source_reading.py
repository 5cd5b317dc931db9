# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source read by a module itself, with no MTV anywhere: connection options, and its inventory with concerns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import env_fallback

from ansible_collections.vmshift.mtv.plugins.module_utils import certificates, concerns, provider_definition
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CA_OPTION,
    CREDENTIALS,
    INSECURE_OPTION,
    OPENSTACK_AVAILABILITIES,
    OPENSTACK_LOGINS,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import Collected, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import session as openstack
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import workload as openstack_workload
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt import session as ovirt
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt import workload as ovirt_workload
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import workload as vsphere_workload
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint

Object = dict[str, Any]

#: Fragment vmshift.mtv.source.
SOURCE: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "user": {"type": "str", "fallback": (env_fallback, ["VMWARE_USER"])},
    "password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["VMWARE_PASSWORD"])},
    "ca_cert": {"type": "str"},
    "ca_cert_file": {"type": "path"},
    "thumbprint": {"type": "str"},
    "insecure_skip_verify": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 60},
}
#: What logs in to OpenStack beside user and password.
LOGIN: dict[str, Any] = {
    **{
        credential.option: {"type": "str"}
        for credential in CREDENTIALS["openstack"]
        if credential.option not in ("user", "password", CA_OPTION, INSECURE_OPTION)
    },
    "auth_type": {"type": "str", "choices": list(OPENSTACK_LOGINS), "default": "password"},
    "token": {"type": "str", "no_log": True},
    "application_credential_secret": {"type": "str", "no_log": True},
    "availability": {"type": "str", "choices": list(OPENSTACK_AVAILABILITIES), "default": "public"},
}
#: Ways to trust a source's certificate, of which one is given.
TRUST = [("ca_cert", "ca_cert_file", "thumbprint")]


def run_module(module: Any, work: Callable[[Any], Object]) -> None:
    """End a module that speaks with a source: with what `work` returns, or with the sentence of the TalkError it raises."""
    if module.params["insecure_skip_verify"]:
        module.warn("The certificate of the source is not verified (insecure_skip_verify).")
    try:
        result = work(module)
    except TalkError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**result)


def endpoint(params: Mapping[str, Any]) -> Endpoint:
    """The vCenter or ESXi host of the SOURCE options. Raises TalkError for what is missing."""
    user, password = _login(params)
    return Endpoint(
        params["url"],
        user,
        password,
        ca=_authorities(params),
        insecure=params["insecure_skip_verify"] and not params["thumbprint"],
        thumbprint=params["thumbprint"] or "",
    )


def _engine(params: Mapping[str, Any]) -> ovirt.Endpoint:
    """The oVirt engine of the SOURCE options. Raises TalkError for what is missing or not for engines."""
    if params["thumbprint"]:
        raise TalkError("thumbprint: a source of type ovirt is verified by ca_cert or ca_cert_file, not by a thumbprint.")
    user, password = _login(params)
    return ovirt.Endpoint(params["url"], user, password, _authorities(params), params["insecure_skip_verify"])


def _cloud(params: Mapping[str, Any]) -> openstack.Credentials:
    """The cloud of the SOURCE options and of LOGIN. Raises TalkError for what is missing or does not fit together."""
    if params["thumbprint"]:
        raise TalkError("thumbprint: a source of type openstack is verified by ca_cert or ca_cert_file, not by a thumbprint.")
    given = {**(params["login"] or {}), CA_OPTION: _authorities(params), INSECURE_OPTION: params["insecure_skip_verify"]}
    used = {option for way in OPENSTACK_LOGINS[given.get("auth_type") or "password"] for option in way}
    given.update(
        {option: params[option] for option in ("user", "password") if option in used and not (option == "user" and given.get("user_id"))}
    )
    for problem in provider_definition.secret_problems("openstack", given):
        raise TalkError(f"login: {problem.removeprefix('secret: ')}")
    given[INSECURE_OPTION] = "true" if given[INSECURE_OPTION] else ""
    return openstack.Credentials(params["url"], {key: given.get(option) or "" for option, key, _required in CREDENTIALS["openstack"]})


def _login(params: Mapping[str, Any]) -> tuple[str, str]:
    missing = [option for option in ("user", "password") if not params[option]]
    if missing:
        raise TalkError(f"{' and '.join(missing)}: give the login of the source, here or as VMWARE_USER and VMWARE_PASSWORD.")
    return params["user"], params["password"]


def _authorities(params: Mapping[str, Any]) -> str:
    """The certificates that vouch for the source, "" when none are given."""
    if params["ca_cert_file"]:
        return certificates.read_file(params["ca_cert_file"], "ca_cert_file")
    return certificates.checked(params["ca_cert"], "ca_cert") if params["ca_cert"] else ""


def read(provider_type: str, params: Mapping[str, Any]) -> Collected:
    """The inventory of a source, its VMs with `concerns`. Raises TalkError."""
    try:
        collected = _READERS[provider_type](params)
    except SourceError as error:
        raise TalkError(f"{error.message}.") from error
    inventory = _Inventory(collected.resources)
    for vm in collected.resources["vms"]:
        around = _SURROUNDINGS[provider_type](vm, inventory)
        vm["concerns"] = concerns.validate(provider_type, {**vm, **around})["concerns"]
    return collected


class _Inventory:
    """Collections that were read, as rules look into them: by id, by name, as a whole."""

    def __init__(self, resources: Mapping[str, list[Object]]) -> None:
        self._resources = resources
        self._by_id = {name: {item["id"]: item for item in items} for name, items in resources.items()}

    def item(self, collection: str, id: str) -> Object | None:
        return self._by_id[collection].get(id)

    def named(self, collection: str, name: str) -> list[Object]:
        return [item for item in self._resources[collection] if item["name"] == name]

    def collection(self, name: str) -> list[Object]:
        return self._resources[name]


def _read_vsphere(params: Mapping[str, Any]) -> Collected:
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.inventory import VSphereInventory

    return VSphereInventory(endpoint(params), params["timeout"]).read_once()


def _read_ovirt(params: Mapping[str, Any]) -> Collected:
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.ovirt.inventory import OVirtInventory

    return OVirtInventory(_engine(params), params["timeout"]).read_once()


def _read_openstack(params: Mapping[str, Any]) -> Collected:
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.inventory import OpenStackInventory

    return OpenStackInventory(_cloud(params), params["timeout"]).read_once()


def _read_ova(params: Mapping[str, Any]) -> Collected:
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources import ova
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.exports import local_folder

    return ova.collect(local_folder(params["url"]), {})


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Collected]] = {
    "vsphere": _read_vsphere,
    "ovirt": _read_ovirt,
    "openstack": _read_openstack,
    "ova": _read_ova,
}
#: What the rules see of a VM beside itself.
_SURROUNDINGS: Mapping[str, Callable[[Object, _Inventory], Object]] = {
    "vsphere": lambda vm, inventory: vsphere_workload.surroundings(vm, inventory.item),
    "ovirt": lambda vm, inventory: ovirt_workload.surroundings(vm, inventory.item),
    "openstack": openstack_workload.surroundings,
    "ova": lambda _vm, _inventory: {},
}
