# One command for each thing that a developer does; `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=CI)
CONFIG := run/l2gate.yaml
# What runs in a lab of its own beside the lab for the rest: about half of it, by time.
SECOND_LAB := $(patsubst %,tests/interop/test_%.py,ciphers login nat scanner sessions wire)
FIRST_LAB := $(filter-out $(SECOND_LAB),$(wildcard tests/interop/test_*.py))
SIDE_BY_SIDE := $(MAKE) --no-print-directory --keep-going --output-sync=line --jobs
BENCHMARKS := $(patsubst benchmarks/%.py,benchmarks.%,$(wildcard benchmarks/[a-z]*.py))

.DEFAULT_GOAL := help
.PHONY: help setup run test check unit soak interop beside-labs first-lab second-lab bench format clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: .cache/lab/.installed .venv/.installed ## install what running and testing need (apt and pip)

run: .cache/.packages .venv/.installed ## write a first configuration to run/ if there is none, and start the server
	@if test -e $(CONFIG); then echo '$(CONFIG) has users and keys; remove $(dir $(CONFIG)) to begin anew'; \
		else $(BIN)/l2gate init --config $(CONFIG); fi
	$(SUDO) $(BIN)/l2gate serve --config $(CONFIG)

test: setup ## run every test, those with real clients included (root, some 10 minutes)
	$(SIDE_BY_SIDE) beside-labs first-lab second-lab

check: .venv/.installed ## the quick check before a commit: style, types and all tests without real clients
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases benchmarks
	$(BIN)/pytest -m "not interop and not soak"

unit: .venv/.installed ## run all tests without real clients
	$(BIN)/pytest -m "not interop and not soak"

soak: .venv/.installed ## run a day of each simulated client in each order of renewal (some 3 minutes)
	$(BIN)/pytest -m soak

interop: setup ## run the tests with real clients only (root)
	$(SIDE_BY_SIDE) first-lab second-lab

beside-labs: setup
	$(SUDO) $(BIN)/pytest -m "not interop and not soak"

first-lab: setup
	$(SUDO) $(BIN)/pytest -m interop $(FIRST_LAB)

second-lab: setup
	$(SUDO) $(BIN)/pytest -m interop $(SECOND_LAB)

bench: .venv/.installed ## measure speed and memory (root)
	for benchmark in $(BENCHMARKS); do $(SUDO) $(BIN)/python -m $$benchmark || exit; done

format: .venv/.installed ## put the code into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove everything that make has made, but not the configuration in run/
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

.cache/.packages:
	nft --version && $(PYTHON) -m ensurepip --version || $(SUDO) sh -c \
		'apt-get -qq update && apt-get -qq install --no-install-recommends nftables python3-venv'
	mkdir -p $(@D) && touch $@

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

.cache/lab/.installed: tests/interop/prepare.sh
	$(SUDO) tests/interop/prepare.sh .cache/lab
	touch $@
