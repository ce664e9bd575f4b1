# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The systems that are compared. Each keeps the VIP on node a or b of a lab and
can be told what a case needs told. Used by bench/takeover and bench/soak-false.

A system stays up for a block of cases: up() makes the lab, then the driver starts
the servers, then start(). After each case the driver restores what it broke and
waits with wait_ready(), which returns the node that has the VIP."""

import json
import os
import signal

from lib_lab import Failed, Process, run, wait_for


FLOOR_US = 30000  # sipflip's `floor` and `ceiling` by default
CEILING_US = 1000000


class System:
    """What bench/takeover asks of a system; methods that do nothing are those most systems do not need."""

    name = ""
    cases = ("killed", "hung", "cut", "switchover", "switchover-1k", "big-killed", "big-core")
    one_run_in = 1  # measured in each run, or in every fourth

    def __init__(self, lab):
        self.lab = lab

    @staticmethod
    def other(node):
        return "b" if node == "a" else "a"

    @staticmethod
    def phase_s(case):
        """The failure comes at a random moment of this long: the period of what is to notice it."""
        return 0.02

    def server_killed(self, node):
        """Called at once after the kill."""

    def server_restarted(self, node):
        """A new server listens on node."""

    def explain(self):
        """What the system's own logs say last, for a run that could not be measured."""
        return ""

    def wait_probed(self, node):
        """The owner's server has been watched long enough to notice when it hangs."""

    def switchover(self, node):
        """Asks the owner to hand over; may return before it has."""

    def after_switchover(self, node):
        """The VIP has moved away from node: restores what switchover() changed."""


class Bare(System):
    """No failover at all: the VIP is an address of node a. The noise of machine and client."""

    name = "baseline"
    cases = ("none",)

    def up(self):
        self.lab.lab("up", "--no-agents")
        self.lab.lab("vip", "a")
        self.lab.inside("b", "sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1")

    def start(self):
        pass

    def down(self):
        pass

    def wait_ready(self):
        return "a"


class Sipflip(System):
    """sipflipd on a, b and the witness, from the build that is measured."""

    timing = ""

    def up(self):
        self.lab.lab("up", "--timing", self.timing, "--server", "none")

    def start(self):
        """The lab has started the agents."""

    def down(self):
        pass

    def status(self, node):
        out = run(f"{self.lab.build}/sipflip", "--run-dir", self.lab.run_dir(node), "status", "--json", check=False)
        try:
            return json.loads(out)["services"][0]
        except (ValueError, LookupError):
            return {}

    def ready_owner(self):
        for node in self.lab.nodes:
            status = self.status(node)
            if status.get("role") == "owner" and status.get("heir_ready"):
                return node
        return None

    def wait_ready(self):
        try:
            return wait_for(f"an owner with a ready heir ({self.name})", self.ready_owner, 15)
        except Failed as failed:
            seen = {node: {key: self.status(node).get(key) for key in ("role", "heir_ready", "not_ready")}
                    for node in self.lab.nodes}
            raise Failed(f"{failed}: {seen}") from None

    def explain(self):
        return " || ".join(f"{node}: {self.lab.log_of(node)}" for node in (*self.lab.nodes, "w"))

    def wait_probed(self, node):
        """The limit starts at the ceiling and comes down to the floor with the answers seen, unless the machine
        is too busy for the server to answer that quickly."""
        def limit_us():
            return self.status(node).get("server", {}).get("limit_us", 0)
        try:
            wait_for(f"the limit of {node}'s server to come down", lambda: 0 < limit_us() <= FLOOR_US, 10)
        except Failed:
            if not 0 < limit_us() < CEILING_US:
                raise

    def switchover(self, node):
        run(f"{self.lab.build}/sipflip", "--run-dir", self.lab.run_dir(node), "switchover", "pbx")


class SipflipSafe(Sipflip):
    name = "sipflip-safe"
    timing = "safe"


class SipflipFast(Sipflip):
    name = "sipflip-fast"
    timing = "fast"


KEEPALIVED = """\
global_defs {{
    router_id {node}
    {globals}
}}
{checks}
vrrp_instance vip {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int {advert}
    unicast_src_ip {own}
    unicast_peer {{ {peer} }}
    {instance}
    virtual_ipaddress {{ {vip}/24 }}
}}
"""


