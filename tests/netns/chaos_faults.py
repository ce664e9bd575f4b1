# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The faults that tests/netns/chaos injects. Each is a function of the scene and a
seeded random generator that breaks something, waits, and leaves what mends it in
scene.broken; it returns a few words on what exactly it did. What warrants a
takeover is said with scene.down() before it is broken: the owner's server, its
node or both its ways to a voter. All else is harmless, and a takeover then false.

A fault is broken for `hold` seconds at most; docs/chaos.md lists the kinds."""

import os
import signal
import subprocess
import time

from chaos_lab import MAC, Failed, PinnedMap, cpu_s, run, send_signal, wait_for

# kind -> (function, modes or None for all, split: may make two owners in modes "hold" and "arbiter")
KINDS = {}
HEAVY_LOSS = 20    # per cent from which a link counts as cut
SAFE_TRIP_MS = 20  # there and back and one echo, against a lease of 30


def fault(name, modes=None, split=()):
    def add(function):
        KINDS[name] = (function, modes, split)
        return function
    return add


def short_or_long(rng, hold, shortest=0.01, longest=10.0):
    """From 10 ms to 10 s, each order of magnitude as likely."""
    longest = min(longest, hold)
    return shortest * (longest / shortest) ** rng.random()


# --- the wire ------------------------------------------------------------------------------------
def pairs_of(nodes):
    return [(x, y) for x in nodes for y in nodes if x != y]


def block(scene, pairs):
    """The bridge does not forward from x to y any more."""
    for x, y in pairs:
        scene.inside("br", "ebtables", "-A", "FORWARD", "-i", x, "-o", y, "-j", "DROP")
        scene.later(scene.inside, "br", "ebtables", "-D", "FORWARD", "-i", x, "-o", y, "-j", "DROP")


def bad_wire(scene, rng, pairs, **options):
    argv = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", f"{value:g}")]
    process = subprocess.Popen(
        ["nsenter", f"--net={scene.lab.netns('br')}", f"{scene.build}/tools/badwire", "--seed",
         str(rng.randrange(1 << 30)), *argv, *(f"{x}:{y}={MAC[y]}" for x, y in pairs)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def end():
        process.terminate()
        process.communicate(timeout=5)
    scene.later(end)
    if process.stdout.readline() != b"ready\n":
        raise Failed("badwire does not start")
    block(scene, pairs)


def some_pairs(scene, rng):
    """All voters' ways, or one node's, or one direction between two."""
    every = pairs_of(scene.voters)
    choice = rng.randrange(3)
    if choice == 0:
        return "all", every
    node = rng.choice(scene.voters)
    if choice == 1:
        return f"of {node}", [p for p in every if node in p]
    pair = rng.choice(every)
    return f"{pair[0]}>{pair[1]}", [pair]


def impair(scene, rng, hold, cuts, **options):
    where, pairs = some_pairs(scene, rng)
    if cuts:
        scene.down(*scene.lab.nodes)  # it may move more than once
    bad_wire(scene, rng, pairs, **options)
    time.sleep(rng.uniform(0.5, 1) * hold)
    return f"{where} {options}"


@fault("loss", split=("hold",))
def loss(scene, rng, hold):
    return impair(scene, rng, hold, False, loss=rng.choice((1, 2, 5, 10)))


@fault("loss-heavy", split=("hold", "arbiter"))
def loss_heavy(scene, rng, hold):
    return impair(scene, rng, hold, True, loss=rng.uniform(HEAVY_LOSS, 30))


@fault("delay", split=("hold",))
def delay(scene, rng, hold):
    return impair(scene, rng, hold, False, delay_ms=rng.choice((0.5, 1, 3, 5)), jitter_ms=rng.uniform(0, 2))


@fault("delay-heavy", split=("hold", "arbiter"))
def delay_heavy(scene, rng, hold):
    return impair(scene, rng, hold, True, delay_ms=rng.uniform(10, 60), jitter_ms=rng.uniform(0, 40))


@fault("duplication", split=("hold",))
def duplication(scene, rng, hold):
    return impair(scene, rng, hold, False, dup=rng.uniform(5, 60), jitter_ms=rng.uniform(0, 3))


@fault("reordering", split=("hold",))
def reordering(scene, rng, hold):
    return impair(scene, rng, hold, False, reorder=rng.uniform(5, 40), jitter_ms=rng.uniform(0, 2))


@fault("corruption", split=("hold",))
def corruption(scene, rng, hold):
    return impair(scene, rng, hold, False, corrupt=rng.uniform(0.5, 8))


def keeps_a_voter(scene, owner, cut):
    return any((owner, v) not in cut and (v, owner) not in cut for v in scene.voters if v != owner)


def partition_of(scene, rng, hold, pairs):
    owner = scene.owner_then
    if not keeps_a_voter(scene, owner, pairs):
        scene.down(owner)
    block(scene, pairs)
    time.sleep(short_or_long(rng, hold, 0.02))
    return " ".join(f"{x}>{y}" for x, y in pairs)


@fault("partition", split=("hold", "arbiter"))
def partition(scene, rng, hold):
    """One voter alone, or two that do not hear each other; in two-node setups with or without the gateway."""
    nodes = (*scene.voters, "gw") if scene.mode == "arbiter" else scene.voters
    if rng.random() < 0.5:
        node = rng.choice(nodes)
        pairs = [p for p in pairs_of(nodes) if node in p]
    else:
        x, y = rng.sample(nodes, 2)
        pairs = [(x, y), (y, x)]
    return partition_of(scene, rng, hold, pairs)


@fault("partition-one-way", split=("hold", "arbiter"))
def partition_one_way(scene, rng, hold):
    """One direction between two, all that one says, all that one hears, or any mix."""
    nodes = (*scene.voters, "gw") if scene.mode == "arbiter" else scene.voters
    every, node = pairs_of(nodes), rng.choice(nodes)
    pairs = rng.choice(([rng.choice(every)], [p for p in every if p[0] == node], [p for p in every if p[1] == node],
                        rng.sample(every, rng.randint(1, len(every) - 1))))
    return partition_of(scene, rng, hold, pairs)


@fault("arbiter-gone", modes=("arbiter",))
def arbiter_gone(scene, rng, hold):
    pairs = [p for p in pairs_of((*scene.voters, "gw")) if "gw" in p]
    if rng.random() < 0.5:
        pairs = [p for p in pairs if rng.choice(scene.voters) in p]
    block(scene, pairs)
    time.sleep(short_or_long(rng, hold, 0.05))
    return " ".join(f"{x}>{y}" for x, y in pairs)


@fault("link-flap", split=("hold", "arbiter"))
def link_flap(scene, rng, hold):
    node, times = rng.choice(scene.voters), rng.randint(1, 4)
    if node == scene.owner_then:
        scene.down(node)
    silent = rng.random() < 0.5
    scene.later(scene.lab.join, node)
    for _ in range(times):
        scene.lab.lab("cut", node, *(["--silent"] if silent else []))
        time.sleep(short_or_long(rng, hold / times, 0.01, 0.5))
        scene.lab.join(node)
        time.sleep(rng.uniform(0, 0.1))
    return f"{node} {times} times{' silently' if silent else ''}"


@fault("node-cut", split=("hold",))
def node_cut(scene, rng, hold):
    node = rng.choice(scene.voters)
    if node == scene.owner_then:
        scene.down(node)
    scene.later(scene.lab.join, node)
    scene.lab.lab("cut", node, *(["--silent"] if rng.random() < 0.5 else []))
    time.sleep(short_or_long(rng, hold, 0.1))
    return node


# --- what stops for a while --------------------------------------------------------------------------
def stop_for(scene, rng, hold, pids):
    for pid in pids:
        scene.later(send_signal, pid, signal.SIGCONT)
    for pid in pids:
        send_signal(pid, signal.SIGSTOP)
    seconds = short_or_long(rng, hold)
    time.sleep(seconds)
    return f"{seconds * 1000:.0f} ms"


@fault("freeze-agent", split=("hold",))
def freeze_agent(scene, rng, hold):
    node = rng.choice(scene.voters)
    return f"{node} {stop_for(scene, rng, hold, [scene.agent_pid(node)])}"


@fault("freeze-keeper")
def freeze_keeper(scene, rng, hold):
    node = rng.choice(scene.lab.nodes)
    return f"{node} {stop_for(scene, rng, hold, [scene.keeper_pid(node)])}"


@fault("freeze-server")
def freeze_server(scene, rng, hold):
    node = rng.choice(scene.lab.nodes)
    if node == scene.owner_then:
        scene.down(node)
    return f"{node} {stop_for(scene, rng, hold, [scene.servers[node].pid])}"


def freeze_programs(scene, node):
    """All of the node's programs in one freezer, stopped at once; those that start meanwhile too."""
    group = f"/sys/fs/cgroup/freezer/sipflip-{scene.lab.name}-{node}"
    os.makedirs(group, exist_ok=True)

    def thaw():
        write(f"{group}/freezer.state", "THAWED")
        for pid in read_pids(group):
            write("/sys/fs/cgroup/freezer/cgroup.procs", str(pid))
        os.rmdir(group)
    scene.later(thaw)
    for pid in scene.pids(node).values():
        write(f"{group}/cgroup.procs", str(pid))
    write(f"{group}/freezer.state", "FROZEN")


