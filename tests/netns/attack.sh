# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What scenarios about attackers on the LAN share, to be sourced after lib.sh. The
# attacker is p2, a machine of the same network that has read the configuration (its
# tag is in every message) but not the key.
address_of() { echo "10.9.0.${NUMBER[$1]}"; } # node
config_tag() { lab state "$1" service_conf | jq .config_tag; }
attack() { # flood's options and kind, TARGET, as whom: prints what the attacker did
	local target=${*: -2:1} as=${*: -1}
	lab exec p2 "$BUILD/tools/flood" -t "$(config_tag "$owner")" "${@:1:$#-2}" eth0 "${MAC[$target]}" \
		"$(address_of "$target")" "$(address_of "$as")"
}
of_agent() { # node counter: as sipflip counters has it
	lab cli "$1" counters | awk -v name="$2" '$2 == name { n += $1; found = 1 } END { if (found) print n; exit !found }'
}
keeper() { pgrep -P "$(lab pid "$1" agent)" -f sipflip-calls; }
in_step() { service "$1" '.replica_up and .heir_ready'; } # node