class Keepalived(System):
    """keepalived, one per node. Equal priorities: whoever has the VIP keeps it."""

    globals = ""
    priority = 100
    advert = "1"
    instance = ""
    checks = ""
    script = ""

    def __init__(self, lab):
        super().__init__(lab)
        self.processes = {}
        self.dir = f"{lab.dir}/{self.name}"

    def file(self, node, what):
        return f"{self.dir}/{what}-{node}"

    def write(self, node, what, value):
        with open(self.file(node, what), "w", encoding="ascii") as f:
            f.write(f"{value}\n")

    def config(self, node):
        other = self.other(node)
        fill = {"script": self.file(node, "check"), "told": self.file(node, "told"),
                "pref": self.file(node, "pref")}
        return KEEPALIVED.format(node=node, globals=self.globals, priority=self.priority, advert=self.advert,
                                 own=self.lab.addresses[node], peer=self.lab.addresses[other], vip=self.lab.vip,
                                 checks=self.checks.format(**fill), instance=self.instance)

    def start_on(self, node):
        # -G: without a syslogd each line would go to the slow console, at keepalived's expense.
        argv = ["keepalived", "-n", "-l", "-G", "-P", "-f", self.file(node, "conf"), "-p", self.file(node, "pid"),
                "-r", self.file(node, "vrrp_pid")]
        self.processes[node] = Process(self.lab.netns(node), argv, self.file(node, "log"))

    def up(self):
        self.lab.lab("up", "--no-agents")
        for node in self.lab.nodes:
            self.lab.inside(node, "sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1")

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        for node in self.lab.nodes:
            for leftover in ("log", "pid", "vrrp_pid"):
                if os.path.exists(self.file(node, leftover)):
                    os.unlink(self.file(node, leftover))
            self.write(node, "told", 0)
            self.write(node, "pref", 0)
            with open(self.file(node, "conf"), "w", encoding="ascii") as f:
                f.write(self.config(node))
            with open(self.file(node, "check"), "w", encoding="ascii") as f:
                f.write(self.script.format(vip=self.lab.vip))
            os.chmod(self.file(node, "check"), 0o755)
            self.start_on(node)

    def down(self):
        for process in self.processes.values():
            process.end()

    def state(self, node):
        """The last state keepalived logged."""
        with open(self.file(node, "log"), errors="replace") as f:
            entered = [line for line in f if "Entering " in line and "STATE" in line]
        return entered[-1].split("Entering ")[1].split()[0] if entered else ""

    def owner(self):
        states = {node: self.state(node) for node in self.lab.nodes}
        masters = [node for node, state in states.items() if state == "MASTER"]
        backups = [node for node, state in states.items() if state == "BACKUP"]
        return masters[0] if len(masters) == 1 and len(backups) == 1 else None

    def wait_ready(self):
        def check():
            for node, process in self.processes.items():
                if not process.alive():
                    raise Failed(f"keepalived on {node} ended: {process.log_tail()}")
            return self.owner()
        return wait_for(f"one MASTER and one BACKUP of {self.name}", check, 20)


# The standby must not judge the master's server by its own VIP: asked there, it
# would answer for the other node. So a node checks only while the VIP is its own.
CHECK = """\
#!/bin/sh
ip -4 -o addr show dev eth0 | grep -q ' {vip}/' || exit 0
exec sipsak %s -s sip:check@{vip}:5060 >/dev/null 2>&1
"""


class KeepalivedFastest(Keepalived):
    """VRRPv3, advert 10 ms, real-time, told of a kill by a file; a hung server is found by script, each second."""

    name = "keepalived-fastest"
    globals = "vrrp_version 3\n    vrrp_rt_priority 50\n    vrrp_no_swap\n    vrrp_garp_master_delay 1"
    priority = 253  # the skew before a backup takes over is (256 - priority) / 256 of an advert
    advert = "0.01"
    checks = """\
track_file told {{ file "{told}"
    weight 0 }}
track_file pref {{ file "{pref}"
    weight 1 }}
vrrp_script check {{ script "{script}"
    interval 1
    timeout 1
    fall 1
    rise 1
    user root }}
"""
    instance = "track_file { told\n pref }\n    track_script { check }"
    script = CHECK % "--timer-t1=50 --timeout-factor=4"

    @staticmethod
    def phase_s(case):
        return 1.0 if case == "hung" else 0.02

    def server_killed(self, node):
        self.write(node, "told", 1)

    def server_restarted(self, node):
        self.write(node, "told", 0)

    def switchover(self, node):
        """The standby's priority rises: it takes over before the master has let go."""
        self.write(self.other(node), "pref", 1)

    def after_switchover(self, node):
        self.write(self.other(node), "pref", 0)


class KeepalivedDefaultPriority(KeepalivedFastest):
    """The same with the priority that keepalived has by default: the skew is 6 ms instead of 0.1."""

    name = "keepalived-p100"
    priority = 100
    cases = ("killed", "cut")


class KeepalivedUsual(Keepalived):
    """As people run it: advert 1 s, sipsak each second, down after two failures."""

    name = "keepalived-usual"
    cases = ("killed", "hung", "cut", "switchover")
    one_run_in = 4
    advert = "1"
    checks = """\
vrrp_script check {{ script "{script}"
    interval 1
    timeout 1
    fall 2
    rise 1
    user root }}
"""
    instance = "track_script { check }"
    script = CHECK % ""

    @staticmethod
    def phase_s(case):
        return 1.0

    def switchover(self, node):
        """Stopped on the master: its last advert says so."""
        self.processes[node].send_signal(signal.SIGTERM)

    def after_switchover(self, node):
        self.processes[node].end()
        os.unlink(self.file(node, "log"))
        self.start_on(node)


SYSTEMS = {system.name: system for system in (Bare, SipflipSafe, SipflipFast, KeepalivedFastest,
                                              KeepalivedDefaultPriority, KeepalivedUsual)}
