# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions with the SDK endpoint of vCenter or of an ESXi host."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, SourceError

if TYPE_CHECKING:
    from pyVmomi import vim

TIMEOUT = 60.0  # seconds for one request
_PARTIAL_CHAIN = getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000)  # trust a certificate that is not self-signed; named since Python 3.10
_SSL = re.compile(r"\[SSL: \w+\] (.+) \(_ssl\.c:\d+\)")
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){19}")


@dataclass(frozen=True)
class Endpoint:
    """Where a vCenter or ESXi host is and who logs in. `ca`: PEM text; `thumbprint`: SHA-1 of the server's certificate, AA:BB:…"""

    url: str
    user: str
    password: str = field(repr=False)
    ca: str = ""
    insecure: bool = False
    thumbprint: str = ""

    def address(self) -> tuple[str, int, str]:
        """Host, port and path. Raises SourceError for what is no https URL."""
        try:
            parts = urlsplit(self.url)
            port = parts.port or 443
        except ValueError as error:
            raise SourceError(f"{self.url!r} is not a URL: {error}", DATA) from error
        if parts.scheme != "https" or not parts.hostname:
            raise SourceError(f"{self.url!r} is not the URL of a vSphere endpoint; it looks like https://vcenter.example.com/sdk", DATA)
        return parts.hostname, port, parts.path if parts.path not in ("", "/") else "/sdk"

    def tls(self, timeout: float = TIMEOUT) -> ssl.SSLContext:
        """Trust the CA, or with a thumbprint nothing but the certificate that has it, for which the server is asked. Raises SourceError."""
        context = ssl.create_default_context()
        if self.insecure or self.thumbprint:
            context.check_hostname = False
        if self.thumbprint:
            # Not pyvmomi's own pinning, which checks the first connection of a context only.
            certificate = server_certificate(self.url, timeout)
            if thumbprint(certificate) != self.thumbprint.upper():
                raise SourceError(
                    f"the certificate of {self.url} has the thumbprint {thumbprint(certificate)}, not {self.thumbprint}", CONNECTION
                )
            context.verify_flags |= _PARTIAL_CHAIN
            context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(certificate))
        elif self.insecure:
            context.verify_mode = ssl.CERT_NONE
        elif self.ca:
            context.verify_flags |= _PARTIAL_CHAIN  # the server's own certificate will do as well
            try:
                context.load_verify_locations(cadata=self.ca)
            except (ssl.SSLError, ValueError) as error:
                raise SourceError(f"the CA certificate for {self.url} is not in PEM format", DATA) from error
        return context


