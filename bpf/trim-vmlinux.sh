#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Prints vmlinux.h: of the running kernel's BTF only the types that bpf/ uses.
# `make vmlinux` calls it. The user-space API's structs are copied whole; of the
# kernel's own only the fields named below, relocatable (CO-RE), so that one
# object loads on every kernel from 6.1 on.
set -eu
BPFTOOL=${BPFTOOL:-bpftool}
BTF=${BTF:-/sys/kernel/btf/vmlinux}

# Whole: typedefs, structs and enums; an anonymous enum by one of its values.
whole='__s8 __u8 __s16 __u16 __s32 __u32 __s64 __u64 bool true __be16 __be32 __be64 __sum16 __wsum pid_t
	__kernel_pid_t atomic_t __signalfn_t __sighandler_t
	bpf_map_type xdp_action BPF_NOEXIST BPF_F_MMAPABLE BPF_RB_FORCE_WAKEUP IPPROTO_UDP BPF_FIB_LKUP_RET_SUCCESS BPF_F_MARK_MANGLED_0
	in6_addr ethhdr iphdr ipv6hdr udphdr xdp_md bpf_sock __sk_buff bpf_fib_lookup'
# Relocatable: struct:field,field
kernel='sigaction:sa_handler k_sigaction:sa signal_struct:live,flags task_struct:tgid,signal'

cat <<END
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Types of Linux $(uname -r | sed 's/-.*//') ($(uname -m)) that the BPF programs use, from the kernel's
 * BTF. Made by bpf/trim-vmlinux.sh (\`make vmlinux\`); do not edit. Structs of the
 * user-space API are whole and fixed; of the kernel's own there are only the
 * fields used, which libbpf relocates to the running kernel (6.1 and later).
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__
END

"$BPFTOOL" btf dump file "$BTF" format c | awk -v whole="$whole" -v kernel="$kernel" '
BEGIN {
	n = split(whole, w, /[ \t\n]+/)
	for (i = 1; i <= n; i++)
		want[w[i]] = 1
	n = split(kernel, k, /[ \t\n]+/)
	for (i = 1; i <= n; i++) {
		split(k[i], part, ":")
		m = split(part[2], f, ",")
		for (j = 1; j <= m; j++)
			field[part[1], f[j]] = 1
		partly[part[1]] = 1
	}
}
function name_of(line) { # the last word, without the semicolon and what follows it in brackets
	sub(/;.*/, "", line)
	sub(/\[.*/, "", line)
	sub(/.*[ \t*]/, "", line)
	return line
}
function emit(  i) {
	if (block_name in partly) {
		print "\n" line[1]
		for (i = 2; i < lines; i++)
			if (line[i] ~ /^\t[^\t}]/ && ((block_name, name_of(line[i])) in field))
				print line[i]
		print "} __attribute__((preserve_access_index));"
	} else if (wanted) {
		print ""
		for (i = 1; i <= lines; i++)
			print line[i]
	}
}
/^(struct|union|enum|typedef struct|typedef union|typedef enum)( [A-Za-z0-9_]+)? \{/ {
	inside = 1
	lines = 0
	wanted = 0
	block_name = ($1 == "typedef" || $2 == "{") ? "" : $2
	if (block_name in want)
		wanted = 1
	anonymous_enum = ($1 == "enum" && $2 == "{")
}
inside {
	line[++lines] = $0
	if (anonymous_enum && ($1 in want))
		wanted = 1
	if ($0 ~ /^}/) {
		if (block_name == "" && name_of($0) in want)
			wanted = 1
		emit()
		inside = 0
	}
	next
}
/^typedef .*;$/ {
	name = name_of($0)
	if ($0 ~ /\(/) { # a function: typedef void name(int);
		name = $0
		sub(/\(.*/, "", name)
		name = name_of(name)
	}
	if (name in want)
		print "\n" $0
}'
printf '\n#endif\n'
