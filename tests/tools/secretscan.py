#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Looks for secrets where they must not be. Test tool, run as root.

  secretscan.py files SECRET-FILE PATH...   any file below the paths that holds one: exit status 1
  secretscan.py memory SECRET-FILE PID      any page of a process that holds one and that a core
                                            dump would hold too: exit status 1

SECRET-FILE has one secret a line. One of 64 hex digits is a key: it is looked for as text in both
cases and as its 32 bytes. The last line of the output says how often one was found at all."""

import os
import sys


def secrets_of(path):
    """What to look for, as bytes."""
    found = []
    with open(path, encoding="ascii") as f:
        for line in f:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            found.append(text.encode())
            if len(text) == 64:
                found += [text.upper().encode(), bytes.fromhex(text)]
    return found


def scan_files(secrets, paths):
    bad = seen = 0
    for top in paths:
        for folder, _, names in os.walk(top) if os.path.isdir(top) else [(os.path.dirname(top), [], [os.path.basename(top)])]:
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.isfile(path) or os.path.islink(path):
                    continue
                with open(path, "rb") as f:
                    text = f.read()
                seen += 1
                if any(s in text for s in secrets):
                    print(f"{path}: holds a secret")
                    bad += 1
    print(f"{seen} files, {bad} with a secret")
    return bad or not seen


def regions(pid):
    """(start, end, is dumped) of what can be read; the flags are proc(5)'s VmFlags: dd = not in a dump."""
    now = None
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
        for line in f:
            first = line.split(" ", 1)[0]
            if "-" in first and not first.endswith(":"):
                start, end = (int(x, 16) for x in first.split("-"))
                now = (start, end, "r" in line.split()[1], line.split()[-1])
            elif line.startswith("VmFlags:") and now and now[2] and not now[3].startswith("[v"):
                yield now[0], now[1], "dd" not in line.split()[1:], now[3]


def scan_memory(secrets, pid):
    bad = seen = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end, dumped, name in regions(pid):
            try:
                mem.seek(start)
                text = mem.read(end - start)
            except (OSError, OverflowError, ValueError):
                continue
            for s in secrets:
                n = text.count(s) if text else 0
                seen += n
                if n and dumped:
                    print(f"{n} times in {start:x}-{end:x} {name}, which a core dump holds")
                    bad += 1
    print(f"found {seen} times, {bad} where a core dump would hold it")
    return bad


def main():
    kind, secrets = sys.argv[1], secrets_of(sys.argv[2])
    if kind == "files":
        return 1 if scan_files(secrets, sys.argv[3:]) else 0
    return 1 if scan_memory(secrets, int(sys.argv[3])) else 0


if __name__ == "__main__":
    sys.exit(main())
