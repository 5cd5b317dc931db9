# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a cluster: requests and event streams.

Built on the official client's configuration and connection pool, without discovery and models, which cost more than the requests.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import configuration, harmless
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import ClusterError, TalkError

MERGE_PATCH = "application/merge-patch+json"
CONNECT_SECONDS = 10.0
REPLY_SECONDS = 60.0
_ATTEMPTS = 5
#: Repeating these changes nothing more than doing them once (a merge patch sets values).
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})


class Reply(NamedTuple):
    """One HTTP answer. `data`: parsed JSON, or text when it is not JSON, None when empty."""

    status: int
    headers: Mapping[str, str]
    data: Any


class EventStream:
    """The events of one watch: dicts {type, object}. Ends when the server ends it, or on close() from any thread."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._closed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        buffer = b""
        try:
            for chunk in self._response.stream(amt=None, decode_content=True):
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        except Exception as error:
            if not self._closed:
                raise ClusterError(0, "StreamBroken", f"The watch broke off: {_cause(error)}") from error
        finally:
            self._response.close()

    def close(self) -> None:
        """Wake a thread that is reading; the connection is not used again."""
        self._closed = True
        sock = getattr(getattr(self._response, "connection", None), "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Cluster:
    """Requests to one Kubernetes API server (and, with its credentials, to services beside it).

    `warnings` collects what the user should read: Warning headers of the server, unverified TLS.
    """

    def __init__(self, configuration: Any, headers: list[tuple[str, str]] | None = None) -> None:
        self.host: str = configuration.host.rstrip("/")
        self.warnings: list[str] = []
        self._configuration = configuration
        self._headers = headers or []
        self._pools: dict[str, Any] = {}
        if self.host.startswith("https:") and not configuration.verify_ssl:
            _silence_library_warning()
            self.warn(f"The TLS certificate of {self.host} is not verified (validate_certs is false or the kubeconfig says so).")

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content_type: str | None = None,
        timeout: float = REPLY_SECONDS,
    ) -> Any:
        """The body of a successful answer: parsed JSON, text (pod logs) or None. Raises ClusterError."""
        reply = self.exchange(method, path, query=query, body=body, content_type=content_type, timeout=timeout)
        if reply.status >= 400:
            raise _refused(reply, method, path)
        return reply.data

    def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content_type: str | None = None,
        timeout: float = REPLY_SECONDS,
    ) -> Reply:
        """The answer whatever its status. `path` may be a whole https:// URL of a service that trusts the same credentials.

        A busy server (429, 503) is asked again when it says so, a lost connection when the method allows it.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            pause = 0.25 * 2**attempt
            try:
                response = self._send(method, path, query, body, content_type, timeout)
            except ClusterError as error:
                if attempt == _ATTEMPTS or not _repeatable(method, error):
                    raise
            else:
                retry_after = response.headers.get("Retry-After")
                busy = response.status == 429 or (response.status == 503 and (retry_after or method in _REPEATABLE))
                if not busy or attempt == _ATTEMPTS:
                    return self._reply(response)
                response.drain_conn()
                pause = min(float(retry_after), 30.0) if retry_after and retry_after.isdigit() else pause
            time.sleep(pause)
        raise AssertionError("unreachable")

    def stream(self, path: str, query: Mapping[str, Any] | None = None, *, seconds: int = 60) -> EventStream:
        """Open a watch that the server ends after `seconds`. Raises ClusterError when it is refused."""
        query = {**(query or {}), "watch": "true", "timeoutSeconds": seconds}
        response = self._send("GET", path, query, None, None, seconds + 15.0)
        if response.status >= 400:
            raise _refused(self._reply(response), "GET", path)
        return EventStream(response)

    def _send(self, method: str, path: str, query: Any, body: Any, content_type: str | None, timeout: float) -> Any:
        import urllib3
        from urllib3._collections import HTTPHeaderDict  # urllib3 1.26 does not export it

        url = path if path.startswith(("https://", "http://")) else self.host + path
        if query:
            url += "?" + urlencode({k: v for k, v in query.items() if v is not None})
        headers = HTTPHeaderDict({"Accept": "application/json, */*", "User-Agent": "ansible-vmshift.mtv"})
        for name, value in [*self._headers, *self._credentials()]:
            headers.add(name, value)
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
        try:
            return self._pool(url).request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=timeout),
                retries=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(url, error) from error

    def _credentials(self) -> list[tuple[str, str]]:
        configuration = self._configuration
        for setting in configuration.auth_settings().values():
            if setting.get("value"):
                return [(setting["key"], setting["value"])]
        if configuration.username and configuration.password:
            return [("authorization", configuration.get_basic_auth_token())]
        return []

    def _pool(self, url: str) -> Any:
        origin = "/".join(url.split("/", 3)[:3])
        if origin not in self._pools:
            self._pools[origin] = _open_pool(self._configuration, origin, own=(self.host + "/").startswith(origin + "/"))
        return self._pools[origin]

    def _reply(self, response: Any) -> Reply:
        try:
            raw = response.data or b""
        except Exception as error:
            raise ClusterError(0, "ReplyBroken", f"The answer of {self.host} broke off: {_cause(error)}") from error
        for text in re.findall(r'299 \S+ "((?:[^"\\]|\\.)*)"', ", ".join(response.headers.getlist("Warning"))):
            self.warn(text.replace('\\"', '"'))
        data: Any = raw.decode("utf-8", "replace") or None
        if data and "json" in response.headers.get("Content-Type", "json"):
            with contextlib.suppress(ValueError):
                data = json.loads(data)
        return Reply(response.status, response.headers, data)


