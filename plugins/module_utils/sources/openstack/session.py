# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions with an OpenStack cloud: all ways to log in that a provider's Secret may name, and failures in one sentence."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, SourceError

TIMEOUT = 60.0  # seconds for one request
PASSWORD, TOKEN, APPLICATION_CREDENTIAL = "password", "token", "applicationcredential"
AUTH_TYPES = (PASSWORD, TOKEN, APPLICATION_CREDENTIAL)
#: What requests and urllib3 wrap into several layers when a connection fails.
_WHY = re.compile(
    r"Caused by .*?certificate verify failed: ([^()]+)|Caused by .*?\[Errno -?\d+\] ([^'\")\]]+)"
    r"|'Connection aborted\.', \w+\((?:\d+, )?'([^']+)'"
)
#: Keys of the Secret whose values nobody may see.
CONFIDENTIAL = ("password", "token", "applicationCredentialSecret")


class Credentials:
    """Where a cloud is and who logs in there: the URL of Keystone, and the keys of a provider's Secret (facts 1.1)."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        self.url = url
        self._options = {key: value for key, value in options.items() if value}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and (self.url, self._options) == (other.url, other._options)

    def __hash__(self) -> int:
        return hash((self.url, tuple(sorted(self._options.items()))))

    def __repr__(self) -> str:
        return f"Credentials({self.url!r})"

    def get(self, key: str) -> str:
        return self._options.get(key, "")

    @property
    def kind(self) -> str:
        """One of AUTH_TYPES. Raises SourceError."""
        given = self.get("authType") or PASSWORD
        if given not in AUTH_TYPES:
            raise SourceError(f"unsupported authentication type {given!r}, only {', '.join(AUTH_TYPES)}", DATA)
        return given

    @property
    def insecure(self) -> bool:
        return self.get("insecureSkipVerify").lower() in ("1", "t", "true")

    @property
    def ca(self) -> str:
        return self.get("ca.crt") or self.get("cacert")

    @property
    def region(self) -> str:
        return self.get("regionName")

    @property
    def interface(self) -> str:
        return self.get("availability") or "public"

    def auth(self) -> dict[str, str]:
        """What keystoneauth's plugin of the kind is opened with. Domains fall back as in Forklift's client: own, common, default."""
        found: dict[str, str] = {"auth_url": self.url}
        if self.kind == TOKEN:
            found["token"] = self.get("token")
        elif self.kind == APPLICATION_CREDENTIAL:
            found["application_credential_secret"] = self.get("applicationCredentialSecret")
            if self.get("applicationCredentialID"):
                found["application_credential_id"] = self.get("applicationCredentialID")
                return found
            found["application_credential_name"] = self.get("applicationCredentialName")
            found.update(self._user())
            return found  # it is of one project; naming that would be refused
        else:
            found["password"] = self.get("password")
            found.update(self._user())
        return {**found, **self._scope()}

    def _user(self) -> dict[str, str]:
        if self.get("userID"):
            return {"user_id": self.get("userID")}
        return {"username": self.get("username"), **self._domain("user")}

    def _scope(self) -> dict[str, str]:
        """The project; or the domain, where no project is named."""
        if self.get("projectID"):
            return {"project_id": self.get("projectID")}
        if self.get("projectName"):
            return {"project_name": self.get("projectName"), **(self._domain("project") or self._like("user", "project"))}
        return {option: value for option, value in (("domain_id", self.get("domainID")), ("domain_name", self.get("domainName"))) if value}

    def _domain(self, of: str) -> dict[str, str]:
        for id, name in ((f"{of}DomainID", f"{of}DomainName"), ("domainID", "domainName"), ("defaultDomain", "")):
            if self.get(id):
                return {f"{of}_domain_id": self.get(id)}
            if name and self.get(name):
                return {f"{of}_domain_name": self.get(name)}
        return {}

    def _like(self, one: str, other: str) -> dict[str, str]:
        """The domain of one for the other: with a user of one domain the project is mostly of it, too."""
        return {key.replace(one, other): value for key, value in self._domain(one).items()}

    def hide(self, text: str) -> str:
        """Without what nobody may see: some services repeat what they were sent."""
        for key in CONFIDENTIAL:
            if len(self.get(key)) > 3:
                text = text.replace(self.get(key), "********")
        return text


class Session:
    """A connection of openstacksdk, as `cloud`. Closes with `close`, or as a context manager."""

    def __init__(self, credentials: Credentials, cloud: Any, ca_file: str) -> None:
        self.credentials = credentials
        self.cloud = cloud
        self._ca_file = ca_file

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.cloud.close()
        if self._ca_file:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._ca_file)
            self._ca_file = ""

    @contextlib.contextmanager
    def talking(self, doing: str) -> Iterator[Any]:
        """The cloud, for one or several requests; what it says to them becomes a SourceError. `doing`: "list servers"."""
        with explained(self.credentials, doing):
            yield self.cloud

    def authenticate(self) -> None:
        """Raises SourceError; AUTH when the credentials are refused."""
        with explained(self.credentials, "log in", login=True) as _unused:
            self.cloud.session.auth.get_access(self.cloud.session)

    def user_id(self) -> str:
        with self.talking("log in") as cloud:
            return str(cloud.current_user_id)


def open_session(credentials: Credentials, timeout: float = TIMEOUT) -> Session:
    """A session that has not said anything yet: it logs in with the first request. Raises SourceError."""
    import_sdk()
    import openstack

    _refuse_missing(credentials)
    ca_file = _written(credentials.ca) if credentials.ca and not credentials.insecure else ""
    kinds = {PASSWORD: "v3password", TOKEN: "v3token", APPLICATION_CREDENTIAL: "v3applicationcredential"}
    with explained(credentials, "log in", login=True):
        cloud = openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_type=kinds[credentials.kind],
            auth=credentials.auth(),
            region_name=credentials.region or None,
            interface=credentials.interface,
            verify=not credentials.insecure,
            cacert=ca_file or None,
            api_timeout=timeout,
            app_name="vmshift.mtv",
        )
    return Session(credentials, cloud, ca_file)


def connect(credentials: Credentials, timeout: float = TIMEOUT) -> Session:
    """A session that is logged in. Raises SourceError; AUTH when the credentials are refused."""
    session = open_session(credentials, timeout)
    try:
        session.authenticate()
    except BaseException:
        session.close()
        raise
    return session


def try_connection(credentials: Credentials) -> None:
    """Log in, and see what the user may see of itself, as Forklift's test does. Raises SourceError."""
    with connect(credentials) as session, session.talking("list the projects of the user") as cloud:
        list(cloud.identity.user_projects(cloud.current_user_id))


