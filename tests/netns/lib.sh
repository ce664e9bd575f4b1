# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What every scenario shares, to be sourced. A scenario begins with
#   begin [lab up's options]
# which gives it a lab of its own, with two observers that run until `end`: one
# on the wire (vipwatch, in the client), one on the ownership words (ownwatch).
# It goes on with lab commands, `eventually` and `expect`, and finishes with
# `end`, which also judges what must hold in every scenario: at no instant did
# two nodes own the VIP. Nothing waits for a time; everything waits for a
# condition with a deadline. After a failure it prints what was seen, and the
# lab goes away in any case.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=${BUILD:-$(cd "$HERE/../.." && pwd)/build}
SCENARIO=$(basename "$0")
LAB=${SCENARIO#test_}-$$
STATE=/run/sipflip-lab/$LAB
PINS=/sys/fs/bpf/sipflip
VIP=10.9.0.100
# shellcheck disable=SC2034 # for the scenarios
declare -A MAC=([a]=02:00:00:00:00:01 [b]=02:00:00:00:00:02) OTHER=([a]=b [b]=a)
SCRATCH=$(mktemp -d)
observers=
other_labs= # more labs of the scenario's own, to be removed with it
export LAB BUILD

lab() { "$HERE/lab" "$@"; }

report() {
	{
		lab status
		local f n
		for f in "$STATE"/log/*.agent; do
			[ -e "$f" ] && printf -- '--- %s, last lines\n' "${f##*/}" && tail -n 25 "$f"
		done
		for n in a b; do
			printf -- '--- dialogs at %s\n' $n && lab cli $n dialogs --legs | head -n 40
		done
		for f in "$SCRATCH"/*.json "$SCRATCH"/*.err; do
			[ -s "$f" ] && printf -- '--- %s\n' "${f##*/}" && tail -n 20 "$f"
		done
	} 2>&1 | head -n 300
}

cleanup() {
	local rc=$?
	trap - EXIT
	# shellcheck disable=SC2086
	[ -z "$observers" ] || kill $observers 2>/dev/null
	local l
	for l in $LAB $other_labs; do LAB=$l lab down || rc=1; done
	rm -rf "$SCRATCH"
	exit $rc
}
trap cleanup EXIT
trap 'exit 143' TERM INT HUP

fail() {
	echo "FAILED: $*"
	[ -z "$observers" ] || stop_observers
	report
	exit 1
}

skip() {
	echo "SKIP: $*"
	exit 77
}

now_us() { echo "${EPOCHREALTIME/[.,]/}"; }

