"""The program of a hook's pod: ansible-runner, which finds the hook's ConfigMap at /tmp/hook, as in MTV's hook-runner image.

`python -m ansible_collections.vmshift.mtv.controlplane.datapath.hook_runner ansible-runner run /tmp/runner -p /tmp/hook/playbook.yml`

What a container is for a hook is a mount namespace of its own here. /tmp, the user's home and /run/secrets are private to the hook,
gone with it, and hold nothing but what it is given: a hook that writes ~/.ssh/id_rsa does so as it would in a container. The rest of
the file system is this machine's. Of Ansible it sees ansible-core and the collections that the hook-runner image has.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import Mounts, NotMounted
from ansible_collections.vmshift.mtv.controlplane.datapath.pod_files import MESSAGE_FILE

#: What the image quay.io/konveyor/hook-runner has beside ansible-core.
COLLECTIONS = ("kubernetes.core",)
HOOK, RUNNER, ACCOUNT = "/tmp/hook", "/tmp/runner", "/var/run/secrets/kubernetes.io/serviceaccount"
ACCOUNT_FOLDER = "serviceaccount"  # in the pod's folder: token, ca.crt, namespace
FOLDER_VARIABLE = "VMSHIFT_POD_DIR"

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_KEPT = ("PATH", "LANG", "TERM", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", FOLDER_VARIABLE)
_KEPT_PREFIXES = ("KUBERNETES_",)

_libc = ctypes.CDLL(None, use_errno=True)


class NotPossible(Exception):
    """What is missing on this machine; one sentence for the user."""


def main(arguments: list[str]) -> int:
    folder = Path(os.environ[FOLDER_VARIABLE])
    try:
        runner = _ansible_runner()
        collections = _collections(folder)
        _isolate(folder)
    except NotPossible as error:
        (folder / MESSAGE_FILE).write_text(f"{error}\n")
        print(f"hook: {error}", flush=True)
        return 1
    os.chdir(RUNNER)
    return os.execve(sys.executable, [sys.executable, "-I", "-m", runner, *arguments[1:]], _environment(collections))


def _ansible_runner() -> str:
    for module, package in (("ansible_runner", "ansible-runner"), ("ansible", "ansible-core")):
        if importlib.util.find_spec(module) is None:
            raise NotPossible(f"hooks need {package}: install it with '{sys.executable} -m pip install {package}'")
    if shutil.which("ansible-playbook", path=_path()) is None:
        raise NotPossible(f"hooks need ansible-playbook beside {sys.executable}: install ansible-core there")
    return "ansible_runner"


def _path() -> str:
    """The tools of the Python that runs this come first, as they would in the image."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def _environment(collections: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    return {
        "LANG": "C.UTF-8",
        **kept,
        "PATH": _path(),
        "HOME": _home(),
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false",
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _home() -> str:
    """What ssh takes for the home, whatever HOME says."""
    return pwd.getpwuid(os.geteuid()).pw_dir


def _collections(folder: Path) -> Path:
    """A folder with those of the image and no others, linked from where Ansible's packages or Galaxy have put them."""
    own = folder / "collections"
    for name in COLLECTIONS:
        namespace, _unused, collection = name.partition(".")
        found = next((path for path in _places(namespace, collection) if (path / "plugins").is_dir()), None)
        if found is None:
            print(f"hook: the collection {name}, which the hook-runner image has, is not installed here", flush=True)
            continue
        target = own / "ansible_collections" / namespace / collection
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            target.symlink_to(found.resolve())
    own.mkdir(exist_ok=True)
    return own


def _places(namespace: str, collection: str) -> Iterable[Path]:
    roots = [*filter(None, sys.path), os.path.expanduser("~/.ansible/collections"), "/usr/share/ansible/collections"]
    return (Path(root, "ansible_collections", namespace, collection) for root in roots)


# The namespace


def _isolate(folder: Path) -> None:
    """Raises NotPossible."""
    mounts = Mounts.load(folder)
    try:
        hook = mounts.host_path(HOOK)
    except NotMounted:
        raise NotPossible(f"the pod has no volume at {HOOK}") from None
    needed = _needed(folder)
    _enter()
    home = _home()
    _replace(Path("/run"), keep=None, make=("secrets",))
    for private in ("/tmp", home):
        _replace(Path(private), keep=[path for path in needed if path.is_relative_to(os.path.realpath(private))])
    for path, source in ((HOOK, hook), (RUNNER, _made(folder / "runner")), (ACCOUNT, folder / ACCOUNT_FOLDER)):
        if source.is_dir():
            Path(path).mkdir(parents=True, exist_ok=True)
            _mount(str(source), path, _MS_BIND | _MS_REC)
    _mount("none", HOOK, _MS_REMOUNT | _MS_BIND | _MS_RDONLY, tolerated=True)


def _needed(folder: Path) -> list[Path]:
    """Trees that must be there for the program to run, wherever they lie: its Python, Ansible, collections, the pod's folder."""
    own = [
        folder,
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sys.executable).parent.parent,
        Path(os.path.realpath(sys.executable)).parent,
    ]
    own += [link.resolve() for link in (folder / "collections").rglob("*") if link.is_symlink()]
    own += [Path(path) for path in sys.path if path and Path(path).is_dir() and "site-packages" in path]
    kept: list[Path] = []
    for path in sorted({Path(os.path.realpath(p)) for p in own} | {p.absolute() for p in own}, key=lambda p: len(p.parts)):
        if path.exists() and not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return kept


def _made(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def _enter() -> None:
    """A mount namespace; where that takes more rights than the user has, within a user namespace of the user's own."""
    if _libc.unshare(_CLONE_NEWNS) != 0:
        user, group = os.geteuid(), os.getegid()
        if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS) != 0:
            why = os.strerror(ctypes.get_errno())
            raise NotPossible(
                f"hooks need a mount namespace of their own, which this machine refuses ({why}): run the control plane as root, or allow "
                "user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0, on Ubuntu "
                "kernel.apparmor_restrict_unprivileged_userns=0); a container needs CAP_SYS_ADMIN"
            )
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _mount("none", "/", _MS_REC | _MS_PRIVATE)


def _replace(place: Path, keep: list[Path] | None, make: Iterable[str] = ()) -> None:
    """An empty file system in the place of a folder, with the trees to `keep` (None: all) of what was there bound into it."""
    place = Path(os.path.realpath(place))
    descriptor = os.open(place, os.O_PATH | os.O_DIRECTORY)
    old = f"/proc/self/fd/{descriptor}"
    try:
        wanted = [Path(name) for name in os.listdir(old)] if keep is None else [path.relative_to(place) for path in keep]
    except PermissionError:  # another user's home: nothing in it can be needed
        wanted = []
    _mount("tmpfs", str(place), 0, "tmpfs")
    for path in wanted:
        if str(path) not in make and os.path.lexists(f"{old}/{path}"):
            _bring(f"{old}/{path}", place / path)
    for name in make:
        (place / name).mkdir(exist_ok=True)
    os.close(descriptor)


def _bring(old: str, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    if os.path.islink(old):
        new.symlink_to(os.readlink(old))
        return
    if os.path.isdir(old):
        new.mkdir(exist_ok=True)
    else:
        new.touch()
    _mount(old, str(new), _MS_BIND | _MS_REC, tolerated=True)


def _mount(source: str, target: str, flags: int, kind: str = "none", *, tolerated: bool = False) -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None) != 0 and not tolerated:
        why = os.strerror(ctypes.get_errno())
        raise NotPossible(f"hooks need file systems of their own, and {target} could not be made into one: {why}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
