# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a cluster: requests and event streams.

Built on the official client's configuration and connection pool, without discovery and models, which cost more than the requests.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import configuration, harmless
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import ClusterError, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.official_client import part

MERGE_PATCH = "application/merge-patch+json"
CONNECT_SECONDS = 10.0
REPLY_SECONDS = 60.0
_ATTEMPTS = 5
#: Repeating these changes nothing more than doing them once (a merge patch sets values).
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})
#: Answers that pass: of an API server that changes its leader or restarts, of a load balancer before it. And of one that stays broken,
#: which is told by 500 as a rule and so is asked less often.
_PASSING = {500: 3, 502: _ATTEMPTS, 503: _ATTEMPTS, 504: _ATTEMPTS}
#: Who does not answer at all is not asked for minutes on end.
_STALLED_ATTEMPTS = 2
_LONGEST_PAUSE = 30.0
_LONGEST_TEXT = 500
#: Seconds that a watch may be silent beyond its own end.
_WATCH_GRACE = 15.0
_ANYTHING = "application/json, */*"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"


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
        begun: list[bytes] = []  # parts of a line: one about many VMs comes in very many
        try:
            for chunk in self._response.stream(amt=None, decode_content=True):
                *ends, rest = chunk.split(b"\n")
                for end in ends:
                    line = b"".join((*begun, end))
                    begun.clear()
                    if line.strip():
                        yield json.loads(line)
                begun.append(rest)
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
        # Here and not with the first request, which a thread may send: while there is but one thread, the import takes less.
        self._client: Any = part("client.rest").RESTClientObject
        self._pools: dict[str, Any] = {}
        self._answered: set[str] = set()  # origins
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
        timeout: float | None = None,
        text: bool = False,
    ) -> Any:
        """The body of a successful answer: parsed JSON or None, with `text` whatever it is (pod logs). Raises ClusterError."""
        reply = self.exchange(method, path, query=query, body=body, content_type=content_type, timeout=timeout)
        if reply.status >= 400:
            raise _refused(reply, method, path)
        if reply.status >= 300 or not (text or isinstance(reply.data, (dict, list, type(None)))):
            raise _not_kubernetes(reply, self.host)
        return reply.data

    def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content_type: str | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """The answer whatever its status. `path` may be a whole https:// URL of a service that trusts the same credentials.

        A busy server is asked again when it says so; trouble that may pass and a lost answer lead to another attempt when the method
        allows that. Whoever sends another method looks what has become of it: ClusterError.unclear.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            pause = 0.25 * 2**attempt
            try:
                reply = self._reply(self._send(method, path, query, body, content_type, timeout or REPLY_SECONDS))
            except ClusterError as error:
                if attempt >= self._attempts(method, path, error):
                    raise
            else:
                if attempt >= _attempts_after(reply, method):
                    return reply
                retry_after = reply.headers.get("Retry-After", "")
                pause = min(float(retry_after), _LONGEST_PAUSE) if retry_after.isdigit() else pause
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _attempts(self, method: str, path: str, error: ClusterError) -> int:
        """How often to ask one that gave no answer."""
        if error.reason == "Unreachable":  # nothing was sent; one that has answered this task is restarting, another one is a wrong URL
            return _ATTEMPTS if _origin(self._url(path)) in self._answered else 1
        if not error.unclear or method not in _REPEATABLE:
            return 1
        return _STALLED_ATTEMPTS if error.reason == "Stalled" else _ATTEMPTS

    def stream(self, path: str, query: Mapping[str, Any] | None = None, *, seconds: int = 60, metadata_only: bool = False) -> EventStream:
        """Open a watch that the server ends after `seconds`; of objects all, or just their metadata. Raises ClusterError when refused."""
        query = {**(query or {}), "watch": "true", "timeoutSeconds": seconds}
        accept = _METADATA if metadata_only else _ANYTHING
        response = self._send("GET", path, query, None, None, seconds + _WATCH_GRACE, accept)
        if response.status >= 400:
            raise _refused(self._reply(response), "GET", path)
        return EventStream(response)

    def _send(
        self, method: str, path: str, query: Any, body: Any, content_type: str | None, timeout: float, accept: str = _ANYTHING
    ) -> Any:
        import urllib3
        from urllib3._collections import HTTPHeaderDict  # urllib3 1.26 does not export it

        url = self._url(path)
        if query:
            url += "?" + urlencode({k: v for k, v in query.items() if v is not None})
        headers = HTTPHeaderDict({"Accept": accept, "User-Agent": "ansible-vmshift.mtv"})
        for name, value in [*self._headers, *self._credentials()]:
            headers.add(name, value)
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
        try:
            response = self._pool(url).request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=timeout),
                retries=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            raise _unreachable(url, error) from error
        self._answered.add(_origin(url))
        return response

    def _url(self, path: str) -> str:
        return path if path.startswith(("https://", "http://")) else self.host + path

    def _credentials(self) -> list[tuple[str, str]]:
        configuration = self._configuration
        for setting in configuration.auth_settings().values():
            if setting.get("value"):
                return [(setting["key"], setting["value"])]
        if configuration.username and configuration.password:
            return [("authorization", configuration.get_basic_auth_token())]
        return []

    def _pool(self, url: str) -> Any:
        origin = _origin(url)
        if origin not in self._pools:
            self._pools[origin] = self._open_pool(origin)
        return self._pools[origin]

    def _open_pool(self, origin: str) -> Any:
        """A urllib3 pool as the official client makes it; for another origin the system's CAs count beside the cluster's."""
        if (self.host + "/").startswith(origin + "/"):
            return self._client(self._configuration).pool_manager
        other = copy.copy(self._configuration)
        other.host = origin
        pool = self._client(other).pool_manager
        if other.verify_ssl:
            pool.connection_pool_kw["ssl_context"] = ssl.create_default_context()
        return pool

    def _reply(self, response: Any) -> Reply:
        try:
            raw = response.data or b""
        except Exception as error:
            reason = "Stalled" if _is_timeout(error) else "ConnectionLost"
            raise ClusterError(0, reason, f"The answer of {self.host} broke off: {_cause(error)}.") from error
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


def _attempts_after(reply: Reply, method: str) -> int:
    """How often to ask one that gives this answer."""
    if reply.status == 429 or (reply.status == 503 and reply.headers.get("Retry-After")):  # it has done nothing
        return _ATTEMPTS
    return _PASSING.get(reply.status, 1) if method in _REPEATABLE else 1


def _refused(reply: Reply, method: str, path: str) -> ClusterError:
    """The error of an answer ≥ 400. kube-apiserver sends a Status object; its message is the best sentence there is."""
    status = reply.data if isinstance(reply.data, dict) else {}
    message = status.get("message") or _plain(reply.data)
    if reply.status == 401:
        message = "The server does not accept the credentials (401 Unauthorized): check api_key, the kubeconfig's user, or log in again."
    return ClusterError(reply.status, status.get("reason", ""), message.strip() or f"{method} {path} answered {reply.status}.")


def _plain(data: Any) -> str:
    """A short text of an answer that is no Status; not the page of a proxy."""
    return " ".join(data.split()) if isinstance(data, str) and len(data) < _LONGEST_TEXT and "<" not in data else ""


def _not_kubernetes(reply: Reply, host: str) -> ClusterError:
    kind = reply.headers.get("Content-Type", "").partition(";")[0] or "no content"
    told = f"{reply.status} to {reply.headers['Location']}" if reply.headers.get("Location") else f"{reply.status} ({kind})"
    return ClusterError(reply.status, "NotKubernetes", f"{host} answered {told}, which no Kubernetes API server does: check host.")


def _unreachable(url: str, error: BaseException) -> ClusterError:
    origin, text = _origin(url), _cause(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text or "doesn't match" in text:
        advice = "give ca_cert, or validate_certs: false for a test"
        return ClusterError(0, "CertificateNotTrusted", f"The TLS certificate of {origin} is not trusted ({text}): {advice}.")
    from urllib3 import exceptions

    sent = not isinstance(
        error, (exceptions.NewConnectionError, exceptions.ConnectTimeoutError, exceptions.LocationValueError, UnicodeError)
    )
    reason = ("Stalled" if _is_timeout(error) else "ConnectionLost") if sent else "Unreachable"
    return ClusterError(0, reason, f"{origin} cannot be reached: {text}.")


def _is_timeout(error: BaseException) -> bool:
    from urllib3 import exceptions

    return isinstance(error, (exceptions.ReadTimeoutError, TimeoutError))


def _origin(url: str) -> str:
    """Scheme, host and port."""
    return "/".join(url.split("/", 3)[:3])


def _cause(error: BaseException) -> str:
    """The innermost sentence of a chain of wrapped errors, without object addresses."""
    text = str(error.args[-1] if error.args else error) or type(error).__name__
    return re.sub(
        r"<[\w. ]+ object at 0x[0-9a-f]+>:? ?|HTTPS?Connection(Pool)?\([^)]*\): |Failed to establish a new connection: ", "", text
    ).strip(" .")


def _silence_library_warning() -> None:
    # One warning of ours instead of one per request on stderr.
    import urllib3

    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
