#!/bin/bash
# Starts mariadbd; before the first start it fills an empty data folder.
# MARIADB_ROOT_PASSWORD  required at the first start
# MARIADB_DATABASE, MARIADB_USER, MARIADB_PASSWORD  optional: a database and an account for it
# Each may be NAME_FILE instead, naming a file. /docker-entrypoint-initdb.d/*.sql runs afterwards,
# a statement ending where a line ends in ";".
set -euo pipefail
DATA=/var/lib/mysql UNFINISHED=/var/lib/mysql/.unfinished

value() { local file="${1}_FILE"; if [[ -n ${!file:-} ]]; then cat "${!file}"; else printf %s "${!1:-}"; fi; }
text() { sed -e 's/\\/\\\\/g' -e "s/'/''/g" <<<"$1"; } # inside an SQL string
first_sql() {
  local root database user password
  root=$(text "$(value MARIADB_ROOT_PASSWORD)") database=$(value MARIADB_DATABASE)
  user=$(text "$(value MARIADB_USER)") password=$(text "$(value MARIADB_PASSWORD)")
  # The other accounts that mariadb-install-db makes have no password.
  echo "DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';"
  echo "DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';"
  echo "FLUSH PRIVILEGES;"
  echo "ALTER USER root@localhost IDENTIFIED BY '$root';"
  echo "CREATE USER root@'%' IDENTIFIED BY '$root';"
  echo "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;"
  [[ -z $database ]] || echo "CREATE DATABASE \`$database\`;"
  [[ -z $user ]] || echo "CREATE USER '$user'@'%' IDENTIFIED BY '$password';"
  [[ -z $user || -z $database ]] || echo "GRANT ALL ON \`$database\`.* TO '$user'@'%';"
  cat /docker-entrypoint-initdb.d/*.sql 2>/dev/null || true
}

[[ ${1:-} != -* ]] || set -- mariadbd "$@"
if [[ $1 == mariadbd && ( -e $UNFINISHED || ! -d $DATA/mysql ) ]]; then
  [[ -n $(value MARIADB_ROOT_PASSWORD) ]] || { echo "mariadb: set MARIADB_ROOT_PASSWORD" >&2; exit 1; }
  echo "mariadb: filling the empty data folder" >&2
  # A first start that was killed half-way left the mark: what it made is worthless.
  [[ ! -e $UNFINISHED ]] || find "$DATA" -mindepth 1 ! -path "$UNFINISHED" -delete
  touch "$UNFINISHED"
  mariadb-install-db --datadir="$DATA" --auth-root-authentication-method=normal --skip-test-db >&2
  first_sql | mariadbd --bootstrap
  rm "$UNFINISHED"
fi
exec "$@"
