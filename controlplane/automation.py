"""How Ansible Automation Platform (AAP) is reached: by a connection of a hook's own, or by that of MTV's settings (facts 4.4)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.plugins.module_utils import job_templates
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects

Object = dict[str, Any]


def settings(api: Api | Objects, controllers: str) -> Object:
    """`spec` of the ForkliftController. `controllers`: its namespace."""
    found = api.list("ForkliftController", controllers)
    return (found[0].get("spec") or {}) if found else {}


def of_hook(api: Objects, controllers: str, known: Object, hook: Object, namespace: str) -> job_templates.Platform | None:
    """That of the hook, whose Secret lies in the `namespace` of the plan; else that of the settings. Raises TalkError."""
    aap = hook["spec"]["aap"]
    url, secret = (aap.get("url") or "").strip(), (aap.get("tokenSecret") or {}).get("name", "").strip()
    return _platform(api, controllers, known, url, namespace, secret) if url and secret else of_settings(api, controllers, known)


def of_settings(api: Api | Objects, controllers: str, known: Object) -> job_templates.Platform | None:
    """None when the settings have no connection. Raises TalkError."""
    url, secret = known.get("aap_url"), known.get("aap_token_secret_name")
    return _platform(api, controllers, known, url.strip(), controllers, secret) if url and secret else None


def _platform(api: Api | Objects, controllers: str, known: Object, url: str, namespace: str, secret: str) -> job_templates.Platform:
    """Whose certificate is trusted says MTV's setting, whoever gave the connection."""
    insecure, bundle = str(known.get("aap_insecure_skip_verify", "")).lower() == "true", known.get("aap_ca_secret_name")
    ca = _secret(api, controllers, bundle, "ca.crt") if bundle and not insecure else ""
    token = _secret(api, namespace, secret, "token")
    return job_templates.Platform(job_templates.base(url, "aap.url"), token, f"the Secret {namespace}/{secret}", ca, insecure)


def _secret(api: Api | Objects, namespace: str, name: str, key: str) -> str:
    """Raises TalkError in the words of MTV."""
    found = api.find("Secret", namespace, name)
    if found is None:
        raise TalkError(f'failed to get secret {namespace}/{name}: secrets "{name}" not found')
    value = (found.get("data") or {}).get(key)
    if value is None:
        raise TalkError(f"secret {namespace}/{name} does not contain '{key}' key")
    text = base64.b64decode(value).decode(errors="replace").strip()
    if not text:
        raise TalkError(f"secret {namespace}/{name} contains an empty '{key}' value")
    return text
