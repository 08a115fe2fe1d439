# Slipway. `make up` and `make test` do all the set-up; README.md says more.
#   STACK=local|dev|prod|...   the stack (default: local)
#   CLOUD=default              the cloud on this machine that it runs on (status, logs, restart, backup, backups,
#                              restore, open, promote, releases, rollback: CLOUD=aws for the account that the shell's
#                              credentials and Pulumi's backend name)
#   ARGS=...                   more arguments for Pulumi, such as ARGS=--expect-no-changes
#   V=1                        print each command that runs
PYTHON ?= python3
STACK ?= local
CLOUD ?= default
RUN = @$(PYTHON) devcloud/bootstrap.py
GROUPS = --group pyproject.toml:cloud --group pyproject.toml:app --group pyproject.toml:dev
UNIT = $(RUN) pytest -m 'not cloud and not services and not contract' -p no:schemathesis -p no:hypothesispytest
# Half the time of a unit test is its imports: two processes that import half each are faster than two that share all.
UNIT_HALF = tests/app tests/images tests/infra/host
# On a cloud of their own, so they run beside the others of the cloud, with the tests of services.
SETTINGS_TESTS = tests/cloud/test_bad_settings.py
SOAK_TESTS = tests/cloud/test_release.py tests/cloud/test_release_series.py tests/cloud/test_release_soak.py
SLOW = $(RUN) pytest -m '(cloud or services) and not soak'
DEVCLOUD = $(RUN) devcloud --cloud $(CLOUD) --stack $(STACK)

.DEFAULT_GOAL := help
.PHONY: help up preview refresh build down clean status logs restart backup backups restore open cloud-status \
	cloud-logs outputs env promote releases rollback builder validate cache clean-cache stop-builder toolchain test \
	test-cloud test-services soak unit unit-half unit-rest contract check hooks format lock generate base base-version report dev bench

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

up: ## Build, push, deploy and smoke-test the stack
	$(DEVCLOUD) up $(ARGS)
preview: ## Show what `up` would change
	$(DEVCLOUD) preview $(ARGS)
refresh: ## Update the stack's state from the resources that exist
	$(DEVCLOUD) refresh $(ARGS)
build: ## Build and push one image of product.yaml, and its base (IMAGE=api)
	$(DEVCLOUD) build $(IMAGE)
base: ## Build and push the base as the version in its VERSION file
	$(DEVCLOUD) base $(VERSION)
base-version: ## Give a changed base its next version (VERSION=1.2.0 CHANGE="what changed")
	$(RUN) images.base_version "$(VERSION)" "$(CHANGE)"
report: ## Explain images: their layers, and what a change rebuilds (IMAGE=api)
	$(DEVCLOUD) report $(IMAGE)
down: ## Delete the stack, and stop the cloud if it has no other
	$(DEVCLOUD) down
clean: ## Stop the cloud and delete all its data and build caches
	$(DEVCLOUD) clean
status: ## Show what serves on the stack's host, its worker and its queue
	$(DEVCLOUD) status
logs: ## Show the end of every service's log on the stack's host, or more of one's (SERVICE=api)
	$(DEVCLOUD) logs $(SERVICE)
restart: ## Restart one service on the stack's host; its requests fail until it is back (SERVICE=api)
	$(DEVCLOUD) restart $(SERVICE)
backup: ## Dump the data of the stack's host now, beside the nightly dumps
	$(DEVCLOUD) backup
backups: ## List the dumps on the stack's host and the snapshots of its data volume, the newest first
	$(DEVCLOUD) backups
restore: ## Replace the data on the stack's host by a dump, by default the newest (FROM=20261128T020000Z)
	$(DEVCLOUD) restore --from "$(FROM)"
open: ## Print the address of the stack's page, and open it if there is a browser
	$(DEVCLOUD) open
cloud-status: ## Show the processes of the cloud on this machine, and its stacks
	$(DEVCLOUD) cloud-status
