"""The engine's REST API: requests to answers. What it does not know it refuses with an error, and never makes up."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from ovirtsdk4 import types
from ovirtsdk4.reader import Reader

from ansible_collections.vmshift.mtv.lab.ovirt import images, rendering
from ansible_collections.vmshift.mtv.lab.ovirt.imageio import Daemon
from ansible_collections.vmshift.mtv.lab.ovirt.model import ROOT, Fault, World
from ansible_collections.vmshift.mtv.lab.ovirt.power import Power
from ansible_collections.vmshift.mtv.lab.ovirt.search import search
from ansible_collections.vmshift.mtv.lab.ovirt.transfers import Phase, Transfers

VERSION = {"major": "4", "minor": "5", "build": "6", "revision": "0", "full_version": "4.5.6-1.el8"}
XML, JSON = "application/xml", "application/json"


class Engine:
    """`faults`: what goes wrong next: {"method", "path" (regular expressions), "status", "detail", "times"}."""

    def __init__(self, world: World, daemon: Daemon, user: str, password: str, ca: str) -> None:
        self.world, self.daemon, self.transfers, self.power = world, daemon, Transfers(world, daemon), Power(world)
        self._user, self._password, self._ca = user, password, ca
        self._tokens: set[str] = set()
        self.faults: list[dict[str, Any]] = []
        self.calls: dict[str, int] = {}

    def application(self) -> web.Application:
        application = web.Application(client_max_size=1 << 20)
        application.router.add_post("/ovirt-engine/sso/oauth/token", self._log_in)
        application.router.add_post("/ovirt-engine/services/sso-logout", self._log_out)
        application.router.add_get("/ovirt-engine/services/pki-resource", self._certificate)
        application.router.add_route("*", "/lab/{what:.*}", self._lab)
        application.router.add_route("*", ROOT, self._answer)
        application.router.add_route("*", f"{ROOT}/{{path:.*}}", self._answer)
        return application

    # Logging in

    async def _log_in(self, request: web.Request) -> web.Response:
        self._count("POST", "login")
        form = {name: str(value) for name, value in (await request.post()).items()}
        user, password = form.get("username", ""), form.get("password", "")
        known = hmac.compare_digest(f"{user}\n{password}".encode(), f"{self._user}\n{self._password}".encode())
        if form.get("grant_type") != "password" or not known:
            problem = f"Cannot authenticate user '{user}': The username or password is incorrect.."
            return web.json_response({"error_description": problem, "error": "access_denied"}, status=400)
        token = secrets.token_urlsafe(48)
        self._tokens.add(token)
        self.world.tell(30, f"User {self._user} is logged in")
        more = {"scope": form.get("scope", ""), "exp": "9223372036854775807", "token_type": "bearer"}
        return web.json_response({"access_token": token, **more})

    async def _log_out(self, request: web.Request) -> web.Response:
        self._tokens.discard(str((await request.post()).get("token")))
        return web.json_response({})

    async def _certificate(self, request: web.Request) -> web.Response:
        if request.query.get("resource") != "ca-certificate" or request.query.get("format") != "X509-PEM-CA":
            return web.Response(status=404, text="Not Found")
        return web.Response(text=self._ca, content_type="application/x-x509-ca-cert")

    # The API

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info.get("path", "").strip("/")
        self._count(request.method, path)
        try:
            self._fail_as_wanted(request.method, path)
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if token not in self._tokens:
                raise Fault(401, "The access token is missing or not valid (any more).", "Unauthorized")
            status, document = await self._route(request, path)
        except Fault as error:
            status, document = error.status, rendering.fault(error)
        if JSON in request.headers.get("Accept", ""):
            return web.json_response(rendering.as_json(document), status=status)
        return web.Response(text=document, status=status, content_type=XML, charset="UTF-8")

    def _count(self, method: str, path: str) -> None:
        name = f"{method} {re.sub(r'[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', path)}"
        self.calls[name] = self.calls.get(name, 0) + 1

    def _fail_as_wanted(self, method: str, path: str) -> None:
        for fault in self.faults:
            if fault.get("times", 1) and re.fullmatch(fault.get("method", ".*"), method) and re.fullmatch(fault["path"], path):
                fault["times"] = fault.get("times", 1) - 1
                raise Fault(fault.get("status", 500), fault.get("detail", "The lab wants this to fail."))

    async def _route(self, request: web.Request, path: str) -> tuple[int, str]:
        if not path:
            return 200, self._about()
        method, parts = request.method, path.split("/")
        if method == "GET":
            return 200, self._read(path, parts, request)
        if method == "POST":
            return await self._post(path, parts, await request.text())
        if method == "DELETE" and len(parts) == 4 and parts[0] == "vms" and parts[2] == "snapshots":
            self.power.remove_snapshot(self.world.get("/".join(parts[:2])), self.world.get(path))
            return 200, rendering.action()
        raise Fault(405, f"{method} of {path} is not offered by this engine.", "Method Not Allowed")

    def _about(self) -> str:
        version = "".join(f"<{name}>{value}</{name}>" for name, value in VERSION.items())
        product = (
            f"<instance_id>{self._instance()}</instance_id><name>oVirt Engine</name><vendor>ovirt.org</vendor><version>{version}</version>"
        )
        vms = self.world.all("vms")
        active = sum(vm.status == types.VmStatus.UP for vm in vms)
        return (
            f"<api><product_info>{product}</product_info>"
            f"<summary><vms><active>{active}</active><total>{len(vms)}</total></vms></summary></api>"
        )

    def _instance(self) -> str:
        return hashlib.sha256(self._ca.encode()).hexdigest()[:32]

    def _read(self, path: str, parts: list[str], request: web.Request) -> str:
        query = request.query
        follow = [name for name in query.get("follow", "").split(",") if name]
        if parts[0] == "options" and len(parts) == 2:
            return self._option(parts[1])
        if parts[-1] == "disksnapshots" and len(parts) == 3:
            return rendering.many("disksnapshots", images.disk_snapshots(self.world, self.world.get("/".join(parts[:2]))))
        if len(parts) % 2 == 0:
            return rendering.one(rendering.followed(self.world, self.world.get(path), follow))
        found = self.world.all(path)
        if path == "events":
            found = [event for event in reversed(found) if event.index > int(query.get("from", "0"))]
        chosen = search(self.world, found, query.get("search", ""), int(query["max"]) if "max" in query else None)
        return rendering.many(parts[-1], [rendering.followed(self.world, obj, follow) for obj in chosen])

    def _option(self, name: str) -> str:
        if name not in self.world.options:
            raise Fault(404, f"Entity not found: option {name}", "Not Found")
        values = "".join(
            f"<system_option_value><value>{value}</value><version>{version}</version></system_option_value>"
            for value, version in self.world.options[name]
        )
        return f'<system_option href="{ROOT}/options/{name}" id="{name}"><name>{name}</name><values>{values}</values></system_option>'

    async def _post(self, path: str, parts: list[str], body: str) -> tuple[int, str]:
        if path == "imagetransfers":
            return 201, rendering.one(self.transfers.begin(_parsed(body, types.ImageTransfer)))
        if len(parts) == 3 and parts[0] == "vms" and parts[2] == "snapshots":
            vm = self.world.get("/".join(parts[:2]))
            return 201, rendering.one(self.power.make_snapshot(vm, _parsed(body, types.Snapshot)))
        if len(parts) == 3 and parts[0] in ("vms", "imagetransfers"):
            subject = self.world.get("/".join(parts[:2]))
            actions: dict[str, Callable[[Any], None]] = {
                "vms/start": self.power.start,
                "vms/stop": self.power.stop,
                "vms/shutdown": self.power.shut_down,
                "imagetransfers/extend": self.transfers.extend,
                "imagetransfers/finalize": lambda transfer: self.transfers.finish(transfer, Phase.FINALIZING_SUCCESS),
                "imagetransfers/cancel": lambda transfer: self.transfers.finish(transfer, Phase.CANCELLED_USER),
            }
            action = actions.get(f"{parts[0]}/{parts[2]}")
            if action:
                action(subject)
                return 200, rendering.action()
        raise Fault(405, f"POST to {path} is not offered by this engine.", "Method Not Allowed")

    # What the lab asks of it

    async def _lab(self, request: web.Request) -> web.Response:
        login = b64encode(f"{self._user}:{self._password}".encode()).decode()
        if not hmac.compare_digest(request.headers.get("Authorization", ""), f"Basic {login}"):
            return web.Response(status=401)
        doors: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "GET statistics": self._statistics,
            "GET disks": self._chains,
            "PUT faults": self._set_faults,
            "PUT daemon": self._set_daemon,
            "PUT transfers": self._set_transfers,
            "PUT tokens": self._forget_tokens,
            "PUT vms": self._set_vm,
        }
        door = doors.get(f"{request.method} {request.match_info['what']}")
        if door is None:
            return web.Response(status=404)
        body = await request.text()
        return web.json_response(await door(json.loads(body) if body else None))

    async def _statistics(self, _body: Any) -> Any:
        return {"calls": self.calls, "transfers": self.transfers.going_on(), "extensions": self.transfers.extensions}

    async def _chains(self, _body: Any) -> Any:
        """Disk -> [[file, format], …], the oldest first."""
        return {id: [[str(layer.file), layer.format] for layer in layers] for id, layers in self.world.layers.items()}

    async def _set_faults(self, faults: Any) -> None:
        self.faults = faults

    async def _set_daemon(self, running: Any) -> None:
        if running and not self.daemon.running:
            await self.daemon.start()
        elif not running:
            await self.daemon.stop()

    async def _set_transfers(self, settings: Any) -> None:
        """{"lifetime", "rate"} of those that are begun from now on."""
        self.transfers.lifetime = settings.get("lifetime", self.transfers.lifetime)
        self.transfers.rate = settings.get("rate", self.transfers.rate)

    async def _forget_tokens(self, _body: Any) -> None:
        """All sessions end."""
        self._tokens.clear()

    async def _set_vm(self, wanted: Any) -> None:
        """{"id", attribute: value}: what somebody else changes; or what a VM that runs has become at once ("status")."""
        vm = self.world.get(f"vms/{wanted.pop('id')}")
        for name, value in wanted.items():
            setattr(vm, name, types.VmStatus(value) if name == "status" else value)
        self.world.tell(35, f"VM {vm.name} was updated")


def _parsed(body: str, kind: type) -> Any:
    try:
        found = Reader.read(body)
    except Exception as error:
        raise Fault(400, f"The body is not understood: {error}", "Request syntactically incorrect.") from None
    if not isinstance(found, kind):
        raise Fault(400, f"The body is no {kind.__name__}.", "Request syntactically incorrect.")
    return found
