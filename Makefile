# The kit's verbs. Every target is a thin call of `kfpkit` or of a tool that uv.lock pins.
# `make` lists them, `make help-TARGET` the variables that one takes.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The variables that are given on the command line, but for make's own.
given := $(filter-out .% GNUMAKEFLAGS MAKE MAKEFILES MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS SHELL, \
  $(sort $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))))

MAKEFLAGS += --no-print-directory

include versions.env

override VENV := .venv
override BIN := $(VENV)/bin

# What the variables mean, as `make help-TARGET` shows it and kfpkit's options have it.
#: PIPELINE     FILE.py[:NAME], a compiled FILE.yaml or .json, or a name of pipelines/
#: ARGS         Parameters of the run, name=value, quoted as for a shell
#: RUN          ID of the run
#: SIDES        Runs to compare: folders of RUNS, TARGET:ID, or IDs on TARGET
#: ON           Targets to run on in turn, with commas between: local,kind
#: TOLERANCE    Relative difference that metrics and fractions may have
#: BYTES        Whether the bytes of artifacts are compared
#: TARGET       Where: kind, an overlay, or a name of targets.toml; to run a pipeline also local
#: OVERLAY      Folder of manifests/overlays, or the path of another
#: CONTEXT      Context of the kubeconfig; that of kind without one
#: KIND_CONFIG  Configuration of the kind cluster; default kind-config.yaml
#: TARGETS      File of your targets; default targets.toml here, or in ~/.config/kfpkit
#: HOST         Address of the KFP API; without one the node port's, or a port is opened
#: LINT         Whether what would not run on the target is looked for first
#: FORMAT       What findings are printed as: text, json, sarif
#: EXPERIMENT   The experiment of the runs
#: CACHE        Whether tasks may take outputs of earlier runs
#: RUNS         Folder that takes a folder a run; default runs
#: NODES        Nodes of a new cluster
#: IMAGES       Source: upstream, mirror, packages; without one what can be reached
#: MIRROR       Your registry: HOST, HOST:PORT or HOST:PORT/PREFIX
#: TIMEOUT      Seconds to wait for all components
#: CRON         Six fields, UTC: "0 30 6 * * 1-5"
#: EVERY        Time between two runs: 90s, 15m, 6h, 1d
#: SCHEDULE     Name of the recurring run; that of the pipeline without one
#: YES          Do not ask
#: DELETE_DATA  Also remove runs, artifacts and passwords
#: PORT         Port of this machine
#: DESPITE_RUNS Also while runs are under way; they may fail
#: CANARY       Also run a small pipeline, twice
#: JSON         Print JSON on standard output
#: OUTPUT       File to write; without one its name is chosen
#: BACKUPS      Folder of backups, or restic:REPOSITORY; to read one also the backup's own folder
#: WORK         Where a repository's backups are on this machine; kept between them
#: WAIT         Seconds to wait for runs under way
#: SNAPSHOT     Which one of a repository, as restic names it
#: TO           Release to upgrade to; default that of the overlay
#: OLDER_THAN   Age of a run since its end: 12h, 30d, 8w
#: KEEP         How many of each pipeline's newest runs stay anyway
#: APPLY        Remove; without it, only show
#: BEFORE       An inventory
#: AFTER        A later inventory
#: NAMES        Folders of images/, with spaces between; default all
#: RELEASE      Release of KFP; without one the source's own
#: PART         Part of the cache that make cache-info lists; default all
#: DRY_RUN      Print the commands, run none of them
#: QUICK        Under 15 minutes
#: SCENARIOS    Names, with commas between; default all
#: ROUNDS       Turns of each side
#: LEAVE        Leave upstream's settings installed
#: NAME         Name of what is new, and of its folder
#: FORM         Form of components: python, or yaml for a ComponentSpec
#: FOLDER       Folder that takes the new one; default where you are
#: RUNTIME_IMAGE Image of the tasks, for other clusters
#: PYTHON       The Python that .venv is made with: 3.11, 3.12 or 3.13
#: PYTEST_ARGS  Words for pytest, as -k name
#: CHOICE       The tests' markers, as pytest's -m takes them

