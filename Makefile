# Everything a person does with the project; `make help` lists it.

CARGO ?= cargo

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.DEFAULT_GOAL := help

.PHONY: demo
demo: ## record five seconds from a simulated board, play them, show them as a picture (in demo/)
	@scripts/setup.sh demo
	@CARGO="$(CARGO)" scripts/demo.sh

.PHONY: build
build: ## build the plugin (target/release/libgstkendryte.so)
	@scripts/setup.sh build
	$(CARGO) build --release --locked

.PHONY: install
install: ## install the plugin where GStreamer finds it (DESTDIR and MESON_FLAGS=--prefix=... are heeded)
	@scripts/setup.sh install
	meson setup -Dstrip=true $(MESON_FLAGS) $(if $(wildcard builddir/build.ninja),--reconfigure) builddir
	meson compile -C builddir
	$(if $(DESTDIR)$(filter 0,$(shell id -u)),,sudo )meson install -C builddir --no-rebuild

.PHONY: deb
deb: ## build Debian packages, for this machine (in target/deb) or DEB_ARCH=arm64|riscv64 (in target/deb-*)
	@scripts/setup.sh deb
	scripts/deb.sh $(DEB_ARCH)

.PHONY: test-deb
test-deb: deb ## install those packages in clean chroots of Debian 12 and 13, inspect, record
	scripts/deb-test.sh

.PHONY: vendor
vendor: ## put the crates into vendor/, with which make install needs no network
	$(CARGO) vendor --locked --versioned-dirs >/dev/null

.PHONY: test-install
test-install: vendor ## install by meson and by cargo-c, offline and from a read-only tree, on Debian unstable
	scripts/chroot.sh sid amd64 sh -c 'scripts/setup.sh install && apt-get install -y -qq --no-install-recommends \
	    cargo-c gstreamer1.0-tools >/dev/null && scripts/install-test.sh'

# Most tests wait longer than they compute: two a core at once.
NEXTEST_TEST_THREADS ?= $(shell expr 2 \* $$(nproc))

.PHONY: test
test: export NEXTEST_TEST_THREADS := $(NEXTEST_TEST_THREADS)
test: ## install what the tests need and run them all
	@scripts/setup.sh test
	@# What tests run as a user would. A test would build it in the time that it has for itself.
	$(CARGO) build --workspace --locked --examples --bins
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --workspace --locked --no-fail-fast && $(CARGO) test --workspace --locked --doc; \
	else \
	    $(CARGO) test --workspace --locked --no-fail-fast; \
	fi

.PHONY: lint
lint: ## check formatting, and clippy with warnings as errors, with and without the simulated board
	@scripts/setup.sh build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --workspace --lib --bins --examples --bench '*' --locked -- -D warnings -D clippy::too_many_lines
	$(CARGO) clippy --lib --no-default-features --locked -- -D warnings

RUNS ?= 9

.PHONY: bench
bench: ## measure against the peers, as ratios of RUNS paired runs (9), and write docs/benchmarks.md
	@scripts/setup.sh test
	$(CARGO) bench --benches --package gst-plugin-kendryte --package kendryte-recorder --locked --no-fail-fast \
	    -- --runs $(RUNS) --write $(CURDIR)/docs/benchmarks.md

.PHONY: bench-k230-instructions
bench-k230-instructions: ## count the instructions of k230venc on the double of the K230's device, of x264enc's at most 3 %
	@scripts/setup.sh test
	$(CARGO) build --release --locked -p gst-plugin-kendryte -p k230v4l2-sim
	scripts/k230-instructions.sh $(or $(CARGO_TARGET_DIR),target)/release

FUZZ_TIME ?= 60
FUZZ_TARGETS ?= reader stream writer repair link dispatcher sim_python messages names
# An input of 16 MiB, half a minute for it (with a sanitizer, on a busy machine), 2 GiB of memory.
FUZZ_LIMITS = -max_len=16777216 -timeout=30 -rss_limit_mb=2048

.PHONY: fuzz
fuzz: ## fuzz readers, writer, repair, board link, simulated board ...: FUZZ_TIME seconds each (60) of FUZZ_TARGETS
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { \
	    echo "make fuzz needs cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler" >&2; exit 1; }
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p fuzz/corpus/$$target; \
	    RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target \
	        -- -max_total_time=$(FUZZ_TIME) $(FUZZ_LIMITS) || exit 1; \
	done # sanitizers are a nightly feature; RUSTC_BOOTSTRAP lets a stable compiler have it

