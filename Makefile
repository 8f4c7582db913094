# SPDX-License-Identifier: Apache-2.0

LLVM := 22
BPF_LINKER_VERSION := 0.13.0

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tcpwhy
BPF_LINKER_ROOT := $(CACHE)/bpf-linker-$(BPF_LINKER_VERSION)-llvm-$(LLVM)
BPF_LINKER := $(BPF_LINKER_ROOT)/bin/bpf-linker
export CARGO_TARGET_DIR := $(CACHE)/target

HERE := $(shell uname -m)
# `make dist MACHINE=aarch64` is for that one, and so are deb and rpm.
MACHINE := $(HERE)
MACHINES := $(HERE)
BUILT := build$(if $(filter-out $(HERE),$(MACHINE)),/$(MACHINE))
BPF_ARCH := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(MACHINE)))
NODE_ARCH := $(patsubst x86_64,x64,$(patsubst aarch64,arm64,$(MACHINE)))

# npm replaces the node in node_modules, so it runs on the system's.
SYSTEM_PATH := $(PATH)
export PATH := $(CURDIR)/node_modules/node/bin:$(CURDIR)/node_modules/.bin:$(PATH)
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

CLANG := clang-$(LLVM)
BPF_CFLAGS := -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -g -O2 -Wall -Wextra -Werror \
	-Wno-unused-parameter -Ibpf/include -idirafter /usr/include/$(HERE)-linux-gnu \
	-ffile-prefix-map='$(CURDIR)'=.

VERSION := $(shell sed -n 's/^  "version": "\(.*\)",/\1/p' package.json)
# What anybody can copy and run.
DIST := dist/tcpwhy-$(VERSION)-linux-$(MACHINE)
NPM_PACKAGE := dist/tcpwhy-$(VERSION).tgz
GLIBC := 2.28
ZIGBUILD_VERSION := 0.24.1
ZIG_VERSION := 0.15.2
NFPM_VERSION := 2.43.4
ZIGBUILD := $(CACHE)/zigbuild-$(ZIGBUILD_VERSION)-zig-$(ZIG_VERSION)
NFPM := $(CACHE)/nfpm-$(NFPM_VERSION)/nfpm
COLLECTOR_VERSION := $(shell sed -n 's/^  version: //p' tools/fleet/collector/builder.yaml)
COLLECTOR := $(CACHE)/otelcol-$(COLLECTOR_VERSION)/otelcol
# Engines and tools that findings of many hosts are for.
CHDB_VERSION := 4.4.0
CHDB := $(CACHE)/chdb-$(CHDB_VERSION)/chdb
PROMTOOL_VERSION := 0.316.0
PROMTOOL := $(CACHE)/promtool-$(PROMTOOL_VERSION)/promtool
# Of kubernetes-models and @grafana/schema.
SCHEMAS_VERSION := 5.1.0_13.2.3
SCHEMAS := $(CACHE)/schemas-$(SCHEMAS_VERSION)/node_modules
VICTORIA_LOGS_VERSION := 1.52.1
VICTORIA_LOGS := $(CACHE)/victoria-logs-$(VICTORIA_LOGS_VERSION)/victoria-logs
KAFKA_VERSION := 4.4.0
KAFKA := $(CACHE)/kafka-$(KAFKA_VERSION)/lib
PREFIX ?= /usr/local
# Also where root calls, as `sudo make demo`, who owns the tree builds in it.
OWNER := $(shell stat -c %U .)
BUILD_AS_OWNER = $(if $(and $(filter 0,$(shell id -u)),$(filter-out root,$(OWNER))),\
	runuser -l $(OWNER) -s /bin/sh -c 'make --no-print-directory -C "$(CURDIR)" build',\
	$(MAKE) --no-print-directory build)

CRATE := --release --locked --manifest-path src/native/Cargo.toml

