# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Real SIP programs for the lab, to be sourced: a baresip phone that plays a tone,
# and a baresip back-to-back user agent as the server on the VIP. It owns their
# configuration and how they are told what to do (baresip's ctrl_tcp: JSON in
# netstrings); it makes no namespaces and stops nothing that it did not start.
#
#   p1 ──INVITE sip:p2@VIP──▶ b2bua on the VIP ──INVITE sip:p2@VIP──▶ p2
#   RTP, PCMU every 20 ms:  p1 ◀──▶ VIP:30000-30999 ◀──▶ p2
#
# What is in CONFIG_MORE (lines) and ACCOUNT_MORE (";parameter"s) goes into each program's.
#
# NS is the full name of a network namespace, DIR a folder of the caller's for
# one program's files: config, accounts, log, pid.

phone_ctl_port=4444
phone_modules=/usr/lib/baresip/modules

in_ns() { # NS COMMAND...    (ip netns exec would hide /sys/fs/bpf and cgroups)
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" "$@"
}

# Waits until a condition holds; a deadline, never a fixed time.
wait_for() { # SECONDS COMMAND...
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
		sleep 0.02
	done
}

phone_config() { # ADDR PLAYER SOURCE RTP_PORTS
	cat <<-EOF
		poll_method epoll
		sip_listen $1:5060
		net_interface $1
		call_local_timeout 30
		call_max_calls 500
		audio_player $2
		audio_source $3
		audio_alert aubridge,alert
		audio_buffer 20-160
		rtp_ports $4
		rtp_stats no
		ctrl_tcp_listen 127.0.0.1:$phone_ctl_port
		module_path $phone_modules
		module g711.so
		module ausine.so
		module aubridge.so
		module_app account.so
		module_app menu.so
		module_app ctrl_tcp.so
		${CONFIG_MORE:-}
	EOF
}

baresip_run() { # NS DIR ADDR
	local ns=$1 dir=$2 addr=$3
	: >"$dir/contacts"
	# shellcheck disable=SC2016
	nsenter --net="/run/netns/$ns" setsid sh -c 'echo $$ >"$1/pid"; exec baresip -f "$1"' sh "$dir" \
		</dev/null >"$dir/log" 2>&1 &
	disown $! # or the shell would report its end
	wait_for 60 sip_listens "$ns" "$addr" && return 0
	echo "baresip in $ns did not listen on $addr:5060:" >&2
	tail -n 15 "$dir/log" >&2
	return 1
}

sip_listens() { # NS ADDR
	in_ns "$1" ss -Hlun "src = $2:5060" | grep -q . &&
		in_ns "$1" ss -Hltn "src = 127.0.0.1:$phone_ctl_port" | grep -q .
}

# RTP of NS leaves from ADDR.
media_from() { # NS ADDR
	local ns=$1 addr=$2
	in_ns "$ns" ip rule del pref 5060 2>/dev/null
	# UDP by its number: a minimal machine has no /etc/protocols
	in_ns "$ns" ip rule add pref 5060 ipproto 17 sport 30000-30999 lookup 5060 || return
	in_ns "$ns" ip route replace "${addr%.*}.0/24" dev eth0 src "$addr" table 5060 || return
}

# A back-to-back server on ADDR (the VIP): whoever is called, it calls CALLEE.
# baresip sends RTP from the route's preferred source, so its ports get a route
# of their own that prefers ADDR: media must come from the VIP as the SDP says.
start_b2bua() { # NS ADDR DIR [CALLEE-ADDR[:PORT]]
	local ns=$1 addr=$2 dir=$3 callee=${4:-10.9.0.12}
	mkdir -p "$dir"
	{
		phone_config "$addr" aubridge,x aubridge,x 30000-30999
		echo module_app b2bua.so
	} >"$dir/config"
	cat >"$dir/accounts" <<-EOF
		<sip:b2bua@$addr>;regint=0;b2bua=inbound;audio_codecs=pcmu;ptime=20${ACCOUNT_MORE:-}
		<sip:out@$addr>;regint=0;b2bua=outbound;outbound="sip:$callee";audio_codecs=pcmu;ptime=20${ACCOUNT_MORE:-}
	EOF
	media_from "$ns" "$addr" || return
	baresip_run "$ns" "$dir" "$addr"
}

# A phone that plays TONE_HZ. PCMU, 20 ms. It answers by itself, or (manual) when told to.
start_phone() { # NS NAME ADDR TONE_HZ DIR [auto|manual]
	local ns=$1 name=$2 addr=$3 tone_hz=$4 dir=$5 answer=${6:-auto}
	mkdir -p "$dir"
	{
		phone_config "$addr" aubridge,ear "ausine,$tone_hz" 20000-20999
		printf '%s\n' 'ausrc_srate 48000' 'ausrc_channels 2' # all that ausine can do
	} >"$dir/config"
	echo "<sip:$name@$addr>;regint=0;answermode=$answer;audio_codecs=pcmu;ptime=20${ACCOUNT_MORE:-}" >"$dir/accounts"
	baresip_run "$ns" "$dir" "$addr"
}