@fault("freeze-node", split=("hold",))
def freeze_node(scene, rng, hold):
    """As a virtual machine that is paused: its programs stand still, and nothing comes out of it."""
    node = rng.choice(scene.voters)
    if node == scene.owner_then:
        scene.down(node)
    scene.later(scene.lab.join, node)
    scene.lab.lab("cut", node, "--silent")
    freeze_programs(scene, node)
    time.sleep(short_or_long(rng, hold))
    return node


@fault("freeze-programs", split=("hold",))
def freeze_all_programs(scene, rng, hold):
    """Every program of the node stands still, but its kernel lives."""
    node = rng.choice(scene.voters)
    if node == scene.owner_then:
        scene.down(node)
    freeze_programs(scene, node)
    time.sleep(short_or_long(rng, hold))
    return node


# --- what takes the CPU ------------------------------------------------------------------------------------
def hogs(scene, count, *prefix):
    for _ in range(count):
        process = subprocess.Popen([*prefix, "sh", "-c", "while :; do :; done"])

        def end(p=process):
            p.kill()
            p.wait()
        scene.later(end)


@fault("hogs")
def cpu_hogs(scene, rng, hold):
    """Busy loops of ordinary programs, several a core, some of a better nice value than anything here."""
    count = rng.randint(1, 3) * len(os.sched_getaffinity(0))
    nice = rng.choice((0, -10, -20))
    hogs(scene, count, "nice", "-n", str(nice))
    time.sleep(hold)
    return f"{count} at nice {nice}"