NODE_MODULES := node_modules/.installed
ADDON := build/tcpwhy.linux-$(NODE_ARCH)-gnu.node
BPF_SOURCES := $(wildcard bpf/*.bpf.c)
# What has hooks is compiled a second time for kprobes and raw tracepoints: see bpf/include/hooks.h.
PROGRAMS := $(patsubst bpf/%.bpf.c,$(BUILT)/bpf/%.bc,$(BPF_SOURCES)) \
	$(patsubst bpf/%.bpf.c,$(BUILT)/bpf/%.probes.bc,$(shell grep -l '^ON_' $(BPF_SOURCES)))
WIRE := bpf/include/wire.gen.h src/wire/messages.gen.ts \
	src/wire/kinds.gen.ts src/wire/mib.gen.ts src/wire/types.gen.ts src/wire/written.gen.ts
CAUSES := src/causes/registry.gen.ts src/causes/pages.gen.ts
SCENARIOS := src/lab/registry.gen.ts

SOURCES := $(shell find src -name '*.ts' -o -name '*.tsx' -o -name '*.js' -o -name '*.md')
C_SOURCES := $(shell find bpf tools/bench tools/dist test -name '*.[ch]')
SCRIPTS := $(shell grep -rlE '^\#!/.*sh$$' .ci tools test)

.DELETE_ON_ERROR:
.PHONY: build native dist deb rpm npm npm-parts oci dist-test arm-test install uninstall demo top test test-all unit kernel-test vm-test fleet-test soak \
	bench bench-hooks bench-start bench-export bench-captures bench-memory bench-overhead bench-agent bench-fleet \
	fuzz torture check fmt clean \
	help setup setup-check setup-test setup-dist setup-cross setup-fleet own-crate

OBJECTS := $(patsubst %,$(BUILT)/%.bpf.o,tcpwhy getpeername dropping security)

build: build/tcpwhy build/tcpwhy.js $(OBJECTS) build/demo.tcpwhy $(ADDON) ## build everything (the default)

# What is built of no generated file, which `make check` compares: the two may go on side by side.
native: $(ADDON) $(BPF_LINKER)

demo: ## see findings: makes real failures in private network namespaces
	@$(BUILD_AS_OWNER)
	build/tcpwhy demo

top: ## watch this machine
	@$(BUILD_AS_OWNER)
	$(SUDO) build/tcpwhy top

dist: $(DIST) dist/SHA256SUMS $(BUILT)/dist/share ## build the one file that needs nothing but glibc and libstdc++

deb: $(DIST:%=%.deb) ## build a package of that for Debian and Ubuntu

rpm: $(DIST:%=%.rpm) ## build one for Red Hat, Fedora and SUSE

npm: npm-parts ## build a package for npm, for each of MACHINES (x86_64 aarch64), or this one
	@for machine in $(filter-out $(HERE),$(MACHINES)); do \
		$(MAKE) --no-print-directory MACHINE=$$machine npm-parts || exit; done
	tools/dist/npm dist $(MACHINES)

npm-parts: build/tcpwhy build/tcpwhy.js build/demo.tcpwhy $(OBJECTS) $(BUILT)/dist/tcpwhy.node $(BUILT)/dist/share

oci: $(DIST:%=%.oci.tar) ## build an image of that for containers, as root

dist-test: setup-test setup-dist dist deb rpm npm oci ## try all that, and in root file systems that have nothing else, as root
	TCPWHY_TESTED=$(CURDIR)/$(DIST) vitest run test/cli test/kernel/process.test.ts
	lintian --allow-root $(DIST).deb
	rpmlint -r tools/dist/rpmlintrc $(DIST).rpm
	tools/dist/try-npm $(NPM_PACKAGE)
	tools/dist/try-image $(DIST).oci.tar
	tools/dist/try-setup $(CACHE)/roots/bookworm
	tools/dist/try-sudo $(DIST) $(CACHE)/roots/sudo
	node tools/dist/roots.ts $(DIST) $(CACHE)/roots $(SUITES)

arm-test: setup-cross setup-dist build ## try the one file for arm64 and its packages, emulated and in virtual machines, as root on x86-64
	@$(MAKE) --no-print-directory MACHINE=aarch64 dist deb rpm oci
	tools/dist/try-arm64-packages dist/tcpwhy-$(VERSION)-linux-aarch64
	tools/dist/try-arm64 dist/tcpwhy-$(VERSION)-linux-aarch64 $(CACHE)/roots/arm64

install: ## install what `make dist` built, below DESTDIR and PREFIX (/usr/local)
	@[ -x $(DIST) ] && [ -d $(BUILT)/dist/share ] || { echo 'first, as a user: make dist' >&2; exit 2; }
	install -D -m 755 $(DIST) '$(DESTDIR)$(PREFIX)/bin/tcpwhy'
	cd $(BUILT)/dist/share && find . -type f -exec install -D -m 644 {} '$(abspath $(DESTDIR)$(PREFIX))/share/'{} \;
	install -D -m 644 tools/dist/systemd/tcpwhy.socket -t '$(DESTDIR)$(PREFIX)/lib/systemd/system'
	for unit in tcpwhy@.service tcpwhy-agent.service; do \
		sed 's|^ExecStart=/usr/|ExecStart=$(abspath $(PREFIX))/|' "tools/dist/systemd/$$unit" | \
			install -D -m 644 /dev/stdin "$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit" || exit; done
	install -D -m 644 tools/dist/systemd/tcpwhy.conf -t '$(DESTDIR)$(PREFIX)/lib/sysusers.d'

uninstall: ## remove what `make install` installed
	rm -f '$(DESTDIR)$(PREFIX)/bin/tcpwhy' '$(DESTDIR)$(PREFIX)/lib/sysusers.d/tcpwhy.conf'
	cd '$(DESTDIR)$(PREFIX)/lib/systemd/system' && rm -f tcpwhy.socket tcpwhy@.service tcpwhy-agent.service
	cd $(BUILT)/dist/share && find . -type f -exec rm -f '$(abspath $(DESTDIR)$(PREFIX))/share/'{} \;
	rmdir '$(abspath $(DESTDIR)$(PREFIX))/share/doc/tcpwhy'

test: ## run every test; those of the kernel need root
	@tools/same-ports 20 $(MAKE) --no-print-directory test-all

test-all: setup-test build
	cargo test --quiet $(CRATE)
	vitest run --project '!fleet'

unit: setup-test build ## run the tests that need no root
	cargo test --quiet $(CRATE)
	vitest run --project unit

kernel-test: setup-test build ## run the tests on this kernel, as root
	vitest run --project causes --project 'kernel*'

fleet-test: setup-test build $(COLLECTOR) $(CHDB) $(VICTORIA_LOGS) $(KAFKA) $(PROMTOOL) $(SCHEMAS) ## what is for many hosts, with the engines and tools that it is for, as root
	vitest run --project fleet

vm-test: setup-test build ## make every failure happen here and on other kernels, in virtual machines, as root
	tools/vm/matrix -o build/vm -t 2400 $(if $(KERNELS),-k $(KERNELS)) -- \
		node tools/vm/conformance.ts --json $(SCENARIOS)
	node tools/vm/conformance.ts --json $(SCENARIOS) >build/vm/here.log
	node tools/vm/table.ts $(if $(SCENARIOS),--keep) build/vm/*.log
	node tools/vm/verified.ts $(if $(UPDATE_VERIFIED),--update) build/vm/*.log

soak: setup-test build ## record for MINUTES on KERNEL while the clock is set and CPUs come and go, as root
	tools/vm/run -k $(or $(KERNEL),6.12) -c 2 -m 2048 -t $$(($(or $(MINUTES),20) * 60 + 900)) -- \
		node tools/vm/soak.ts --minutes $(or $(MINUTES),20)

bench-hooks: setup-test build ## count the instructions that watching adds, in a virtual machine, as root
	node tools/bench/hooks.ts $(KERNEL)

bench-start: setup-test build ## how long starting takes, and what is loaded meanwhile, as root
	node tools/bench/start.ts $(STARTS)

bench-export: setup-test build ## how fast, and in how much memory, a recording of 1 GiB is exported and reported
	node tools/bench/export.ts $(MIB)

bench-captures: setup-test build ## how fast, and in how much memory, a capture of MIB (2048) is explained, as root
	node tools/bench/captures.ts $(MIB)

bench-overhead: setup-test build ## what nginx loses while it is watched, in PAIRS of runs with and without, as root
	node tools/bench/overhead.ts $(PAIRS)

bench-memory: setup-test build ## how much memory watching takes under load, for MINUTES each, as root
	node tools/bench/memory.ts $(or $(MINUTES),10) $(COMMANDS)

bench-agent: setup-test build ## what the agent takes under a healthy load and in a storm, for MINUTES each, as root
	node tools/bench/agent.ts $(MINUTES)

bench-fleet: setup-test build $(CHDB) ## how long the queries over the findings of a thousand hosts take, of up to FINDINGS
	node tools/bench/fleet.ts $(FINDINGS)

fuzz: setup-test build ## every output of senseless recordings, for MINUTES
	node tools/fuzz/main.ts $(or $(MINUTES),60)

torture: setup-test build ## storms and failing system calls, for about MINUTES, as root; beside them MIXED minutes of storms in turn
	node tools/torture/main.ts $(or $(MINUTES),30) $(MIXED)

bench: bench-hooks bench-start bench-export bench-captures bench-memory bench-overhead bench-agent bench-fleet ## every benchmark

check: setup-check $(NODE_MODULES) own-crate ## check format, lint, types, generated files, imports, licenses and scripts
	biome check --error-on-warnings
	tsc
	node tools/check-imports/main.ts
	tools/check-generated
	tools/check-licenses
	clang-format-$(LLVM) --dry-run -Werror $(C_SOURCES)
	shellcheck --severity=warning $(SCRIPTS)
	cargo fmt --check --manifest-path src/native/Cargo.toml
	cargo clippy --quiet $(CRATE) --all-targets -- -D warnings

fmt: setup-check $(NODE_MODULES) ## format every source and write every generated file
	node tools/gen-wire/main.ts
	node tools/gen-causes/main.ts
	node tools/gen-scenarios/main.ts
	node tools/gen-json/main.ts
	node tools/gen-reasons/main.ts
	node tools/gen-man/main.ts
	biome check --write --linter-enabled=false
	clang-format-$(LLVM) -i $(C_SOURCES)
	cargo fmt --manifest-path src/native/Cargo.toml

clean: ## remove what was built here, not the caches
	rm -rf build dist

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:
	@tools/setup build

setup-check setup-test setup-dist setup-cross setup-fleet: setup-%: setup
	@tools/setup $*

# Cargo goes by the times of files, and takes every tree that shares its cache for the same one.
own-crate: | setup
	@grep -qsx '$(CURDIR)' $(CARGO_TARGET_DIR)/tree || { \
		cargo clean --quiet --release --package tcpwhy --manifest-path src/native/Cargo.toml && \
		cargo clean --quiet --release --package tcpwhy --manifest-path src/native/Cargo.toml \
			--target $(MACHINE)-unknown-linux-gnu && \
		mkdir -p $(CARGO_TARGET_DIR) && echo '$(CURDIR)' >$(CARGO_TARGET_DIR)/tree; }

$(NODE_MODULES): package-lock.json | setup
	@sha256sum --check --status $@ 2>/dev/null || \
		{ echo npm ci; PATH="$(SYSTEM_PATH)" npm ci --loglevel=error; }
	@sha256sum $< >$@

$(BPF_LINKER): | setup
	LLVM_PREFIX=/usr/lib/llvm-$(LLVM) CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
		CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=false \
		CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		cargo install bpf-linker --version $(BPF_LINKER_VERSION) --locked \
		--no-default-features --features llvm-$(LLVM) --root $(BPF_LINKER_ROOT)

$(WIRE) &: $(wildcard proto/tcpwhy/v1/*.proto tools/gen-wire/*.ts) | $(NODE_MODULES)
	node tools/gen-wire/main.ts

$(CAUSES) &: $(wildcard tools/gen-causes/*.ts) src/causes README.md \
		$(wildcard src/causes/*/index.ts src/causes/*/doc.md) | $(NODE_MODULES)
	node tools/gen-causes/main.ts
	@touch $(CAUSES)

$(SCENARIOS): $(wildcard tools/gen-scenarios/*.ts src/lab/scenarios/*.ts) src/lab/scenarios | $(NODE_MODULES)
	node tools/gen-scenarios/main.ts
	@touch $@

$(BUILT)/bpf/%.bc: bpf/%.bpf.c | setup bpf/include/wire.gen.h
	@mkdir -p $(@D)
	@echo $(CLANG) $<
	@$(CLANG) $(BPF_CFLAGS) -MMD -MP -emit-llvm -c $< -o $@

$(BUILT)/bpf/%.probes.bc: bpf/%.bpf.c | setup bpf/include/wire.gen.h
	@mkdir -p $(@D)
	@echo $(CLANG) -DPROBES $<
	@$(CLANG) $(BPF_CFLAGS) -DPROBES -MMD -MP -emit-llvm -c $< -o $@

-include $(PROGRAMS:.bc=.d)

$(BUILT)/bpf/exports: $(PROGRAMS) bpf
	@llvm-nm-$(LLVM) --defined-only --extern-only --format=just-symbols $(PROGRAMS) | grep -x '\w\+' >$@

$(BUILT)/tcpwhy.bpf.o: $(PROGRAMS) $(BUILT)/bpf/exports | $(BPF_LINKER)
	@echo bpf-linker $@
	@$(BPF_LINKER) --btf --cpu v3 -O2 --disable-expand-memcpy-in-order \
		--export-symbols $(BUILT)/bpf/exports -o $(BUILT)/bpf/linked.o $(PROGRAMS)
	@# A copy too long to be inlined became a call to libc.
	@! llvm-nm-$(LLVM) --undefined-only $(BUILT)/bpf/linked.o | grep 'mem'
	@# bpf-linker keeps the types of each source: 1000 structs, of which libbpf looks for each in the
	@# kernel's when it loads; each once are 200.
	@PATH=$$PATH:/usr/sbin bpftool gen object $@ $(BUILT)/bpf/linked.o

$(BUILT)/%.bpf.o: bpf/lab/%.bpf.c | setup
	@mkdir -p $(@D)
	@echo $(CLANG) $<
	@$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(ADDON): $(wildcard src/native/*.rs src/native/Cargo.*) | own-crate
	cargo build $(CRATE)
	@mkdir -p $(@D)
	cp $(CARGO_TARGET_DIR)/release/libtcpwhy.so $@

build/tcpwhy.js: $(SOURCES) $(WIRE) $(CAUSES) $(SCENARIOS) package.json tools/bundle.ts $(NODE_MODULES)
	node tools/bundle.ts

build/demo.tcpwhy: test/recordings/demo.tcpwhy
	@mkdir -p $(@D)
	cp $< $@

build/tcpwhy: tools/launcher
	@mkdir -p $(@D)
	install -m 755 $< $@

$(BUILT)/dist/node: $(NODE_MODULES) | $(if $(filter-out $(HERE),$(MACHINE)),setup-cross)
	@mkdir -p $(@D)
ifeq ($(MACHINE),$(HERE))
	llvm-objcopy-$(LLVM) --strip-all node_modules/node/bin/node $@
else
	@# The same release.
	cd $(@D) && npm pack --silent node-linux-$(NODE_ARCH)@$$(node -p process.versions.node) && \
		tar -xzf node-linux-*.tgz package/bin/node && rm node-linux-*.tgz
	llvm-objcopy-$(LLVM) --strip-all $(@D)/package/bin/node $@
	rm -r $(@D)/package
endif

$(ZIGBUILD): | setup-dist
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target $@ \
		cargo-zigbuild==$(ZIGBUILD_VERSION) ziglang==$(ZIG_VERSION)

# Built for an older glibc than this machine's. Paths of this machine stand in no message of it.
$(BUILT)/dist/tcpwhy.node: $(wildcard src/native/*.rs src/native/Cargo.*) | own-crate $(ZIGBUILD)
	@mkdir -p $(@D)
	PATH="$(ZIGBUILD)/bin:$$PATH" CARGO_ZIGBUILD_ZIG_PATH=$(ZIGBUILD)/ziglang/zig \
		RUSTFLAGS='--remap-path-prefix=$(HOME)=~ --remap-path-prefix=$(CACHE)=. --remap-path-prefix=$(CURDIR)=.' \
		tools/dist/cargo-for $(MACHINE) zigbuild $(CRATE) --target $(MACHINE)-unknown-linux-gnu.$(GLIBC)
	cp $(CARGO_TARGET_DIR)/$(MACHINE)-unknown-linux-gnu/release/libtcpwhy.so $@

$(DIST): $(BUILT)/dist/node $(BUILT)/dist/tcpwhy.node $(OBJECTS) test/recordings/demo.tcpwhy $(SOURCES) $(WIRE) $(CAUSES) $(SCENARIOS) package.json tools/bundle.ts \
		$(patsubst %,tools/dist/%,main.ts elf.ts start.c start-$(MACHINE).h start.ld floor)
	@mkdir -p $(@D)
	tools/dist/floor $(GLIBC) $(BUILT)/dist/node $(BUILT)/dist/tcpwhy.node
	node tools/dist/main.ts $(LLVM) $(MACHINE) $(BUILT) $(BUILT)/dist $@

dist/SHA256SUMS: $(DIST)
	cd $(@D) && sha256sum $$(ls | grep -xE 'tcpwhy-$(subst .,\.,$(VERSION))-linux-[a-z0-9_]+') >$(@F)

$(BUILT)/dist/share: $(DIST) docs/tcpwhy.1 $(patsubst %,tools/dist/%,share licences.ts copyright)
	tools/dist/share $(BUILT)/dist $@

$(DIST:%=%.oci.tar): $(DIST) $(BUILT)/dist/share $(patsubst %,tools/dist/%,image oci.ts extracted) | setup-dist
	tools/dist/image $(MACHINE) $(DIST) $(BUILT)/dist/share $(VERSION) $(CACHE)/images/$(MACHINE) $@

$(NFPM): | setup-dist
	@mkdir -p $(@D)
	GOBIN=$(@D) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v$(NFPM_VERSION)

$(COLLECTOR): tools/fleet/collector/builder.yaml | setup-fleet
	@mkdir -p $(@D)
	cd $(@D) && go run go.opentelemetry.io/collector/cmd/builder@v$(COLLECTOR_VERSION) \
		--config '$(CURDIR)/tools/fleet/collector/builder.yaml'
	@touch $@

$(CHDB): | setup-fleet
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target $(@D) \
		chdb==$(CHDB_VERSION)

$(SCHEMAS):
	@mkdir -p $(@D)
	PATH="$(SYSTEM_PATH)" npm install --loglevel=error --no-audit --no-fund --prefix $(@D) \
		kubernetes-models@$(word 1,$(subst _, ,$(SCHEMAS_VERSION))) \
		@grafana/schema@$(word 2,$(subst _, ,$(SCHEMAS_VERSION)))

$(PROMTOOL):
	@mkdir -p $(@D)
	@# Without what finds hosts in clouds, which is most of it.
	GOBIN=$(@D) go install -tags remove_all_sd github.com/prometheus/prometheus/cmd/promtool@v$(PROMTOOL_VERSION)

$(VICTORIA_LOGS):
	@mkdir -p $(@D)
	GOBIN=$(@D) go install github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v$(VICTORIA_LOGS_VERSION)

$(KAFKA): test/fleet/kafka.xml | setup-fleet
	mvn -q -B -f $< dependency:copy-dependencies -Dkafka.version=$(KAFKA_VERSION) -DoutputDirectory=$@
	@touch $@

$(DIST:%=%.deb) $(DIST:%=%.rpm): $(DIST) $(BUILT)/dist/share $(patsubst %,tools/dist/%,package nfpm.yaml lintian-overrides post-install pre-remove post-remove) $(wildcard tools/dist/systemd/*) | $(NFPM)
	tools/dist/package $(patsubst .%,%,$(suffix $@)) $(NFPM) $(DIST) $(BUILT)/dist/share $(VERSION) $(GLIBC) $@