# What each target takes, each with its default; yes and no are those of what is on or off.
kit := DRY_RUN=no PYTHON=python3
where := OVERLAY CONTEXT KIND_CONFIG TARGETS $(kit)

takes.help :=
takes.setup := PYTHON=python3
takes.run := PIPELINE=penguins ARGS TARGET=local $(where) HOST EXPERIMENT CACHE=yes RUNS LINT=yes
takes.lint-pipeline := PIPELINE TARGET=kfp@2.17.0 $(where) FORMAT=text
takes.report := RUN TARGET=kind $(where) HOST RUNS
takes.compare := SIDES TOLERANCE=0.0 BYTES=yes JSON=no OUTPUT TARGET=kind $(where) HOST RUNS
takes.agree := PIPELINE=penguins ARGS ON=local,kind TOLERANCE=0.0 BYTES=yes JSON=no EXPERIMENT CACHE=no RUNS LINT=yes KIND_CONFIG TARGETS $(kit)
takes.cancel := RUN TARGET=kind $(where) HOST
takes.up := PIPELINE=penguins ARGS NODES=1 IMAGES MIRROR OVERLAY KIND_CONFIG TIMEOUT=1800 CACHE=yes RUNS YES=no $(kit) LINT=yes
takes.schedule := PIPELINE=penguins ARGS CRON EVERY SCHEDULE TARGET=kind $(where) HOST EXPERIMENT CACHE=yes LINT=yes
takes.unschedule := SCHEDULE TARGET=kind $(where) HOST YES=no
takes.new-pipeline := NAME FORM=python FOLDER RUNTIME_IMAGE $(kit)
takes.new-component := NAME FORM=python FOLDER RUNTIME_IMAGE $(kit)
takes.cluster-up := NODES=1 IMAGES MIRROR KIND_CONFIG YES=no $(kit)
takes.cluster-down := KIND_CONFIG YES=no $(kit)
takes.cluster-status := KIND_CONFIG $(kit)
takes.install := TARGET=kind $(where) TIMEOUT=1800
takes.uninstall := TARGET=kind $(where) DELETE_DATA=no YES=no
takes.status := TARGET=kind $(where)
takes.diff := TARGET=kind $(where)
takes.ui := TARGET=kind $(where) PORT=3000
takes.api := TARGET=kind $(where) PORT=8889
takes.upload := PIPELINE=penguins TARGET=kind $(where) HOST LINT=yes
takes.rotate-secrets := TARGET=kind $(where) TIMEOUT=900 DESPITE_RUNS=no
takes.gke-preflight := TARGET=gke $(where)
takes.doctor := TARGET=kind $(where) CANARY=yes JSON=no
takes.explain := RUN TARGET=kind $(where) JSON=no
takes.support-bundle := TARGET=kind $(where) OUTPUT
takes.backup := TARGET=kind $(where) BACKUPS=backups WORK=backups WAIT=600
takes.backup-verify := BACKUPS=backups SNAPSHOT=latest WORK=backups $(kit)
takes.backup-resume := TARGET=kind $(where)
takes.restore := TARGET=kind $(where) BACKUPS=backups SNAPSHOT=latest WORK=backups YES=no TIMEOUT=1800
takes.upgrade := TO TARGET=kind $(where) BACKUPS=backups WAIT=600 YES=no TIMEOUT=2400
takes.rollback := TARGET=kind $(where) BACKUPS=backups YES=no TIMEOUT=2400
takes.prune := OLDER_THAN KEEP=0 EXPERIMENT APPLY=no YES=no TARGET=kind $(where)
takes.inventory := TARGET=kind $(where) OUTPUT
takes.inventory-compare := BEFORE AFTER $(kit)
takes.images := NAMES IMAGES YES=no $(kit)
takes.images-list := RELEASE IMAGES MIRROR $(kit)
takes.images-push := MIRROR RELEASE IMAGES YES=no $(kit)
takes.cache-info := $(kit)
takes.cache-clean := PART YES=no $(kit)
takes.check := PYTEST_ARGS PYTHON=python3
takes.verify := PYTEST_ARGS NODES=1 IMAGES MIRROR KIND_CONFIG YES=no PYTHON=python3
takes.test := PYTEST_ARGS PYTHON=python3
takes.test-cluster := PYTEST_ARGS CHOICE NODES=1 IMAGES MIRROR KIND_CONFIG YES=no PYTHON=python3
takes.bench := QUICK=no SCENARIOS ROUNDS=3 LEAVE=no KIND_CONFIG PYTHON=python3
takes.lint := PYTHON=python3
takes.golden := $(kit)
takes.golden-check := $(kit)
takes.fmt := PYTHON=python3
takes.hooks := PYTHON=python3