FLEET_MINUTES ?= 10
FLEET_EVENTS ?= 1000
FLEET_RECORDERS ?= 3
FLEET_BOARDS ?= 20
FLEET_BROKER_AWAY ?= 10

.PHONY: fleet
fleet: ## as root: recorders, broker, store and index while things go wrong (FLEET_MINUTES 10, FLEET_EVENTS 1000 ...); writes docs/fleet.md
	@scripts/setup.sh fleet
	$(CARGO) build --release --locked --package kendryte-recorder
	scripts/fleet.py --minutes $(FLEET_MINUTES) --events $(FLEET_EVENTS) --recorders $(FLEET_RECORDERS) \
	    --boards $(FLEET_BOARDS) --broker-away $(FLEET_BROKER_AWAY) --write $(or $(CARGO_TARGET_DIR),target)/release/kendryte-recorder

CRASH_MOMENTS ?= 1000
SOAK_SECONDS ?= 3600
SOAK_TRIGGERS ?= 1000
SOAK_TIME ?= 86400
AT_ONCE ?= 1
CYCLES ?= 10000
OFFSET_STEP ?= 7
TROUBLE ?= kill eio gone full power
ROUNDS ?= 100

.PHONY: soak soak-avi soak-board soak-ring soak-losses soak-offsets soak-starts soak-stops soak-cost soak-bounds soak-day soak-suite
soak: soak-avi soak-ring soak-losses soak-offsets soak-starts soak-stops soak-cost soak-bounds soak-board ## run the long tests, each of which can be run alone

soak-avi: ## AVI: CRASH_MOMENTS failures (1000), 4000 files with something wrong in them, alone and in pipelines, a file of 5 GiB
	@scripts/setup.sh test
	PROPTEST_CASES=20000 $(CARGO) test --locked --package avi-mjpeg --lib writer
	MUTANTS=4000 $(CARGO) test --locked --package avi-mjpeg --test mutants
	MUTANTS=4000 $(CARGO) test --locked --test elements avimjpegdemux_mutants::
	CRASH_MOMENTS=$(CRASH_MOMENTS) $(CARGO) test --locked --test elements avimjpegmux_crash::
	$(CARGO) test --locked --test elements avimjpegmux:: -- --ignored

soak-ring: ## circularsink: SOAK_TRIGGERS triggers (1000) at random moments
	@scripts/setup.sh test
	SOAK=$(SOAK_TRIGGERS) $(CARGO) test --locked --test elements circularsink::random

soak-board: ## k210camerasrc: an hour (SOAK_SECONDS) over noise and a cable that is pulled
	@scripts/setup.sh test
	$(CARGO) build --release --locked
	/usr/bin/python3 tests/soak/board.py --seconds $(SOAK_SECONDS)

soak-losses: ## what a kill, a failing or full disk, a power cut (TROUBLE) cost, in ROUNDS rounds; writes docs/reliability.md
	@scripts/setup.sh test
	$(CARGO) build --release --locked --lib
	@failed=; for trouble in $(TROUBLE); do \
	    /usr/bin/python3 tests/soak/losses.py $$trouble --rounds $(ROUNDS) --write || failed=1; \
	done; test -z "$$failed"

soak-offsets: ## recordsink and circularsink on a disk that fails at every OFFSET_STEP-th (7) of the first 65536 bytes, and at others
	@scripts/setup.sh test
	OFFSETS=$(OFFSET_STEP) $(CARGO) test --locked --test elements failing_offsets::a_disk

soak-starts: ## start and stop each element CYCLES times (10000); writes docs/reliability.md
	@scripts/setup.sh test
	$(CARGO) build --release --locked --lib
	/usr/bin/python3 tests/soak/starts.py --cycles $(CYCLES) --write

soak-stops: ## how long avimjpegdemux takes to stop, whatever it reads; writes docs/reliability.md; wants a quiet machine
	@scripts/setup.sh test
	$(CARGO) build --release --locked --lib
	/usr/bin/python3 tests/soak/stops.py --write

soak-cost: ## what reading costs for each byte, whatever is in a file; writes docs/reliability.md
	@scripts/setup.sh test
	$(CARGO) build --release --locked --package avi-mjpeg --example cost
	/usr/bin/python3 tests/soak/cost.py --write

