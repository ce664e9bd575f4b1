# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The tables of bench/calls, from its records. Judges nothing."""

from lib_calls import spread

FLOW_BYTES = 192       # struct flow
FLOWS_A_CALL = 4       # RTP and RTCP of two legs
TROUBLE = ("full", "lost", "drop", "ambiguous", "strange", "relay_no", "relay_busy", "malformed", "too_long", "unknown",
           "incomplete")
CALL_MAPS = ("flows", "flow_ports", "steer", "steer_key", "media")


def shown(value, digits=1):
    return "-" if value is None else f"{value:,.{digits}f}"


def three(values, digits=1):
    return " ".join(f"{shown(values[key] if values else None, digits):>9}" for key in ("median", "p99", "max"))


def media_row(title, report, kind):
    m = report[kind]
    n = max(1, m["streams"] - m["silent"])
    heard = m["streams"] - m["silent"]
    print(f"  {title:<34}{m['streams']:>8}{m['silent']:>7} |{three(m['lost_a_stream'], 0)} |{three(m['gap_ms'])} |"
          f"{100 * m['at_most_one_lost'] / n if heard else 0:>7.1f}{m['lost']:>8}{m['duplicates']:>6}"
          f"{m['wrong_source']:>6}")


def media_table(record):
    print(f"\n  {'':<34}{'streams':>8}{'silent':>7} |{'lost: median       p99       max':>30}"
          f"|{'longest gap, ms: median   p99   max':>31}|{'<=1, %':>7}{'lost':>8}{'twice':>6}{'wrong':>6}")
    for window, title in (("calm", "before the kill"), ("kill", "the kill and 4 s after"),
                          ("reinvites", "until the last re-INVITE"), ("later", "after the wait")):
        if window not in record:
            continue
        for node, way in (("p2", "to callees"), ("p1", "to callers")):
            for kind in ("sampled", "others"):
                if record[window][node][kind]["streams"]:
                    media_row(f"{title}, {way}{'' if kind == 'sampled' else ', slow'}", record[window][node], kind)
    for node, who in (("p1", "callers"), ("p2", "callees")):
        print(f"  datagrams that the {who}' program did not read in time: {record['later'][node]['not_read_in_time']}")
        own = record["kill"][node]["sampled"].get("own_pause_ms")
        if own:
            print(f"  the {who}' own longest pause between two packets around the kill: {shown(own['max'])} ms")


def survived_table(record):
    s, calls = record["survived"], record["up"]
    print(f"\n  of {calls} calls: survived {s['all']} ({100 * s['all'] / calls:.2f} %)")
    print(f"    media both ways after the wait {s['media']}; hold and resume {s['hold']} of {s['holds']} tried; "
          f"BYE answered and carried across {s['bye']}")


def dialogs_table(record):
    print("\n  what the phones saw in their dialogs")
    for node, who in (("p1", "callers"), ("p2", "callees")):
        d = record["reinvites"][node]["dialogs"]
        print(f"    {who}: {d['reinvited']} re-INVITEd ({d['reinvites']} requests, {d['repeats']} repeated); o= version "
              f"raised by one {d['origin_raised']}, same {d['origin_same']}, other {d['origin_bad']}; "
              f"CSeq not above the last {d['cseq_bad']}, wrong tags {d['tag_bad']}, RTP moved {d['rtp_moved']}, "
              f"hung up on {d['byes_seen']}")
        for text in record["reinvites"][node]["strange"]:
            print("      in no dialog of theirs: " + text.strip().replace("\r\n", "\n" + 8 * " "))


def takeover_lines(record):
    t = record["takeover"]
    if not t:
        print("\n  the new owner knows of no takeover")
        return
    steps = ", ".join(f"{name} {value / 1e6:.2f}" for name, value in t.get("timeline_ns", {}).items()
                      if value is not None)
    print(f"\n  takeover: {t['calls']} calls, {t['rescued']} rescued, {t['failed']} failed, {t['skipped']} skipped; "
          f"ms: {steps}")
    for why, n in t.get("outcomes", []):
        print(f"    {n:>6}  {why}")
    print(f"  last re-INVITE {record['last_reinvite_ms'] / 1000:.2f} s after the kill"
          f"{'' if record['all_reinvited'] else '; NOT every leg had one by the deadline'}")


def counters_line(record):
    """Counters that say something was left out, full or refused."""
    for node, counters in record["counters"].items():
        odd = {name: n for name, n in counters.items() if n and any(word in name for word in TROUBLE)}
        told = ", ".join(f"{name} {n}" for name, n in odd.items()) or "nothing lost or refused"
        print(f"  counted on {node}: {told if counters else 'its agent does not say'}")


