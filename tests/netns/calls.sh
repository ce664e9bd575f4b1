# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What scenarios about calls share, to be sourced after lib.sh: two baresip phones
# that hear each other through the server on the VIP, phones that are sipp
# scenarios (tests/netns/sipp), generated RTP (tests/tools/rtpsay), and what the
# wire says of them. It judges nothing by itself but that a step succeeded.
# shellcheck disable=SC2154 # owner and standby are lib.sh's
# shellcheck source=tests/netns/phones.sh
. "$HERE/phones.sh"
TOOLS=$HERE/../tools
export PYTHONDONTWRITEBYTECODE=1

uptime_ns() { awk '{ printf "%.0f\n", $1 * 1e9 }' /proc/uptime; }
rescued() { lab cli "$1" takeovers --json | json '.takeovers[-1].timeline_ns.rescue_done'; } # node
dialogs() { lab cli "$1" dialogs --json | json "$2"; }                                       # node jq-expression
counted() { # node name at-least: a counter of sipflip-calls
	lab cli "$1" counters | awk -v name="$2" -v n="$3" '$2 == name { seen = $1 } END { exit !(seen >= n) }'
}

# --- two baresip phones ----------------------------------------------------------
begin_two_phones() { # [how phone 2 answers]
	start_phone "sf-$LAB-p1" p1 10.9.0.11 440 "$SCRATCH/phone1" || fail "phone 1 does not start"
	start_phone "sf-$LAB-p2" p2 10.9.0.12 880 "$SCRATCH/phone2" "$@" || fail "phone 2 does not start"
	start_meter "sf-$LAB-p1" p1 10.9.0.11 440,880 "$SCRATCH" || fail "no capture at phone 1"
	start_meter "sf-$LAB-p2" p2 10.9.0.12 440,880 "$SCRATCH" || fail "no capture at phone 2"
}
both_hear() { # 'when' SINCE WINDOWS
	eventually 20 "phone 1 hears 880 Hz $1" phone_heard_since p1 880 "$SCRATCH" "$2" "$3"
	eventually 20 "phone 2 hears 440 Hz $1" phone_heard_since p2 440 "$SCRATCH" "$2" "$3"
}
phone_1_calls() {
	local since
	since=$(uptime_ns)
	expect "phone 1 dials" phone_dial "sf-$LAB-p1" "sip:p2@$VIP"
	both_hear "for half a second" "$since" 6
	eventually 15 "the standby would rescue the call" service "$standby" '.rescuable_calls >= 1'
}
# The owner's server dies, and its calls are rescued; sets `killed`, the time of it.
server_dies() {
	"$TOOLS/callwatch" kill "$SCRATCH" "$(lab pid "$owner" server)" "server killed" || fail "no server to kill"
	# shellcheck disable=SC2034 # for the scenarios
	killed=$(awk '$2 == "kill" { at = $1 } END { print at }' "$SCRATCH/marks")
	eventually 10 "the standby owns the VIP" owner_is "$standby"
	eventually 15 "the call is rescued" rescued "$standby"
}
hang_up() { # PHONE that does it; both calls end
	expect "$1 hangs up" phone_hangup "sf-$LAB-$1"
	eventually 15 "phone 1's call has ended" phone_is "sf-$LAB-p1" idle
	eventually 15 "phone 2's call has ended" phone_is "sf-$LAB-p2" idle
}

