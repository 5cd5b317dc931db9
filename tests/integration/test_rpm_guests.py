"""The guest agent in guests of RHEL and SUSE, as far as that goes without such a guest: its script with the real dnf and zypper.

Both install into a root of their own, from a repository with packages that are called and depend as the real ones. The script sees
a system whose only package manager is the one that is tried, in a mount namespace of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ansible_collections.vmshift.mtv.tests.integration.conftest import ANSIBLE_PLAYBOOK, ROOT, environment

TOOLS = ("rpmbuild", "createrepo_c", "dnf", "zypper", "unshare")
HIDDEN = ("apt-get", "dnf", "yum", "zypper", "qemu-ga", "systemctl")
SPEC = """
Name: qemu-guest-agent
Version: 8.2
Release: 1
Summary: lab
License: GPL
BuildArch: noarch
AutoReqProv: no
Requires: lab-liburing, glibc
%description
lab
%install
mkdir -p %{buildroot}/usr/bin
printf '#!/bin/sh\\n' > %{buildroot}/usr/bin/qemu-ga
chmod 755 %{buildroot}/usr/bin/qemu-ga
%files
/usr/bin/qemu-ga
%package -n lab-liburing
Summary: lab
%description -n lab-liburing
lab
%files -n lab-liburing
%package -n glibc
Summary: lab
%description -n glibc
lab
%files -n glibc
%package -n systemd
Summary: lab
Requires: glibc
%description -n systemd
lab
%files -n systemd
"""
WRAPPERS = {
    "dnf": 'exec /usr/bin/dnf --installroot "$ROOT" --releasever 9 --setopt=reposdir=/etc/yum.repos.d --setopt=cachedir="$ROOT/cache" "$@"',
    "zypper": 'exec /usr/bin/zypper --root "$ROOT" "$@"',
}
#: Folders of this machine with what it knows of packages and where they are.
OWN = "/etc/yum.repos.d /etc/zypp/repos.d /var/lib/rpm /usr/lib/sysimage /var/cache/zypp /var/cache/dnf".split()
# Repositories of this machine are none of the guest's, and it gets none.
NAMESPACE = 'mkdir -p /etc/yum.repos.d && mount -t tmpfs none /etc/yum.repos.d && PATH="$BIN" exec sh "$SCRIPT"'

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(tool) for tool in TOOLS), reason=f"needs root and {', '.join(TOOLS)}"
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("rpm")
    (work / "agent.spec").write_text(SPEC)
    folder = work / "repository"
    defined = {"_topdir": work / "build", "_rpmdir": folder, "_build_name_fmt": "%%{NAME}.%%{ARCH}.rpm", "_build_id_links": "none"}
    options = [word for name, value in defined.items() for word in ("--define", f"{name} {value}")]
    subprocess.run(["rpmbuild", "-bb", *options, str(work / "agent.spec")], check=True, capture_output=True)
    subprocess.run(["createrepo_c", "-q", str(folder)], check=True)
    return folder


@pytest.fixture
def guest(tmp_path: Path) -> Callable[..., tuple[int, str, Path]]:
    """Run the script in a guest with that package manager: exit code, output, root folder. More are its settings."""
    (play,) = yaml.safe_load((ROOT / "playbooks/hooks/guest_agent.yml").read_text())

    def run(manager: str, **settings: str) -> tuple[int, str, Path]:
        root, bin, script = tmp_path / "root", tmp_path / "bin", tmp_path / "script"
        bin.mkdir()
        (root / "etc/zypp").mkdir(parents=True)
        for tool in Path("/usr/bin").iterdir():
            if tool.name not in HIDDEN:
                (bin / tool.name).symlink_to(tool)
        for name, text in {manager: WRAPPERS[manager], "systemctl": "exit 0"}.items():
            (bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (bin / name).chmod(0o755)
        lines = [f"{name}='{value}'" for name, value in {"SUITE": "", "OFFLINE": "yes", **settings}.items()]
        own = play["vars"]["agent_script"].replace(':/usr/sbin:/sbin"', '"')  # this machine's hide a package manager, too
        script.write_text("\n".join([*lines, own]))
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", NAMESPACE],
            env={**os.environ, "ROOT": str(root), "BIN": str(bin), "SCRIPT": str(script)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout, root

    return run


@pytest.mark.parametrize("family", ["rhel", "suse"])
def test_a_bundle_is_made_with_the_package_manager_of_the_family(repository: Path, tmp_path: Path, family: str) -> None:
    """The control node's sources are the repository alone; the bundle holds the agent and what it needs."""
    folder, source = tmp_path / "bundle", tmp_path / "lab.repo"
    source.write_text(f"[lab]\nname=lab\nbaseurl=file:{repository}\nenabled=1\ngpgcheck=0\n")
    hide = "\n".join(
        [
            "set -e",
            *(f"mkdir -p {place}; mount -t tmpfs none {place}" for place in OWN),
            f"cp {source} /etc/yum.repos.d",
            f"cp {source} /etc/zypp/repos.d",
            'exec "$@"',
        ]
    )
    variables = ["-e", f"bundle_folder={folder}", "-e", f"bundle_family={family}"]
    argv = [ANSIBLE_PLAYBOOK, str(ROOT / "playbooks/guest_agent_bundle.yml"), *variables]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", hide, "sh", *argv],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    names = {path.name for path in (folder / "packages").iterdir()}
    packages = {name.removesuffix(".noarch.rpm") for name in names if name.endswith(".rpm")}
    assert packages == (WANTED - {"glibc"} if family == "rhel" else WANTED)  # the control node has none of them installed
    assert "SHA256SUMS" in names and (folder / "bundle.tar").exists()
    assert ("repodata" in names) == (family == "rhel")


