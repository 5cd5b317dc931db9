"""Sessions with a vCenter and with servers that are none; tags in both dialects of REST; reading everything, once or followed."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.vmshift.mtv.lab.certificates import write_certificates
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere import properties, reader, session, tags
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.assembly import Assembly
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, connect

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere

pytest.importorskip("pyVmomi")

Answer = Callable[[BaseHTTPRequestHandler], tuple[int, str]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[Answer], Endpoint]]:
    """Serves over TLS what a function answers; returns where."""
    running = []

    def serve(answer: Answer) -> Endpoint:
        ca, certificate, key = write_certificates(tmp_path, "lab vCenter")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body = answer(self)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_DELETE = do_GET

            def log_message(self, *_unused: Any) -> None:
                pass

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        http.socket = context.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        running.append(http)
        return Endpoint(f"https://127.0.0.1:{http.server_port}/sdk", "u", "secret-word", ca=ca.read_text())

    yield serve
    for http in running:
        http.shutdown()
        http.server_close()


def versions(*names: str) -> str:
    return "<namespaces version='1.0'>" + "".join(f"<version>{name}</version>" for name in names) + "</namespaces>"


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((404, "nothing here"), CONNECTION, "is not the SDK endpoint of vCenter or ESXi (HTTP status 404)"),
        ((200, versions("1.0")), DATA, "speaks versions of the API that pyvmomi does not know: 1.0"),
        ((200, "<html>"), CONNECTION, "is not the SDK endpoint"),
    ],
)
def test_servers_that_are_no_vcenter(server: Any, answer: tuple[int, str], kind: str, said: str) -> None:
    endpoint = server(lambda _request: answer)
    with pytest.raises(SourceError) as refused:
        connect(endpoint)
    assert refused.value.kind == kind and said in refused.value.message


def test_a_server_that_answers_soap_with_something_else(server: Any) -> None:
    endpoint = server(lambda request: (200, versions("6.5")) if request.command == "GET" else (502, "bad gateway"))
    with pytest.raises(SourceError) as refused:
        connect(endpoint)
    assert refused.value.kind == CONNECTION and "secret-word" not in refused.value.message


def test_a_server_that_never_answers(server: Any) -> None:
    released = threading.Event()
    endpoint = server(lambda _request: (200, "") if released.wait(20) else (200, ""))
    try:
        with pytest.raises(SourceError, match="did not answer in time"):
            connect(endpoint, timeout=0.3)
    finally:
        released.set()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("vcenter.example.com", "is not the URL of a vSphere endpoint"),
        ("http://vcenter/sdk", "is not the URL of a vSphere endpoint"),
        ("https://[::1/sdk", "is not a URL"),
        ("https:///sdk", "is not the URL"),
    ],
)
def test_urls_that_are_none(url: str, said: str) -> None:
    with pytest.raises(SourceError, match="is not") as refused:
        connect(Endpoint(url, "u", "p"))
    assert refused.value.kind == DATA and said in refused.value.message


def test_the_server_s_own_certificate_will_do_as_authority(vsphere: VSphere) -> None:
    own = ssl.DER_cert_to_PEM_cert(session.server_certificate(vsphere.url))
    connect(replace(vsphere.endpoint(), ca=own)).close()


def test_without_pyvmomi_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyVim.connect", None)
    with pytest.raises(SourceError, match="pip install pyvmomi") as refused:
        connect(Endpoint("https://vcenter.example.com/sdk", "u", "p"))
    assert refused.value.kind == DATA


def test_an_endpoint_does_not_show_its_password() -> None:
    assert "secret-word" not in repr(Endpoint("https://vc/sdk", "u", "secret-word"))


def test_urls_of_files(vsphere: VSphere) -> None:
    with vsphere.session() as opened:
        base = vsphere.url.removesuffix("/sdk")
        assert opened.file_url("[ds 1] my vm/disk#1.vmdk", "DC0") == f"{base}/folder/my%20vm/disk%231.vmdk?dcPath=DC0&dsName=ds+1"
        with pytest.raises(SourceError, match="is not the path of a file"):
            opened.file_url("no/datastore.vmdk", "DC0")


def test_sessions_that_have_ended_are_told_from_refused_logins(vsphere: VSphere) -> None:
    opened = vsphere.session()
    opened.content.sessionManager.Logout()
    with pytest.raises(SourceError) as refused, session.explained(opened.endpoint):
        opened.content.viewManager.CreateContainerView(opened.content.rootFolder, [], True)
    assert refused.value.kind == CONNECTION and "has ended" in refused.value.message


class TestTags:
    #: What both dialects of the interface serve.
    TAG = {"id": "urn:t", "name": "prod", "description": "d", "category_id": "urn:c", "used_by": []}
    ATTACHED = [{"tag_id": "urn:t", "object_ids": [{"id": "vm-1", "type": "VirtualMachine"}, {"id": "host-1", "type": "HostSystem"}]}]

    def answered(self, root: str, wrapped: bool) -> Answer:
        def answer(request: BaseHTTPRequestHandler) -> tuple[int, str]:
            path = request.path.removeprefix(root)
            if not request.path.startswith(root):
                return 404, ""
            if "session" in path:
                return (201, json.dumps("id")) if not wrapped else (200, json.dumps({"value": "id"}))
            if request.headers.get("vmware-api-session-id") != "id":
                return 401, ""
            found: Any = ["urn:t"]
            if "tag-association" in path:
                found = self.ATTACHED
            elif path.endswith("urn:t"):
                found = self.TAG
            return 200, json.dumps({"value": found} if wrapped else found)

        return answer

    @pytest.mark.parametrize(("root", "wrapped"), [("/rest/com/vmware/cis", True), ("/api", False)])
    def test_both_dialects(self, server: Any, root: str, wrapped: bool) -> None:
        endpoint = server(self.answered(root, wrapped))
        assert tags.tags_of_vms(endpoint) == {
            "vm-1": [{"id": "urn:t", "description": "d", "name": "prod", "categoryID": "urn:c", "usedBy": []}]
        }

    def test_a_server_without_rest(self, server: Any) -> None:
        with pytest.raises(SourceError, match=r"has no REST interface for tags \(HTTP status 404\)"):
            tags.tags_of_vms(server(lambda _request: (404, "")))

    def test_refused(self, server: Any) -> None:
        with pytest.raises(SourceError) as refused:
            tags.tags_of_vms(server(lambda _request: (401, "")))
        assert refused.value.kind == AUTH

    def test_an_answer_that_is_none(self, server: Any) -> None:
        with pytest.raises(SourceError, match="cannot be read"):
            tags.tags_of_vms(server(lambda _request: (200, "<html>")))

    def test_those_of_the_lab(self, vsphere: VSphere) -> None:
        found = tags.tags_of_vms(vsphere.endpoint())
        assert [tag["name"] for tag in found[vsphere.vm("db-1")["id"]]] == ["database", "production"]


class TestReading:
    def test_once_and_followed_are_the_same_whatever_the_size_of_pages(self, vsphere: VSphere) -> None:
        def read(page: int, once: bool) -> Any:
            assembly = Assembly()
            with vsphere.session() as opened, reader.Reader(opened, page=page) as source:
                pages = list(source.once() if once else source.pages())
                assert all(len(changes) <= page for changes in pages)
                for changes in pages:
                    assembly.apply(changes)
            return {name: sorted(items, key=lambda item: item["id"]) for name, items in assembly.resources().items()}

        whole = read(1000, once=True)
        assert len(whole["vms"]) == len(vsphere.vms)
        assert read(3, once=True) == whole == read(3, once=False) == read(1000, once=False)

    def test_only_some_types(self, vsphere: VSphere) -> None:
        with vsphere.session() as opened:
            found = list(reader.everything(opened, types=("Datastore",)))
        assert {change.type for change in found} == {"Datastore"} and len(found) == 2

    def test_properties_that_the_server_does_not_know_are_left_out(self, vsphere: VSphere, monkeypatch: pytest.MonkeyPatch) -> None:
        from pyVmomi import vmodl

        with vsphere.session() as opened, reader.Reader(opened, types=("Datastore",)) as source:
            asked: list[list[str]] = []

            def use(wanted: Any) -> str:
                asked.append(list(wanted.propSet[0].pathSet))
                if "info" in asked[-1]:
                    raise vmodl.query.InvalidProperty(name="info")
                return "done"

            assert source._specified(use) == "done"
        assert set(asked[0]) - set(asked[1]) == {"info"} and "info" in properties.PROPERTIES["Datastore"]

    def test_what_pyvmomi_does_not_understand_is_an_error_of_the_source(self, vsphere: VSphere, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(_answer: Any) -> Any:
            raise AttributeError("no such enumeration value")

        monkeypatch.setattr(reader.Reader, "_found", lambda _self, found: broken(found))
        with vsphere.session() as opened, pytest.raises(SourceError, match="does not understand: no such enumeration value"):
            list(reader.everything(opened))

    def test_garbage_is_collected_again_afterwards(self, vsphere: VSphere) -> None:
        import gc

        with vsphere.session() as opened:
            stream = reader.everything(opened, page=1)
            next(stream)
            assert gc.isenabled()
            vsphere.faults({"method": "ContinueRetrievePropertiesEx", "times": 2, "drop": True})
            try:
                with pytest.raises(SourceError):
                    list(stream)
            finally:
                vsphere.faults()
            assert gc.isenabled()
