# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `make lint` holds the documentation to: that it names what the code has, and all of it.

  options   sipflip.conf(5) has the keys that the parser knows, section by section
  counters  docs/counters.md has each reason and each counter of the daemons
  events    sipflipd(8) has each event that sipflipd logs
  commands  sipflip(8) and sipflipd(8) have each command and option, and its words: roles, plans
  json      sipflip(8) has each name that --json prints
  maps      docs/map-abi.md has each map
  packages  docs/dependencies.md has each that packaging/deps.sh installs
  targets   a make target that is shown exists
  files     so do files, folders, tests and links that are named
  index     docs/README.md leads to every page
  lines     prose is not wider than a screen

Every rule that compares two lists does it both ways. bites() breaks a small tree of its own in each
of these ways, so that no rule goes blind.
"""
import fnmatch
import os
import posixpath
import re
import tempfile

WIDTH = 160
# Names in code type that look like files of ours and are other people's, or made while running.
NOT_OURS = {"clockstep.so"}
# Commands of others, and one program's in another's manual: their options are not the page's own.
OTHERS = r"(systemctl|bpftool|scp|sipflip) "
ROOMS = ("bench/", "bpf/", "docs/", "include/", "packaging/", "tests/", "user/")
BUILT = {"bench": "bench", "tools": "tests/tools", "sim": "tests/sim", "unit": "tests/unit", "bpftest": "tests/bpf"}
SOURCE_NAME = re.compile(r"[\w.-]*\w\.(bpf\.c|c|h|def|proto|pml|py|sh|md|sysusers|service)")


class Tree:
    """The files of a checkout, by name relative to its root."""

    def __init__(self, root, files):
        self.root, self.files, self.names = root, set(files), {}
        self.folders = set()
        for path in files:
            self.names.setdefault(posixpath.basename(path), path)
            while path:
                path = posixpath.dirname(path)
                self.folders.add(path)

    def text(self, path):
        try:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def pages(self):
        return sorted(p for p in self.files if p.endswith(".md"))

    def all_text(self, folder, ends):
        return "\n".join(self.text(p) for p in sorted(self.files) if p.startswith(folder) and p.endswith(ends))


def differ(where, there, page, what, source):
    """A line for each name that only one of the two sets has."""
    return [f"{page}:1: {what} {name} of {source} is not in it" for name in sorted(where - there)] + [
        f"{page}:1: {what} {name} is not in {source}" for name in sorted(there - where)
    ]


# --- manuals ----------------------------------------------------------------
def plain(roff):
    """A line of roff as its reader sees it."""
    line = re.sub(r"\\f[BIRP]|\\&", "", roff).replace("\\-", "-").replace("\\(dq", '"').replace("\\ ", " ")
    return re.sub(r"^\.(B|BR|BI|RB|IR|I|RI|SM|SS|SH|TP)\b *", "", line)


def items(text, section=None):
    """The first words of the .TP items in a man page, or in its sections whose title has `section`."""
    found, here, lines = [], section is None, text.split("\n")
    for number, line in enumerate(lines):
        if re.match(r"\.(SH|SS)\b", line):
            here = section is None or section in plain(line)
        if here and line == ".TP" and number + 1 < len(lines):
            found.append(plain(lines[number + 1]))
    return found


def check_options(tree):
    page = "docs/man/sipflip.conf.5"
    parser, problems = tree.all_text("user/core/config", ".c"), []
    titles = {"root": "TOP LEVEL", "node": "SECTION node", "service": "SECTION service", "probe": "probe {",
              "calls": "calls {"}
    for name, title in titles.items():
        m = re.search(r"cfg_opt_t %s\[\] = \{(.*?)CFG_END" % name, parser, re.S)
        known = set(re.findall(r'VALUES?\("([\w-]+)"\)', m.group(1))) if m else set()
        told = set()
        for item in items(tree.text(page), title):
            told |= {word for word in re.sub(r'[",]', " ", item).split() if word == word.lower()}
        # Values of a key are items of their own, in quotes.
        told -= {item.strip('"') for item in items(tree.text(page), title) if item.startswith('"')} - known
        problems += differ(known, told, page, f"key ({title.split()[0]})", "the parser")
    return problems


def check_counters(tree):
    page = "docs/counters.md"
    known = set(re.findall(r"^REASON\((\w+),", tree.text("include/sipflip/reasons.def"), re.M))
    for macro in re.findall(r"#define \w+_COUNTERS\(X\)(.*?[^\\])\n", tree.all_text("user/", ".h"), re.S):
        known |= set(re.findall(r"X\((\w+),", macro))
    known |= set(re.findall(r"\bTELL\(\w+, (\w+), \"", tree.text("user/calls/tally.c")))
    control = tree.text("user/sentinel/control.c")
    known |= set(re.findall(r'put_counter\(c, "sipflipd", \w+, "(\w+)"', control))
    own = re.search(r"own\[\] = \{(.*?)\n\t\};", control, re.S)
    known |= set(re.findall(r'\{"(\w+)", "', own.group(1))) if own else set()
    told = set()
    for row in re.findall(r"^\| (`[^|]*)\|", tree.text(page), re.M):
        told |= set(re.findall(r"`(\w+)`", row))
    return differ(known, told, page, "counter", "the code")


def check_events(tree):
    page = "docs/man/sipflipd.8"
    known = set(re.findall(r"\bevent=([a-z-]+)", tree.all_text("user/sentinel/", ".c")))
    told = set()
    for item in items(tree.text(page), "EVENTS"):
        told |= set(item.replace(",", " ").replace('"', " ").split())
    return differ(known, told, page, "event", "sipflipd")


def check_commands(tree):
    page, main = "docs/man/sipflip.8", tree.text("user/cli/main.c")
    text = tree.text(page)
    commands = {re.split(r'[ "]', item)[0] for item in items(text, "COMMANDS")}
    problems = differ(set(re.findall(r'\{"(\w+)", cmd_', main)), commands, page, "command", "user/cli/main.c")
    for page, source in ((page, main), ("docs/man/sipflipd.8", tree.text("user/sentinel/main.c"))):
        known = set(re.findall(r'strcmp\([^;]*?"(--?[a-z][a-z-]*)"\)', source))
        known |= {"--" + name for name in re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', source)}
        known |= {"-" + name for name in re.sub(":", "", "".join(re.findall(r'getopt_long\(.*?"(.*?)"', source)))}
        told = set()
        for line in tree.text(page).split("\n"):
            if re.match(r"\.(BR?|BI|RB|IR)\b", line) and not re.match(OTHERS, plain(line).strip('"')):
                told |= set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", plain(line)))
        problems += differ(known, told, page, "option", "its program")
    roles = set(re.findall(r"^ROLE\((\w+),", tree.text("include/sipflip/roles.def"), re.M))
    plans = set(re.findall(r'X\(\w+, "(\w+)", (?:true|false),', tree.text("user/core/rescue_plan.h")))
    for names, title, what in ((roles, "ROLES", "role"), (plans, "PLANS", "plan")):
        told = set()
        for item in items(text, title):
            told |= set(item.replace(",", " ").replace('"', " ").split())
        problems += differ(names, told, "docs/man/sipflip.8", what, "the code")
    return problems


def check_json(tree):
    """Names alone: that two commands share one is no error."""
    page, known, told = "docs/man/sipflip.8", set(), set()
    for path in tree.files:
        if re.fullmatch(r"user/cli/\w+\.c", path):
            text = tree.text(path)
            known |= set(re.findall(r'\b(?:json_\w+|age|node_name)\([^,;"]*, "(\w+)"', text))
            if "json_" in text:
                known |= set(re.findall(r'^\s*\{"(\w+)", "[^"]*", t->', text, re.M))
    part = tree.text(page).partition(".SH JSON")[2].partition("\n.SH")[0].partition(".TP")[2]
    for line in part.split("\n"):
        if re.match(r"\.(B|BR) ", line):
            told |= set(re.findall(r"[a-z]\w+", re.sub(r'"[^"]*"', " ", line[3:])))
        if line.startswith(".RB "):
            told |= set(re.findall(r"[a-z]\w+", re.sub(r'"[^"]*"', " ", line[4:])))
    titles = set(re.findall(r"^\.TP\n\.B (\w+)$", ".TP" + part, re.M))
    return differ(known | titles, told, page, "JSON name", "user/cli/")


def check_maps(tree):
    page, problems = "docs/map-abi.md", []
    uses = {}
    for path in tree.files:
        if re.fullmatch(r"bpf/\w+\.bpf\.c", path) and path != "bpf/bench.bpf.c":
            uses[path[4:-6]] = set(re.findall(r"^MAP\((\w+)\);", tree.text(path), re.M))
    text = tree.text(page)
    told = set(re.findall(r"^\| `(\w+)` \|", text.partition("## Maps")[2].partition("\n## ")[0], re.M))
    problems += differ(set().union(*uses.values()), told, page, "map", "bpf/")
    told, last = {}, None
    for row in re.findall(r"^\|(.*)\|$", text.partition("## Programs")[2].partition("\n## ")[0], re.M):
        cells = [cell.strip(" `") for cell in row.split("|")]
        last = cells[0] or last
        if last in uses:
            told.setdefault(last, set()).update(cells[-1].split())
    for name in uses:
        problems += differ(uses[name], told.get(name, set()), page, f"map (of {name})", f"bpf/{name}.bpf.c")
    return problems


def check_packages(tree):
    page = "docs/dependencies.md"
    m = re.search(r'^packages="([^"]*)"', tree.text("packaging/deps.sh"), re.M)
    told = set()
    for row in re.findall(r"^\| (`[^|]*)\|", tree.text(page), re.M):
        told |= set(re.findall(r"`([^`]+)`", row))
    return differ(set(m.group(1).split()) if m else set(), told, page, "package", "packaging/deps.sh")


# --- what pages name ----------------------------------------------------------
def code_of(text):
    """(line number, text) of all that is in code type: blocks, indented lines, spans."""
    fenced, rows = False, []
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or re.match(r"( {4}|\t)\S", line):
            rows.append((number, line.strip(), True))
        else:
            rows += [(number, span, False) for span in re.findall(r"`([^`]+)`", line)]
    return rows


def check_targets(tree):
    makefile = tree.text("Makefile")
    known = set(re.findall(r"^([a-z][\w-]*):(?!=)", makefile, re.M)) | {"clean"} & set(makefile.split())
    problems = []
    for page in tree.pages():
        for number, code, _ in code_of(tree.text(page)):
            for target in re.findall(r"(?:^|[;&(] *|sudo )make ((?:\w+=\S+ )*[a-z][\w-]*)(?=$|[\s;&)])", code):
                if target.split()[-1] not in known:
                    problems.append(f"{page}:{number}: make {target}: there is no such target")
    return problems


def names_file(tree, page, word):
    """Whether a word in code type names something that is there; None when it is no name of ours."""
    word = word.rstrip(".,:;)").lstrip("(")
    if word in NOT_OURS:
        return True
    if re.search(r"[<>$=]|[A-Z]{4}", word):
        return None
    m = re.fullmatch(r"build/(bench|tools|sim|unit|bpftest)/(\w+)", word)
    if m:
        return "/".join((BUILT[m.group(1)], m.group(2))) + ".c" in tree.files
    if word.startswith(ROOMS):
        base = word.rstrip("/")
        if base in tree.files or base in tree.folders:
            return True
        # A test tool goes by its name; where it is built it is of no interest.
        if base.startswith("tests/tools/") and base + ".c" in tree.files:
            return True
        return any(fnmatch.fnmatch(f, base) for f in tree.files)
    if re.fullmatch(r"test_[\w*]+", word):
        name = re.sub(r"^test_fuzz_", "fuzz_", word)
        stems = {n.split(".")[0] for n in tree.names}
        return any(fnmatch.fnmatchcase(stem, name) for stem in stems)
    if SOURCE_NAME.fullmatch(word):
        return word in tree.names or any(f.endswith("/" + word) for f in tree.files)
    if re.fullmatch(r"[\w-]+\*\.[ch]", word):
        return any(fnmatch.fnmatch(n, word) for n in tree.names)
    return None


def check_files(tree):
    problems = []
    for page in tree.pages():
        text = tree.text(page)
        for number, code, _ in code_of(text):
            for word in code.split():
                if names_file(tree, page, word) is False:
                    problems.append(f"{page}:{number}: {word}: there is no such file")
        for number, line in enumerate(text.split("\n"), 1):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
                if path not in tree.files:
                    problems.append(f"{page}:{number}: link to {target}: there is no such file")
                elif anchor and anchor not in anchors(tree.text(path)):
                    problems.append(f"{page}:{number}: link to {target}: there is no such heading")
    return problems


def anchors(text):
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def check_index(tree):
    index = "docs/README.md"
    told = {"docs/" + t for t in re.findall(r"\]\(([\w.-]+\.md)\)", tree.text(index))}
    pages = {p for p in tree.pages() if posixpath.dirname(p) == "docs" and p != index}
    return differ(pages, told, index, "page", "docs/")


def check_lines(tree):
    problems = []
    for page in tree.pages():
        fenced = False
        for number, line in enumerate(tree.text(page).split("\n"), 1):
            fenced ^= line.lstrip().startswith("```")
            if len(line) > WIDTH and not fenced and not re.match(r"\||!\[|    |\t", line):
                problems.append(f"{page}:{number}: {len(line)} characters wide, more than {WIDTH}")
    return problems


RULES = (check_options, check_counters, check_events, check_commands, check_json, check_maps, check_packages, check_targets, check_files,
         check_index, check_lines)


def check(root, files):
    tree = Tree(root, files)
    return [problem for rule in RULES for problem in rule(tree)]


# --- the rules themselves -----------------------------------------------------
GOOD = {
    "Makefile": "demo:\n\ttrue\n",
    "user/core/config.c": 'cfg_opt_t root[] = {VALUE("key-file"),\n CFG_END()};\n'
                          'cfg_opt_t node[] = {VALUE("address"), CFG_END()};\n'
                          'cfg_opt_t service[] = {VALUES("vip"), CFG_END()};\n'
                          'cfg_opt_t probe[] = {VALUE("floor"), VALUE("ceiling"), CFG_END()};\n'
                          'cfg_opt_t calls[] = {VALUE("rescue"), CFG_END()};\n',
    "docs/man/sipflip.conf.5": '.SH "TOP LEVEL"\n.TP\n.B key\\-file\nx\n.SH "SECTION node \\(dqNAME\\(dq"\n.TP\n.B address\n'
                               '.SH "SECTION service \\(dqNAME\\(dq"\n.TP\n.B vip\n.SS probe { ... }\n.TP\n'
                               '.BR floor ", " ceiling\n.SS calls { ... }\n.TP\n.B rescue\n.RS\n.TP\n.B \\(dqoff\\(dq\n',
    "include/sipflip/reasons.def": 'REASON(seen, "x")\n',
    "include/sipflip/roles.def": "ROLE(heir, 2)\n",
    "user/core/dialog.h": '#define DIALOG_COUNTERS(X) \\\n\tX(made, "y") \\\n\tX(gone, "z")\nint f(int X);\n',
    "user/core/rescue_plan.h": '\tX(relay, "relay", true, "text")\n',
    "user/calls/tally.c": 'TELL(c, read_on, "x")\n',
    "user/sentinel/control.c": '\t} own[] = {\n\t        {"bad", "x"},\n\t};\nput_counter(c, "sipflipd", name, "late", "x")\n',
    "user/sentinel/main.c": '{"unload", no_argument}\n getopt_long(argc, argv, "c:", options\nlog_info("event=start version");\n',
    "user/cli/main.c": '\t{"status", cmd_status},\n\tif (!strcmp(a, "--json"))\n',
    "user/cli/json_user.c": '\tjson_text(&j, "name", s);\n\tage(j, "heard_ns", n);\n\t{"flipped", "it did", t->at},\n',
    "docs/man/sipflip.8": ".SH JSON\n.TP\n.B status\n.BR name \" (of it), \" heard_ns ,\n.RB ( flipped )\n.SH COMMANDS\n.TP\n.BR status \" [\" \\-\\-json ]\n.SH ROLES\n.TP\n.B heir\n.SH PLANS\n.TP\n.B relay\n",
    "docs/man/sipflipd.8": ".SH OPTIONS\n.TP\n.B \\-\\-unload\n.TP\n.BI \\-c FILE\n.B sipflip \\-\\-json\n.SH EVENTS\n.TP\n.B start\n",
    "bpf/in.bpf.c": "MAP(words);\nMAP(counts);\n",
    "docs/map-abi.md": "## Maps\n| `words` | array |\n| `counts` | ring |\n## Programs\n| `in` | XDP | words |\n| | TC | counts |\n",
    "packaging/deps.sh": 'packages="\ngcc\njq\n"\n',
    "docs/dependencies.md": "| `gcc` `jq` | tools |\n",
    "docs/counters.md": "| `seen` `made` | always |\n| `gone` `late` `bad` `read_on` | never |\n",
    "docs/README.md": "# Pages\n[m](map-abi.md) [c](counters.md) [d](dependencies.md) [self](#pages)\n",
    "README.md": "[docs](docs/README.md) `make demo` `user/core/config.c` `config.c` `test_it_works` `tests/netns/test_*` `build/tools/b` `tests/tools/b`\n",
    "tests/tools/b.c": "",
    "tests/netns/test_it_works": "",
}
# file, what is put in the place of what
BAD = (
    ("user/core/config.c", '"key-file"', '"key-folder"'),
    ("user/core/config.c", 'VALUE("floor"), ', ""),
    ("docs/man/sipflip.conf.5", "key\\-file", "key"),
    ("docs/man/sipflip.conf.5", ".B rescue\n", ".B rescue\n.TP\n.B rate\n"),
    ("include/sipflip/reasons.def", "REASON", 'REASON(new, "x")\nREASON'),
    ("user/core/dialog.h", "X(gone", "X(went"),
    ("user/calls/tally.c", "read_on", "read_off"),
    ("user/sentinel/control.c", '"late"', '"early"'),
    ("user/sentinel/control.c", '"bad"', '"worse"'),
    ("docs/counters.md", "`seen` ", ""),
    ("docs/counters.md", "`seen`", "`seen` `unseen`"),
    ("user/sentinel/main.c", "event=start", "event=stop"),
    ("docs/man/sipflipd.8", ".B start", ".B started"),
    ("user/cli/main.c", '"status"', '"state"'),
    ("user/cli/main.c", "--json", "--yaml"),
    ("user/sentinel/main.c", "unload", "load"),
    ("user/sentinel/main.c", "c:", "c:n:"),
    ("docs/man/sipflipd.8", "unload", "download"),
    ("user/cli/json_user.c", '"name"', '"title"'),
    ("user/cli/json_user.c", "heard_ns", "heard_us"),
    ("user/cli/json_user.c", "flipped", "flopped"),
    ("docs/man/sipflip.8", "heard_ns ,", "heard_ns \", \" seen_ns ,"),
    ("include/sipflip/roles.def", "heir", "owner"),
    ("user/core/rescue_plan.h", '"relay"', '"direct"'),
    ("bpf/in.bpf.c", "words", "word"),
    ("docs/map-abi.md", "XDP | words", "XDP | words vips"),
    ("docs/map-abi.md", "| TC | counts", "| TC |"),
    ("packaging/deps.sh", "jq", "spin"),
    ("README.md", "make demo", "make show"),
    ("README.md", "user/core/config.c", "user/core/conf.c"),
    ("README.md", "`config.c`", "`conf.c`"),
    ("README.md", "test_it_works", "test_it_fails"),
    ("README.md", "tests/netns/test_*", "tests/unit/test_*"),
    ("README.md", "build/tools/b", "build/tools/c"),
    ("README.md", "`tests/tools/b`", "`tests/tools/c`"),
    ("README.md", "`build/tools/b`", "`tests/b`"),
    ("README.md", "docs/README.md", "docs/index.md"),
    ("README.md", "[docs]", "x" * WIDTH + " [docs]"),
    ("docs/README.md", "#pages", "#page"),
    ("docs/README.md", "[c](counters.md)", ""),
)


def bites():
    """Problems if a rule refuses what is right or lets pass what is wrong."""
    problems = []
    with tempfile.TemporaryDirectory() as root:
        def write(path, text):
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
        for path, text in GOOD.items():
            write(path, text)
        problems += [f"tests/lint_docs.py:1: a rule refuses what is right: {p}" for p in check(root, GOOD)]
        for path, old, new in BAD:
            if old not in GOOD[path]:
                problems.append(f"tests/lint_docs.py:1: {path} has no {old!r} to break")
            write(path, GOOD[path].replace(old, new, 1))
            if not check(root, GOOD):
                problems.append(f"tests/lint_docs.py:1: no rule refuses {new!r} in {path}")
            write(path, GOOD[path])
    return problems