# Sends one command and prints the text of its response.
phone_ctl() { # NS COMMAND [PARAMETERS]
	local msg="{\"command\":\"$2\",\"params\":\"${3:-}\",\"token\":\"t\"}"
	# shellcheck disable=SC2016
	in_ns "$1" bash -c '
		exec 3<>"/dev/tcp/127.0.0.1/$2" || exit 1
		printf "%d:%s," ${#1} "$1" >&3
		while IFS= read -t 20 -r -d: n <&3 && IFS= read -t 20 -r -N $((n + 1)) json <&3; do
			case $json in
			*"\"response\":true"*)
				data=${json#*\"data\":\"}
				printf "%b" "${data%\",\"token\"*}"
				case $json in *"\"ok\":true"*) exit 0 ;; esac
				exit 1 ;;
			esac
		done
		exit 1' phone_ctl "$msg" "$phone_ctl_port" 2>/dev/null
}

phone_dial() { # NS URI
	phone_ctl "$1" dial "$2" >/dev/null
}

# A server on ADDR (the VIP) that answers and plays TONE_HZ, as an announcement does.
start_ivr() { # NS ADDR TONE_HZ DIR
	local ns=$1 addr=$2 tone_hz=$3 dir=$4
	mkdir -p "$dir"
	{
		phone_config "$addr" aubridge,ear "ausine,$tone_hz" 30000-30999
		printf '%s\n' 'ausrc_srate 48000' 'ausrc_channels 2'
	} >"$dir/config"
	echo "<sip:ivr@$addr>;regint=0;answermode=auto;audio_codecs=pcmu;ptime=20${ACCOUNT_MORE:-}" >"$dir/accounts"
	media_from "$ns" "$addr" || return
	baresip_run "$ns" "$dir" "$addr"
}

phone_accept() { # NS
	phone_ctl "$1" accept >/dev/null
}

phone_hangup() { # NS
	phone_ctl "$1" hangup >/dev/null
}

# The state of the phone's call in baresip's words (ESTABLISHED, RINGING,
# INCOMING ...), or `idle`. Empty when the phone itself does not answer.
phone_state() { # NS
	local calls
	calls=$(phone_ctl "$1" listcalls) || return 1
	case $calls in
	*"Active calls (0)"*) echo idle ;;
	*) sed -n 's/^>* *\[line [0-9]*\] *[0-9:]* *\([A-Z]*\) .*/\1/p' <<<"$calls" | head -n 1 ;;
	esac
}

phone_is() { # NS STATE
	[ "$(phone_state "$1")" = "$2" ]
}

stop_program() { # DIR    of start_phone or start_b2bua
	local pid
	pid=$(cat "$1/pid" 2>/dev/null) || return 0
	rm -f "$1/pid"
	kill "$pid" 2>/dev/null || return 0
	wait_for 20 test ! -d "/proc/$pid" || kill -KILL "$pid"
}

# What a phone's wire carries, for the figures and the proof afterwards:
# DIR/NAME.pcap (SIP), DIR/NAME.rtp (log of tests/tools/rtpmeter) and
# DIR/NAME.meter (its figures at the end). stop_meter ends both.
start_sip_capture() { # NS NAME DIR
	nsenter --net="/run/netns/$1" tcpdump -Z root -q -U --immediate-mode --time-stamp-precision=nano -i eth0 \
		-w "$3/$2.pcap" 'udp and (port 5060 or port 5070)' 2>"$3/$2.tcpdump" &
	echo $! >"$3/$2.tcpdump.pid"
	disown $!
	wait_for 60 test -s "$3/$2.pcap" && return 0
	echo "capture in $1 did not start:" >&2
	cat "$3/$2.tcpdump" >&2
	return 1
}

start_meter() { # NS NAME ADDR TONES DIR
	nsenter --net="/run/netns/$1" "$BUILD/tools/rtpmeter" -i eth0 -a "$3" -f "$4" -o "$5/$2.rtp" \
		>"$5/$2.meter" 2>&1 &
	echo $! >"$5/$2.meter.pid"
	disown $!
	wait_for 60 test -s "$5/$2.rtp" && start_sip_capture "$1" "$2" "$5" && return 0
	echo "meter in $1 did not start:" >&2
	cat "$5/$2.meter" >&2
	return 1
}

stop_meter() { # NAME DIR
	local file pid
	for file in "$2/$1.meter.pid" "$2/$1.tcpdump.pid"; do
		pid=$(cat "$file" 2>/dev/null) || continue
		rm -f "$file"
		kill "$pid" 2>/dev/null
		wait_for 20 test ! -d "/proc/$pid"
	done
}

# True when the last 100 ms that a meter saw arrive at its phone were HZ.
phone_hears() { # NAME HZ DIR
	[ "$(tac "$3/$1.rtp" | awk '$1 == "t" && $4 == "R" { print $5; exit }')" = "$2" ]
}

# True when a meter saw its phone hear HZ without a break for WINDOWS * 100 ms until now, all after SINCE (ns).
phone_heard_since() { # NAME HZ DIR SINCE WINDOWS
	awk -v hz="$2" -v since="$4" -v want="$5" '
		$1 == "t" && $4 == "R" && $2 + 0 > since + 0 { run = $5 == hz ? run + 1 : 0 }
		END { exit !(run >= want) }' "$3/$1.rtp"
}
