# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the benchmarks need of the machine: processes in namespaces, SIP servers
with a weight, waits with a deadline, and a cleanup that always happens. Judges
nothing. Used by bench/takeover, bench/soak-false and bench/lib_systems.py."""

import json
import os
import select
import signal
import subprocess
import time

NS_PER_MS = 1_000_000


class Failed(Exception):
    """The measurement could not be made; the text says why."""


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def wait_for(what, condition, deadline_s=10.0, every_s=0.01):
    """Returns the condition's first true value."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {deadline_s:g} s for {what}")
        time.sleep(every_s)


def run(*argv, check=True, env=None):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=60)
    if check and done.returncode:
        raise Failed(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Process:
    """A child in a namespace; nsenter execs, so pid is the program's own."""

    def __init__(self, netns, argv, log, cwd=None, stdout=None):
        self.argv = argv
        self.log_path = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(["nsenter", f"--net={netns}", *argv], stdin=subprocess.DEVNULL,
                                          stdout=stdout or out, stderr=out, cwd=cwd, bufsize=0)
        self.pid = self.popen.pid

    def send_signal(self, number):
        if self.popen.poll() is None:
            os.kill(self.pid, number)

    def alive(self):
        return self.popen.poll() is None

    def end(self, number=signal.SIGTERM):
        """Ends it for certain: asks, then insists. Reaps it."""
        if self.popen.poll() is None:
            self.send_signal(signal.SIGCONT)
            self.send_signal(number)
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.popen.wait()

    def log_tail(self, lines=5):
        with open(self.log_path, errors="replace") as f:
            return " / ".join(line.strip() for line in f.readlines()[-lines:])


def read_line(stream, what, deadline_s):
    """One line of an unbuffered pipe, or Failed."""
    line = b""
    end = time.monotonic() + deadline_s
    while not line.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or not select.select([stream], [], [], left)[0]:
            raise Failed(f"waited {deadline_s:g} s for {what}")
        chunk = os.read(stream.fileno(), 1)
        if not chunk:
            raise Failed(f"{what}: it ended instead")
        line += chunk
    return line.decode().strip()


class Server:
    """The SIP server of one node, bound to the VIP also while another node has it."""

    def __init__(self, lab, node, *options, scratch, first=True):
        # Before ordinary processes, as `freeswitch -rp`: other work of the machine is not what is measured.
        argv = [*(["chrt", "--rr", "1"] if first else []), f"{lab.build}/tools/sipserver", "--name", node, *options,
                f"{lab.vip}:5060"]
        self.node = node
        self.process = Process(lab.netns(node), argv, f"{lab.dir}/server-{node}.log", cwd=scratch,
                               stdout=subprocess.PIPE)

    def wait_ready(self):
        read_line(self.process.popen.stdout, f"server on {self.node} to listen", 30)
        return self

    def end(self):
        self.process.end(signal.SIGKILL)
        self.process.popen.stdout.close()


class Client:
    """One run of bench/client in namespace c."""

    def __init__(self, lab, interval_us=200, duration_ms=8000, after_change_ms=100, announce=500, gap_us=0,
                 target=None, stall_us=200):
        self.interval_us = interval_us
        self.deadline_s = duration_ms / 1000 + 10
        argv = [f"{lab.build}/bench/client", "--target", target or lab.vip, "--interval-us", str(interval_us),
                "--duration-ms", str(duration_ms), "--after-change-ms", str(after_change_ms),
                "--announce", str(announce), "--gap-us", str(gap_us),
                "--stall-us", str(stall_us), "--json"]
        self.process = Process(lab.netns("c"), argv, f"{lab.dir}/client.log", stdout=subprocess.PIPE)

    def wait_ready(self):
        """The letter of the server that answers."""
        line = read_line(self.process.popen.stdout, "the VIP to answer the client", 10)
        if not line.startswith("ready "):
            raise Failed("the VIP does not answer the client")
        return line.split()[1]

    def result(self):
        try:
            out, _ = self.process.popen.communicate(timeout=self.deadline_s)
        except subprocess.TimeoutExpired:
            raise Failed("the client did not end") from None
        if self.process.popen.returncode:
            raise Failed(f"client: {self.process.log_tail()}")
        return json.loads(out)

    def end(self):
        self.process.end()
        self.process.popen.stdout.close()


class Lab:
    """tests/netns/lab: nodes a and b, witness w, client c and others on one bridge."""

    vip = "10.9.0.100"
    nodes = ("a", "b")
    addresses = {"a": "10.9.0.1", "b": "10.9.0.2"}

    def __init__(self, build, directory, name):
        self.build = build
        self.dir = directory
        self.name = name
        self.script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/netns/lab")
        self.env = {**os.environ, "LAB": name, "BUILD": build}

    def lab(self, *argv, check=True):
        return run(self.script, *argv, check=check, env=self.env)

    def netns(self, node):
        return f"/run/netns/sf-{self.name}-{node}"

    def inside(self, node, *argv, check=True):
        return run("nsenter", f"--net={self.netns(node)}", *argv, check=check)

    def run_dir(self, node):
        return f"/run/sipflip-lab/{self.name}/{node}"

    def log_of(self, node):
        """The last lines of the agent's log, for a report of what went wrong."""
        return " / ".join(self.lab("log", node, check=False).strip().splitlines()[-6:])

    def cut(self, node):
        self.lab("cut", node)

    def join(self, node):
        self.lab("join", node)

    def down(self):
        self.lab("down", check=False)
