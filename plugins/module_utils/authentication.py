# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asking which cluster: the options and `K8S_AUTH_*` variables of kubernetes.core, read by the official client's own loaders."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import env_fallback

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import ClusterError
from ansible_collections.vmshift.mtv.plugins.module_utils.official_client import part


def _option(*variables: str, **option: Any) -> dict[str, Any]:
    return {"fallback": (env_fallback, ["K8S_AUTH_" + v for v in variables]), **option}


#: Options of kubernetes.core's modules: same names, types, aliases and environment variables.
AUTH_ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": _option("KUBECONFIG", type="raw", no_log=True),
    "context": _option("CONTEXT", type="str"),
    "host": _option("HOST", type="str"),
    "api_key": _option("API_KEY", type="str", no_log=True),
    "username": _option("USERNAME", type="str"),
    "password": _option("PASSWORD", type="str", no_log=True),
    "validate_certs": _option("VALIDATE_CERTS", "VERIFY_SSL", type="bool", aliases=["verify_ssl"]),
    "ca_cert": _option("CA_CERT", "SSL_CA_CERT", type="path", aliases=["ssl_ca_cert"]),
    "client_cert": _option("CLIENT_CERT", "CERT_FILE", type="path", aliases=["cert_file"]),
    "client_key": _option("CLIENT_KEY", "KEY_FILE", type="path", aliases=["key_file"]),
    "proxy": _option("PROXY", type="str"),
    "no_proxy": _option("NO_PROXY", type="str"),
    "proxy_headers": {
        "type": "dict",
        "apply_defaults": True,
        "options": {
            "proxy_basic_auth": _option("PROXY_HEADERS_PROXY_BASIC_AUTH", type="str", no_log=True),
            "basic_auth": _option("PROXY_HEADERS_BASIC_AUTH", type="str", no_log=True),
            "user_agent": _option("PROXY_HEADERS_USER_AGENT", type="str"),
        },
    },
    "persist_config": _option("PERSIST_CONFIG", type="bool"),
    "impersonate_user": _option("IMPERSONATE_USER", type="str"),
    "impersonate_groups": _option("IMPERSONATE_GROUPS", type="list", elements="str"),
}


_URL = re.compile(r"https?://[^/]")
_FILES = ("ca_cert", "client_cert", "client_key")


def configuration(params: Mapping[str, Any]) -> Any:
    """The official client's Configuration for the auth options. Raises ClusterError.

    Same order as kubernetes.core: options that suffice > kubeconfig/context > in-cluster > default kubeconfig; then single overrides.
    """
    result = part("client.configuration").Configuration()
    host: str = params.get("host") or ""
    token: str = params.get("api_key") or ""
    pairs = (("username", "password"), ("client_cert", "client_key"))
    if not (host and (token or any(params.get(a) and params.get(b) for a, b in pairs))):
        _load(result, params)
    if host:
        if not _URL.match(host):
            raise ClusterError(0, "NoUrl", f"host: {host!r} is not the URL of an API server, such as https://api.example.com:6443.")
        result.host = host.rstrip("/")
    if token:
        result.api_key = {"authorization": "Bearer " + token}
        result.refresh_api_key_hook = None
    for option, attribute in _OVERRIDES.items():
        if params.get(option) is not None:
            if option in _FILES and not os.path.isfile(params[option]):
                raise ClusterError(0, "NoFile", f"{option}: the file {params[option]} does not exist on this host.")
            setattr(result, attribute, params[option])
    headers = {k: v for k, v in (params.get("proxy_headers") or {}).items() if v}
    if headers:
        from urllib3.util import make_headers

        result.proxy_headers = make_headers(**headers)
    return result


def harmless(kubeconfig: Any) -> set[str]:
    """What of a kubeconfig option may be shown: its path, or all texts of a dictionary but the credentials.

    The option is no_log as a whole, and Ansible then blots out each of its texts wherever it occurs: `v1`, names, the path in an error.
    """
    if isinstance(kubeconfig, str):
        return {kubeconfig}
    if not isinstance(kubeconfig, Mapping):
        return set()
    users = [user.get("user") for user in kubeconfig.get("users") or [] if isinstance(user, Mapping)]
    return _texts({k: v for k, v in kubeconfig.items() if k != "users"}) - _texts(users)


def _texts(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return {text for item in value for text in _texts(item)}
    return {value} if isinstance(value, str) else set()


_OVERRIDES = {
    "username": "username",
    "password": "password",
    "validate_certs": "verify_ssl",
    "ca_cert": "ssl_ca_cert",
    "client_cert": "cert_file",
    "client_key": "key_file",
    "proxy": "proxy",
    "no_proxy": "no_proxy",
}


def _load(configuration: Any, params: Mapping[str, Any]) -> None:
    kubeconfig, context = params.get("kubeconfig"), params.get("context")
    config = part("config.kube_config")
    options = {"context": context, "client_configuration": configuration, "persist_config": bool(params.get("persist_config"))}
    try:
        if not kubeconfig and not context:
            try:
                part("config.incluster_config").load_incluster_config(client_configuration=configuration)
                return
            except config.ConfigException:
                pass
        if isinstance(kubeconfig, Mapping):
            config.load_kube_config_from_dict(config_dict=kubeconfig, **options)
            return
        path = os.path.expanduser(kubeconfig) if kubeconfig else None
        if path and not any(os.path.exists(p) for p in path.split(os.pathsep)):
            raise ClusterError(0, "NoKubeconfig", f"The kubeconfig {path} does not exist on this host.")
        config.load_kube_config(config_file=path, **options)
    except ClusterError:
        raise
    except Exception as error:
        # Never the content: a kubeconfig holds credentials.
        source = "The given kubeconfig" if isinstance(kubeconfig, Mapping) else "The kubeconfig {}".format(kubeconfig or "(default)")
        text = str(error) if isinstance(error, config.ConfigException) else type(error).__name__
        text = text.rstrip(".") + ". Give kubeconfig, or host and api_key (also as K8S_AUTH_KUBECONFIG, K8S_AUTH_HOST, K8S_AUTH_API_KEY)."
        raise ClusterError(0, "KubeconfigNotUsable", f"{source} cannot be used: {text}") from error