targets := $(patsubst takes.%,%,$(filter takes.%,$(.VARIABLES)))
helps := $(addprefix help-,$(targets))
$(foreach help,$(helps),$(eval takes.$(help) :=))
names = $(foreach one,$(takes.$(1)),$(firstword $(subst =, ,$(one))))
on_or_off = $(filter $(1)=yes $(1)=no,$(takes.$(2)))

# Nothing runs, set-up neither, where something is given that a target does not take.
define judge_variable
$(if $(filter $(2),$(call names,$(1))),,$(error $(1) takes no $(2). It takes \
  $(or $(sort $(call names,$(1))),no variables)$(if $(filter ARGS,$(call names,$(1))),; \
  a parameter of the pipeline goes into ARGS: ARGS="$(2)=$(value $(2))")))
$(if $(call on_or_off,$(2),$(1)),$(if $(filter-out 1-1 1-yes 1-true 1-0 1-no 1-false, \
  $(words $(value $(2)))-$(firstword $(value $(2)))),$(error $(2)=$(value $(2)) is neither 1 nor 0)))
endef
define judge
$(if $(filter undefined,$(origin takes.$(1))),$(error There is no target $(1). `make` lists them))
$(foreach name,$(given),$(call judge_variable,$(1),$(name)))
$(foreach name,$(filter PYTHON PYTEST_ARGS CHOICE,$(call names,$(1))),$(if \
  $(filter environment,$(origin $(name))),$(warning $(name) of the environment does not count. \
  Write make $(1) $(name)=…)))
endef
$(foreach target,$(or $(MAKECMDGOALS),help),$(if $(strip $(call judge,$(target))),))

# What is given is text: a recipe reads it from its environment, as "$$given_NAME". $(NAME) would paste
# it into the shell's line, and make itself would expand a $ in it.
define as_text
export given_$(1) := $$(value $(1))
unexport $(1)
endef
$(foreach name,$(given),$(eval $(call as_text,$(name))))

# The text of a variable, or else another; and PREFIX_NAME=text for those of some that are given.
text = $(if $(filter $(1),$(given)),$$given_$(1),$(2))
pass = $(foreach name,$(filter $(1),$(given)), $(2)$(name)="$$given_$(name)")

# Options of kfpkit for those of some that are given, and kfpkit with all; $(2) are its arguments.
word = $(shell tr A-Z_ a-z- <<< $(1))
option = --$(if $(call on_or_off,$(1),$@),$(if $(filter 0 no false,$(value $(1))),no-)$(word),$(word)="$$given_$(1)")
options = $(foreach name,$(filter $(1),$(given)), $(call option,$(name)))
kfpkit = $(BIN)/kfpkit$(call options,DRY_RUN) $(1)$(call \
  options,$(filter-out DRY_RUN PYTHON PYTEST_ARGS CHOICE $(2),$(given)))$(if \
  $(filter $(2),$(given)), --$(foreach name,$(2), "$(call text,$(name))"))

.PHONY: $(targets)

##@ Set up

help: ## Show this page; `make help-run` shows what `make run` takes, and so on
	@awk -f scripts/help.awk Makefile

$(helps): help-%:
	@awk -v target="$*" -v takes="$(takes.$*)" -f scripts/help.awk Makefile

setup: $(VENV)/.synced ## Make the Python environment in .venv from uv.lock (all targets do it themselves)

# A stamp, so that a target starts at once when nothing changed. site-packages is newer where a package
# came or went by other means than set-up, which puts back what uv.lock says.
$(VENV)/.synced: pyproject.toml uv.lock versions.env $(wildcard $(VENV)/lib/python*/site-packages)
	@scripts/setup.sh "$(call text,PYTHON,python3)" "$(VENV)" "$(UV_VERSION)"
	@touch $@

