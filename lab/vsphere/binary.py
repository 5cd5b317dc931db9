"""The simulator's program, built once from Debian's packages into the cache outside the checkout."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from ansible_collections.vmshift.mtv.lab.commands import LabError, run
from ansible_collections.vmshift.mtv.lab.guests import cache_folder

SOURCES = Path(__file__).parent / "vcenter"
GOCODE = Path("/usr/share/gocode")  # where Debian's golang-…-dev packages put their sources
GOVMOMI = GOCODE / "src/github.com/vmware/govmomi"


def vcenter_program() -> Path:
    """The program of `vcenter/`, built if the cache does not hold it (about half a minute). Raises LabError."""
    if not shutil.which("go") or not GOVMOMI.exists():
        raise LabError("the vSphere lab needs Debian's packages golang-go and golang-github-vmware-govmomi-dev")
    digest = hashlib.sha256(run(["go", "version"]).encode())
    digest.update((GOVMOMI / "go.mod").read_bytes())
    for source in sorted(SOURCES.glob("*.go")):
        digest.update(source.name.encode() + source.read_bytes())
    program = cache_folder() / "vcenter" / digest.hexdigest()[:16]
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        build(program)
    return program


def build(program: Path) -> None:
    with tempfile.TemporaryDirectory(dir=program.parent, prefix=".building-") as folder:
        work = Path(folder)
        shutil.copytree(SOURCES, work / "src/labvcenter")
        environment = {
            "GO111MODULE": "off",
            "GOFLAGS": "",
            "GOPATH": f"{work}:{GOCODE}",
            "GOCACHE": str(program.parent / "gocache"),
            "GOPROXY": "off",
        }
        run(["go", "build", "-o", work / "vcenter", "labvcenter"], env=environment, timeout=900, cwd=work)
        (work / "vcenter").rename(program)
