#!/usr/bin/env bash
# The checks, then the tests on the kind cluster but the long ones. The cluster comes up beside the
# linters, and the tests that need no cluster go on beside those on Kubeflow Pipelines, which wait for
# most of their time. What goes on beside says what it has to say when it is over. The tests that make
# clusters of their own and those that ask whether the cluster is well come last, and alone.
#
# Usage: scripts/verify.sh KFPKIT PYTEST (called by `make verify`; PYTEST_ARGS has more for pytest)
set -euo pipefail
kfpkit=$1 pytest=$2
said=$(mktemp)
trap 'kill -- "-$job" 2>/dev/null || true; rm -f "$said"' EXIT
trap 'exit 130' INT

beside() { # COMMAND...: start it in a process group of its own, which ends with this script
  set -m
  "$@" >"$said" 2>&1 &
  job=$!
  set +m
}

on_cluster() { # MARKERS: run the tests that have them, and are not long
  PYTEST_ADDOPTS=${PYTEST_ARGS-} "$pytest" --cluster -m "$1 and not long"
}

without_cluster() { # in what the cluster leaves of the processors
  renice -n 5 "$BASHPID" >/dev/null
  make test PYTEST_ARGS="${PYTEST_ARGS-}"
}

finish() { # WHAT: wait for what goes on beside, and tell how it ended
  local ended=0
  wait "$job" || ended=$?
  cat "$said"
  ((ended == 0)) || failed+=("$1")
}

stop_if_failed() {
  ((${#failed[@]} == 0)) || { echo "verify: failed: ${failed[*]}" >&2; exit 1; }
}

failed=()
beside "$kfpkit" cluster up
for target in lint golden-check; do make "$target" || failed+=("$target"); done
finish cluster-up
stop_if_failed

beside without_cluster
on_cluster kfp || failed+=("tests on Kubeflow Pipelines")
finish "tests without a cluster"
on_cluster "(cluster or docker) and not kfp" || failed+=("tests on the cluster and Docker")
stop_if_failed
echo "verify: all passed"
