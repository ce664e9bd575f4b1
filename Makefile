# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Two commands do everything on a fresh machine: `sudo make demo`, `sudo make test`.
# V=1 shows commands. BUILD=dir builds elsewhere. SAN=1 builds with sanitizers.
# Sources are found by folder: user/core is linked into everything, each of
# user/{sentinel,calls,cli} is a program, each tests/{unit,bpf}/test_*.c and
# tests/tools/*.c and bench/*.c is a program of its own.

VERSION   := 0.1.0
PREFIX    ?= /usr/local
SBINDIR   ?= $(PREFIX)/sbin
BINDIR    ?= $(PREFIX)/bin
MANDIR    ?= $(PREFIX)/share/man
LIBEXECDIR ?= $(PREFIX)/lib/sipflip
SYSCONFDIR ?= /etc
BUILD     ?= build
RUNS      ?= 20
CALLS     ?= 1000
MINUTES   ?= 60
CC        ?= gcc
CLANG     ?= clang
BPFTOOL   ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n'
endif

# make deps must run before pkg-config can say anything, so flags are lazy.
pkg = $(shell pkg-config $(1) $(2) 2>/dev/null)
CORE_PKGS     := libsodium libconfuse
SENTINEL_PKGS := libbpf libelf zlib libsystemd libzmq
CALLS_PKGS    := sofia-sip-ua libprotobuf-c libzmq libseccomp libbpf libelf zlib
CLI_PKGS      := libbpf libelf zlib
UNIT_PKGS     := cmocka $(CALLS_PKGS)

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter -Werror=implicit-function-declaration
CFLAGS  ?= -O2 -g
comma   := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer)
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(SANFLAGS) $(WARN) -D_GNU_SOURCE -DSIPFLIP_VERSION='"$(VERSION)"' \
	-Iinclude -Iuser/core -I$(BUILD)/gen -fstack-protector-strong
BPF_CFLAGS = -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -Wall -Wno-missing-declarations \
	-Iinclude -I. -Ibpf -I/usr/include/$(shell $(CC) -dumpmachine)
BPF_ARCH  := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')