class Session:
    """A login, open until `close`. Methods may be called from several threads; all block, and raise SourceError or what pyvmomi raises."""

    def __init__(self, endpoint: Endpoint, instance: vim.ServiceInstance) -> None:
        self.endpoint = endpoint
        self.instance = instance
        self.content: vim.ServiceInstanceContent = instance.RetrieveContent()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Log out; one that cannot be reached any more is left to expire."""
        from pyVim.connect import Disconnect

        with contextlib.suppress(Exception):
            Disconnect(self.instance)

    @property
    def is_vcenter(self) -> bool:
        return bool(self.content.about.apiType == "VirtualCenter")

    @property
    def cookie(self) -> str:
        """The session's cookie, which datastore files and NFC leases accept instead of user and password: NAME=VALUE."""
        return str(self.instance._stub.cookie).partition(";")[0]

    def object(self, kind: str, id: str) -> Any:
        """A managed object by type ("VirtualMachine") and ID ("vm-12"). That it exists shows when it is used."""
        from pyVmomi import vim

        return getattr(vim, kind)(id, self.instance._stub)

    def read(self, objects: Iterable[Any], paths: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Properties of managed objects of one type, by object ID and path; what is unset or not readable is left out.

        Raises SourceError when one of them is gone.
        """
        from pyVmomi import vim, vmodl

        query = vmodl.query.PropertyCollector
        found: dict[str, dict[str, Any]] = {}
        wanted = list(objects)
        if not wanted:
            return found
        specification = query.FilterSpec(
            objectSet=[query.ObjectSpec(obj=managed) for managed in wanted],
            propSet=[query.PropertySpec(type=type(wanted[0]), pathSet=list(paths))],
        )
        with explained(self.endpoint):
            try:
                answer = self.content.propertyCollector.RetrievePropertiesEx([specification], query.RetrieveOptions())
                while answer:
                    for item in answer.objects:
                        found[item.obj._moId] = {p.name: p.val for p in item.propSet}
                    token = answer.token
                    answer = self.content.propertyCollector.ContinueRetrievePropertiesEx(token) if token else None
            except vmodl.fault.ManagedObjectNotFound as error:
                gone = error.obj._moId if isinstance(error.obj, vim.ManagedObject) else "an object"
                raise SourceError(f"{self.endpoint.url} has no {gone} (any more)", DATA) from error
        return found

    def wait(self, task: vim.Task, timeout: float = 600) -> Any:
        """Wait for a task and return its result. Raises SourceError with the fault's own words, or when `timeout` seconds pass."""
        deadline, pause = time.monotonic() + timeout, 0.05
        while True:
            # Not task.info as a whole: what a task is about may be of a type that pyvmomi refuses to read.
            state = self.read([task], ["info.state", "info.result", "info.error"]).get(task._moId, {})
            if state.get("info.state") == "success":
                return state.get("info.result")
            if state.get("info.state") == "error":
                raise SourceError(words(state.get("info.error")), DATA)
            if time.monotonic() > deadline:
                raise SourceError(f"task {task._moId} of {self.endpoint.url} did not end within {timeout:.0f} s", CONNECTION)
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    def file_url(self, file: str, datacenter: str) -> str:
        """The URL of a file "[datastore] folder/name" of a datastore. `datacenter`: its path, without a leading "/"."""
        match = re.fullmatch(r"\[(.+?)\] ?(.+)", file)
        if not match:
            raise SourceError(f"{file!r} is not the path of a file in a datastore", DATA)
        host, port, _unused = self.endpoint.address()
        netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port != 443 else "")
        return f"https://{netloc}/folder/{quote(match[2])}?{urlencode({'dcPath': datacenter, 'dsName': match[1]})}"


def connect(endpoint: Endpoint, timeout: float = TIMEOUT) -> Session:
    """Log in. `timeout`: seconds for each request of the session. Raises SourceError; AUTH when the credentials are refused."""
    try:
        from pyVim.connect import Connect
    except ImportError as error:
        raise SourceError("reading vSphere needs the Python package pyvmomi: pip install pyvmomi", DATA) from error
    host, port, path = endpoint.address()
    if endpoint.thumbprint and not _THUMBPRINT.fullmatch(endpoint.thumbprint):
        raise SourceError(f"{endpoint.thumbprint!r} is not a SHA-1 thumbprint like AA:BB:…, 20 bytes in hexadecimal", DATA)
    with explained(endpoint):
        tls = endpoint.tls(timeout)
        version = _api_version(endpoint, tls, timeout)
        instance = Connect(
            host=host,
            port=port,
            path=path,
            user=endpoint.user,
            pwd=endpoint.password,
            version=version,
            sslContext=tls,
            httpConnectionTimeout=timeout,
        )
        return Session(endpoint, instance)


def _api_version(endpoint: Endpoint, tls: ssl.SSLContext, timeout: float) -> str:
    """The newest version of the API that both sides know. pyvmomi asks for it as well, but without a time limit."""
    from http.client import HTTPSConnection

    from pyVmomi.VmomiSupport import GetServiceVersions, versionIdMap

    host, port, path = endpoint.address()
    connection = HTTPSConnection(host, port, timeout=timeout, context=tls)
    try:
        connection.request("GET", f"{path}/vimServiceVersions.xml")
        answer = connection.getresponse()
        offered = set(re.findall(r"<version>\s*([\w.]+)\s*</version>", answer.read(1 << 20).decode("utf-8", "replace")))
    finally:
        connection.close()
    if not offered:
        raise SourceError(f"{endpoint.url} is not the SDK endpoint of vCenter or ESXi (HTTP status {answer.status})", CONNECTION)
    for version in GetServiceVersions("vim25"):
        if versionIdMap.get(version) in offered:
            return str(version)
    raise SourceError(f"{endpoint.url} speaks versions of the API that pyvmomi does not know: {', '.join(sorted(offered))}", DATA)


