# A thin front for Meson and the scripts in tools/: every target first has the Debian packages that it needs.
# `make help` lists the targets. CC=clang builds with clang; BUILD=dir builds elsewhere.

ifeq ($(origin CC),default)
CC := gcc
endif
BUILD  ?= build
PREFIX ?= /usr/local
ROUNDS ?= 20
RUNS   ?= 100000
MINUTES ?= 120
ROTATIONS ?= 10000
HOURS  ?= 1
JOBS   ?= $(shell nproc)
export CC

MAKEFLAGS += --no-print-directory
SOURCES := $(shell find src sim fuzz test bench -name '*.c' -o -name '*.h' | sort)
CHECKED := $(filter-out %_test.c %_bench.c,$(filter src/%.c,$(SOURCES)))
STAMPS  := $(BUILD)/check

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: deb package-test help build demo test check fresh sanitize soak mixed soak-mesh soak-roles curve fuzz bench logs-accuracy logs-torture scale profile sim sim-plants format install clean

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

build: ## build/holdfast
	@tools/need.sh build $(if $(findstring clang,$(CC)),clang)
	@tools/compile.sh $(BUILD)

demo: build ## the main job, live: three nodes and a replicated Redis, while backends, nodes and the primary die and return
	@tools/need.sh demo
	@tools/demo.sh

test: ## all tests; ends with "N passed, N failed"
	@tools/need.sh build test
	@tools/compile.sh $(BUILD) -Dtests=enabled
	@tools/run-tests --build $(BUILD) -- $(ARGS)

check: ## the fast loop: both compilers, units, format, lint, the repository's rules
	@tools/need.sh build test lint
	@tools/compile.sh $(BUILD) -Dtests=enabled
	@CC=clang tools/compile.sh build-clang -Dtests=enabled
	@$(MAKE) -s $(SOURCES:%=$(STAMPS)/%.format) $(STAMPS)/cppcheck
	@$(MAKE) -s -j2 -Otarget $(CHECKED:%=$(STAMPS)/%.tidy)
	@tools/run-tests --build $(BUILD) --fast

$(STAMPS)/%.format: % .clang-format
	@clang-format --dry-run -Werror $< && mkdir -p $(@D) && touch $@

$(STAMPS)/%.tidy: % $(filter %.h,$(SOURCES)) .clang-tidy
	@mkdir -p $(@D)
	@clang-tidy --quiet $< -- -std=gnu11 -D_GNU_SOURCE -DHF_VERSION='""' -Isrc >$@.log 2>&1 || { cat $@.log; exit 1; }
	@touch $@

$(STAMPS)/cppcheck: $(CHECKED) $(filter src/%.h,$(SOURCES)) Makefile
	@mkdir -p $(STAMPS)/cppcheck.d
	@cppcheck -q -j2 --cppcheck-build-dir=$(STAMPS)/cppcheck.d --std=c11 --enable=warning,portability \
	    --inline-suppr --suppress=ctuuninitvar --suppress=legacyUninitvar --suppress=nullPointerRedundantCheck \
	    --suppress=nullPointerArithmeticRedundantCheck --suppress=varFuncNullUB \
	    --error-exitcode=1 -D_GNU_SOURCE -D__GNUC__ -Isrc $(CHECKED)
	@touch $@

fresh: ## both commands of the README in a bare Debian root, as a stranger runs them
	@tools/need.sh fresh
	@tools/fresh.sh

sanitize: ## the tests under AddressSanitizer with UBSan, then under ThreadSanitizer
	@tools/need.sh build test
	@tools/compile.sh build-asan -Dtests=enabled -Db_sanitize=address,undefined
	@tools/run-tests --build build-asan --slower 5 -- $(ARGS)
	@tools/compile.sh build-tsan -Dtests=enabled -Db_sanitize=thread
	@tools/run-tests --build build-tsan --slower 10 -- $(ARGS)

soak: ## whatever is long: 20 rounds of every scenario, 5 million fuzz executions a decoder
	@HOLDFAST_ROUNDS=$(ROUNDS) $(MAKE) test
	@$(MAKE) fuzz RUNS=5000000

mixed: ## everything at once for MINUTES: all kinds of clients while all kinds of things happen; one line a minute
	@tools/need.sh build test
	@tools/compile.sh $(BUILD) -Dtests=enabled
	@HOLDFAST_SOAK_MINUTES=$(MINUTES) HOLDFAST_SOAK_LOG=$(abspath $(BUILD))/soak.jsonl \
	    tools/run-tests --build $(BUILD) --slower $(or $(HOLDFAST_PATIENCE),3) -- test/scenario/test_soak.py -s $(ARGS)