cloud-logs: ## Show the end of every log of the cloud on this machine, or more of one (NAME=emulator)
	$(DEVCLOUD) cloud-logs $(NAME)
outputs: ## Print the stack's outputs as JSON (make -s outputs)
	$(DEVCLOUD) outputs
env: ## Print the shell commands that aim a shell at the cloud (source <(make -s env))
	$(DEVCLOUD) env
promote: ## Promote the image digests of one stack to another (FROM=dev TO=prod)
	$(DEVCLOUD) promote --from $(or $(FROM),dev) --to $(or $(TO),prod)
releases: ## List the releases that a stack verified, the newest first
	$(DEVCLOUD) releases
rollback: ## Go back to a verified release, by default the one before; nothing is built (TO=3fa94c1b)
	$(DEVCLOUD) rollback --to "$(TO)" $(ARGS)
builder: ## Create the builder that the stack's settings name
	$(DEVCLOUD) builder
validate: ## Check settings, locks, Dockerfiles, contexts; build nothing
	$(DEVCLOUD) validate
cache: ## Show what the builder and the registry cache hold
	$(DEVCLOUD) cache
clean-cache: ## Empty the builder and the registry cache
	$(DEVCLOUD) clean-cache
stop-builder: ## Stop BuildKit, and leave the rest of the cloud running
	$(DEVCLOUD) stop-builder

dev: ## Run the product without the cloud, with live reload (ARGS=--fresh empties its database)
	$(RUN) devcloud.dev.dev $(ARGS)
bench: ## Measure Slipway against common alternatives (RUNS=3 ONLY=cold,ours ARGS="--fresh|--list|--report")
	$(RUN) bench --runs $(or $(RUNS),3) --only "$(ONLY)" $(ARGS)

toolchain: ## Find or make every tool, and what base images are made of
	$(DEVCLOUD) toolchain
test: ## Run every test: unit, contract, cloud and services
	$(DEVCLOUD) toolchain --tests
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory contract
	@$(MAKE) --no-print-directory --jobs 2 test-cloud test-services
test-cloud:
	$(SLOW) tests/cloud --ignore=$(SETTINGS_TESTS) $(ARGS)
test-services:
	$(SLOW) $(filter-out tests/cloud tests/__pycache__ tests/__init__.py,$(wildcard tests/*)) $(SETTINGS_TESTS) $(ARGS)
soak: ## Release under load with every fault, for hours, and write docs/reliability.md (SLIPWAY_SEED=7 ARGS="-k reboot")
	@SLIPWAY_SOAK=1 $(PYTHON) devcloud/bootstrap.py pytest $(SOAK_TESTS) $(ARGS)
unit: ## Run the unit tests alone, in seconds
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target unit-half unit-rest
unit-half:
	$(UNIT) $(UNIT_HALF) $(ARGS)
unit-rest:
	$(UNIT) tests $(UNIT_HALF:%=--ignore=%) $(ARGS)
contract: ## Check what every stack asks of AWS against AWS's published schemas and both providers
	$(RUN) pytest -m contract -p no:schemathesis -p no:hypothesispytest tests/infra/contract $(ARGS)
check: ## Check format, lint, types, unit tests, the contract and the base's version, before a commit
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) images.base_version --check
	$(RUN) infra.generate --check
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory contract
hooks: ## Let git run `make check` before each commit
	@printf '#!/bin/sh\nexec make check\n' > "$$(git rev-parse --git-path hooks)/pre-commit"
	@chmod +x "$$(git rev-parse --git-path hooks)/pre-commit"
format: ## Format the code, and fix what ruff can
	$(RUN) ruff format .
	$(RUN) ruff check --fix .
lock: ## Lock the packages of images and of our own commands
	$(RUN) images.lock
	$(RUN) uv pip compile --quiet --universal --generate-hashes --no-emit-index-url pyproject.toml $(GROUPS) -o requirements.lock
generate: ## Generate docs/settings.md, docs/alarms.md, the JSON schema and the edge's routes
	$(RUN) infra.generate
