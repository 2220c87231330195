# Run `make` to list the targets. As root on Debian, targets that need Docker install and start it if it is missing, and
# stop it at the end if they started it.
.DEFAULT_GOAL := help
.PHONY: help build-all build-tested release rebuild verify cosign audit demo test test-all test-forky checked tested bench compare lint format type generate check-generated picture screenshots lock upgrade clean
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

BIN := .venv/bin
IMAGES := python3 -m images
WITH_ENGINE := $(IMAGES) with-engine --
IMAGE_REPOSITORY ?= $(shell sed -n 's/^repository = "\(.*\)"/\1/p' images/family.toml)
# Processes of pytest that share the machine: most of the time a test waits. LANES=0 runs one test after another.
LANES ?= $(shell echo $$((2 * $$(nproc) < 8 ? 2 * $$(nproc) : 8)))
PYTEST := $(BIN)/pytest --numprocesses=$(LANES) --dist=loadscope
TYPED := entrypoint/src deploy/steps/src images tests examples bench docs

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

release: .venv/.complete ## build, audit, push and sign all images: make release VERSION=1.2.0 REGISTRY=localhost:5000
	@$(WITH_ENGINE) $(BIN)/python -m images.release publish --version "$(VERSION)" --registry "$(REGISTRY)"

verify: .venv/.complete ## check a release in a registry with the key in dist/: make verify VERSION=1.2.0 REGISTRY=localhost:5000
	@$(BIN)/python -m images.release verify --version "$(VERSION)" --registry "$(REGISTRY)"

rebuild: .venv/.complete ## build this release again with Debian's updates, and show what changed SINCE a commit: make rebuild REGISTRY=localhost:5000
	@$(WITH_ENGINE) $(BIN)/python -m images.release rebuild --registry "$(REGISTRY)"
	@git diff --unified=0 $(SINCE) -- docs/reference/images.md

cosign: ## sign the images in dist/ once more with cosign, without a key, by the identity of a workflow
	@while read -r image name; do cosign sign --yes "$$image"; cosign attest --yes --type cyclonedx --predicate "dist/$$name.cdx.json" "$$image"; done < dist/digests.txt

audit: .venv/.complete ## look for known vulnerabilities in all images
	@$(WITH_ENGINE) $(BIN)/python -m images.release audit

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

test-forky: export IMAGE_DEBIAN := forky
test-forky: export IMAGE_REPOSITORY := $(IMAGE_REPOSITORY)-forky
test-forky: export PREFECT_UV_TEST_IMAGES := base py314 py313
test-forky: .venv/.complete ## test the images on the next Debian, whose own Python is 3.14
	@$(WITH_ENGINE) $(SHELL) -euc '$(IMAGES) build $(PREFECT_UV_TEST_IMAGES); exec $(PYTEST) tests/images/base tests/prefect/test_family.py'

test-all: export PREFECT_UV_TEST_FULL := 1
test-all: export LANES := 0
test-all: test ## like test, with the long forms of the stress tests, which need the machine for themselves

bench: .venv/.complete ## measure start-up next to Prefect's own path and the floor; QUICK=1 for one round
	@$(WITH_ENGINE) $(SHELL) -euc '$(IMAGES) build base py313; exec $(BIN)/python -m bench'

compare: .venv/.complete ## compare warm starts of this image and another: make compare BEFORE=IMAGE
	@$(WITH_ENGINE) $(SHELL) -euc '$(IMAGES) build base py313; exec $(BIN)/python -m bench.compare'

lint: .venv/.complete ## check style: ruff, hadolint, shellcheck; check the workflows: their schema and zizmor
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/hadolint --ignore DL3045 Dockerfile.* examples/*/Dockerfile bench/official/Dockerfile
	@$(BIN)/shellcheck .ci/run images/base/apt-install images/base/harden images/base/offer-python images/py312/install-python images/tool/install bench/official/entrypoint.sh
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/zizmor --offline --quiet .github/workflows

format: .venv/.complete ## format the code and apply ruff's fixes
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

type: .venv/.complete ## check types with mypy --strict
	@$(BIN)/mypy --no-error-summary $(TYPED)

generate: .venv/.complete ## write the tables and versions of the docs
	@$(BIN)/python docs/generate.py

check-generated: .venv/.complete ## check that the docs' tables and versions are up to date
	@$(BIN)/python docs/generate.py --check

picture: .venv/.complete ## draw the README's pictures: docs/demo.txt, the saved output of make demo, and the three ways
	@$(BIN)/python docs/picture.py
	@$(BIN)/python docs/ways.py

screenshots: .venv/.complete ## take the pictures of Prefect's pages in docs/pictures, with Debian's Chromium
	@$(WITH_ENGINE) $(SHELL) -euc '$(IMAGES) build base py313; exec $(BIN)/python -m docs.screenshots'

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
