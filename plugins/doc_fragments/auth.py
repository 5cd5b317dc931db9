# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # The options of kubernetes.core's modules. Described here and not taken from its doc fragment, because tools that look at this
    # collection alone (ansible-test sanity, Galaxy's importer) do not find that one.
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig file on the host that the module runs on, or the content of one as a dictionary.
      - Without it, and without other options that suffice, the service account of the pod the module runs in is used, else the file that
        E(KUBECONFIG) names, else C(~/.kube/config).
      - If not given, E(K8S_AUTH_KUBECONFIG) is used.
    type: raw
  context:
    description:
      - Name of a context in the kubeconfig.
      - If not given, E(K8S_AUTH_CONTEXT) is used.
    type: str
  host:
    description:
      - URL of the API server.
      - If not given, E(K8S_AUTH_HOST) is used.
    type: str
  api_key:
    description:
      - Bearer token.
      - If not given, E(K8S_AUTH_API_KEY) is used.
    type: str
  username:
    description:
      - User name, for API servers that accept basic authentication.
      - If not given, E(K8S_AUTH_USERNAME) is used.
    type: str
  password:
    description:
      - Password of O(username).
      - If not given, E(K8S_AUTH_PASSWORD) is used.
    type: str
  validate_certs:
    description:
      - Whether to verify the certificate of the API server. It is verified unless this, or the kubeconfig, says otherwise; then a warning
        says so.
      - If not given, E(K8S_AUTH_VALIDATE_CERTS) or E(K8S_AUTH_VERIFY_SSL) is used.
    type: bool
    aliases: [verify_ssl]
  ca_cert:
    description:
      - Path of the certificates of the authorities that may have signed the certificate of the API server.
      - If not given, E(K8S_AUTH_CA_CERT) or E(K8S_AUTH_SSL_CA_CERT) is used.
    type: path
    aliases: [ssl_ca_cert]
  client_cert:
    description:
      - Path of a client certificate.
      - If not given, E(K8S_AUTH_CLIENT_CERT) or E(K8S_AUTH_CERT_FILE) is used.
    type: path
    aliases: [cert_file]
  client_key:
    description:
      - Path of the key of O(client_cert).
      - If not given, E(K8S_AUTH_CLIENT_KEY) or E(K8S_AUTH_KEY_FILE) is used.
    type: path
    aliases: [key_file]
  proxy:
    description:
      - URL of an HTTP proxy to reach the API server through.
      - If not given, E(K8S_AUTH_PROXY) is used.
    type: str
  no_proxy:
    description:
      - Hosts, domains, addresses and networks that are reached without the proxy, separated by commas.
      - If not given, E(K8S_AUTH_NO_PROXY) is used.
    type: str
  proxy_headers:
    description:
      - Headers for the proxy.
    type: dict
    suboptions:
      proxy_basic_auth:
        description:
          - User name and password for the proxy, separated by a colon.
          - If not given, E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH) is used.
        type: str
      basic_auth:
        description:
          - User name and password for basic authentication, separated by a colon.
          - If not given, E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH) is used.
        type: str
      user_agent:
        description:
          - The C(User-Agent) to send to the proxy.
          - If not given, E(K8S_AUTH_PROXY_HEADERS_USER_AGENT) is used.
        type: str
  persist_config:
    description:
      - Whether tokens that were refreshed are written back into the kubeconfig.
      - If not given, E(K8S_AUTH_PERSIST_CONFIG) is used.
    type: bool
  impersonate_user:
    description:
      - User to act as.
      - If not given, E(K8S_AUTH_IMPERSONATE_USER) is used.
    type: str
  impersonate_groups:
    description:
      - Groups to act as a member of.
      - If not given, E(K8S_AUTH_IMPERSONATE_GROUPS) is used, with commas between the groups.
    type: list
    elements: str
"""
