#!/usr/bin/env bash
# The checks, then the tests on the kind cluster but the long ones. What needs no processor of its own
# goes on beside: the cluster comes up during the checks, and the tests that use no installation of
# Kubeflow Pipelines run beside those that do. Its output comes when it is complete.
#
# Usage: scripts/verify.sh KFPKIT PYTEST (called by `make verify`; PYTEST_ARGS has more for pytest)
set -euo pipefail

kfpkit=$1
pytest=$2
beside=$(mktemp)
trap 'kill "$job" 2>/dev/null || true; rm -f "$beside"' EXIT

finish() { # WHAT: wait for what goes on beside, show what it said, and tell its failure
  wait "$job" && ended=0 || ended=$?
  cat "$beside"
  ((ended == 0)) || failed+=("$1")
}

stop() { # end where something has failed
  ((${#failed[@]} == 0)) || { echo "verify: failed: ${failed[*]}" >&2; exit 1; }
}

failed=()
"$kfpkit" cluster up >"$beside" 2>&1 & job=$!
make check PYTEST_ARGS="${PYTEST_ARGS-}" || failed+=(check)
finish cluster-up
stop

PYTEST_ADDOPTS=${PYTEST_ARGS-} "$pytest" --cluster -m "(cluster or docker) and not kfp and not long" >"$beside" 2>&1 & job=$!
PYTEST_ADDOPTS=${PYTEST_ARGS-} "$pytest" --cluster -m "kfp and not long" || failed+=("tests of the installation")
finish "tests of cluster and images"
stop
