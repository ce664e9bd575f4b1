# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What two phones' wires say about a call across a takeover.

Reads rtpmeter's logs, SIP captures (through tshark, so that the proof does not
rest on a parser of our own), the benchmark client's JSON and `sipflip takeovers
--json`; makes figures and findings of them. Pure reading: starts nothing but
tshark, judges nothing. Used by callreport, timeline and the scenarios.

Every time is CLOCK_BOOTTIME nanoseconds.
"""
import collections
import json
import subprocess
import time

MS = 1_000_000
PTIME_NS = 20 * MS
AROUND_NS = 1_000 * MS   # figures look this far back from the kill
AFTER_NS = 3_000 * MS    # and this far beyond it
STRIP_BEFORE_NS = 300 * MS  # the strip of single packets
STRIP_AFTER_NS = 500 * MS
CLIENT_AROUND_NS = 20 * MS  # a client's unanswered questions are the switch's this close to it

Packet = collections.namedtuple('Packet', 'at src dst ssrc seq')
Tone = collections.namedtuple('Tone', 'start end hz')
Sip = collections.namedtuple('Sip', 'at src dst method status cseq cseq_method call_id from_tag to_tag '
                             'uri contact routes record_routes')


class Meter:
    """One phone's log: heard and sent are in the order of time."""

    def __init__(self, path):
        self.heard, self.sent, self.tones = [], [], []
        with open(path) as log:
            for line in log:
                word = line.split()
                if line.startswith('p ') and len(word) == 10:
                    packet = Packet(int(word[1]), word[3], word[4], word[5], int(word[6]))
                    (self.heard if word[2] == 'R' else self.sent).append(packet)
                elif line.startswith('t ') and len(word) == 6 and word[3] == 'R':
                    self.tones.append(Tone(int(word[1]), int(word[2]), int(word[4])))
        self.heard.sort()
        self.sent.sort()


def longest_gap(packets, start, end):
    """(first, second) of the consecutive packets furthest apart that touch start..end, or None.

    A silence that lasts until `end` counts: its second is None.
    """
    best, best_ns = None, -1
    for one, two in zip(packets, packets[1:] + [None]):
        until = two.at if two else end
        if until <= start or one.at >= end:
            continue
        if until - one.at > best_ns:
            best, best_ns = (one, two), until - one.at
    return best


def gap_figures(phone, far, gap, window_end):
    """One silence at a phone, in words of `hearing`."""
    first, second = gap
    back = second.at if second else window_end
    here = {(p.ssrc, p.seq) for p in phone.heard}
    return {
        'start_ns': first.at, 'end_ns': back, 'ms': (back - first.at) / MS, 'came_back': second is not None,
        'lost': max(0, round((back - first.at) / PTIME_NS) - 1),
        'far_sent': sum(first.at < p.at < back and (p.ssrc, p.seq) not in here for p in far.sent),
    }


def hearing(phone, far, kill, end):
    """What `phone` heard of `far` across the kill.

    switch: the longest gap from the kill until audio comes from another source (address or
    SSRC) than before (the whole window, if it never does); after: the longest from then on;
    usual: in the second before the kill. In a gap, lost: packets that the 20 ms clock should
    have brought; far_sent: packets the far phone really sent meanwhile that never came here.
    since_lost: of all that the far phone sent since the kill, what never arrived; exact, by
    SSRC and sequence number, since a relay changes neither.
    """
    window_end = min(end, kill + AFTER_NS)
    early = [p for p in phone.heard if kill - AROUND_NS <= p.at <= kill]
    if not early:
        return None
    before = (early[-1].src, early[-1].ssrc)
    moved = next((p for p in phone.heard if kill < p.at < window_end and (p.src, p.ssrc) != before), None)
    at_switch = [p for p in phone.heard if kill - AROUND_NS <= p.at < window_end and (not moved or p.at <= moved.at)]
    switch = longest_gap(at_switch, kill, moved.at if moved else window_end)
    after = longest_gap([p for p in phone.heard if p.at >= moved.at], moved.at, window_end) if moved else None
    usual = longest_gap(early, 0, early[-1].at)
    here = {(p.ssrc, p.seq) for p in phone.heard}
    since = [p for p in far.sent if kill <= p.at < end - PTIME_NS]
    inside = [p for p in phone.heard if kill - AROUND_NS <= p.at <= window_end]
    unique = len({(p.ssrc, p.seq) for p in inside})
    figures = lambda gap: gap and gap_figures(phone, far, gap, window_end)
    return {
        'switch': figures(switch), 'after': figures(after), 'usual': figures(usual),
        'source_before': early[-1].src, 'source_after': moved.src if moved else None,
        'moved_ns': moved.at if moved else None,
        'missing_in_all': max(0, round((window_end - inside[0].at) / PTIME_NS) - unique),
        'expected_in_all': round((window_end - inside[0].at) / PTIME_NS),
        'seconds_in_all': (window_end - inside[0].at) / 1e9,
        'doubled': len(inside) - unique,
        'since_sent': len(since), 'since_lost': sum((p.ssrc, p.seq) not in here for p in since),
    }


def strip(phone, far, kill, lost):
    """What became of each packet that the far phone sent around the kill: [(time, 'server' | 'relay' | 'lost')].

    A packet that came with its own SSRC and number was relayed. The others sent before the
    kill went through the server, which numbers anew; of those the last were lost as far as the
    gap at this phone (`lost` packets) is longer than what is known lost since.
    """
    here = {(p.ssrc, p.seq) for p in phone.heard}
    packets = [[p.at, 'relay' if (p.ssrc, p.seq) in here else 'server' if p.at < kill else 'lost']
               for p in far.sent if kill - STRIP_BEFORE_NS <= p.at < kill + STRIP_AFTER_NS]
    missing = lost - sum(what == 'lost' for _, what in packets)
    for packet in reversed(packets):
        if missing > 0 and packet[1] == 'server':
            packet[1] = 'lost'
            missing -= 1
    return packets


def tones(phone, start, end, hz):
    """(windows with the tone hz, windows with another tone, windows with none) that ended in start..end."""
    counts = [0, 0, 0]
    for tone in phone.tones:
        if start < tone.end <= end:
            counts[0 if tone.hz == hz else 2 if tone.hz == 0 else 1] += 1
    return tuple(counts)


# --- SIP -----------------------------------------------------------------------
_FIELDS = ('frame.time_epoch ip.src udp.srcport ip.dst udp.dstport sip.Method sip.Status-Code sip.CSeq.seq '
           'sip.CSeq.method sip.Call-ID sip.from.tag sip.to.tag sip.r-uri sip.contact.uri sip.Route '
           'sip.Record-Route').split()


def read_sip(pcap, ports=(5060, 5070)):
    """The SIP messages of a capture, oldest first."""
    command = ['tshark', '-n', '-r', pcap, '-Y', 'sip', '-T', 'fields', '-E', 'separator=/t',
               '-E', 'aggregator=|']
    for port in ports:
        command += ['-d', 'udp.port==%d,sip' % port]
    for field in _FIELDS:
        command += ['-e', field]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    offset = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_REALTIME)
    messages = []
    for line in out.decode(errors='replace').splitlines():
        f = (line.split('\t') + [''] * len(_FIELDS))[:len(_FIELDS)]
        seconds, _, fraction = f[0].partition('.')
        at = int(seconds) * 1_000_000_000 + int((fraction + '0' * 9)[:9]) + offset
        messages.append(Sip(at, f[1] + ':' + f[2], f[3] + ':' + f[4], f[5], int(f[6] or 0), int(f[7] or 0),
                            f[8], f[9], f[10], f[11], f[12], f[13].split('|')[0],
                            [r for r in f[14].split('|') if r], [r for r in f[15].split('|') if r]))
    return messages


def route_uris(headers):
    """The URIs of Route or Record-Route values, in order, without brackets and header parameters."""
    uris = []
    for header in headers:
        for part in header.split(','):
            part = part.strip()
            uris.append(part[1:part.index('>')] if part.startswith('<') and '>' in part else part)
    return uris


def find_dialog(messages, phone_address):
    """The phone's dialog (its first INVITE that got a 200), seen from the phone; None if there is none."""
    mine = lambda m: m.src.split(':')[0] == phone_address
    for invite in messages:
        if invite.method != 'INVITE' or invite.to_tag:
            continue
        for ok in messages:
            if (ok.status == 200 and ok.cseq_method == 'INVITE' and ok.call_id == invite.call_id
                    and ok.cseq == invite.cseq):
                caller = mine(invite)
                recorded = route_uris((invite if caller else ok).record_routes)
                return {
                    'call_id': invite.call_id, 'phone_called': caller,
                    'phone_tag': invite.from_tag if caller else ok.to_tag,
                    'server_tag': ok.to_tag if caller else invite.from_tag,
                    'contact': (invite if caller else ok).contact,
                    # the server's route set, RFC 3261 12.1.1 and 12.1.2
                    'route_set': recorded if caller else recorded[::-1],
                    'server': invite.dst if caller else invite.src,
                    'established_ns': ok.at,
                }
    return None


def reinvites(messages, dialog, phone_address, kill):
    """Each INVITE the phone got in its dialog after the kill, with what is right and wrong about it."""
    found = []
    highest = None
    for m in messages:
        to_phone = m.dst.split(':')[0] == phone_address
        if not m.method or m.call_id != dialog['call_id'] or not to_phone:
            continue
        retransmitted = any(r['cseq'] == m.cseq for r in found)
        if m.method == 'INVITE' and m.at > kill and not retransmitted:
            found.append({
                'at_ns': m.at, 'from': m.src, 'cseq': m.cseq, 'highest_before': highest, 'uri': m.uri,
                'routes': route_uris(m.routes),
                'tags_right': (m.from_tag, m.to_tag) == (dialog['server_tag'], dialog['phone_tag']),
                'cseq_right': highest is None or m.cseq > highest,
                'from_right': m.src == dialog['server'],
                'uri_right': m.uri == dialog['contact'],
                'route_right': route_uris(m.routes) == dialog['route_set'],
                'status': final_status(messages, m),
                'acked': any(a.method == 'ACK' and a.call_id == m.call_id and a.cseq == m.cseq and a.at > m.at
                             for a in messages),
            })
        if m.method != 'ACK':
            highest = m.cseq if highest is None else max(highest, m.cseq)
    return found


def final_status(messages, request):
    """Status of the last final answer to a request, 0 = none."""
    answers = [m.status for m in messages
               if m.status >= 200 and m.at >= request.at and m.call_id == request.call_id
               and m.cseq == request.cseq and m.cseq_method == request.method
               and m.src.split(':')[0] == request.dst.split(':')[0]]
    return answers[-1] if answers else 0


def find_bye(messages, after):
    """(time, source, status) of the first BYE after a time, or None."""
    for m in messages:
        if m.method == 'BYE' and m.at >= after:
            return m.at, m.src, final_status(messages, m)
    return None


# --- others' records --------------------------------------------------------------
def client_silence(path, kill, flip):
    """What a client saw of the VIP, or None: no silence spans the switch, so it was never answered again.

    The silence of the switch is the one that spans the flip (no answer can be the old owner's
    after it, or the new one's before); before and after are the longest of the others.
    """
    with open(path) as f:
        report = json.load(f)
    gaps = [(at, length) for at, length, *_ in report['gaps']]
    spanning = [g for g in gaps if g[0] <= flip < g[0] + g[1]]
    if not spanning:
        return None
    longest = lambda some: max((length for _, length in some), default=0) / MS
    return {
        'gap': spanning[0], 'silence_ms': spanning[0][1] / MS,
        'before_ms': longest(g for g in gaps if g[0] + g[1] <= kill),
        'after_ms': longest(g for g in gaps if g[0] > flip),
        'interval_ms': report['interval_ns'] / MS, 'late_max_ms': report['late_max_ns'] / MS,
        'unanswered': sum(kill - CLIENT_AROUND_NS < at < flip + CLIENT_AROUND_NS for at in report['lost']),
    }


_OLD_OWNERS = ('last_ok', 'detected', 'fenced', 'resigned')  # steps that the old owner knows best


def takeover(paths, kill):
    """The takeover that followed the kill, both nodes' records merged, or None: nobody became owner.

    paths: {node name: file with `sipflip takeovers --json`}. The steps are `step_ns`; a step
    that both nodes recorded is taken from the one that made it.
    """
    merged, steps = {}, {}
    for node, path in paths.items():
        try:
            with open(path) as f:
                records = json.load(f)['takeovers']
        except (OSError, ValueError, KeyError):
            continue
        for record in records:
            zero = record['zero_boottime_ns']
            if zero < kill:
                continue
            if node == record['to'] or not merged:
                merged = {k: v for k, v in record.items() if k != 'timeline_ns'}
            for step, offset in record['timeline_ns'].items():
                if offset is None:
                    continue
                own = node == (record['from'] if step in _OLD_OWNERS else record['to'])
                if own or step not in steps:
                    steps[step] = zero + offset
    if 'flipped' not in steps:
        return None
    merged.update({step + '_ns': at for step, at in steps.items()})
    return merged
