# The kit's verbs. Every target is a thin call of `kfpkit` or of a tool that uv.lock pins;
# bare `make` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

include versions.env

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KFPKIT := $(BIN)/kfpkit

##@ Set up

.PHONY: help
help: ## Show this page
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.synced ## Make the Python environment in .venv from uv.lock (all targets do it themselves)

# A stamp, so that a target starts at once when nothing changed.
$(VENV)/.synced: pyproject.toml uv.lock versions.env
	@scripts/setup.sh "$(PYTHON)" "$(VENV)" "$(UV_VERSION)"
	@touch $@

##@ Run

##@ Cluster

##@ Kubeflow Pipelines

##@ Images

##@ Check