soak-mesh: ## five nodes for MINUTES while all processors are busy with other work: nobody may be falsely failed
	@tools/need.sh build test
	@tools/compile.sh $(BUILD) -Dtests=enabled
	@HOLDFAST_MESH_MINUTES=$(MINUTES) tools/run-tests --build $(BUILD) -- test/scenario/test_mesh_soak.py -s $(ARGS)

soak-roles: ## a replicated service for MINUTES while all processors are busy with other work: nobody may take over
	@tools/need.sh build test
	@tools/compile.sh $(BUILD) -Dtests=enabled
	@HOLDFAST_ROLE_MINUTES=$(MINUTES) tools/run-tests --build $(BUILD) -- test/scenario/test_failover_soak.py -s $(ARGS)

curve: build ## detection time beside false suspicions, for many settings on a busy machine, into docs/detection-curve.md: half an hour
	@tools/need.sh build test
	@tools/compile.sh $(BUILD) -Dtests=enabled
	@HOLDFAST=$(abspath $(BUILD))/holdfast HOLDFAST_TOOLS=$(abspath $(BUILD))/test bench/curve.py $(ARGS)

fuzz: ## fuzz every decoder for RUNS executions, with coverage
	@tools/need.sh build fuzz
	@tools/fuzz.sh $(RUNS)

bench: build ## holdfast beside haproxy, nginx and the floors, into docs/bench.md: 20 minutes (QUICK=1: 2, only prints)
	@tools/need.sh bench
	@bench/run.py $(if $(QUICK),--quick) $(ARGS)

logs-accuracy: build ## how rightly lines of real programs are grouped by what they mean, their logs made here: ten minutes
	@tools/need.sh build test logs
	@tools/compile.sh $(BUILD) -Dtests=enabled
	@ninja -C $(BUILD) --quiet src/detect/bench_logs
	@HOLDFAST_BUILD=$(abspath $(BUILD)) bench/logs/accuracy.py $(ARGS)

logs-torture: ## a log that is rotated ROTATIONS times while it is followed, with five seeds, and a flood: fifteen minutes
	@tools/need.sh build
	@tools/compile.sh $(BUILD)
	@ninja -C $(BUILD) --quiet src/sense/follow_torture
	@tools/logs-torture.sh $(BUILD) $(ROTATIONS)

scale: build ## what 1,000 services with 10 instances each cost: a minute
	@tools/need.sh build test
	@tools/compile.sh $(BUILD) -Dtests=enabled
	@HOLDFAST=$(BUILD)/holdfast HOLDFAST_TOOLS=$(BUILD)/test bench/scale.py $(ARGS)

profile: build ## user instructions per request, by function, of holdfast and the floors (callgrind)
	@tools/need.sh bench
	@bench/profiles.py $(ARGS)

sim: ## clusters under virtual time, faults from fresh seeds, for HOURS; what is found is kept in build/found-seeds.txt
	@tools/need.sh build
	@tools/compile.sh $(BUILD)
	@$(BUILD)/sim/holdfast-sim --hours $(HOURS) --jobs $(JOBS) --nodes 0 --rotate --save $(BUILD)/found-seeds.txt $(ARGS)

sim-plants: ## plants thirteen faults, one after the other, and shows that the simulator finds each within 1,000 seeds
	@tools/need.sh build
	@tools/sim-plants.sh

format: ## clang-format, in place
	@tools/need.sh lint
	@clang-format -i $(SOURCES)

deb: ## build/holdfast_VERSION_ARCH.deb (VERSION=0.2.0~test: another version than this one, to try an upgrade)
	@tools/need.sh build deb
	@JOBS=$(JOBS) tools/deb.sh --out $(BUILD) $(if $(VERSION),--version $(VERSION))

package-test: build ## the package on three bare Debian roots with systemd: install by the README, upgrade under load, purge; minutes
	@tools/need.sh build deb test package-test
	@tools/compile.sh $(BUILD) -Dtests=enabled
	@JOBS=$(JOBS) tools/package-test.sh $(BUILD) $(ARGS)

install: build ## install below PREFIX (default /usr/local; honours DESTDIR)
	@meson configure $(BUILD) -Dprefix=$(PREFIX) && meson install -C $(BUILD) --quiet

clean: ## remove everything that was built
	@rm -rf build build-plant build-clang build-asan build-tsan build-fuzz build-fuzz-coverage
