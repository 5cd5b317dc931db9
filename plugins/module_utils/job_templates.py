# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job templates of Ansible Automation Platform (AAP): from a name to the id that a Hook holds, launched, and their jobs (facts 4.4)."""

from __future__ import annotations

import base64
import binascii
import json
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CONTROLLER_NAMESPACES
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get, list_objects

SECONDS = 30.0  # for one answer, as MTV waits
SHOWN = 10
_LONGEST_ANSWER = 500  # bytes of a refusal that are shown
_LONGEST_PAGE = 200  # job templates in one answer: AAP gives no more
#: Where the controller's API is when it does not say so itself, as AAP 2.5 and newer with its gateway.
GATEWAY_PREFIX = "/api/controller/v2"


class Platform(NamedTuple):
    """Where AAP is and how it is asked. `ca_cert`: PEM, "" for the authorities of the system; `where`: of the token, for sentences."""

    url: str
    token: str
    where: str
    ca_cert: str = ""
    insecure: bool = False


def resolved(platform: Platform, name: str) -> int:
    """The id of the one job template of that name. Raises TalkError with candidates."""
    prefix = _prefix(platform)
    found = _templates(platform, prefix, name=name, page_size=_LONGEST_PAGE)[0]
    if len(found) == 1:
        return int(found[0]["id"])
    if found:
        raise TalkError(f"aap.job_template: there are several job templates {name!r}: {_listed(found)}; give job_template_id.")
    similar, count = _templates(platform, prefix, name__icontains=name, order_by="name", page_size=SHOWN)
    if not similar:
        similar, count = _templates(platform, prefix, order_by="name", page_size=SHOWN)
    more = f" and {count - len(similar)} more" if count > len(similar) else ""
    raise TalkError(f"aap.job_template: there is no job template {name!r} that this token sees; there are: {_listed(similar)}{more}.")


def offered(platform: Platform, most: int) -> tuple[list[dict[str, Any]], int]:
    """([{id, name}] of the first `most` job templates by name, how many there are). Raises TalkError."""
    prefix, found, page = _prefix(platform), [], 0
    while True:
        page += 1
        some, count = _templates(platform, prefix, order_by="name", page_size=min(most, _LONGEST_PAGE), page=page)
        found += [{"id": template["id"], "name": template["name"]} for template in some]
        if not some or len(found) >= min(count, most):
            return found[:most], count


def launched(platform: Platform, template: int, extra_vars: Mapping[str, str], seconds: float = SECONDS) -> int:
    """The id of the job that was launched from a job template. Raises TalkError with what AAP answers."""
    answer = _ask(platform, f"{_prefix(platform)}/job_templates/{template}/launch/", {"extra_vars": dict(extra_vars)}, seconds)
    if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
        raise TalkError(f"AAP job template {template}: the answer to its launch names no job")
    return answer["id"]


def job_status(platform: Platform, job: int, seconds: float = SECONDS) -> str:
    """pending, waiting, running; successful; failed, error, canceled. Raises TalkError."""
    answer = _ask(platform, f"{_prefix(platform)}/jobs/{job}/", None, seconds)
    return str(answer.get("status", "")) if isinstance(answer, dict) else ""


def of_hook(cluster: Cluster, namespace: str, aap: Mapping[str, Any]) -> Platform:
    """The connection that the options of a hook give. `aap`: options url, token_secret, ca_cert, insecure_skip_verify."""
    token = _secret_text(cluster, namespace, aap["token_secret"], "token", "aap.token_secret")
    where = f"the Secret {namespace}/{aap['token_secret']}"
    return Platform(base(aap["url"], "aap.url"), token, where, aap["ca_cert"] or "", bool(aap["insecure_skip_verify"]))


def of_settings(cluster: Cluster, namespace: str, aap: Mapping[str, Any]) -> Platform:
    """The connection that the settings of MTV hold; certificates and whether they are verified may be given in `aap`."""
    controller = _controller(cluster, namespace)
    spec = controller.get("spec") or {}
    if not spec.get("aap_url") or not spec.get("aap_token_secret_name"):
        raise TalkError("aap: give url and token_secret, or set aap_url and aap_token_secret_name with vmshift.mtv.settings.")
    there = controller["metadata"]["namespace"]
    token = _secret_text(cluster, there, spec["aap_token_secret_name"], "token", "aap_token_secret_name")
    authority, insecure = aap["ca_cert"] or "", aap["insecure_skip_verify"]
    if not authority:
        authority, insecure = _trusted(cluster, controller, insecure)
    where = f"the Secret {there}/{spec['aap_token_secret_name']}"
    return Platform(base(spec["aap_url"], "aap_url"), token, where, authority, bool(insecure))


def of_run(cluster: Cluster, namespace: str, aap: Mapping[str, Any]) -> Platform:
    """The connection that MTV takes for a Hook: whose certificate is trusted says its setting. `aap`: of the Hook's spec."""
    given = {"url": aap.get("url"), "token_secret": (aap.get("tokenSecret") or {}).get("name"), "ca_cert": None}
    if not given["url"] or not given["token_secret"]:
        return of_settings(cluster, namespace, {**given, "insecure_skip_verify": None})
    authority, insecure = _trusted(cluster, _controller(cluster, namespace), None)
    return of_hook(cluster, namespace, {**given, "ca_cert": authority, "insecure_skip_verify": insecure})


