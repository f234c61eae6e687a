#!/bin/sh
# Fetches PostgreSQL's own regression SQL out of Debian's source package, and prints the folder
# that has it (sql/, data/, parallel_schedule). Nothing is built, and the machine's apt set-up is left alone:
# the package lists are kept in the folder of REGRESSION_DIR. PostgreSQL's licence is in the package.
set -eu
dir=${REGRESSION_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pgveil-regression}
if [ ! -f "$dir/regress/parallel_schedule" ]; then
	mkdir -p "$dir/lists/partial"
	cd "$dir"
	sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >debian.sources 2>/dev/null || true
	sed -n 's/^deb /deb-src /p' /etc/apt/sources.list 2>/dev/null >debian.list || true
	list=debian.sources
	[ -s debian.sources ] || list=debian.list
	opts="-o Dir::Etc::sourcelist=$dir/$list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$dir/lists"
	apt-get $opts update -qq >&2
	package=postgresql-${REGRESSION_VERSION:-15}
	# The newest version in the lists may not be on the mirror.
	for version in $(apt-cache $opts showsrc "$package" | sed -n 's/^Version: //p' | sort -Vru); do
		apt-get $opts -qq --download-only source "$package=$version" >&2 && break
	done
	rm -rf tree && mkdir tree
	tar xf "$(ls postgresql-*.orig.tar.* | grep -v asc | head -1)" -C tree --strip-components=1
	mv tree/src/test/regress regress
	rm -rf tree
fi
echo "$dir/regress"
