# "make" alone prints this list.

GO       ?= go
FUZZTIME ?= 20s
BENCH    ?= .
COUNT    ?= 1
PKG      ?= ./...
ARGS     ?=
STATEMENTS ?= 200000
SMITH    ?= 20000
SEED     ?= 2
VERSIONS ?= 13 14 15 16 17 18
FILES    ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -X main.version=$(VERSION)
# Tools have a module file of their own: they are no dependencies of pgveil.
TOOL    := $(GO) tool -modfile=.ci/tools.mod

# Packages whose tests start no PostgreSQL.
WITHOUT_SERVER = $(GO) list -f '{{$$s := eq .ImportPath "pgveil/cmd/pgveil/cluster" "pgveil/e2e"}}{{range .Imports}}{{if eq . "pgveil/cmd/pgveil/cluster"}}{{$$s = true}}{{end}}{{end}}{{range .TestImports}}{{if eq . "pgveil/cmd/pgveil/cluster"}}{{$$s = true}}{{end}}{{end}}{{range .XTestImports}}{{if eq . "pgveil/cmd/pgveil/cluster"}}{{$$s = true}}{{end}}{{end}}{{if not $$s}}{{.ImportPath}}{{end}}' ./...

.PHONY: help build demo test versions clients judge regression soak check fuzz bench postgres compiler

help:
	@echo "make build   bin/pgveil"
	@echo "make demo    a synthetic clinic behind pgveil; ARGS=--once ends after the comparison"
	@echo "make test    all tests; those end to end start their own PostgreSQL"
	@echo "make versions the tests that hold for every server, against PostgreSQL $(VERSIONS), fetched by npm"
	@echo "make clients drivers and tools in their own languages (docs/clients.md), installed by apt-get and npm"
	@echo "make check   gofmt, go vet, staticcheck, and the tests without a server under the race detector"
	@echo "make judge   PostgreSQL's own query trees against the analyser: STATEMENTS=$(STATEMENTS) random ones from SEED=$(SEED),"
	@echo "             and SMITH=$(SMITH) of sqlsmith where it is installed"
	@echo "make soak    many sessions of all kinds for a long time, with clients that vanish and a server that is killed:"
	@echo "             ARGS='-duration 30m -sessions 200'; ARGS=-h lists its flags"
	@echo "make regression  PostgreSQL's own regression SQL (fetched with apt, FILES=a,b for some of it): what a masking role"
	@echo "             is refused of it, and that nothing is without a rule"
	@echo "make fuzz    every fuzz target for FUZZTIME=$(FUZZTIME); PKG=./wire for one package"
	@echo "make bench   all benchmarks, then whole systems compared (bench/README.md; ARGS=-h lists its flags);"
	@echo "             BENCH=regexp COUNT=10 PKG=./masking narrow it down"
	@echo
	@echo "demo, test, soak and bench need PostgreSQL's server, 13 or newer: from PGVEIL_PG_BIN, PATH or"
	@echo "/usr/lib/postgresql; they install it with apt when there is none."

# The parser of PostgreSQL is C: it is compiled once, which takes a few minutes.
compiler:
	@command -v $$($(GO) env CC) >/dev/null || { echo "A C compiler is needed (apt-get install gcc libc6-dev)." >&2; exit 1; }

build: compiler
	@echo "Building bin/pgveil (the first time takes some minutes: PostgreSQL's parser is compiled) ..."
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/pgveil ./cmd/pgveil

# Installs PostgreSQL's server if there is none, and says so.
postgres: build
	@bin/pgveil demo --install-only

demo: build
	@bin/pgveil demo --install $(ARGS)

test: postgres
	$(GO) test -timeout 20m ./...

versions: compiler
	@GO='$(GO)' e2e/versions.sh $(VERSIONS)

clients: postgres
	@e2e/clients/install.sh
	$(GO) test -count=1 -tags clients -timeout 20m -v -run '^(TestClients|TestPgbouncerBehind)$$' ./e2e

judge: postgres
	$(GO) test -v -timeout 120m ./sqlparse/oracle -statements $(STATEMENTS) -sqlsmith $(SMITH) -seed $(SEED)

regression: postgres
	@dir=$$(sqlparse/oracle/regression.sh) && \
	$(GO) test -v -timeout 120m ./sqlparse/oracle -run '^TestRegression$$' -regression "$$dir" -regression-files '$(FILES)'

check: compiler
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w these files:" >&2; echo "$$unformatted" >&2; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(GO) test -race -timeout 20m $$($(WITHOUT_SERVER))

soak: postgres
	$(GO) run ./e2e/soak $(ARGS)

# go test fuzzes one target at a time.
fuzz: compiler
	@set -e; for pkg in $$($(GO) list $(PKG)); do \
		list=$$($(GO) test -list '^Fuzz' $$pkg) || { echo "$$list" >&2; exit 1; }; \
		for target in $$(echo "$$list" | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench: postgres
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKG)
	@if [ '$(PKG)' = ./... ]; then $(GO) run ./bench $(ARGS); fi
