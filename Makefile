# vmshift.mtv: `make demo` shows a migration on this machine, `make test` runs every check and test.
SHELL := /bin/sh
.DEFAULT_GOAL := help

COLLECTIONS := $(CURDIR)/.build/collections
BIN := $(CURDIR)/.venv/bin
CACHE ?= $(or $(VMSHIFT_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vmshift-mtv)
# Where the demo's control plane and its source of VMs live.
DEMO ?= $(CACHE)/demo

export ANSIBLE_COLLECTIONS_PATH := $(COLLECTIONS)
export PYTHONPATH := $(COLLECTIONS)
export VMSHIFT_CACHE := $(CACHE)
export ANSIBLE_LOCALHOST_WARNING := false
export ANSIBLE_INVENTORY_UNPARSED_WARNING := false
export PATH := $(BIN):$(PATH)

CONTROL_PLANE := $(BIN)/python -m ansible_collections.vmshift.mtv.controlplane

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: demo
demo: ## set up, then migrate a Linux guest from an OVA file and leave the control plane running
	@sh lab/setup.sh requirements.txt lab/requirements.txt
	@mkdir -p $(DEMO)
	@$(BIN)/python -m ansible_collections.vmshift.mtv.lab ova $(DEMO)/export > $(DEMO)/guest.json
	@$(BIN)/ansible-playbook lab/demo.yml -e @lab/demo_request.yml -e demo_folder=$(DEMO)
	@echo "kubeconfig: $(DEMO)/state/kubeconfig"

.PHONY: demo-stop
demo-stop: ## end the demo's control plane and remove what it migrated
	@$(BIN)/ansible-playbook lab/demo_stop.yml -e demo_folder=$(DEMO)

.PHONY: setup
setup: ## system packages, virtual environment and tools for tests
	@sh lab/setup.sh requirements.txt requirements-ovirt.txt tests/requirements.txt

.PHONY: test
test: setup ## every check and test
	@sh tests/run.sh lint sanity unit integration molecule

.PHONY: lint sanity unit integration
lint sanity unit integration: setup ## one part of the tests
	@sh tests/run.sh $@

.PHONY: fidelity
fidelity: setup ## the recorded runs of Forklift's controllers again, a line per scenario; skipped without the recordings
	@$(BIN)/pytest -q tests/unit/controlplane/fidelity

.PHONY: molecule
molecule: setup ## Molecule scenarios, or one: make molecule SCENARIO=name
	@sh tests/run.sh molecule $(SCENARIO)

.PHONY: build
build: setup ## the collection's archive, as it goes to Galaxy
	@$(BIN)/ansible-galaxy collection build --force --output-path .build

.PHONY: bench
bench: setup ## measure speed and size; one measurement: make bench NAME=api
	@$(BIN)/python tests/bench/run.py $(NAME)

.PHONY: docs
docs: setup ## pages of modules and roles, in .build/docs
	@mkdir -p .build/docs
	@$(BIN)/antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --output-format simplified-rst \
	  --dest-dir .build/docs vmshift.mtv

.PHONY: clean
clean: ## remove what was built in this checkout (the cache outside stays)
	rm -rf .build .venv .ansible