##@ Run

run: $(VENV)/.synced ## Run a pipeline on this machine, a cluster or Vertex AI, and report on it
	@$(call kfpkit,run,PIPELINE)

lint-pipeline: $(VENV)/.synced ## Say what of a pipeline would not run on a target
	@$(call kfpkit,lint,PIPELINE)

report: $(VENV)/.synced ## Follow a run on a cluster or on Vertex AI, whoever started it, and write its report
	@$(call kfpkit,report,RUN)

compare: $(VENV)/.synced ## Compare runs, wherever they ran; fail where they differ
	@$(call kfpkit,compare,SIDES)

agree: $(VENV)/.synced ## Run a pipeline on several targets from one compiled file; fail where its runs differ
	@$(call kfpkit,agree,PIPELINE)

cancel: $(VENV)/.synced ## End a run that goes on, on a cluster or on Vertex AI
	@$(call kfpkit,cancel,RUN)

up: $(VENV)/.synced ## Do all: cluster-up, install, run the sample on the cluster, say how long each took
	@$(call kfpkit,up,PIPELINE)

# Without anything about a recurring run it lists them.
schedule: $(VENV)/.synced ## Run a pipeline again and again (CRON or EVERY); without: list
	@$(if $(filter PIPELINE ARGS CRON EVERY SCHEDULE EXPERIMENT CACHE,$(given)),$(call \
	  kfpkit,schedule set,PIPELINE),$(call kfpkit,schedule list))

unschedule: $(VENV)/.synced ## Delete a recurring run; its runs stay; asks
	@$(call kfpkit,schedule delete,SCHEDULE)

new-pipeline: $(VENV)/.synced ## Write a small pipeline with tests, to make your own of
	@$(call kfpkit,new pipeline,NAME)

new-component: $(VENV)/.synced ## Write a small component with tests and a pipeline of it alone
	@$(call kfpkit,new component,NAME)

##@ Cluster

cluster-up: $(VENV)/.synced ## Bring the kind cluster up
	@$(call kfpkit,cluster up)

cluster-down: $(VENV)/.synced ## Remove the kind cluster with all it holds; asks
	@$(call kfpkit,cluster down)

cluster-status: $(VENV)/.synced ## Say what is there of the kind cluster
	@$(call kfpkit,cluster status)

##@ Kubeflow Pipelines

install: $(VENV)/.synced ## Install Kubeflow Pipelines and wait for every component
	@$(call kfpkit,install)

uninstall: $(VENV)/.synced ## Remove Kubeflow Pipelines; runs and passwords stay but with DELETE_DATA=1, which asks
	@$(call kfpkit,uninstall)

status: $(VENV)/.synced ## Show each component of Kubeflow Pipelines
	@$(call kfpkit,status)

diff: $(VENV)/.synced ## Show what an install would change
	@$(call kfpkit,diff)

ui: $(VENV)/.synced ## Open a port to the web UI that outlives its pods
	@$(call kfpkit,ui)

api: $(VENV)/.synced ## Open a port to the API that outlives its pods, for kfp.Client
	@$(call kfpkit,api)

upload: $(VENV)/.synced ## Upload a pipeline or a new version of it
	@$(call kfpkit,upload,PIPELINE)

rotate-secrets: $(VENV)/.synced ## Give database and object store new passwords and keys
	@$(call kfpkit,rotate-secrets)

gke-preflight: $(VENV)/.synced ## Say whether a GKE cluster and its project are ready
	@$(call kfpkit,gke-preflight)

##@ Day two

doctor: $(VENV)/.synced ## Check the installation from the outside in (CANARY=0 runs no pipeline)
	@$(call kfpkit,doctor)

explain: $(VENV)/.synced ## Say why a run is stuck or has failed
	@$(call kfpkit,explain,RUN)

support-bundle: $(VENV)/.synced ## Collect logs, events and objects in a file, secrets redacted
	@$(call kfpkit,support-bundle)

backup: $(VENV)/.synced ## Back up runs, artifacts, Secrets, recurring runs
	@$(call kfpkit,backup)

backup-verify: $(VENV)/.synced ## Prove without a cluster that a backup can be put back
	@$(call kfpkit,backup-verify)