# --- sipp ------------------------------------------------------------------------
sip_open() { in_ns "$1" ss -Hlun "sport = :5060" | grep -q .; } # NS
ended() { [ ! -d "/proc/$1" ]; }                                # PID
# Runs a scenario of tests/netns/sipp, or one that was made in SCRATCH, in a node's namespace; sets `pid`.
sipp_in() { # NODE SCENARIO ARGS...
	local file=$SCRATCH/$2.xml
	[ -e "$file" ] || file=$HERE/sipp/$2.xml
	nsenter --net="/run/netns/sf-$LAB-$1" sipp -sf "$file" -p 5060 -m 1 -nostdin -timeout 60s \
		-trace_err -error_file "$SCRATCH/$2.err" "${@:3}" >"$SCRATCH/$2.log" 2>&1 &
	pid=$!
}
sipp_passed() { # SCENARIO PID
	eventually 30 "sipp's $1 scenario has ended" ended "$2"
	wait "$2" && return
	local rc=$?
	tail -n 30 "$SCRATCH/$1.err" 2>/dev/null
	fail "sipp's $1 scenario did not go as it must (exit status $rc)"
}

# Something that a scenario waits for: an OPTIONS in its Call-ID.
nudge() { # ADDR CALL-ID
	in_ns "sf-$LAB-gw" python3 - "$1" "$2" <<-'PY'
		import socket, sys
		lines = ['OPTIONS sip:%s SIP/2.0', 'Via: SIP/2.0/UDP 10.9.0.254;branch=z9hG4bKnudge', 'From: <sip:n@10.9.0.254>;tag=n',
		         'To: <sip:%s>', 'Call-ID: ' + sys.argv[2].replace('%', '%%'), 'CSeq: 1 OPTIONS', 'Content-Length: 0', '', '']
		text = '\r\n'.join(lines) % (sys.argv[1], sys.argv[1])
		socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(text.encode(), (sys.argv[1], 5060))
	PY
}

# --- RTP of phones that are sipp scenarios: ADDR:20000 ------------------------------
# A phone talks to the VIP's port that its node knows for it (by SDP, or seen); sets `pid`.
talk() { # PHONE ADDR RTPSAY'S-OPTIONS...
	local vip
	vip=$(dialogs "$owner" "[.dialogs[].streams[] | select(.kind == \"rtp\" and .remote == \"$2:20000\") | .vip][0]") ||
		fail "$owner knows no media port for $1"
	nsenter --net="/run/netns/sf-$LAB-$1" "$TOOLS/rtpsay" --at "$2:20000" --to "${vip//\"/}" \
		--log "$SCRATCH/$1.said" "${@:3}" >"$SCRATCH/$1.rtpsay" 2>&1 &
	pid=$!
	observers="$observers $pid"
	eventually 10 "$1 talks" grep -q listening "$SCRATCH/$1.rtpsay"
}
# At least N packets came to a phone since a time, all with that payload type.
came() { # PHONE SINCE N [PT]
	awk -v since="$2" -v n="$3" -v pt="${4:-0}" '$1 + 0 > since + 0 && $3 == pt { got++ } END { exit !(got >= n) }' "$SCRATCH/$1.said"
}
both_come() { # 'when' SINCE N
	eventually 20 "RTP comes to phone 1 $1" came p1 "$2" "$3"
	eventually 20 "RTP comes to phone 2 $1" came p2 "$2" "$3"
}

# --- what the wire says ------------------------------------------------------------
# The dialogs in a phone's capture, by Call-ID and both tags: one line each.
dialogs_seen() { # PHONE
	python3 - "$TOOLS" "$SCRATCH/$1.pcap" <<-'PY'
		import sys
		sys.path.insert(0, sys.argv[1])
		import callwire
		seen = {(m.call_id, *sorted((m.from_tag, m.to_tag))) for m in callwire.read_sip(sys.argv[2]) if m.to_tag}
		print('\n'.join(' '.join(dialog) for dialog in sorted(seen)))
	PY
}
expect_one_dialog() { # PHONE...
	local phone
	for phone in "$@"; do
		dialogs_seen "$phone" >"$SCRATCH/dialogs" || fail "the capture of $phone cannot be read"
		[ "$(wc -w <"$SCRATCH/dialogs")" = 3 ] || fail "$phone saw other than one dialog: $(cat "$SCRATCH/dialogs")"
	done
}
