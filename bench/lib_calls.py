# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The parts of bench/calls: both sides' phones (tests/tools/callfarm), the test
server between them (tests/tools/b2bserver), the watch on the standby's kernel
maps (bench/flowwatch), and what a process costs. Judges nothing."""

import csv
import json
import os
import re
import signal
import subprocess

from lib_lab import Failed, Process, read_line, run, wait_for

ADDRESS = {"p1": "10.9.0.11", "p2": "10.9.0.12"}
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Farm:
    """All callers (on p1) or all callees (on p2)."""

    def __init__(self, lab, node, *options):
        self.node = node
        role = ["--call", f"{lab.vip}:5060"] if node == "p1" else ["--answer"]
        self.log = f"{lab.dir}/farm-{node}.log"
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(
                ["nsenter", f"--net={lab.netns(node)}", "nice", "-n", "-15", f"{lab.build}/tools/callfarm", *role, *options, ADDRESS[node]],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, bufsize=0)
        read_line(self.popen.stdout, f"the phones on {node}", 10)

    def tell(self, line, deadline_s=30):
        self.popen.stdin.write(line.encode() + b"\n")
        return json.loads(read_json_line(self.popen.stdout, f"the phones on {self.node} to answer {line}", deadline_s))

    def must(self, line):
        if not self.tell(line).get("ok"):
            raise Failed(f"the phones on {self.node} refuse: {line}")

    def status(self):
        return self.tell("status")

    def idle(self):
        status = self.status()
        return None if status["busy"] or status["dialogs"]["pending"] else status

    def report(self, csv_path=None):
        report = self.tell(f"report {csv_path or ''}")
        if csv_path and not report.get("csv"):
            raise Failed(f"the phones on {self.node} could not write {csv_path}")
        return report

    def end(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()


def read_json_line(stream, what, deadline_s):
    """As read_line, in larger pieces: nothing else is sent until the next command."""
    import select
    import time
    line = b""
    end = time.monotonic() + deadline_s
    while not line.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or not select.select([stream], [], [], left)[0]:
            raise Failed(f"waited {deadline_s:g} s for {what}")
        chunk = os.read(stream.fileno(), 65536)
        if not chunk:
            raise Failed(f"{what}: it ended instead")
        line += chunk
    return line.decode()


def read_csv(path):
    """Rows by call number, every field a number."""
    with open(path, newline="", encoding="ascii") as f:
        return {int(row["index"]): {key: float(value) if "." in value else int(value) for key, value in row.items()}
                for row in csv.DictReader(f)}


class TestServer:
    """tests/tools/b2bserver on a node, bound to the VIP also while another node has it."""

    def __init__(self, lab, node, pair, scratch, ports="10000-59999"):
        # Before ordinary processes, as `freeswitch -rp`.
        argv = ["chrt", "--rr", "1", f"{lab.build}/tools/b2bserver", "--name", node, "--pair", pair,
                "--rtp", ports, "--callee", f"{ADDRESS['p2']}:5060", f"{lab.vip}:5060"]
        self.process = Process(lab.netns(node), argv, f"{lab.dir}/server-{node}.log", cwd=scratch,
                               stdout=subprocess.PIPE)
        read_line(self.process.popen.stdout, f"the test server on {node} to listen", 10)

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        self.process.send_signal(signal.SIGKILL)

    def end(self):
        self.process.end()
        self.process.popen.stdout.close()


class FlowWatch:
    """When each VIP port became relayable in a node's kernel maps (bench/flowwatch)."""

    def __init__(self, lab, pins):
        self.process = Process(lab.netns("c"), [f"{lab.build}/bench/flowwatch", pins], f"{lab.dir}/flowwatch.log",
                               stdout=subprocess.PIPE)
        read_line(self.process.popen.stdout, "the maps of calls", 5)

    def result(self):
        """{port: ns} and the longest time between two looks."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.popen.communicate(timeout=10)
        found = json.loads(out)
        return {int(port): at for port, at in found["ports"].items()}, found["longest_look_ms"]

    def end(self):
        self.process.end()
        self.process.popen.stdout.close()


def cpu_s(pid):
    """User and system seconds of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def map_bytes(pins):
    """Bytes of kernel memory by map, as the kernel accounts them."""
    found = {}
    for name in sorted(os.listdir(pins)):
        shown = run("bpftool", "-j", "map", "show", "pinned", f"{pins}/{name}", check=False)
        try:
            found[name] = json.loads(shown)["bytes_memlock"]
        except (ValueError, LookupError, TypeError):
            continue
    return found


def spread(values):
    """median, p99, max; None when there are none."""
    values = sorted(values)
    if not values:
        return None
    return {"median": values[len(values) // 2], "p99": values[len(values) * 99 // 100], "max": values[-1]}


__all__ = ["Farm", "TestServer", "FlowWatch", "cpu_s", "rss_kib", "map_bytes", "spread", "read_csv", "wait_for"]
