# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What explains a failure afterwards: the last frames on the bridge that claim the VIP,
carry SIP or are the voters' own, what every agent says, its log, and the calls as
both nodes knew them before and after. Written to a folder when something failed and
only then; bounded in size and number. Judges nothing. Used by tests/netns/chaos."""

import glob
import os
import shutil
import subprocess

from chaos_lab import run, wait_for

SNAPSHOTS = 4                  # of one run
RING_FILES, RING_MB = 4, 2     # frames kept, in tcpdump's millions of bytes
# No media, and of the OPTIONS that vipwatch sends from c all the time only the heads.
CAPTURES = {"br": ("1600", "arp or icmp or (udp and (port 5060 or port 5070 or port 7473) and not host 10.9.0.20)"),
            "options": ("96", "udp and port 5060 and host 10.9.0.20")}
ASKED = (("status", "--json"), ("dialogs", "--json"), ("takeovers", "--json"), ("events", "--json"),
         ("counters", "--json"))


class Evidence:
    """Of one scene. directory: made when there is something to keep."""

    def __init__(self, scene, directory):
        self.scene, self.directory, self.kept, self.calls_then = scene, directory, 0, {}
        shutil.rmtree(directory, ignore_errors=True)
        self.frames = f"{scene.scratch}/frames"
        os.makedirs(self.frames)
        self.tcpdumps = [subprocess.Popen(
            ["nsenter", f"--net={scene.lab.netns('br')}", "nice", "tcpdump", "-i", "any", "-U", "-s", snap, "-Z", "root",
             "-C", str(RING_MB), "-W", str(RING_FILES), "-w", f"{self.frames}/{name}.pcap", which],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for name, (snap, which) in CAPTURES.items()]

    def start(self):
        for name in CAPTURES:
            wait_for("tcpdump to look", lambda name=name: glob.glob(f"{self.frames}/{name}.pcap*"), 10)

    def end(self):
        for tcpdump in self.tcpdumps:
            tcpdump.terminate()
            tcpdump.wait(10)

    def ask(self, node, *argv):
        return run("timeout", "3", f"{self.scene.build}/sipflip", "--run-dir", self.scene.lab.run_dir(node), *argv,
                   check=False)

    def note_calls(self):
        """The calls as both nodes know them before something is broken."""
        if self.kept < SNAPSHOTS:
            self.calls_then = {node: self.ask(node, "dialogs", "--json") for node in self.scene.lab.nodes}

    def keep(self, why):
        """Returns where it was put, or None if there is enough already."""
        if self.kept == SNAPSHOTS:
            return None
        self.kept += 1
        into = f"{self.directory}/{self.kept}"
        os.makedirs(into)
        self.write(f"{into}/why.txt", why + "\n" + self.scene.lab.lab("words", check=False))
        self.write(f"{into}/neighbours.txt", "".join(f"--- {node}\n" + self.scene.inside(node, "ip", "neigh", check=False)
                                                     for node in ("c", "p1", "p2", "gw", *self.scene.lab.nodes)))
        for node, text in self.calls_then.items():
            self.write(f"{into}/{node}.dialogs-before.json", text)
        for node in self.scene.voters:
            for argv in ASKED:
                self.write(f"{into}/{node}.{argv[0]}.json", self.ask(node, *argv))
        for path in (*glob.glob(f"{self.scene.log_dir}/*.agent"), *glob.glob(f"{self.scene.scratch}/*.*"),
                     self.scene.marks_path, *glob.glob(f"{self.frames}/*")):
            if os.path.isfile(path):
                shutil.copy(path, into)
        return into

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