backup-resume: $(VENV)/.synced ## Start what a backup or restore that was killed has stopped
	@$(call kfpkit,backup-resume)

restore: $(VENV)/.synced ## Put a backup back, into an empty cluster too; asks
	@$(call kfpkit,restore)

upgrade: $(VENV)/.synced ## Plan, back up, upgrade, verify; again after a failure goes on; asks
	@$(call kfpkit,upgrade)

rollback: $(VENV)/.synced ## Put back what was there before the last upgrade, wherever that stands; asks
	@$(call kfpkit,rollback)

prune: $(VENV)/.synced ## Show old runs with artifacts, logs, cache entries; APPLY=1 removes, asks
	@$(call kfpkit,prune)

inventory: $(VENV)/.synced ## Write down what an installation holds
	@$(call kfpkit,inventory)

inventory-compare: $(VENV)/.synced ## Fail where two inventories differ
	@$(call kfpkit,inventory-compare,BEFORE AFTER)

##@ Images

images: $(VENV)/.synced ## Build all images, or those of NAMES, that are not in the cache
	@$(call kfpkit,images build,NAMES)

images-list: $(VENV)/.synced ## Print every image that a release pulls
	@$(call kfpkit,images list)

images-push: $(VENV)/.synced ## Fill your registry with them
	@$(call kfpkit,images push)

cache-info: $(VENV)/.synced ## Say where the cache of built images is and how much it holds
	@$(call kfpkit,cache info)

cache-clean: $(VENV)/.synced ## Remove the cache of built images, or a part of it; asks
	@$(call kfpkit,cache clean)

##@ Check

# A make inside takes what its recipe gives it, and not all that is given here.
check verify: MAKEOVERRIDES :=

check: ## Run every check that needs no cluster: lint, types, golden files, tests; all of them before failing
	@failed=(); \
	  $(MAKE) lint$(call pass,PYTHON) || failed+=(lint); \
	  $(MAKE) golden-check$(call pass,PYTHON) || failed+=(golden-check); \
	  $(MAKE) test$(call pass,PYTHON PYTEST_ARGS) || failed+=(test); \
	  if (($${#failed[@]})); then echo "check: failed: $${failed[*]}" >&2; exit 1; fi; echo "check: all passed"

verify: $(VENV)/.synced ## Run the checks, then the tests on a real kind cluster but the long ones; `make test-cluster` runs these too
	@PYTEST_ARGS="$(call text,PYTEST_ARGS)"$(call pass,NODES IMAGES MIRROR KIND_CONFIG YES,KFPKIT_) \
	  scripts/verify.sh $(BIN)/kfpkit $(BIN)/pytest

test: $(VENV)/.synced ## Run the tests that need no cluster and no Docker
	@PYTEST_ADDOPTS="-n auto $(call text,PYTEST_ARGS)" $(BIN)/pytest

test-cluster: $(VENV)/.synced ## Run the tests that need Docker or the kind cluster, which is brought up first
	@$(call kfpkit,cluster up)
	@PYTEST_ADDOPTS="$(call text,PYTEST_ARGS)"$(call pass,NODES IMAGES MIRROR KIND_CONFIG YES,KFPKIT_) \
	  $(BIN)/pytest --cluster -m "$(call text,CHOICE,cluster or kfp or docker)"

bench: $(VENV)/.synced ## Measure runs here against upstream's settings on the same cluster (hours; QUICK=1 minutes)
	@$(BIN)/python -m benchmarks$(call options,QUICK SCENARIOS ROUNDS LEAVE KIND_CONFIG)

lint: $(VENV)/.synced ## Run the linters and the type checker (the hooks of .pre-commit-config.yaml)
	@$(BIN)/pre-commit run --all-files --color=auto

golden: $(VENV)/.synced ## Rewrite the compiled pipelines, the requirements of images from uv.lock, the page on lint
	@$(call kfpkit,golden)

golden-check: $(VENV)/.synced ## Fail where a file that `make golden` writes is stale
	@$(call kfpkit,golden --check)

fmt: $(VENV)/.synced ## Format the Python code and mend what the linter can
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

hooks: $(VENV)/.synced ## Run the linters before each commit in this checkout
	@$(BIN)/pre-commit install