def import_sdk() -> None:
    """Raises SourceError when openstacksdk is not installed."""
    try:
        import openstack  # noqa: F401
    except ImportError:
        raise SourceError("reading OpenStack needs the Python package openstacksdk, which is not installed", DATA) from None


def _refuse_missing(credentials: Credentials) -> None:
    """What Keystone would only answer in riddles. Raises SourceError."""
    needed = {
        PASSWORD: (("username", "userID"), ("password",)),
        TOKEN: (("token",),),
        APPLICATION_CREDENTIAL: (("applicationCredentialID", "applicationCredentialName"), ("applicationCredentialSecret",)),
    }[credentials.kind]
    for names in needed:
        if not any(credentials.get(name) for name in names):
            raise SourceError(f"the Secret of the provider lacks {' or '.join(names)}, which authType {credentials.kind} needs", AUTH)
    found = credentials.auth()
    if "application_credential_name" in found and not (found.get("username") or "user_id" in found):
        raise SourceError("the Secret of the provider names an application credential by name, and lacks username, whose it is", AUTH)
    if "username" in found and not {"user_domain_id", "user_domain_name"} & found.keys():
        raise SourceError(
            "the Secret of the provider lacks a domain of the user: userDomainName, userDomainID, domainName, domainID or defaultDomain",
            AUTH,
        )


def _written(ca: str) -> str:
    file, path = tempfile.mkstemp(prefix="vmshift-ca-", suffix=".pem")
    with os.fdopen(file, "w") as target:
        target.write(ca)
    return path


@contextlib.contextmanager
def explained(credentials: Credentials, doing: str, *, login: bool = False) -> Iterator[None]:
    """Failures of the SDK as SourceError."""
    from keystoneauth1 import exceptions as keystone
    from openstack import exceptions as sdk

    url = credentials.url
    try:
        yield
    except (keystone.Unauthorized, keystone.MissingRequiredOptions) as error:
        raise SourceError(f"{url} refuses the credentials of the provider's Secret: {credentials.hide(words(error))}", AUTH) from None
    except keystone.http.HttpError as error:
        status = getattr(error, "http_status", 0)
        raise _answered(credentials, doing, status, error, login) from None
    except sdk.HttpException as error:
        raise _answered(credentials, doing, error.status_code or 0, error, login) from None
    except keystone.SSLError as error:
        raise SourceError(f"the certificate of {url} is not trusted: {words(error)}", CONNECTION) from None
    except keystone.DiscoveryFailure as error:
        raise SourceError(f"{url} is not the URL of an OpenStack identity service (Keystone v3): {words(error)}", CONNECTION) from None
    except (keystone.EndpointNotFound, keystone.CatalogException, sdk.EndpointNotFound, sdk.ServiceDisabledException) as error:
        where = f" in region {credentials.region}" if credentials.region else ""
        raise SourceError(f"the catalog of {url} has no such service{where}: {words(error)}", DATA) from None
    except (keystone.ClientException, sdk.SDKException, OSError) as error:
        raise SourceError(f"{url} cannot be asked to {doing}: {credentials.hide(words(error))}", CONNECTION) from None
    except (KeyError, ValueError) as error:
        raise SourceError(f"{url} gives an answer that is not understood to the request to {doing}: {words(error)}", DATA) from None


def _answered(credentials: Credentials, doing: str, status: int, error: Exception, login: bool) -> SourceError:
    """A refusal with an HTTP status. `login`: 400 is one of credentials then (facts 2.2)."""
    said = credentials.hide(words(error))
    if status == 401 or (login and status in (400, 403)):
        return SourceError(f"{credentials.url} refuses the credentials of the provider's Secret: {said}", AUTH)
    if status == 403:
        return SourceError(f"the user of the provider's Secret may not {doing}: {said}", AUTH)
    if status >= 500 or status in (408, 429) or not status:
        return SourceError(f"{credentials.url} cannot be asked to {doing}: {said}", CONNECTION)
    return SourceError(f"{credentials.url} refuses to {doing}: {said}", DATA)


def words(error: BaseException) -> str:
    """What an error says, in one line; of a connection that failed, why."""
    text = " ".join(str(getattr(error, "details", "") or getattr(error, "message", "") or error).split()) or type(error).__name__
    why = _WHY.search(text)
    return (why[1] or why[2] or why[3]).strip() if why else text[:500]