def installed(root: Path) -> set[str]:
    query = ["rpm", "--root", str(root), "-qa", "--qf", "%{NAME} "]
    return set(subprocess.run(query, check=True, capture_output=True, text=True).stdout.split())


WANTED = {"qemu-guest-agent", "lab-liburing", "glibc"}


@pytest.mark.parametrize("manager", ["dnf", "zypper"])
def test_the_agent_comes_from_a_mirror(guest: Callable[..., tuple[int, str, Path]], repository: Path, manager: str) -> None:
    code, output, root = guest(manager, SOURCE=f"file:{repository}", UNSIGNED="yes")
    assert code == 0 and output.rstrip().endswith("the agent was installed"), output
    assert installed(root) == WANTED and (root / "usr/bin/qemu-ga").exists()


@pytest.mark.parametrize("manager", ["dnf", "zypper"])
def test_the_agent_comes_from_a_bundle_that_is_what_it_was(
    guest: Callable[..., tuple[int, str, Path]], repository: Path, manager: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.tar"
    pack = 'find . -type f ! -name SHA256SUMS | xargs sha256sum > SHA256SUMS; tar -cf "$0" .; sha256sum "$0" | cut -d\' \' -f1'
    packed = subprocess.run(["sh", "-c", pack, str(bundle)], cwd=repository, check=True, capture_output=True, text=True)
    code, output, root = guest(manager, BUNDLE=str(bundle), SHA256=packed.stdout.strip())
    assert code == 0, output
    assert installed(root) >= WANTED  # zypper installs all that is in the bundle


@pytest.mark.parametrize("manager", ["dnf", "zypper"])
def test_a_package_that_nobody_signed_is_not_installed(guest: Callable[..., tuple[int, str, Path]], repository: Path, manager: str) -> None:
    code, output, root = guest(manager, SOURCE=f"file:{repository}", UNSIGNED="no")
    assert code != 0 and "step 'install the package' failed" in output, output
    assert not (root / "usr/bin/qemu-ga").exists()


def test_a_bundle_that_changed_on_its_way_is_not_unpacked(guest: Callable[..., tuple[int, str, Path]], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.tar"
    bundle.write_bytes(b"other")
    code, output, root = guest("dnf", BUNDLE=str(bundle), SHA256="0" * 64)
    assert code != 0 and "step 'check the bundle' failed" in output
    assert not (root / "usr").exists()
