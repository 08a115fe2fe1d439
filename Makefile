# Slipway. `make up` and `make test` do all the set-up; README.md says more.
#   STACK=local|dev|prod|...   the stack (default: local)
#   CLOUD=default              the cloud on this machine that it runs on (promote: CLOUD=aws for where the shell aims)
#   ARGS=...                   more arguments for the engine, such as ARGS=--expect-no-changes
PYTHON ?= python3
STACK ?= local
CLOUD ?= default
RUN = @$(PYTHON) devcloud/bootstrap.py
GROUPS = --group pyproject.toml:cloud --group pyproject.toml:app --group pyproject.toml:dev
UNIT = $(RUN) pytest -m 'not cloud and not services and not contract' -p no:schemathesis -p no:hypothesispytest
# Half the time of a unit test is its imports: two processes that import half each are faster than two that share all.
UNIT_HALF = tests/app tests/images
# On a cloud of their own, so they run beside the others of the cloud, with the tests of services.
SETTINGS_TESTS = tests/cloud/test_bad_settings.py
SLOW = $(RUN) pytest -m 'cloud or services'
DEVCLOUD = $(RUN) devcloud --cloud $(CLOUD) --stack $(STACK)

.DEFAULT_GOAL := help
.PHONY: help up preview refresh build down clean status logs outputs env promote builder validate cache clean-cache \
	stop-builder toolchain test test-cloud test-services unit unit-half unit-rest contract check hooks format lock generate base \
	base-version report dev bench

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

up: ## Build, push, deploy and prove, on the cloud on this machine
	$(DEVCLOUD) up $(ARGS)
preview: ## What an up would change
	$(DEVCLOUD) preview $(ARGS)
refresh: ## Compare the state with what is there
	$(DEVCLOUD) refresh $(ARGS)
build: ## Build and push one image of product.yaml, and what it is built from: IMAGE=api
	$(DEVCLOUD) build $(IMAGE)
base: ## Build and push the base as the version in images/base/VERSION, for stacks to pin
	$(DEVCLOUD) base $(VERSION)
base-version: ## Give a changed base its next version: VERSION=1.2.0 CHANGE="what changed"
	$(RUN) images.base_version "$(VERSION)" "$(CHANGE)"
report: ## An image explained: its layers, and what a change rebuilds (IMAGE=..., default: all)
	$(DEVCLOUD) report $(IMAGE)
down: ## Delete the stack; end the cloud with its last one
	$(DEVCLOUD) down
clean: ## End the cloud and delete all that it kept
	$(DEVCLOUD) clean
status: ## What runs
	$(DEVCLOUD) status
logs: ## The end of the logs: SERVICE=... for more of one
	$(DEVCLOUD) logs $(SERVICE)
outputs: ## The stack's outputs as JSON (use make -s)
	$(DEVCLOUD) outputs
env: ## What aims a shell at the cloud: source <(make -s env)
	$(DEVCLOUD) env
promote: ## The digests of one stack for another: FROM=dev TO=prod
	$(DEVCLOUD) promote --from $(or $(FROM),dev) --to $(or $(TO),prod)
builder: ## Make the builder that the settings name
	$(DEVCLOUD) builder
validate: ## Check settings, locks, Dockerfiles, contexts; build nothing
	$(DEVCLOUD) validate
cache: ## What the builder and the registry cache hold
	$(DEVCLOUD) cache
clean-cache: ## Empty both
	$(DEVCLOUD) clean-cache
stop-builder: ## Stop BuildKit alone
	$(DEVCLOUD) stop-builder

dev: ## The product without the cloud, with live reload: ARGS=--fresh empties its database
	$(RUN) devcloud.dev.dev $(ARGS)
bench: ## Measure ours against what teams start out with: RUNS=3 ONLY=cold,ours ARGS="--fresh|--list|--report"
	$(RUN) bench --runs $(or $(RUNS),3) --only "$(ONLY)" $(ARGS)

toolchain: ## Find or make every tool
	$(DEVCLOUD) toolchain
test: ## Everything: unit tests, then those of the cloud beside those of services
	$(DEVCLOUD) toolchain --tests
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory contract
	@$(MAKE) --no-print-directory --jobs 2 test-cloud test-services
test-cloud:
	$(SLOW) tests/cloud --ignore=$(SETTINGS_TESTS) $(ARGS)
test-services:
	$(SLOW) $(filter-out tests/cloud tests/__pycache__ tests/__init__.py,$(wildcard tests/*)) $(SETTINGS_TESTS) $(ARGS)
unit: ## The unit tests alone, in seconds
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target unit-half unit-rest
unit-half:
	$(UNIT) $(UNIT_HALF) $(ARGS)
unit-rest:
	$(UNIT) tests $(UNIT_HALF:%=--ignore=%) $(ARGS)
contract: ## What every stack asks of AWS, against AWS's published schemas and both providers
	$(RUN) pytest -m contract -p no:schemathesis -p no:hypothesispytest tests/infra/contract $(ARGS)
check: ## Format, lint, types, unit tests, the contract with AWS, the base's version: before a commit
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) images.base_version --check
	$(RUN) infra.generate --check
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory contract
hooks: ## Let git run make check before each commit
	@printf '#!/bin/sh\nexec make check\n' > "$$(git rev-parse --git-path hooks)/pre-commit"
	@chmod +x "$$(git rev-parse --git-path hooks)/pre-commit"
format: ## Format and mend what can be
	$(RUN) ruff format .
	$(RUN) ruff check --fix .
lock: ## Lock what images install, and what our commands do
	$(RUN) images.lock
	$(RUN) uv pip compile --quiet --universal --generate-hashes --no-emit-index-url pyproject.toml $(GROUPS) -o requirements.lock
generate: ## Write what product.yaml and the settings say: docs/settings.md, the JSON schema, the edge's routes
	$(RUN) infra.generate
