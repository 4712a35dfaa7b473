# The kit's verbs. Every target is a thin call of `kfpkit` or of a tool that uv.lock pins;
# bare `make` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

include versions.env
export UV_VERSION

override VENV := .venv
override BIN := $(VENV)/bin
override KFPKIT := $(BIN)/kfpkit

# What is given to make is text: a recipe reads it from its environment, as "$$NAME". $(NAME) would
# paste it into the shell's line, and make itself would expand a $ in it.
define as_text
override $(1) := $$(value $(1))
export $(1)
endef
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(eval $(call as_text,$(name)))))

##@ Set up

.PHONY: help
help: ## Show this page
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(VENV)/.synced ## Make the Python environment in .venv from uv.lock (all targets do it themselves)

# A stamp, so that a target starts at once when nothing changed. site-packages is newer where a package
# came or went by other means than set-up, which puts back what uv.lock says.
$(VENV)/.synced: pyproject.toml uv.lock versions.env $(wildcard $(VENV)/lib/python*/site-packages)
	@scripts/setup.sh "$${PYTHON:-python3}" "$(VENV)" "$$UV_VERSION"
	@touch $@

##@ Run

.PHONY: run
run: $(VENV)/.synced ## Run a pipeline and report on it (PIPELINE=penguins ARGS="seed=7" TARGET=local|kind|gke CACHE=0)
	@$(KFPKIT) run -- "$${PIPELINE:-penguins}"

.PHONY: report
report: $(VENV)/.synced ## Follow a run on the cluster, whoever started it, and write its report (RUN=id TARGET=kind)
	@$(KFPKIT) report

.PHONY: up
up: $(VENV)/.synced ## Do all: cluster-up, install, run the sample on the cluster, say how long each took
	@$(KFPKIT) up -- "$${PIPELINE:-penguins}"

.PHONY: schedule
schedule: $(VENV)/.synced ## Run a pipeline again and again (CRON="0 0 6 * * *" or EVERY=1h, SCHEDULE=name); without: list
	@if [[ $${CRON-}$${EVERY-} ]]; then $(KFPKIT) schedule set -- "$${PIPELINE:-penguins}"; \
	  else $(KFPKIT) schedule list; fi

.PHONY: unschedule
unschedule: $(VENV)/.synced ## Delete a recurring run (SCHEDULE=name; asks, YES=1 does not); its runs stay
	@$(KFPKIT) schedule delete

##@ Cluster

.PHONY: cluster-up
cluster-up: $(VENV)/.synced ## Bring the kind cluster up (NODES=3 for workers, IMAGES=upstream|mirror|packages)
	@$(KFPKIT) cluster up

.PHONY: cluster-down
cluster-down: $(VENV)/.synced ## Remove the kind cluster with all it holds (asks; YES=1 does not)
	@$(KFPKIT) cluster down

.PHONY: cluster-status
cluster-status: $(VENV)/.synced ## Say what is there of the kind cluster
	@$(KFPKIT) cluster status

##@ Kubeflow Pipelines

.PHONY: install
install: $(VENV)/.synced ## Install Kubeflow Pipelines and wait for every part (OVERLAY=name CONTEXT=name)
	@$(KFPKIT) install

.PHONY: uninstall
uninstall: $(VENV)/.synced ## Remove Kubeflow Pipelines; runs and passwords stay (DELETE_DATA=1 asks; YES=1 does not)
	@$(KFPKIT) uninstall

.PHONY: status
status: $(VENV)/.synced ## Show each part of Kubeflow Pipelines
	@$(KFPKIT) status

.PHONY: diff
diff: $(VENV)/.synced ## Show what an install would change
	@$(KFPKIT) diff

.PHONY: ui
ui: $(VENV)/.synced ## Open a port to the web UI that outlives its pods (PORT=3000)
	@$(KFPKIT) ui

.PHONY: api
api: $(VENV)/.synced ## Open a port to the API that outlives its pods, for kfp.Client (PORT=8889)
	@$(KFPKIT) api

.PHONY: upload
upload: $(VENV)/.synced ## Upload a pipeline or a new version of it (PIPELINE=penguins KFP_HOST=http://localhost:8888)
	@$(KFPKIT) upload -- "$${PIPELINE:-penguins}"

.PHONY: rotate-secrets
rotate-secrets: $(VENV)/.synced ## Give database and object store new passwords and keys (DESPITE_RUNS=1 also during runs)
	@$(KFPKIT) rotate-secrets

.PHONY: gke-preflight
gke-preflight: $(VENV)/.synced ## Say whether a GKE cluster and its project are ready (CONTEXT=name)
	@$(KFPKIT) gke-preflight

##@ Day two

.PHONY: doctor
doctor: $(VENV)/.synced ## Check the installation from the outside in (CANARY=0 runs no pipeline, JSON=1)
	@$(KFPKIT) doctor

.PHONY: explain
explain: $(VENV)/.synced ## Say why a run is stuck or has failed (RUN=id JSON=1)
	@$(KFPKIT) explain

