#!/usr/bin/env bash
# Makes the Python environment of the kit from uv.lock.
# Usage: scripts/setup.sh PYTHON VENV UV_VERSION (called by `make setup`)
# Knobs: the package index is chosen by pip's and uv's own settings.
set -euo pipefail
python=$1 venv=$2 uv_version=$3

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
  echo "error: $python is not Python 3.11, 3.12 or 3.13. Install one and name it: make PYTHON=python3.12 ..." >&2
  exit 1
fi
if ! mkdir -p "$venv" || [[ ! -w $venv ]]; then
  echo "error: $venv cannot be written. Copy the checkout to where this user can write." >&2
  exit 1
fi
if [[ ! -x $venv/bin/python ]] && ! "$python" -m venv "$venv"; then
  echo "error: $python cannot make a virtual environment, for the reason above. If it has no venv module: apt-get install python3-venv (Debian)." >&2
  exit 1
fi
if [[ $("$venv/bin/uv" --version 2>/dev/null) != "uv $uv_version "* ]]; then
  echo "installing uv $uv_version into $venv" >&2
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi
# --inexact: uv itself lives in the same environment and is not in the lock.
# --compile-bytecode: once here, not in each command where PYTHONDONTWRITEBYTECODE is set.
UV_PROJECT_ENVIRONMENT=$venv "$venv/bin/uv" sync --quiet --frozen --inexact --compile-bytecode
