#!/bin/bash
# Loads a dump into a MariaDB of its own, asks it, and forgets it.
# Follows SHELL of kfpkit/kfp/database.py, which has `db`.
# stdin: the dump, compressed with gzip. $1: SQL to run on it afterwards; its answer is printed.
set -euo pipefail
place=$(mktemp -d)
server=
end() { [[ -z $server ]] || { kill "$server"; wait "$server" || true; }; rm -rf "$place"; }
trap end EXIT
account=$(id -un)
mariadb-install-db --no-defaults --datadir="$place/data" --user="$account" \
  --auth-root-authentication-method=normal --skip-test-db >"$place/log" 2>&1 || { cat "$place/log" >&2; exit 1; }
mariadbd --no-defaults --datadir="$place/data" --user="$account" --socket="$place/socket" \
  --pid-file="$place/pid" --skip-networking --max-allowed-packet=1G --character-set-server=utf8mb4 \
  --innodb-flush-log-at-trx-commit=0 >"$place/log" 2>&1 &
server=$!
export DB_HOST=localhost
client() { db mariadb --no-defaults --socket="$place/socket" "$@"; }
until client --execute="SELECT 1" >/dev/null 2>&1; do
  if ! kill -0 "$server" || ((SECONDS > 120)); then cat "$place/log" >&2; exit 1; fi
  sleep 0.2
done
gzip -dc | client
client --batch --raw --skip-column-names --execute="$1"