def real_time_hog(scene, rng, hold, priority):
    """On one core for a part of a second, and a node's programs may only run there."""
    node, cpu = rng.choice(scene.voters), rng.choice(sorted(os.sched_getaffinity(0)))
    pids = scene.pids(node)
    if rng.random() < 0.5:
        pids = {"agent": pids["agent"]}
    elif node == scene.owner_then:
        scene.down(node)
    every = ",".join(str(n) for n in sorted(os.sched_getaffinity(0)))
    for pid in pids.values():
        scene.later(lambda pid=pid: run("taskset", "-acp", every, str(pid), check=False))
        run("taskset", "-acp", str(cpu), str(pid), check=False)
    hogs(scene, 1, "taskset", "-c", str(cpu), "chrt", "-f", str(priority))
    time.sleep(min(rng.uniform(0.05, 0.6), hold))
    return f"core {cpu} of {node}'s {'+'.join(pids)}"


@fault("hog-above", split=("hold",))
def hog_above(scene, rng, hold):
    return real_time_hog(scene, rng, hold, 90)


@fault("hog-equal", split=("hold",))
def hog_equal(scene, rng, hold):
    return real_time_hog(scene, rng, hold, 50)


# --- what dies -------------------------------------------------------------------------------------------------
@fault("kill-agent", split=("hold",))
def kill_agent(scene, rng, hold):
    node = rng.choice(scene.voters)
    pid = scene.agent_pid(node)
    scene.later(scene.start_agent, node)
    send_signal(pid, signal.SIGKILL)
    wait_for("the agent to be gone", lambda: not scene.agent_pid(node), 5, 0.005)
    time.sleep(short_or_long(rng, hold, 0.01, 2))
    return node