.PHONY: support-bundle
support-bundle: $(VENV)/.synced ## Collect logs, events and objects in a file, secrets redacted (TO=file)
	@$(KFPKIT) support-bundle

.PHONY: backup
backup: $(VENV)/.synced ## Back up runs, artifacts, Secrets, recurring runs (TO=folder|restic:REPOSITORY WAIT=600)
	@$(KFPKIT) backup

.PHONY: backup-verify
backup-verify: $(VENV)/.synced ## Prove without a cluster that a backup can be put back (FROM=folder|restic:REPOSITORY)
	@$(KFPKIT) backup-verify

.PHONY: backup-resume
backup-resume: $(VENV)/.synced ## Start what a backup or restore that was killed has stopped
	@$(KFPKIT) backup-resume

.PHONY: restore
restore: $(VENV)/.synced ## Put a backup back, into an empty cluster too (FROM=folder|restic:REPOSITORY; asks; YES=1)
	@$(KFPKIT) restore

.PHONY: upgrade
upgrade: $(VENV)/.synced ## Plan, back up, upgrade, verify; again after a failure goes on (TO=2.17.0 BACKUP=folder WAIT=600)
	@$(KFPKIT) upgrade

.PHONY: rollback
rollback: $(VENV)/.synced ## Put back what was there before the last upgrade, wherever that stands (asks; YES=1 does not)
	@$(KFPKIT) rollback

.PHONY: prune
prune: $(VENV)/.synced ## Show old runs with artifacts, logs, cache entries (OLDER_THAN=30d KEEP=10 EXPERIMENT=); APPLY=1 removes, asks
	@$(KFPKIT) prune

.PHONY: inventory
inventory: $(VENV)/.synced ## Write down what an installation holds (TO=file.json)
	@$(KFPKIT) inventory

.PHONY: compare
compare: $(VENV)/.synced ## Fail where two inventories differ (BEFORE=file.json AFTER=file.json)
	@$(KFPKIT) compare

##@ Images

.PHONY: images
images: $(VENV)/.synced ## Build all images from packages, those that are not in the cache (NAMES="debian etcd" to choose)
	@$(KFPKIT) images build

.PHONY: images-list
images-list: $(VENV)/.synced ## Print every image that a release pulls (RELEASE=2.17.0 IMAGES=upstream|packages)
	@$(KFPKIT) images list

.PHONY: images-push
images-push: $(VENV)/.synced ## Fill your registry with them (MIRROR=registry.example:5000/prefix)
	@$(KFPKIT) images push

.PHONY: cache-info
cache-info: $(VENV)/.synced ## Say where the cache of built images is and how much it holds
	@$(KFPKIT) cache info

.PHONY: cache-clean
cache-clean: $(VENV)/.synced ## Remove the cache of built images (PART=go for a part of it; asks; YES=1 does not)
	@$(KFPKIT) cache clean

##@ Check

.PHONY: check
check: ## Run every check that needs no cluster: lint, types, golden files, tests; all of them before failing
	@failed=(); for target in lint golden-check test; do $(MAKE) $$target || failed+=($$target); done; \
	  if (($${#failed[@]})); then echo "check: failed: $${failed[*]}" >&2; exit 1; fi; echo "check: all passed"

.PHONY: verify
verify: $(VENV)/.synced ## Run the checks, then the tests on a real kind cluster but the long ones; `make test-cluster` runs these too
	@scripts/verify.sh $(KFPKIT) $(BIN)/pytest

.PHONY: test
test: $(VENV)/.synced ## Run the tests that need no cluster and no Docker (PYTEST_ARGS="-k name" to choose)
	@PYTEST_ADDOPTS="-n auto $${PYTEST_ARGS-}" $(BIN)/pytest

.PHONY: test-cluster
test-cluster: $(VENV)/.synced ## Run the tests that need Docker or the kind cluster, which is brought up first
	@$(KFPKIT) cluster up
	@PYTEST_ADDOPTS="$${PYTEST_ARGS-}" $(BIN)/pytest --cluster -m "$${CHOICE:-cluster or kfp or docker}"

.PHONY: bench
bench: $(VENV)/.synced ## Measure how long commands take before anything runs (takes minutes)
	@$(BIN)/python benchmarks/startup.py

.PHONY: lint
lint: $(VENV)/.synced ## Run the linters and the type checker (the hooks of .pre-commit-config.yaml)
	@$(BIN)/pre-commit run --all-files --color=auto

.PHONY: golden
golden: $(VENV)/.synced ## Rewrite the compiled pipelines, and the requirements of images from uv.lock
	@$(KFPKIT) golden

.PHONY: golden-check
golden-check: $(VENV)/.synced ## Fail where a file that `make golden` writes is stale
	@$(KFPKIT) golden --check

.PHONY: fmt
fmt: $(VENV)/.synced ## Format the Python code and mend what the linter can
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

.PHONY: hooks
hooks: $(VENV)/.synced ## Run the linters before each commit in this checkout
	@$(BIN)/pre-commit install