soak-bounds: ## what files, boards, clients and programs that are made to hurt cost; writes docs/reliability.md
	@scripts/setup.sh test
	$(CARGO) build --release --locked --workspace --lib --bins
	/usr/bin/python3 tests/soak/bounds.py --write

soak-day: ## a day (SOAK_TIME seconds) of board link and circularsink, AT_ONCE pieces at once: goes on where it is; writes docs/reliability.md
	@/usr/bin/python3 tests/soak/day.py --seconds 0
	@scripts/setup.sh test
	$(CARGO) build --release --locked
	/usr/bin/python3 tests/soak/day.py --seconds $(SOAK_TIME) --at-once $(AT_ONCE) --write

SUITES ?= 10
LOOPS ?= 2

soak-suite: ## the tests, SUITES times (10) in a row beside LOOPS busy loops (2); writes docs/reliability.md
	@scripts/setup.sh test
	$(CARGO) build --workspace --locked --examples --bins
	/usr/bin/python3 tests/soak/suite.py --runs $(SUITES) --loops $(LOOPS) --write

VALGRIND = valgrind --quiet --error-exitcode=99 --leak-check=no --suppressions=$(CURDIR)/tests/valgrind.supp
RUNNER = CARGO_TARGET_$(shell rustc -vV | sed -n 's/host: //p' | tr a-z- A-Z_)_RUNNER

.PHONY: valgrind
valgrind: ## k230venc's ABI layers and the MPP library's double under valgrind
	@scripts/setup.sh test
	VENC_ABI_UNDER="$(VALGRIND)" $(CARGO) test --locked --package k230mpp-sim --test abi
	env $(RUNNER)="$(VALGRIND)" $(CARGO) test --locked --package k230-venc --lib
	env $(RUNNER)="$(VALGRIND)" $(CARGO) test --locked --test elements k230venc::under_valgrind -- --ignored

.PHONY: doc
doc: ## build the reference (target/doc/gstkendryte), warnings being errors
	@scripts/setup.sh build
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

PUBLISHED = closed-output avi-mjpeg k210-link k210-sim k230-venc k230-sim gst-plugin-kendryte

.PHONY: package
package: ## build each crate from what it is published with (target/package)
	@scripts/setup.sh build
	$(CARGO) package --locked $(PACKAGE_FLAGS) $(addprefix -p ,$(PUBLISHED))

.PHONY: clean
clean: ## remove what was built
	$(CARGO) clean
	rm -rf demo builddir

# Other systems: `make test` in a chroot, which needs debootstrap, root or sudo, and some gigabytes in ~/.cache
# (scripts/chroot.sh says more). A plugin is the older Debian's as users of the newer ones get it.
.PHONY: test-debian13 test-sid test-i386 test-loads

test-debian13: ## run the tests on Debian 13 (GStreamer 1.26, ffmpeg 7)
	scripts/chroot.sh trixie amd64 make test

test-sid: ## run the tests on Debian unstable (GStreamer 1.28, ffmpeg 9)
	scripts/chroot.sh sid amd64 make test

test-i386: ## run the tests on Debian unstable for 32 bits, with its own Rust
	scripts/chroot.sh sid i386 make test

OF_DEBIAN12 = /target/bookworm-amd64/debug/libgstkendryte.so

CROSS = arm64 riscv64

.PHONY: test-cross
test-cross: ## cross-build the packages for arm64 and riscv64, install them under qemu-user, record and play
	for arch in $(CROSS); do \
	    $(MAKE) deb DEB_ARCH=$$arch && DEB_ARCH=$$arch scripts/deb-test.sh || exit 1; \
	done

test-loads: ## build the plugin on Debian 12, and record with it on Debian 13 and unstable
	scripts/chroot.sh bookworm amd64 sh -c 'scripts/setup.sh build && cargo build --locked'
	for suite in trixie sid; do \
	    scripts/chroot.sh $$suite amd64 sh -c 'scripts/setup.sh demo && gst-inspect-1.0 --version && \
	        gst-inspect-1.0 $(OF_DEBIAN12) && gst-launch-1.0 -q --gst-plugin-load=$(OF_DEBIAN12) -e \
	        k210camerasrc device=sim: num-buffers=10 ! avimjpegmux ! filesink location=/tmp/loads.avi && \
	        gst-launch-1.0 -q --gst-plugin-load=$(OF_DEBIAN12) filesrc location=/tmp/loads.avi ! avimjpegdemux ! \
	        jpegdec ! fakesink' || exit 1; \
	done