@fault("kill-keeper")
def kill_keeper(scene, rng, hold):
    node = rng.choice(scene.lab.nodes)
    send_signal(scene.keeper_pid(node), signal.SIGKILL)
    time.sleep(rng.uniform(0, 0.3))
    return node


def kill_server_of(scene, rng, hold, node):
    if node == scene.owner_then:
        scene.down(node)
    scene.later(scene.start_server, node)
    scene.later(scene.servers[node].end)
    scene.servers[node].kill()
    time.sleep(short_or_long(rng, hold, 0.01, 2))


@fault("kill-server")
def kill_server(scene, rng, hold):
    node = scene.owner_then if rng.random() < 0.7 else scene.other(scene.owner_then)
    kill_server_of(scene, rng, hold, node)
    return node


@fault("kill-server-witness-gone", modes=("witness",))
def kill_server_without_witness(scene, rng, hold):
    """Two at once: the service must be handed over although a third of the votes is away."""
    scene.later(scene.lab.join, "w")
    scene.lab.lab("cut", "w")
    time.sleep(rng.uniform(0, 0.2))
    kill_server_of(scene, rng, hold, scene.owner_then)
    return scene.owner_then


# --- what runs out ----------------------------------------------------------------------------------------------
@fault("ring-full")
def ring_full(scene, rng, hold):
    """The call keeper stands still while SIP pours in: the capture ring fills, and what does not fit is counted."""
    node = scene.owner_then
    pid = scene.keeper_pid(node)
    scene.later(send_signal, pid, signal.SIGCONT)
    send_signal(pid, signal.SIGSTOP)
    flood = ("import socket,time\n"
             "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
             "t='OPTIONS sip:x SIP/2.0\\r\\nVia: SIP/2.0/UDP 10.9.0.20;branch=z9hG4bK%d;rport\\r\\nFrom: <sip:f@f>;tag=f"
             "\\r\\nTo: <sip:x>\\r\\nCall-ID: flood%d\\r\\nCSeq: 1 OPTIONS\\r\\nMax-Forwards: 70\\r\\nX-Fill: '"
             "+'f'*900+'\\r\\nContent-Length: 0\\r\\n\\r\\n'\n"
             "for n in range(4000):\n"
             " s.sendto((t%(n,n)).encode(),('10.9.0.100',5060))\n"
             " if n%40==0: time.sleep(0.01)\n")
    scene.inside("c", "python3", "-c", flood)
    return f"{node} 4000 datagrams"


@fault("maps-full")
def maps_full(scene, rng, hold):
    """No room for servers and their sockets: the standby's new server is not seen by the kernel, only by OPTIONS."""
    node = scene.other(scene.owner_then)
    pins = f"/sys/fs/bpf/sipflip/{scene.lab.name}-{node}"
    scene.later(scene.start_server, node)
    scene.servers[node].end()
    for name, key_bytes, value_bytes in (("servers", 4, 24), ("sockets", 8, 16)):
        table = PinnedMap(f"{pins}/{name}")
        keys = [(0x7e000000 + n).to_bytes(key_bytes, "little") for n in range(1024)]
        scene.later(table.clear, keys)
        table.fill(keys, bytes(value_bytes))
    scene.start_server(node)
    scene.later(lambda: scene.servers[node].end())
    owner = scene.wait_whole()  # an heir by OPTIONS alone
    if rng.random() < 0.5:
        return node
    scene.down(owner)
    scene.lab.lab("cli", owner, "switchover", "pbx")  # and, as the owner, missed by OPTIONS alone
    wait_for(f"{node} to own", lambda: scene.owner() == node, 5)
    scene.wait_whole()
    scene.down(node)
    scene.servers[node].kill()
    wait_for(f"{owner} to own", lambda: scene.owner() == owner, 10)
    return f"{node}, which owned then, and whose server was killed unseen"