def latency_line(record):
    found = record["latency"]
    if "missing" in found:
        print(f"  answer to the standby's kernel maps: not measured: {found['missing']}")
    elif not found["ms"]:
        print(f"  answer to the standby's kernel maps: none of {found['calls']} calls came there")
    else:
        ms = found["ms"]
        print(f"  answer to the standby's kernel maps: {found['arrived']} of {found['calls']} calls, ms: median "
              f"{ms['median']:.2f}, p99 {ms['p99']:.2f}, max {ms['max']:.2f} (longest between two looks "
              f"{found['longest_look_ms']:.2f})")


def a_call(record, cost, when):
    """Growth of the resident memory by then, in bytes a call."""
    return shown((cost[when] - cost["rss_empty_kib"]) * 1024 / record["calls"], 0) if when in cost else "-"


def cost_table(record):
    print(f"\n  {'':<28}{'CPU s: setup':>14}{'calm':>8}{'rescue':>8}{'RSS MiB: empty':>16}{'calls up':>10}{'B/call':>8}")
    for node in (record["owner"], record["standby"]):
        for name, c in record["cost"][node].items():
            grown = (c["rss_kib"] - c["rss_empty_kib"]) * 1024 / record["calls"]
            print(f"  {name + (', owner' if node == record['owner'] else ', standby'):<28}{c['setup_s']:>14.2f}"
                  f"{c['calm_s']:>8.2f}{c['rescue_s']:>8.2f}{c['rss_empty_kib'] / 1024:>16.1f}"
                  f"{c['rss_kib'] / 1024:>10.1f}{grown:>8.0f}")
    maps = {name: record["maps"][name] for name in CALL_MAPS if name in record["maps"]}
    if not maps:
        print("  no maps for calls in the kernel")
        return
    print("  kernel memory of the calls' maps on the standby, KiB: " +
          ", ".join(f"{name} {size // 1024}" for name, size in maps.items()))
    c = record["cost"][record["standby"]].get("sipflip-calls")
    if c:
        kernel = sum(maps.values()) / record["calls"]
        print(f"  on the standby a call costs {a_call(record, c, 'rss_kib')} B in user space; at the last re-INVITE "
              f"{a_call(record, c, 'rss_rescued_kib')} (transactions are kept for 32 s), after the wait "
              f"{a_call(record, c, 'rss_later_kib')}")
        print(f"  and {FLOWS_A_CALL * FLOW_BYTES} B of flows in the kernel; all of the maps shared by these calls, {kernel:.0f} B")


def print_report(settings, records):
    ones = [r for r in records if r["calls"] == 1]
    whole = [r for r in records if r["calls"] == settings["calls"] and "survived" in r]
    print(f"\n{settings['calls']} calls, {settings['sample']} with a packet each 20 ms and the others each "
          f"{settings['other_ms']} ms; pairing: {settings['pair']}; {settings['runs']} run(s), "
          f"{settings['minutes']} minutes, {settings['failures']} could not be measured")
    for number, record in enumerate(whole):
        print(f"\nrun {number + 1}: server of {record['owner']} killed with {record['up']} calls up; the standby held "
              f"{record['replica']['dialogs']} legs, {record['replica']['rescuable']} calls rescuable "
              f"(after {record['replica']['waited_s']} s)")
        print("  legs by what paired them: " + (", ".join(f"{how} {n}" for how, n in record["paired"]) or "not known"))
        if record["not_up"]:
            print("  not up before the kill, calls by the last status of their INVITE: " +
                  ", ".join(f"{status}: {n}" for status, n in record["not_up"]))
        media_table(record)
        survived_table(record)
        takeover_lines(record)
        dialogs_table(record)
        print()
        latency_line(record)
        counters_line(record)
        cost_table(record)
    print("\nthe flip: longest silence of a client that asks each 0.5 ms, ms")
    for title, some in (("with 1 call", ones), (f"with {settings['calls']} calls", whole)):
        values = [r["silence_ms"] for r in some if r["silence_ms"] is not None]
        flips = [-r["takeover"]["timeline_ns"]["detected"] / 1e6 for r in some
                 if r["takeover"].get("timeline_ns", {}).get("detected") is not None]
        print(f"  {title:<22} {len(values)} of {len(some)} runs: median {shown((spread(values) or {}).get('median'), 2)}, "
              f"max {shown((spread(values) or {}).get('max'), 2)}; from the kernel's first sign of death to the flip: "
              f"median {shown((spread(flips) or {}).get('median'), 3)}")
