# Run `make` to list the targets. As root on Debian, targets that need Docker install and start it if it is missing, and
# stop it at the end if they started it.
.DEFAULT_GOAL := help
.PHONY: help build-all build-tested demo test test-all checked tested bench compare lint format type generate check-generated picture lock upgrade clean
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

BIN := .venv/bin
IMAGES := python3 -m images
WITH_ENGINE := $(IMAGES) with-engine --
IMAGE_REPOSITORY ?= prefect-uv
# Processes of pytest that share the machine: most of the time a test waits. LANES=0 runs one test after another.
LANES ?= $(shell echo $$((2 * $$(nproc) < 8 ? 2 * $$(nproc) : 8)))
PYTEST := $(BIN)/pytest --numprocesses=$(LANES) --dist=loadscope
TYPED := entrypoint/src images tests examples bench docs

unexport PYTHONDONTWRITEBYTECODE
export IMAGE_REPOSITORY
ifdef SSL_CERT_FILE
export UV_SYSTEM_CERTS := 1
export PIP_CERT ?= $(SSL_CERT_FILE)
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

help: ## list the targets
	@sed -nE 's/^([a-z%/-]+):.*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-18s %s\n' "$$name" "$$text"; done

build/%: ## build an image and its parents: build/base, build/py312, build/py313
	@$(IMAGES) build $*

build-all: ## build all images and print their sizes
	@$(IMAGES) build

demo: .venv/.complete ## have a real Prefect worker run a flow from git in our image, twice
	@$(WITH_ENGINE) $(SHELL) -euc '$(IMAGES) build base py313; exec $(BIN)/python examples/demo.py'

test: .venv/.complete ## check everything: lint, types, drift, all tests
	@$(WITH_ENGINE) $(MAKE) --jobs=3 tested

tested: checked
	@$(PYTEST) tests

checked: lint type check-generated build-tested

build-tested:
	@$(IMAGES) build base py313

test/unit: .venv/.complete ## run the tests that need no Docker and build no environments, in seconds
	@$(BIN)/pytest tests/unit --numprocesses=$(LANES) -m 'not uv'

test/%: .venv/.complete ## run the tests of one directory with Docker: test/images, test/prefect
	@$(WITH_ENGINE) $(SHELL) -euc '$(IMAGES) build base py313; exec $(PYTEST) tests/$*'

test-all: export PREFECT_UV_TEST_FULL := 1
test-all: export LANES := 0
test-all: test ## like test, with the long forms of the stress tests, which need the machine for themselves

bench: .venv/.complete ## measure start-up next to Prefect's own path and the floor; QUICK=1 for one round
	@$(WITH_ENGINE) $(SHELL) -euc '$(IMAGES) build base py313; exec $(BIN)/python -m bench'

compare: .venv/.complete ## compare warm starts of this image and another: make compare BEFORE=IMAGE
	@$(WITH_ENGINE) $(SHELL) -euc '$(IMAGES) build base py313; exec $(BIN)/python -m bench.compare'

lint: .venv/.complete ## check style: ruff, hadolint, shellcheck
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/hadolint --ignore DL3045 Dockerfile.* examples/*/Dockerfile bench/official/Dockerfile
	@$(BIN)/shellcheck .ci/run images/base/apt-install images/base/harden images/base/offer-python images/py312/install-python bench/official/entrypoint.sh

format: .venv/.complete ## format the code and apply ruff's fixes
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

type: .venv/.complete ## check types with mypy --strict
	@$(BIN)/mypy --no-error-summary $(TYPED)

generate: .venv/.complete ## write the tables and versions of the docs
	@$(BIN)/python docs/generate.py

check-generated: .venv/.complete ## check that the docs' tables and versions are up to date
	@$(BIN)/python docs/generate.py --check

picture: .venv/.complete ## draw the README's picture from docs/demo.txt, the saved output of make demo
	@$(BIN)/python docs/picture.py

lock: .venv/.complete ## resolve the requirements files again, under the pins of images/family.toml
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(IMAGES) lock

upgrade: .venv/.complete ## raise all pins to the newest releases, write what follows them, and test everything
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(IMAGES) upgrade
	@$(MAKE) generate
	@$(MAKE) test

shell/%: ## open a shell in an image: shell/py313
	@$(WITH_ENGINE) $(SHELL) -euc '$(IMAGES) build $*; exec "$$DOCKER" run --rm --interactive --tty $(IMAGE_REPOSITORY):$* bash'

clean: ## remove what this project created: images, containers, volumes, .venv, caches
	@$(IMAGES) clean
	@rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.complete: requirements/dev.txt requirements/uv.txt
	@$(IMAGES) venv