@fault("no-descriptors", split=("hold",))
def no_descriptors(scene, rng, hold):
    """Neither a client nor a restarted call keeper finds a descriptor left."""
    node = rng.choice(scene.lab.nodes)
    pid, keeper = scene.agent_pid(node), scene.keeper_pid(node)
    limit = run("prlimit", "--nofile", "--noheadings", "--output", "SOFT,HARD", "--pid", str(pid)).split()
    scene.later(lambda: run("prlimit", f"--nofile={limit[0]}:{limit[1]}", "--pid", str(pid), check=False))
    run("prlimit", f"--nofile=3:{limit[1]}", "--pid", str(pid))
    killed = rng.random() < 0.5
    if killed:
        send_signal(keeper, signal.SIGKILL)
    used_s, began = -cpu_s(pid), time.monotonic()
    scene.status(node)  # a client that cannot be let in
    time.sleep(rng.uniform(0.3, 1) * hold)
    used_s += cpu_s(pid)
    if used_s > (time.monotonic() - began) / 2:
        raise Failed(f"the agent of {node} does nothing but turn: {used_s:.2f} s of CPU")
    return f"{node}{' and its call keeper killed' if killed else ''}"


@fault("disk-full")
def disk_full(scene, rng, hold):
    """The disk with the logs is full while something else happens that is logged."""
    path = f"{scene.log_dir}/filler"
    scene.later(lambda: os.path.exists(path) and os.unlink(path))
    try:
        with open(path, "wb") as f:
            while True:
                f.write(b"x" * 65536)
                f.flush()
    except OSError:
        pass
    if rng.random() < 0.5:
        return f"and {kill_server(scene, rng, hold)}'s server killed"
    send_signal(scene.keeper_pid(scene.owner_then), signal.SIGKILL)
    time.sleep(0.5)
    return f"and {scene.owner_then}'s call keeper killed"


@fault("no-memory")
def no_memory(scene, rng, hold):
    """The call keeper may have no further page while new calls come in; the kernel may kill it for that."""
    node = rng.choice(scene.lab.nodes)
    group = f"/sys/fs/cgroup/memory/sipflip-{scene.lab.name}"
    os.makedirs(group, exist_ok=True)

    def release():
        for pid in read_pids(group):
            write("/sys/fs/cgroup/memory/cgroup.procs", str(pid))
        os.rmdir(group)
    scene.later(release)
    write(f"{group}/memory.limit_in_bytes", str(rng.choice((4, 64, 256)) << 10))
    pid = scene.keeper_pid(node)
    write(f"{group}/cgroup.procs", str(pid))
    scene.place(2)
    time.sleep(rng.uniform(0, 0.5) * hold)
    with open(f"{group}/memory.failcnt", encoding="ascii") as f:
        refused = int(f.read())
    return f"{node}, {refused} times refused{'' if scene.keeper_pid(node) == pid else ' and killed'}"


# --- what an operator does ---------------------------------------------------------------------------------------
@fault("upgrade", modes=("witness",))
def upgrade(scene, rng, hold):
    """A new agent takes over from the old one; no packet of any call may be lost, and the word never lapses."""
    node = (scene.owner_then, scene.other(scene.owner_then), "w")[scene.upgrades % 3]
    scene.restart_for_upgrade(node)
    return node


@fault("switchover")
def switchover(scene, rng, hold):
    owner = scene.owner_then
    scene.down(owner)
    scene.lab.lab("cli", owner, "switchover", "pbx")
    time.sleep(rng.uniform(0, 0.2))
    return owner


@fault("clock-step")
def clock_step(scene, rng, hold):
    """The wall clock of every agent and call keeper leaps, forth and back."""
    ns = rng.choice((-1, 1)) * rng.choice((1, 60, 86400, 400 * 86400)) * 10**9
    for node in scene.lab.nodes:
        for pid in (scene.agent_pid(node), scene.keeper_pid(node)):
            with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
                if scene.clock_file not in f.read():
                    raise Failed(f"the wall clock of {pid} on {node} is not ours to step")
    scene.later(scene.step_clock, 0)
    scene.step_clock(ns)
    time.sleep(rng.uniform(0.3, 1) * hold)
    return f"{ns // 10**9:+d} s"


# --- small things ---------------------------------------------------------------------------------------------------
def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def read_pids(group):
    with open(f"{group}/cgroup.procs", encoding="ascii") as f:
        return [int(line) for line in f]