def try_connection(endpoint: Endpoint, timeout: float = 20) -> None:
    """Log in and out again. Raises SourceError: AUTH when the credentials are refused, CONNECTION when nobody answers as expected."""
    connect(endpoint, timeout).close()


def server_thumbprint(url: str, timeout: float = 20) -> str:
    """The SHA-1 thumbprint of the certificate that a server shows, AA:BB:…, whoever signed it. Raises SourceError."""
    return thumbprint(server_certificate(url, timeout))


def server_certificate(url: str, timeout: float = 20) -> bytes:
    """The certificate that a server shows, in DER, whoever signed it. Raises SourceError."""
    return trusted_certificate(Endpoint(url, "", "", insecure=True), timeout)


def trusted_certificate(endpoint: Endpoint, timeout: float = 20) -> bytes:
    """The certificate of a server that is trusted as the endpoint says, in DER. Raises SourceError."""
    host, port, _unused = endpoint.address()
    context = endpoint.tls(timeout)
    try:
        with socket.create_connection((host, port), timeout) as plain, context.wrap_socket(plain, server_hostname=host) as secure:
            return secure.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError as error:
        raise SourceError(_not_trusted(endpoint, error), CONNECTION) from error
    except OSError as error:
        raise SourceError(f"cannot connect to {endpoint.url}: {_reason(error)}", CONNECTION) from error


def thumbprint(certificate: bytes) -> str:
    """SHA-1 of a DER certificate as vSphere writes it: AA:BB:…"""
    digest = hashlib.sha1(certificate, usedforsecurity=False).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def words(fault: Any) -> str:
    """What a fault says, in one line; its type when it says nothing."""
    text = getattr(fault, "localizedMessage", None) or getattr(fault, "msg", None) or ""
    return " ".join(text.split()) or type(fault).__name__.rpartition(".")[2] or "unknown fault"


@contextlib.contextmanager
def explained(endpoint: Endpoint) -> Iterator[None]:
    """What pyvmomi and the network raise, as SourceError. Faults of tasks and of single objects are left as they are."""
    from http.client import HTTPException
    from xml.parsers.expat import ExpatError

    from pyVmomi import vim, vmodl

    try:
        yield
    except vim.fault.InvalidLogin as error:
        raise SourceError(f"{endpoint.url} refuses the user name or password: {words(error)}", AUTH) from error
    except vim.fault.NotAuthenticated as error:
        raise SourceError(f"the session with {endpoint.url} has ended", CONNECTION) from error
    except vmodl.fault.SecurityError as error:
        raise SourceError(
            f"{endpoint.url} does not permit that: {words(error)} {getattr(error, 'privilegeId', '')}".rstrip(), DATA
        ) from error
    except vim.fault.HostConnectFault as error:
        raise SourceError(f"cannot connect to {endpoint.url}: {_without_ssl_jargon(words(error))}", CONNECTION) from error
    except ssl.SSLCertVerificationError as error:
        raise SourceError(
            f"the certificate of {endpoint.url} is not trusted: {error.verify_message or error.reason}", CONNECTION
        ) from error
    except OSError as error:
        raise SourceError(f"cannot connect to {endpoint.url}: {_reason(error)}", CONNECTION) from error
    except (HTTPException, ExpatError) as error:
        raise SourceError(f"{endpoint.url} does not answer like vSphere: {' '.join(str(error).split())}", CONNECTION) from error


def _without_ssl_jargon(text: str) -> str:
    return _SSL.sub(r"TLS failed, \1", text)


def _not_trusted(endpoint: Endpoint, error: ssl.SSLCertVerificationError) -> str:
    return f"the certificate of {endpoint.url} is not trusted: {error.verify_message or error.reason}"


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed, {(error.reason or str(error)).replace('_', ' ').lower()}"
    return (error.strerror or str(error) or type(error).__name__).lower()