core_src     := $(wildcard user/core/*.c)
sentinel_src := $(wildcard user/sentinel/*.c)
calls_src    := $(wildcard user/calls/*.c)
cli_src      := $(wildcard user/cli/*.c)
bpf_src      := $(wildcard bpf/*.bpf.c)
proto_src    := $(wildcard user/calls/*.proto)
# What the confinement forbids, a sanitizer needs.
unit_src     := $(filter-out $(if $(SAN),tests/unit/test_confinement.c),$(wildcard tests/unit/test_*.c))
bpftest_src  := $(wildcard tests/bpf/test_*.c)
tool_src     := $(wildcard tests/tools/*.c)
fuzz_src     := $(wildcard tests/fuzz/fuzz_*.c)
bench_src    := $(wildcard bench/*.c)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
core_obj  := $(call obj,$(core_src))
skel      := $(patsubst bpf/%.bpf.c,$(BUILD)/gen/%.skel.h,$(bpf_src))
proto_gen := $(patsubst user/calls/%.proto,$(BUILD)/gen/%.pb-c.c,$(proto_src))
proto_obj := $(proto_gen:.c=.o)
programs  := $(if $(sentinel_src),$(BUILD)/sipflipd) $(if $(calls_src),$(BUILD)/sipflip-calls) $(if $(cli_src),$(BUILD)/sipflip)
unit_bin  := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(unit_src))
bpf_bin   := $(patsubst tests/bpf/%.c,$(BUILD)/bpftest/%,$(bpftest_src))
tool_bin  := $(patsubst tests/tools/%.c,$(BUILD)/tools/%,$(tool_src))
bench_bin := $(patsubst bench/%.c,$(BUILD)/bench/%,$(bench_src))
preload   := $(patsubst tests/tools/preload/%.c,$(BUILD)/tools/%.so,$(wildcard tests/tools/preload/*.c))
# Each harness twice: a unit test that reads its corpus, and a fuzzer.
fuzz_test := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/unit/test_fuzz_%,$(fuzz_src))
fuzz_bin  := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzzers/%,$(fuzz_src))

.PHONY: all programs tools deps demo test soak test-san fuzz fuzz-programs test-unit test-bpf test-netns test-kernels test-systemd lint format bench-takeover bench-dataplane bench-calls \
	install uninstall clean vmlinux

all: programs tools

programs: $(programs)
tools: $(tool_bin) $(bench_bin) $(preload)

# --- BPF -------------------------------------------------------------------
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c vmlinux.h
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/gen/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(say) SKEL $@
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst .,_,$*)_bpf > $@.tmp && mv $@.tmp $@

# The types our programs use, as this kernel's BTF has them.
vmlinux:
	$(Q)bpf/trim-vmlinux.sh > vmlinux.h.tmp && mv vmlinux.h.tmp vmlinux.h

# --- user space ------------------------------------------------------------
$(call obj,$(sentinel_src) $(bpftest_src) $(bench_src)): | $(skel)
$(call obj,$(calls_src) $(unit_src) $(fuzz_src) bench/replica.c): | $(proto_gen)
$(BUILD)/user/core/%.o:     PKGS = $(CORE_PKGS)
$(BUILD)/user/sentinel/%.o: PKGS = $(SENTINEL_PKGS) $(CORE_PKGS)
$(BUILD)/user/calls/%.o:    PKGS = $(CALLS_PKGS) $(CORE_PKGS)
$(BUILD)/user/cli/%.o:      PKGS = $(CLI_PKGS) $(CORE_PKGS)
$(BUILD)/tests/unit/%.o:    PKGS = $(UNIT_PKGS) $(CORE_PKGS)
$(BUILD)/tests/bpf/%.o:     PKGS = libbpf cmocka $(CORE_PKGS)
$(BUILD)/tests/fuzz/%.o:    PKGS = $(CALLS_PKGS) $(CORE_PKGS)
$(BUILD)/bench/track.o:     PKGS = $(CALLS_PKGS) $(CORE_PKGS)
$(BUILD)/bench/replica.o:   PKGS = $(CALLS_PKGS) $(CORE_PKGS)

$(BUILD)/%.o: %.c
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(call pkg,--cflags,$(PKGS)) -MMD -MP -c $< -o $@

$(BUILD)/gen/%.pb-c.c: user/calls/%.proto
	$(say) PROTOC $@
	$(Q)mkdir -p $(@D)
	$(Q)protoc-c --proto_path=user/calls --c_out=$(BUILD)/gen $<

$(BUILD)/gen/%.pb-c.o: $(BUILD)/gen/%.pb-c.c
	$(say) CC $@
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(SANFLAGS) -I$(BUILD)/gen -c $< -o $@

$(BUILD)/libcore.a: $(core_obj)
	$(say) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

define link
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -Wl,-z,relro,-z,now -o $@ $(filter %.o,$^) $(filter %.a,$^) $(call pkg,--libs,$(1)) -lm
endef

$(BUILD)/sipflipd: $(call obj,$(sentinel_src)) $(BUILD)/libcore.a
	$(call link,$(SENTINEL_PKGS) $(CORE_PKGS))
$(BUILD)/sipflip-calls: $(call obj,$(calls_src)) $(proto_obj) $(BUILD)/libcore.a
	$(call link,$(CALLS_PKGS) $(CORE_PKGS))
$(BUILD)/sipflip: $(call obj,$(cli_src)) $(BUILD)/libcore.a
	$(call link,$(CLI_PKGS) $(CORE_PKGS))
# A unit test may reach into the call keeper: everything there but its main.
calls_lib := $(filter-out $(BUILD)/user/calls/main.o,$(call obj,$(calls_src))) $(proto_obj)
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(calls_lib) $(BUILD)/libcore.a
	$(call link,$(UNIT_PKGS) $(CORE_PKGS))
fuzz_pkgs := $(UNIT_PKGS) $(SENTINEL_PKGS) $(CORE_PKGS)
$(BUILD)/unit/test_fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/runner.o $(BUILD)/libcore.a
	$(call link,$(fuzz_pkgs))
$(BUILD)/fuzzers/%: LDFLAGS += -fsanitize=fuzzer
$(BUILD)/fuzzers/%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/libcore.a
	$(call link,$(fuzz_pkgs))
fuzz_of = $(foreach name,$(1),$(BUILD)/unit/test_fuzz_$(name) $(BUILD)/fuzzers/$(name))
$(call fuzz_of,calls_control link datagrams replica event_socket rescue): $(calls_lib)
$(call fuzz_of,sentinel_control): $(filter-out $(BUILD)/user/sentinel/main.o,$(call obj,$(sentinel_src)))
$(call fuzz_of,client): $(BUILD)/user/cli/client.o $(BUILD)/user/cli/text.o
# The voters' machine in virtual time: for unit tests, and alone for the long run.
sim_obj := $(call obj,tests/sim/world.c tests/sim/chance.c)
$(BUILD)/tests/unit/test_lease.o $(BUILD)/tests/unit/test_lease_chance.o: ALL_CFLAGS += -Itests/sim
$(BUILD)/unit/test_lease $(BUILD)/unit/test_lease_chance: $(sim_obj)
$(BUILD)/unit/test_inbox: $(BUILD)/user/sentinel/inbox.o
$(BUILD)/unit/test_takeover: $(BUILD)/user/sentinel/takeover.o
$(BUILD)/sim/lease_sim: $(BUILD)/tests/sim/lease_sim.o $(sim_obj) $(BUILD)/libcore.a
	$(call link,$(CORE_PKGS))
$(BUILD)/bpftest/test_reference: $(call obj,$(wildcard tests/bpf/reference*.c) tests/bpf/random_frames.c)
$(BUILD)/bpftest/%: $(BUILD)/tests/bpf/%.o $(BUILD)/libcore.a
	$(call link,libbpf cmocka $(CORE_PKGS))
$(BUILD)/tools/b2bserver $(BUILD)/tools/callfarm: $(call obj,$(wildcard tests/tools/farm/*.c))
$(BUILD)/tools/b2bserver: $(call obj,$(wildcard tests/tools/b2b/*.c))
$(BUILD)/tools/referee: $(call obj,$(wildcard tests/tools/referee/*.c))
$(BUILD)/tools/%.so: tests/tools/preload/%.c
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -fsanitize%,$(ALL_CFLAGS)) -fPIC -shared -o $@ $<
$(BUILD)/tools/%: $(BUILD)/tests/tools/%.o $(BUILD)/libcore.a
	$(call link,$(CORE_PKGS))
$(BUILD)/bench/replica: $(BUILD)/bench/replica.o $(calls_lib) $(BUILD)/libcore.a
	$(call link,$(CALLS_PKGS) $(CORE_PKGS))
$(BUILD)/bench/track: $(BUILD)/bench/track.o $(calls_lib) $(BUILD)/libcore.a
	$(call link,$(CALLS_PKGS) $(CORE_PKGS))
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/libcore.a
	$(call link,libbpf $(CORE_PKGS))

# --- the two commands, and the figures -------------------------------------
deps:
	$(Q)packaging/deps.sh

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(abspath $(BUILD)) tests/netns/demo

test: deps
	$(Q)$(MAKE) --no-print-directory all $(if $(SAN),,lint)
	$(Q)BUILD=$(abspath $(BUILD)) MAKE="$(MAKE)" tests/run

test-unit: $(unit_bin) $(fuzz_test)
	$(Q)BUILD=$(abspath $(BUILD)) tests/run unit
test-bpf: $(bpf_bin)
	$(Q)BUILD=$(abspath $(BUILD)) tests/run bpf
test-netns: all
	$(Q)BUILD=$(abspath $(BUILD)) tests/run netns
test-programs: $(unit_bin) $(bpf_bin) $(tool_bin) $(fuzz_test)
# Unit tests, the harnesses' corpora and a few scenarios under the address and undefined sanitizers.
SAN_SCENARIOS ?= server_killed_is_taken_over call_survives_server_kill transfer_after_takeover one_legged_call_is_rejoined
test-san: export UBSAN_OPTIONS = halt_on_error=1:print_stacktrace=1
test-san: deps
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/san SAN=1 CFLAGS='-O1 -g' test-unit
	$(Q)for t in $(SAN_SCENARIOS); do ASAN_OPTIONS=detect_leaks=0 ONLY=$$t \
		$(MAKE) --no-print-directory BUILD=$(BUILD)/san SAN=1 CFLAGS='-O1 -g' test-netns || exit 1; done

# libFuzzer on each harness for SECONDS, and random frames through the BPF programs; see docs/fuzzing.md.
SECONDS ?= 60
fuzz: deps
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=$(CLANG) SANFLAGS='$(FUZZ_FLAGS)' fuzz-programs
	$(Q)BUILD=$(abspath $(BUILD)) SECONDS_EACH=$(SECONDS) tests/fuzz/run
FUZZ_FLAGS = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
fuzz-programs: $(fuzz_bin) $(BUILD)/bpftest/test_reference

# The lease protocol: every state of the model within its bounds, and broken copies of the code. docs/model.md
model: deps
	$(Q)BUILD=$(abspath $(BUILD)) tests/model/run
	$(Q)tests/sim/mutants

# Debian 12's own kernel, emulated; see tests/kernels/run.
test-kernels: deps
	$(Q)$(MAKE) --no-print-directory all test-programs
	$(Q)BUILD=$(abspath $(BUILD)) tests/kernels/run

# The unit under Debian's systemd, in namespaces of its own; see tests/systemd/run.
test-systemd: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(abspath $(BUILD)) tests/systemd/run

# Everything that goes wrong, for MINUTES, and the long simulation beside it.
soak: deps
	$(Q)$(MAKE) --no-print-directory all $(if $(wildcard tests/sim/lease_sim.c),$(BUILD)/sim/lease_sim)
	$(Q)BUILD=$(abspath $(BUILD)) MINUTES=$(MINUTES) bench/soak

bench-takeover: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(abspath $(BUILD)) RUNS=$(RUNS) bench/takeover
bench-dataplane: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(BUILD)/bench/dataplane
# RUNS means another number here: a run of 1,000 calls takes three minutes.
bench-calls: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(abspath $(BUILD)) CALLS=$(CALLS) RUNS=$(if $(filter command% environment,$(origin RUNS)),$(RUNS),1) bench/calls
	$(Q)BUILD=$(abspath $(BUILD)) bench/rtpengine

lint:
	$(Q)tests/lint

format:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h' | grep -v '^vmlinux.h$$')

install: programs
	install -D -m 755 $(BUILD)/sipflipd $(DESTDIR)$(SBINDIR)/sipflipd
	install -D -m 755 $(BUILD)/sipflip-calls $(DESTDIR)$(LIBEXECDIR)/sipflip-calls
	install -D -m 755 $(BUILD)/sipflip $(DESTDIR)$(BINDIR)/sipflip
	install -D -m 644 packaging/sipflip.conf $(DESTDIR)$(SYSCONFDIR)/sipflip/sipflip.conf.example
	install -D -m 644 packaging/sipflipd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/sipflipd.service
	sed -i 's|/usr/local/sbin|$(SBINDIR)|; s|/etc/sipflip|$(SYSCONFDIR)/sipflip|' $(DESTDIR)$(PREFIX)/lib/systemd/system/sipflipd.service
	install -D -m 644 packaging/sipflip.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/sipflip.conf
	for m in docs/man/*.[1-9]; do install -D -m 644 $$m $(DESTDIR)$(MANDIR)/man$${m##*.}/$${m##*/}; done

uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/sipflipd $(DESTDIR)$(LIBEXECDIR)/sipflip-calls $(DESTDIR)$(BINDIR)/sipflip \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/sipflipd.service $(DESTDIR)$(PREFIX)/lib/sysusers.d/sipflip.conf
	for m in docs/man/*.[1-9]; do rm -f $(DESTDIR)$(MANDIR)/man$${m##*.}/$${m##*/}; done

clean:
	rm -rf $(BUILD)

.SECONDARY:
-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
