# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What chaos acts on: a lab with its programs, both sides' phones with calls up
through the VIP, the referee that judges, and the marks that tell it what is
broken when. Breaks nothing itself. Used by tests/netns/chaos and chaos_faults.py."""

import ctypes
import json
import os
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../bench"))
from lib_calls import Farm, TestServer, cpu_s, read_csv  # noqa: E402
from lib_lab import Failed, Lab, now_ns, run, wait_for  # noqa: E402

MAC = {name: f"02:00:00:00:00:{number:02x}" for name, number in
       {"a": 1, "b": 2, "w": 3, "gw": 254, "p1": 11, "p2": 12, "c": 20}.items()}
UP = 2                # as callfarm numbers its states
WHOLE_S = 25          # after a fault, until there is one healthy owner with a ready heir again
HEARD_S = 0.3         # of media that a call must have to count as alive
PLACED_S = 20
PORTS_FIRST, PORTS_EACH, PORTS_RANGES = 10000, 2000, 24
LOG_BYTES = 4 << 20   # the disk that can be filled
SILENT_MS = 1000      # from here on somebody should look into it
LOGS_SAID = 5         # times that the agents' logs are shown


class Scene:
    """A lab in one mode, with everything that runs in it."""

    def __init__(self, build, scratch, name, mode, calls, say, timing="safe", settings=()):
        self.lab = Lab(build, scratch, name)
        self.build, self.scratch, self.mode, self.wanted, self.say = build, scratch, mode, calls, say
        self.timing, self.settings = timing, settings
        self.state = f"/run/sipflip-lab/{name}"
        self.log_dir = f"{self.state}/log"
        self.servers, self.farms, self.calls = {}, {}, set()
        self.next_call = self.lost_calls = self.placed_calls = self.ended_calls = 0
        self.refused_ends = 0
        self.starts = 0         # of servers
        self.upgrades = self.upgrade_lost = self.upgrade_received = 0
        self.findings_read = self.logs_said = 0
        self.evidence = None
        self.owner_then = None  # who owned when the fault under way began
        self.lost_in = []
        self.referee = self.vipwatch = None
        self.mounted = False
        self.voters = ("a", "b", "w") if mode == "witness" else ("a", "b")
        self.faults = 0
        self.broken = []       # what mends what is broken now, last first

    # --- up and down ---------------------------------------------------------------------------
    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def up(self):
        options = [word for line in self.settings for word in ("--set", line)]
        self.lab.lab("up", "--no-agents", "--server", "none", "--mode", self.mode, "--timing", self.timing, *options)
        run("mount", "-t", "tmpfs", "-o", f"size={LOG_BYTES},mode=755", "tmpfs", self.log_dir)
        self.mounted = True
        for port in MAC:
            self.inside("br", "ethtool", "-K", port, "gro", "off", check=False)
        self.clock_file = f"{self.scratch}/clock"
        self.step_clock(0)
        for node in self.voters:
            self.start_agent(node)
        for node in self.lab.nodes:
            self.start_server(node)
        self.marks_path = f"{self.scratch}/marks"
        with open(self.marks_path, "w", encoding="ascii"):
            pass
        self.wait_whole()
        for node in ("p1", "p2"):
            self.farms[node] = Farm(self.lab, node, "--sample", "100000")
        self.place(self.wanted)
        self.start_observers()

    def start_observers(self):
        self.findings = open(f"{self.scratch}/referee.json", "w+", encoding="ascii")
        errors = open(f"{self.scratch}/referee.err", "w+", encoding="ascii")
        self.referee = subprocess.Popen([self.lab.script, "referee", "--marks", self.marks_path], env=self.lab.env,
                                        stdout=self.findings, stderr=errors)
        with open(f"{self.scratch}/wire.json", "wb") as out:
            self.vipwatch = subprocess.Popen(
                # as the servers are: a client that gets no CPU would be taken for a silent VIP
                ["nsenter", f"--net={self.lab.netns('c')}", "chrt", "--rr", "1", f"{self.build}/tools/vipwatch",
                 "eth0", f"{self.lab.vip}:5060"], stdout=out, stderr=subprocess.DEVNULL)
        wait_for("the referee to look", lambda: open(f"{self.scratch}/referee.err").read(), 5)

    def __exit__(self, *_):
        self.mend()
        if self.evidence:
            self.evidence.end()
        for farm in self.farms.values():
            farm.end()
        for process in (self.vipwatch, self.referee):
            if process and process.poll() is None:
                process.terminate()
                process.wait(5)
        for server in self.servers.values():
            server.end()
        for node in self.voters:
            self.signal_agent(node, signal.SIGCONT)
        if self.mounted:
            run("umount", "-l", self.log_dir, check=False)
        self.lab.down()

    def objections(self):
        """
        What the referee found wrong since the last time it was asked, and the ends of the agents' logs then;
        and the faults in which the VIP was silent for much longer than nobody owned it.
        """
        time.sleep(0.05)  # it writes each 20 ms
        with open(f"{self.scratch}/referee.json", encoding="ascii") as f:
            f.seek(self.findings_read)
            text = f.read()
        text = text[:text.rfind("\n") + 1]
        self.findings_read += len(text)
        events = [json.loads(line) for line in text.splitlines()]
        wrong = [e for e in events if e["event"] in ("two-owners", "stranger", "not-owner") and not e.get("as_documented")
                 or e["event"] == "takeover" and not e["warranted"]]
        if wrong:
            self.say("the referee objects: " + json.dumps(wrong[:5]))
            self.say_logs()
        return wrong, [e for e in events if e["event"] == "fault" and e["silence_ms"] - e["nobody_ms"] > SILENT_MS]

    def say_logs(self, lines=25):
        self.logs_said += 1
        if self.logs_said > LOGS_SAID:
            return
        for node in self.voters:
            log = self.lab.lab("log", node, check=False).strip().splitlines()
            self.say(f"--- log of {node}\n" + "\n".join(log[-lines:]))

    def judgement(self):
        """Ends the observers: what happened, the referee's summary, its exit status, and what vipwatch saw."""
        for process in (self.vipwatch, self.referee):
            process.terminate()
            process.wait(10)
        self.findings.seek(0)
        events = [json.loads(line) for line in self.findings if line.strip()]
        with open(f"{self.scratch}/wire.json", encoding="ascii") as f:
            wire = json.load(f)
        return events[:-1], events[-1], self.referee.returncode, wire

    # --- programs ---------------------------------------------------------------------------------
    def inside(self, node, *argv, check=True):
        return self.lab.inside(node, *argv, check=check)

    def start_agent(self, node):
        """With a wall clock that can be stepped for it and its call keeper alone."""
        env = {**self.lab.env, "LD_PRELOAD": f"{self.build}/tools/clockstep.so", "CLOCKSTEP_FILE": self.clock_file}
        run(self.lab.script, "start-agent", node, env=env)

    def agent_pid(self, node):
        out = self.lab.lab("pid", node, "agent", check=False).strip()
        return int(out) if out.isdigit() else 0

    def keeper_pid(self, node):
        return self.status(node)[0].get("calls_pid", 0)

    def start_server(self, node):
        wait_for(f"the VIP on {node}", lambda: self.lab.vip in self.inside(node, "ip", "-o", "addr", check=False), 10)
        # Ports of its own: a server that gave out those of rescued calls would have its new calls silent (docs/media.md).
        first = PORTS_FIRST + PORTS_EACH * (self.starts % PORTS_RANGES)
        self.starts += 1
        self.servers[node] = TestServer(self.lab, node, "none", self.scratch, f"{first}-{first + PORTS_EACH - 1}")

    def signal_agent(self, node, number):
        pid = self.agent_pid(node)
        if pid:
            send_signal(pid, number)

    def pids(self, node):
        """Every program of the node, by name."""
        found = {"agent": self.agent_pid(node)}
        if node in self.servers:
            found["keeper"] = self.keeper_pid(node)
            found["server"] = self.servers[node].pid
        return {name: pid for name, pid in found.items() if pid}

    def status(self, node):
        """(instance, service) as the node's agent says, or empty ones."""
        out = run("timeout", "2", f"{self.build}/sipflip", "--run-dir", self.lab.run_dir(node), "status", "--json",
                  check=False)
        try:
            status = json.loads(out)
            return status["instance"], status["services"][0]
        except (ValueError, LookupError):
            return {}, {}

    def step_clock(self, ns):
        with open(self.clock_file, "r+b" if os.path.exists(self.clock_file) else "wb") as f:
            f.write(ns.to_bytes(8, "little", signed=True))
        os.chmod(self.clock_file, 0o644)

    # --- is it whole? ----------------------------------------------------------------------------
    def owner(self):
        """The one node whose word holds; None if there is none or two."""
        found = self.lab.lab("owner", check=False).split()
        return found[0] if len(found) == 1 else None

    def other(self, node):
        return "b" if node == "a" else "a"

    def is_whole(self):
        owner = self.owner()
        if not owner:
            return None
        for node in self.lab.nodes:
            instance, service = self.status(node)
            if not instance.get("calls_pid") or not service.get("replica_up"):
                return None
            if node == owner and not (service.get("role") == "owner" and service.get("heir_ready")):
                return None
        if "w" in self.voters and self.status("w")[1].get("role") != "witness":
            return None
        return owner

    def wait_whole(self):
        return wait_for("one healthy owner with a ready heir", self.is_whole, WHOLE_S, 0.05)

    def why_not_whole(self):
        seen = {node: {key: self.status(node)[1].get(key) for key in
                       ("role", "heir_ready", "not_ready", "replica_up", "owner")} for node in self.voters}
        return json.dumps({"words": self.lab.lab("words", check=False).split("\n"), **seen})

    # --- calls ----------------------------------------------------------------------------------------
    def place(self, count):
        if count <= 0:
            return
        first = self.next_call
        self.farms["p1"].must(f"place {count} 50 {first}")
        self.next_call += count

        def placed():
            status = self.farms["p1"].status()
            return not status["busy"] and not status["calling"]
        wait_for(f"{count} calls to be answered", placed, PLACED_S, 0.05)
        time.sleep(0.2)
        self.calls |= set(range(first, first + count))
        self.placed_calls += count
        self.check_calls(f"placing calls {first} to {first + count - 1}", set(range(first, first + count)))
        self.wait_replicated()

    def wait_replicated(self):
        """Until the standby holds every leg, as it does within ms on a machine that has time."""
        standby = self.other(self.owner() or "a")
        try:
            wait_for("the standby to hold all calls",
                     lambda: self.status(standby)[1].get("rescuable_calls", 0) >= len(self.calls), 5, 0.05)
        except Failed as failed:
            self.say(f"{failed}: {self.status(standby)[1].get('rescuable_calls')} of {len(self.calls)}")

    def alive(self, calls):
        """Those of the calls that are up and heard at both ends."""
        rows = {}
        for node, farm in self.farms.items():
            farm.must("window")
        time.sleep(HEARD_S)
        for node, farm in self.farms.items():
            path = f"{self.scratch}/calls-{node}.csv"
            farm.report(path)
            rows[node] = read_csv(path)
        self.rows = rows
        return {call for call in calls
                if all(call in rows[node] and rows[node][call]["state"] == UP and rows[node][call]["received"]
                       for node in rows)}

    def check_calls(self, why, calls=None):
        """Counts those of the calls (all of them) that did not get through it, and hangs up what is left of them."""
        calls = set(self.calls) if calls is None else calls
        gone = calls - self.alive(calls)
        if gone:  # media may need a moment more than the status
            time.sleep(1)
            gone = calls - self.alive(calls)
        if gone:
            self.lost_calls += len(gone)
            rows = [{node: {key: self.rows[node].get(call, {}).get(key) for key in
                            ("state", "received", "reinvites", "byes_seen", "ended_ns")} for node in self.rows}
                    for call in sorted(gone)[:3]]
            self.lost_in.append({"fault": why, "calls": len(gone), "rows": rows})
            self.say(f"{why}: {len(gone)} of {len(calls)} calls lost: {rows}")
            self.calls -= gone
            for node in self.farms:
                for call in gone:
                    if self.rows[node].get(call, {}).get("state") == UP:
                        self.farms[node].tell(f"bye 1 50 {call}")
                        time.sleep(0.05)
        return len(gone)

    def renew_calls(self, count):
        """The oldest hang up, as a call ends: by a BYE that the other end hears of; as many new ones come."""
        old = sorted(self.calls)[:count]
        for call in old:
            self.farms["p1"].must(f"bye 1 50 {call}")
            wait_for("the BYE", lambda: self.farms["p1"].status()["busy"] is False, 5, 0.02)

        def ended():
            self.alive(set())
            return all(self.rows["p1"][call]["bye"] == 200 and self.rows["p2"][call]["byes_seen"] for call in old)
        try:
            wait_for("the BYEs to arrive", ended, 8, 0.1)
        except Failed:
            self.refused_ends += len(old)
            self.say("a BYE did not arrive: " + str([(self.rows["p1"][c]["bye"], self.rows["p2"][c]["byes_seen"])
                                                     for c in old]))
        self.calls -= set(old)
        self.ended_calls += len(old)
        self.place(self.wanted - len(self.calls))

    # --- an upgrade -----------------------------------------------------------------------------------
    def restart_for_upgrade(self, node):
        """The agent leaves its data plane in place and ends, another goes on; counts what the phones lost meanwhile."""
        for farm in self.farms.values():
            farm.must("window")
        pid = self.agent_pid(node)
        send_signal(pid, signal.SIGUSR2)
        wait_for("the old agent to end", lambda: self.agent_pid(node) != pid, 10, 0.005)
        self.start_agent(node)
        self.wait_whole()
        time.sleep(0.3)
        for farm in self.farms.values():
            media = farm.report()["sampled"]
            self.upgrade_lost += media["lost"]
            self.upgrade_received += media["received"]
        self.upgrades += 1

    # --- marks -----------------------------------------------------------------------------------------
    def mark(self, *words):
        with open(self.marks_path, "a", encoding="ascii") as f:
            f.write(f"{now_ns()} {' '.join(words)}\n")

    def down(self, *nodes):
        """To be called before the node, its server or its link is broken; undone by mend()."""
        for node in nodes:
            self.mark("down", node)
            self.broken.insert(0, lambda node=node: self.mark("up", node))

    def later(self, mend, *args):
        """What mends what is about to be broken."""
        self.broken.insert(0, lambda: mend(*args))

    def mend(self):
        for mend in self.broken:
            try:
                mend()
            except (Failed, OSError) as failed:
                self.say(f"cannot mend: {failed}")
        self.broken = []


class PinnedMap:
    """Writes into a pinned BPF map by the bare system call."""

    OBJ_GET, UPDATE, DELETE = 7, 2, 3
    NUMBER = {"x86_64": 321, "aarch64": 280}

    def __init__(self, path):
        self.path = path

    def call(self, command, *words):
        attr = struct.pack(f"={len(words)}Q", *words)
        return ctypes.CDLL(None, use_errno=True).syscall(self.NUMBER[os.uname().machine], command, attr, len(attr))

    def each(self, command, keys, value=None):
        path = ctypes.create_string_buffer(self.path.encode())
        fd = self.call(self.OBJ_GET, ctypes.addressof(path), 0)
        if fd < 0:
            raise Failed(f"cannot open {self.path}")
        try:
            for key in keys:
                at = ctypes.create_string_buffer(key)
                into = ctypes.create_string_buffer(value or b"")
                self.call(command, fd, ctypes.addressof(at), ctypes.addressof(into), 0)
        finally:
            os.close(fd)

    def fill(self, keys, value):
        self.each(self.UPDATE, keys, value)

    def clear(self, keys):
        """A key that is not there is passed over."""
        self.each(self.DELETE, keys)


def send_signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
