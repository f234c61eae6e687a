#!/bin/sh
# Installs the drivers that the tests of real clients need and that are missing: Debian's packages by apt-get, node's by npm.
set -eu
cd "$(dirname "$0")"
missing=
need() { dpkg -s "$1" >/dev/null 2>&1 || missing="$missing $1"; }
for p in python3-psycopg2 python3-psycopg python3-asyncpg python3-pyodbc python3-sqlalchemy python3-django odbc-postgresql libpostgresql-jdbc-java libpq-dev gcc libc6-dev pgbouncer; do need $p; done
command -v javac >/dev/null || missing="$missing default-jdk-headless"
command -v npm >/dev/null || missing="$missing nodejs npm"
if [ -n "$missing" ]; then
	echo "apt-get install$missing"
	apt-get install -y -q --no-install-recommends $missing
fi
[ -d node_modules/pg ] || npm install --silent --no-audit --no-fund --no-package-lock
