#!/bin/sh
# Prepare a machine: a virtual environment in .venv, the system packages of bindep.txt, and the collection's import path in .build.
# usage: lab/setup.sh REQUIREMENTS...   (files of Python packages; what is there already is left alone)
set -eu
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  [ $# -gt 0 ] || return 0
  say "installing system packages: $*"
  if command -v apt-get > /dev/null; then
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > .build/packages.log 2>&1 ||
      { tail -n 20 .build/packages.log >&2; exit 1; }
  elif command -v dnf > /dev/null; then
    as_root dnf install -y -q --setopt=install_weak_deps=False "$@" > .build/packages.log 2>&1 ||
      { tail -n 20 .build/packages.log >&2; exit 1; }
  else
    echo "neither apt-get nor dnf is here: install these yourself, then run this again: $*" >&2
    exit 1
  fi
}

find_python() {
  for python in python3.13 python3.12 python3.11 python3; do
    if command -v "$python" > /dev/null && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
      echo "$python"
      return
    fi
  done
  echo "Python 3.11 or newer is needed on the control node" >&2
  exit 1
}

mkdir -p .build/collections/ansible_collections/vmshift
: > .build/collections/ansible_collections/__init__.py
ln -sfn ../../../.. .build/collections/ansible_collections/vmshift/mtv

# What bindep.txt has for tests alone is not for those who only want the demo.
case "$*" in
*tests/*) profile='test' ;;
*) profile='default' ;;
esac

wanted=$(cat "$@" | sha256sum | cut -d' ' -f1)
stamp=.venv/installed-$wanted
if [ ! -x .venv/bin/bindep ]; then
  python=$(find_python)
  if [ ! -x .venv/bin/python ]; then
    say "making the virtual environment .venv with $python"
    "$python" -c 'import ensurepip, venv' 2> /dev/null || install_packages python3-venv python3-pip
    "$python" -m venv .venv
  fi
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip install -q --disable-pip-version-check uv
  .venv/bin/uv pip install -q --python .venv/bin/python bindep
fi

# System packages come first: some Python packages are compiled with them.
missing=$(.venv/bin/bindep -b -f bindep.txt "$profile" || true)
# shellcheck disable=SC2086 # a list of package names
install_packages $missing

if [ ! -e "$stamp" ]; then
  say "installing Python packages ($*)"
  for file in "$@"; do
    set -- "$@" -r "$file"
    shift
  done
  .venv/bin/uv pip install -q --python .venv/bin/python "$@"
  touch "$stamp"
fi

# Ubuntu keeps kernels for root's eyes; libguestfs and the lab read them as whoever runs them.
for kernel in /boot/vmlinuz-*; do
  if [ -e "$kernel" ] && [ ! -r "$kernel" ]; then
    say "making $kernel readable, which libguestfs needs"
    as_root chmod a+r "$kernel"
  fi
done
