#!/bin/sh
# Run parts of the tests: tests/run.sh lint|sanity|unit|integration|molecule [SCENARIO] ...  (`make setup` comes first; the Makefile sets the paths)
set -eu
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }

# A copy of what belongs to the collection, at the path that Ansible's own tools insist on.
copy_collection() {
  copy=.build/copy/ansible_collections/vmshift/mtv
  rm -rf .build/copy
  mkdir -p "$copy"
  git ls-files -co --exclude-standard | while IFS= read -r file; do
    if [ -e "$file" ]; then printf '%s\n' "$file"; fi
  done | tar -cf - -T - | tar -xf - -C "$copy"
  git -C "$copy" init -q # else ansible-test sees the checkout around it, which ignores .build
}

lint() {
  say "ruff"
  ruff check .
  ruff format --check .
  say "mypy"
  MYPYPATH=.build/collections mypy -p ansible_collections.vmshift.mtv.controlplane -p ansible_collections.vmshift.mtv.lab \
    -p ansible_collections.vmshift.mtv.plugins
  say "yamllint"
  yamllint -s .
  say "ansible-lint (production)"
  ansible-lint --profile production --offline -q
  say "changelog"
  antsibull-changelog lint
}

# ansible-test fetches a script that installs pip; put ours in its place, which asks PyPI alone.
provide_pip_bootstrap() {
  internals=$(python -c 'import ansible_test, os; print(os.path.join(os.path.dirname(ansible_test.__file__), "_internal"))')
  sed -n "s/.*pip='\([0-9.]*\)'.*/\1/p" "$internals/python_requirements.py" | while IFS= read -r version; do
    script=$HOME/.ansible/test/cache/get_pip_$(printf '%s' "$version" | tr . _).py
    mkdir -p "$(dirname "$script")"
    [ -e "$script" ] || cp tests/sanity/get_pip.py "$script"
  done
}

sanity() {
  say "ansible-test sanity"
  copy_collection
  provide_pip_bootstrap
  version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  (cd .build/copy/ansible_collections/vmshift/mtv && ansible-test sanity --color yes --venv --python "$version")
}

# The lowest version of the official client that requirements.txt accepts, with what it needs: tests use it beside the installed one.
provide_oldest_client() {
  wanted=$(sed -n 's/^\(kubernetes\)>=\(.*\)/\1==\2/p' requirements.txt)
  folder=$VMSHIFT_CACHE/oldest-client
  [ ! -e "$folder/$wanted" ] || return 0
  rm -rf "$folder"
  uv pip install -q --target "$folder" "$wanted"
  touch "$folder/$wanted"
}

unit() {
  provide_oldest_client
  say "unit tests"
  pytest -n 4 tests/unit
}

integration() {
  say "integration tests"
  pytest -n 2 --dist loadfile tests/integration # a worker takes a file at a time: fixtures of a file are for all of its tests
}

scenarios() {
  if [ -n "${1:-}" ]; then
    molecule test -s "$1"
  else
    molecule test --all
  fi
}

while [ $# -gt 0 ]; do
  case "$1" in
  lint | sanity | unit | integration) "$1" ;;
  molecule)
    say "molecule"
    (cd extensions && scenarios "${2:-}")
    shift $(($# > 1 ? 1 : 0))
    ;;
  *)
    echo "tests/run.sh: no such part: $1" >&2
    exit 2
    ;;
  esac
  shift
done