wait_for() { # seconds command...
	local end=$(($(now_us) + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_us)" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# Seconds are for a machine that is idle. One that is not has PATIENCE times as long: it costs nothing when all is well.
PATIENCE=${PATIENCE:-6}
eventually() { # seconds 'what' command...
	wait_for $(($1 * PATIENCE)) "${@:3}" || fail "not within $(($1 * PATIENCE)) s: $2"
}

expect() { # 'what' command...
	"${@:2}" >"$SCRATCH/expect" 2>&1 || { cat "$SCRATCH/expect"; fail "$1"; }
}

# Is that true of the JSON that comes in? Nothing is no answer; `jq -e` 1.6 takes it for a yes.
json() { # jq-expression
	local came
	came=$(cat)
	[ -n "$came" ] && jq -e "$1" <<<"$came"
}

# --- observers -------------------------------------------------------------------
start_observers() {
	nsenter --net="/run/netns/sf-$LAB-c" "$BUILD/tools/vipwatch" eth0 "$VIP:5060" \
		>"$SCRATCH/wire.json" 2>"$SCRATCH/wire.err" &
	observers=$!
	"$BUILD/tools/ownwatch" watch a="$PINS/$LAB-a/ownership" b="$PINS/$LAB-b/ownership" \
		>"$SCRATCH/words.json" 2>"$SCRATCH/words.err" &
	observers="$observers $!"
	# Nothing may happen before both look; where there is an owner, before it has been seen.
	wait_for 60 grep -q watching "$SCRATCH/words.err" || fail "ownwatch: $(cat "$SCRATCH/words.err")"
	nobody_owns || wait_for 60 grep -q answered "$SCRATCH/wire.err" || fail "vipwatch: $(cat "$SCRATCH/wire.err")"
}
stop_observers() {
	# shellcheck disable=SC2086
	{ kill $observers; wait $observers; } 2>/dev/null
	observers=
}
wire() { json "$1" <"$SCRATCH/wire.json" >/dev/null; }
words() { json "$1" <"$SCRATCH/words.json" >/dev/null; }

# On a machine that is busy with something else, a server may well not run for
# 30 ms, nor the lab's three voters. Scenarios are not about that: the least
# patience with a server is longer, and where an owner must not blip, its lease.
patient='probe { floor = "250ms" }'
# shellcheck disable=SC2034 # for the scenarios
long_lease='echo 5ms lease 100ms'

begin() {
	lab up --set "$patient" "$@" || fail "the lab does not come up"
	start_observers
	owner=$(lab owner)
	standby=${OTHER[$owner]:-}
	[ -n "$standby" ] || fail "one owner after lab up, not '$owner'"
}

begin_without_agents() {
	lab up --no-agents --set "$patient" "$@" || fail "the lab does not come up"
}

# Starts the agents of these nodes and, where the VIP is, the servers.
start_all() {
	local n
	for n in "$@"; do lab start-agent "$n"; done
	for n in "$@"; do
		[ "$n" = w ] || lab start-server "$n" || fail "no server on $n"
	done
}

# Stops the observers and judges what holds always.
end() {
	stop_observers
	expect 'two nodes owned the VIP at one instant' words '.both_owned == 0'
	# A broadcast may reach the old owner just before a flip and the new one just after.
	expect 'two nodes answered ARP for the VIP in turn' wire '.arp.overlaps == 0'
	expect 'more ARP requests were answered twice than ownership changed' wire '.arp.doubles <= .arp.changes'
	expect 'the observer on the wire saw no answers at all' wire '.arp.answered > 0'
	jq -r '"longest silence: ARP \(.arp.longest_silence_ms) ms, OPTIONS \(.sip.longest_silence_ms) ms; changes: \(.arp.changes)"' \
		"$SCRATCH/wire.json"
}

# For scenarios in which NODE keeps the VIP from beginning to end; after `end`.
expect_no_blip() { # node
	expect "the lease of $1 lapsed" words ".nodes.$1.owned > 0 and .nodes.$1.lost == .nodes.$1.stalled"
	expect "another MAC than ${MAC[$1]} answered" wire ".arp.by | keys == [\"${MAC[$1]}\"]"
}

expect_changes() { # n; after `end`
	expect "ownership did not change $1 times on the wire" wire ".arp.changes == $1"
}

# --- conditions --------------------------------------------------------------------
# One stall and the heir is not ready for an instant: then the operator asks again.
hand_over() { # node [arguments of switchover]
	eventually 10 "$1 hands the service over" lab cli "$1" switchover pbx "${@:2}"
}
owner_is() { [ "$(lab owner)" = "$1" ]; }
nobody_owns() { [ -z "$(lab owner)" ]; }
service() { lab cli "$1" status --json | json ".services[0] | $2"; } # node jq-expression
ready() { owner_is "$1" && service "$1" '.heir_ready'; }              # node owns and has a ready heir
one_owner() { local o; o=$(lab owner) && [ -n "${MAC[$o]:-}" ] && service "$o" '.heir_ready'; }
pid_is_gone() { ! lab pid "$1"; } # node: its agent does not run
word_holds() { lab owner | grep -qx "$1"; }
logged() { lab log "$1" | grep -E "$2"; }                             # node pattern
counter_above() { [ "$(lab counter "$1" "$2")" -gt "$3" ]; }          # node name value
answers_from() { # node: the client hears this node's server, and no other
	lab exec c "$BUILD/tools/vipwatch" --arp-ms 0 --seconds 0.1 eth0 "$VIP:5060" |
		json ".sip.by | keys == [\"sipserver/$1\"]"
}
declare -A NUMBER=([a]=1 [b]=2 [w]=3) # as the configuration counts them
# The newest takeover that NODE knows: a jq expression on it.
takeover() { lab cli "$1" takeovers --json | json ".takeovers[-1] | $2"; } # node jq-expression
silent_for() { # node other ms: NODE's kernel has not heard OTHER for so long
	local last uptime
	read -r uptime _ </proc/uptime # first: reading the map takes its time
	last=$(lab state "$1" peers "${NUMBER[$2]}" | jq .last_echo_ns)
	[ $((${uptime/./} * 10000000 - last)) -gt $(($3 * 1000000)) ]
}
hears() { ! silent_for "$1" "$2" 100; } # node other
epoch() { lab state "$1" service_state | jq .epoch; }
# A running agent's counters move: enough echoes to be sure that judging went on.
echoes_go_on() { # node: at least 200 more echoes are answered
	local n
	n=$(lab counter "$1" echo_reflected)
	eventually 10 "200 echoes answered by $1" counter_above "$1" echo_reflected $((n + 200))
}
