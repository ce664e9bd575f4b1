# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""From single measurements to the table, the targets and the plot. Pure: numbers
in, text out. Used by bench/takeover."""

import math
from html import escape

TITLES = {
    "none": "no failure",
    "killed": "server killed (SIGKILL)",
    "hung": "server hung (SIGSTOP)",
    "cut": "node cut off",
    "switchover": "switchover, 5,000 packets/s",
    "switchover-1k": "switchover, 1,000 packets/s",
    "big-killed": "64 threads, 1 GiB: SIGKILL",
    "big-core": "64 threads, 1 GiB: SIGSEGV, core",
}


def percentile(values, share):
    """Nearest rank: always one of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def ms(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def summarise(records):
    """{(case, system): figures} in the order of first appearance."""
    cells = {}
    for record in records:
        cells.setdefault((record["case"], record["system"]), []).append(record)
    summary = {}
    for key, group in cells.items():
        good = [r for r in group if not r.get("failed")]
        figures = {"runs": len(good), "failed": len(group) - len(good)}
        if good:
            silences = [r["silence_ms"] for r in good]
            lost = [r["lost"] for r in good]
            figures.update(min=min(silences), median=median(silences), p99=percentile(silences, 0.99),
                           max=max(silences), lost_median=median(lost), lost_max=max(lost), lost_sum=sum(lost),
                           then=median([r["then_ms"] for r in good]),
                           sent_sum=sum(r["sent"] for r in good), noisy=sum(r["noisy"] for r in good),
                           flaps=sum(r["flaps"] for r in good))
        summary[key] = figures
    return summary


def table(summary, cases, systems):
    head = (f"{'longest silence at the client, ms':<34}{'min':>9}{'median':>9}{'p99':>9}{'max':>9}{'then':>8}"
            f"{'runs':>6}{'failed':>7}{'noisy':>6}{'lost: median':>14}{'max':>7}")
    lines = [head, "-" * len(head)]
    for case in cases:
        rows = [(system, summary[case, system]) for system in systems if (case, system) in summary]
        if not rows:
            continue
        lines.append(TITLES[case])
        for system, f in rows:
            if not f["runs"]:
                lines.append(f"  {system:<32}{'-':>9}{'-':>9}{'-':>9}{'-':>9}{'-':>8}{0:>6}{f['failed']:>7}")
                continue
            lines.append(f"  {system:<32}{ms(f['min']):>9}{ms(f['median']):>9}{ms(f['p99']):>9}{ms(f['max']):>9}"
                         f"{ms(f['then']):>8}"
                         f"{f['runs']:>6}{f['failed']:>7}{f['noisy']:>6}{f['lost_median']:>14g}{f['lost_max']:>7g}")
    return "\n".join(lines)


def ratios(summary, cases, systems):
    """[(case, sipflip system, keepalived system, how many times shorter the median is)]"""
    found = []
    for case in cases:
        for ours in systems:
            for theirs in ("keepalived-fastest", "keepalived-p100"):
                mine, other = summary.get((case, ours), {}), summary.get((case, theirs), {})
                if ours.startswith("sipflip") and mine.get("runs") and other.get("runs"):
                    found.append((case, ours, theirs, other["median"] / mine["median"]))
    return found


# (what, case, system, figure, limit, unit) and (what, case, system, at least this many times keepalived's)
LIMITS = [
    ("server killed, median", "killed", "sipflip-safe", "median", 0.5, "ms"),
    ("server killed, median", "killed", "sipflip-fast", "median", 0.5, "ms"),
    ("big server killed, median", "big-killed", "sipflip-safe", "median", 1.0, "ms"),
    ("big server killed, median", "big-killed", "sipflip-fast", "median", 1.0, "ms"),
    ("big server dumps core, median", "big-core", "sipflip-safe", "median", 1.0, "ms"),
    ("big server dumps core, median", "big-core", "sipflip-fast", "median", 1.0, "ms"),
    ("server hung, median", "hung", "sipflip-safe", "median", 50.0, "ms"),
    ("node cut off, median", "cut", "sipflip-safe", "median", 45.0, "ms"),
    ("node cut off, median", "cut", "sipflip-fast", "median", 10.0, "ms"),
    ("switchover at 1,000/s, packets lost in all runs", "switchover-1k", "sipflip-safe", "lost_sum", 0, ""),
    ("switchover at 1,000/s, packets lost in all runs", "switchover-1k", "sipflip-fast", "lost_sum", 0, ""),
]
FACTORS = [
    ("server killed", "killed", "sipflip-safe", 15.0),
    ("server killed", "killed", "sipflip-fast", 15.0),
    ("node cut off", "cut", "sipflip-fast", 3.0),
]


def targets(summary):
    """[(text, figure text, limit text, met, margin text)] for what was measured."""
    rows = []
    for what, case, system, figure, limit, unit in LIMITS:
        value = summary.get((case, system), {}).get(figure)
        if value is None:
            continue
        met = value <= limit
        margin = "" if value == limit else f"by {abs(value - limit):.3g} {unit}".rstrip()
        rows.append((f"{what}, {system}", f"{value:.3g} {unit}".rstrip(), f"<= {limit:g} {unit}".rstrip(), met,
                     margin))
    for what, case, system, factor in FACTORS:
        for theirs in ("keepalived-fastest", "keepalived-p100"):
            mine = summary.get((case, system), {}).get("median")
            other = summary.get((case, theirs), {}).get("median")
            if mine is None or other is None:
                continue
            times = other / mine
            rows.append((f"{what}, {system} against {theirs}", f"1/{times:.1f}", f"<= 1/{factor:g}", times >= factor,
                         f"{ms(mine)} ms, limit {ms(other / factor)} ms"))
    return rows


COLOURS = {
    "baseline": "#888888",
    "sipflip-safe": "#1b7837",
    "sipflip-fast": "#5aae61",
    "keepalived-fastest": "#2166ac",
    "keepalived-p100": "#67a9cf",
    "keepalived-usual": "#b2182b",
}
LEFT, RIGHT, LANE, HEAD, GAP = 320, 90, 20, 66, 26
WIDTH = 1080


def plot(records, cases, systems, caption):
    """An SVG: one block a case, one lane a system, one dot a run, a bar at the median. Log axis."""
    summary = summarise(records)
    values = [r["silence_ms"] for r in records if not r.get("failed")]
    low = 10 ** math.floor(math.log10(min(values, default=0.1)))
    high = 10 ** math.ceil(math.log10(max(values, default=1000)))
    high = max(high, low * 10)

    def x_of(value):
        share = (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    body, y = [], HEAD
    blocks = []
    for case in cases:
        lanes = [system for system in systems if summary.get((case, system), {}).get("runs")]
        if not lanes:
            continue
        top = y
        body.append(f'<text x="16" y="{y + 14}" font-weight="bold">{escape(TITLES[case])}</text>')
        y += GAP - 6
        for system in lanes:
            middle = y + LANE / 2
            figures, colour = summary[case, system], COLOURS[system]
            body.append(f'<text x="{LEFT - 14}" y="{middle + 4}" text-anchor="end">{system}</text>')
            for record in records:
                if (record["case"], record["system"]) == (case, system) and not record.get("failed"):
                    body.append(f'<circle cx="{x_of(record["silence_ms"]):.1f}" cy="{middle}" r="3.2" '
                                f'fill="{colour}" fill-opacity="0.45"/>')
            at = x_of(figures["median"])
            body.append(f'<line x1="{at:.1f}" y1="{y + 2}" x2="{at:.1f}" y2="{y + LANE - 2}" stroke="{colour}" '
                        'stroke-width="3"/>')
            body.append(f'<text x="{WIDTH - RIGHT + 10}" y="{middle + 4}" fill="{colour}">'
                        f'{ms(figures["median"])} ms</text>')
            y += LANE
        blocks.append((top, y))
        y += 12
    height = y + 34
    axis = []
    tick = low
    while tick <= high * 1.0001:
        at = x_of(tick)
        label = f"{tick:g} ms" if tick < 1000 else f"{tick / 1000:g} s"
        axis.append(f'<line x1="{at:.1f}" y1="{HEAD - 6}" x2="{at:.1f}" y2="{y}" stroke="#dddddd"/>')
        axis.append(f'<text x="{at:.1f}" y="{y + 16}" text-anchor="middle" fill="#555555">{label}</text>')
        tick *= 10
    rules = [f'<line x1="16" y1="{bottom + 5}" x2="{WIDTH - 16}" y2="{bottom + 5}" stroke="#eeeeee"/>'
             for _, bottom in blocks[:-1]]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-size="12" '
            'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">\n'
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
            '<text x="16" y="26" font-size="16" font-weight="bold">'
            'Longest silence at the client around a switch</text>\n'
            f'<text x="16" y="46" fill="#555555">{escape(caption)}</text>\n'
            f'<text x="{WIDTH - RIGHT + 10}" y="46" fill="#555555">median</text>\n'
            + "\n".join(axis + rules + body) + "\n</svg>\n")