def _trusted(cluster: Cluster, controller: Mapping[str, Any], insecure: bool | None) -> tuple[str, bool]:
    """(PEM, whether no certificate is verified): as is said, or else as the settings say."""
    spec = controller.get("spec") or {}
    if insecure is None:
        insecure = str(spec.get("aap_insecure_skip_verify")).lower() == "true"
    if insecure or not spec.get("aap_ca_secret_name"):
        return "", insecure
    there = controller["metadata"]["namespace"]
    return _secret_text(cluster, there, spec["aap_ca_secret_name"], "ca.crt", "aap_ca_secret_name"), False


def _controller(cluster: Cluster, namespace: str) -> dict[str, Any]:
    for place in dict.fromkeys((namespace, *CONTROLLER_NAMESPACES)):
        try:
            found = list_objects(cluster, "ForkliftController", place)
        except ClusterError as error:
            if error.status != 403:
                raise
            continue
        if found:
            return found[0]
    return {}


def _secret_text(cluster: Cluster, namespace: str, name: str, key: str, option: str) -> str:
    found = get(cluster, "Secret", namespace, name)
    if found is None:
        raise TalkError(f"{option}: the Secret {namespace}/{name} does not exist.")
    try:
        text = base64.b64decode((found.get("data") or {}).get(key) or "").decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    if not text:
        raise TalkError(f"{option}: the Secret {namespace}/{name} has no {key}.")
    return text


def base(url: str, option: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise TalkError(f"{option}: give an https URL, because a token is sent there; this is {url!r}.")
    return url.rstrip("/")


def _prefix(platform: Platform) -> str:
    answer = _get(platform, "/api/")
    version = answer.get("current_version") if isinstance(answer, dict) else None
    return version.rstrip("/") if isinstance(version, str) and version.startswith("/") else GATEWAY_PREFIX


def _templates(platform: Platform, prefix: str, **query: Any) -> tuple[list[dict[str, Any]], int]:
    answer = _get(platform, f"{prefix}/job_templates/?{urlencode(query)}")
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        raise TalkError(f"aap: {platform.url} does not answer like Ansible Automation Platform.")
    return results, int(answer.get("count") or len(results))


def _get(platform: Platform, path: str) -> Any:
    try:
        return _ask(platform, path)
    except Refused as error:
        raise TalkError(_refusal(platform, path, error)) from None


class Refused(TalkError):
    """AAP answered with another status than success. The text is MTV's, with what was answered."""

    def __init__(self, error: HTTPError) -> None:
        said = error.read()[:_LONGEST_ANSWER].decode(errors="replace").strip()
        super().__init__(f"AAP returned status {error.code}: {said}")
        self.code, self.headers = error.code, error.headers


def _ask(platform: Platform, path: str, body: Any = None, seconds: float = SECONDS) -> Any:
    """What AAP answers to GET, or to POST with `body`. Raises TalkError."""
    from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

    class NoRedirect(HTTPRedirectHandler):
        """A token is not for whoever it is that one is sent on to."""

        def redirect_request(self, *_unused: Any) -> None:
            return None

    opener = build_opener(NoRedirect, HTTPSHandler(context=_tls(platform)))
    headers = {"Authorization": f"Bearer {platform.token}", "Accept": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    if data:
        headers["Content-Type"] = "application/json"
    request = Request(platform.url + path, data=data, headers=headers)
    try:
        with opener.open(request, timeout=seconds) as reply:
            return json.loads(reply.read())
    except HTTPError as error:
        raise Refused(error) from None
    except URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            advice = "give ca_cert, or insecure_skip_verify for a test"
            raise TalkError(f"aap: the certificate of {platform.url} is not trusted ({reason.verify_message}); {advice}.") from None
        raise TalkError(f"aap: {platform.url} cannot be reached: {getattr(reason, 'strerror', None) or reason}.") from None
    except OSError as error:
        raise TalkError(f"aap: {platform.url} cannot be reached: {error.strerror or error or type(error).__name__}.") from None
    except ValueError:
        raise TalkError(f"aap: {platform.url} does not answer like Ansible Automation Platform: this is no JSON.") from None


def _refusal(platform: Platform, path: str, error: Refused) -> str:
    if error.code in (401, 403):
        return f"aap: {platform.url} does not accept the token in {platform.where} ({error.code})."
    if error.code in (301, 302, 303, 307, 308):
        return f"aap: {platform.url} is somewhere else: it redirects to {error.headers.get('Location')}; give that URL."
    return f"aap: {platform.url} answers {error.code} to {path.partition('?')[0]}."


def _tls(platform: Platform) -> ssl.SSLContext:
    if platform.insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cadata=platform.ca_cert or None)
    except (ssl.SSLError, ValueError):
        raise TalkError("aap: the CA certificate for Ansible Automation Platform is no certificate in PEM.") from None


def _listed(templates: list[dict[str, Any]]) -> str:
    def one(template: Mapping[str, Any]) -> str:
        organization = ((template.get("summary_fields") or {}).get("organization") or {}).get("name")
        return f"{template.get('name')} (id {template.get('id')}{f', organization {organization}' if organization else ''})"

    return ", ".join(map(one, templates[:SHOWN])) or "none"