def connect(params: Mapping[str, Any]) -> Cluster:
    """The cluster that the auth options name. No request is made. Raises ClusterError.

    `params`: options of AUTH_ARGUMENT_SPEC; missing ones count as not given.
    """
    settings = configuration(params)
    headers = [("Impersonate-User", params["impersonate_user"])] if params.get("impersonate_user") else []
    headers += [("Impersonate-Group", group) for group in params.get("impersonate_groups") or [] if group]
    return Cluster(settings, headers)


@contextlib.contextmanager
def reporting(**facts: Any) -> Iterator[None]:
    """What was done before a failure stays in the task's result: `with reporting(changed=True): wait…`."""
    try:
        yield
    except TalkError as error:
        error.details.update(facts)
        raise


def run_module(module: Any, work: Callable[[Cluster], dict[str, Any]]) -> None:
    """Connect, do the work, end the module with its result; every TalkError becomes a plain failure, warnings are passed on."""
    module.no_log_values -= harmless(module.params.get("kubeconfig"))
    cluster = None
    failure = None
    result: dict[str, Any] = {}
    try:
        cluster = connect(module.params)
        result = work(cluster)
    except TalkError as error:
        failure = error
    for text in cluster.warnings if cluster else []:
        module.warn(text)
    if failure is not None:
        module.fail_json(msg=str(failure), **failure.details)
    module.exit_json(**result)


def _open_pool(configuration: Any, origin: str, *, own: bool) -> Any:
    """A urllib3 pool as the official client makes it; for another origin the system's CAs count beside the cluster's."""
    import copy
    import ssl

    from kubernetes.client.rest import RESTClientObject

    if own:
        return RESTClientObject(configuration).pool_manager
    other = copy.copy(configuration)
    other.host = origin
    pool = RESTClientObject(other).pool_manager
    if configuration.verify_ssl:
        pool.connection_pool_kw["ssl_context"] = ssl.create_default_context()
    return pool


def _refused(reply: Reply, method: str, path: str) -> ClusterError:
    """The error of an answer ≥ 400. kube-apiserver sends a Status object; its message is the best sentence there is."""
    status = reply.data if isinstance(reply.data, dict) else {}
    message = status.get("message") or (reply.data if isinstance(reply.data, str) else "")
    if reply.status == 401:
        message = "The server does not accept the credentials (401 Unauthorized): check api_key, the kubeconfig's user, or log in again."
    return ClusterError(reply.status, status.get("reason", ""), message.strip() or f"{method} {path} answered {reply.status}.")


def _unreachable(url: str, error: BaseException) -> ClusterError:
    origin = "/".join(url.split("/", 3)[:3])
    text = _cause(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text or "doesn't match" in text:
        advice = "give ca_cert, or validate_certs: false for a test"
        return ClusterError(0, "CertificateNotTrusted", f"The TLS certificate of {origin} is not trusted ({text}): {advice}.")
    from urllib3 import exceptions

    sent = not isinstance(error, (exceptions.NewConnectionError, exceptions.ConnectTimeoutError))
    return ClusterError(0, "ConnectionLost" if sent else "Unreachable", f"{origin} cannot be reached: {text}.")


def _repeatable(method: str, error: ClusterError) -> bool:
    if error.reason == "ConnectionLost":
        return method in _REPEATABLE
    return False


def _cause(error: BaseException) -> str:
    """The innermost sentence of a chain of wrapped errors, without object addresses."""
    text = str(error.args[-1] if error.args else error) or type(error).__name__
    return re.sub(
        r"<[\w. ]+ object at 0x[0-9a-f]+>:? ?|HTTPS?Connection\([^)]*\): |Failed to establish a new connection: ", "", text
    ).strip(" .")


def _silence_library_warning() -> None:
    # One warning of ours instead of one per request on stderr.
    import urllib3

    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
