"""The law of the house: which module may include what, and what nothing below cli/ may do.

Every .c and .h file is read, with comments and strings blanked. The law is first tried on a small
tree that breaks it in every way.

Usage: test_law.py BUILD_FOLDER
"""
import os
import re
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Whom a module may include, apart from itself.
MODULES = {
    "base": set(),
    "tensor": {"base"},
    "progressive": {"base", "tensor"},
    "policy": {"base", "tensor", "progressive"},
    "proto": set(),
    "sim": {"base", "tensor", "progressive", "policy"},
    "bridge": {"base", "tensor", "progressive", "policy", "proto"},
    "mpi": {"base", "policy"},
    "cli": {"base", "tensor", "progressive", "policy", "sim", "bridge", "mpi"},
    "tests": {"base", "tensor", "progressive", "policy", "sim", "bridge", "mpi", "proto", "cli"},
    "bench": {"base", "tensor", "progressive", "policy", "sim", "bridge", "mpi", "cli"},
}

# Where the headers of other people's libraries may appear: prefix of the header, modules or files.
LIBRARIES = {
    "mujoco/": {"sim"},
    "EGL/": {"sim"},
    "GL/": {"sim"},
    "zmq": {"bridge", "cli/bench_exchange.c"},  # which times bare sockets
    "protobuf-c/": {"bridge", "proto"},
    "mpi.h": {"mpi"},
    "lz4": {"bridge"},
    "zstd": {"bridge"},
    "cblas": {"tensor", "cli/bench_gemm.c"},  # which times the bare calls
    "yaml.h": {"base"},
    "jansson": {"tensor", "policy", "cli"},
    "getopt": {"cli"},
    "cairo": {"cli"},
    "hdf5": {"cli"},
    "CUnit/": {"tests"},
}

# What only a program may do: speak, end the process, look at its surroundings.
LOUD = re.compile(r"(?<![\w.>])(v?printf|puts|putchar|perror|psignal|stdout|stderr|exit|_exit|_Exit|"
                  r"quick_exit|abort|getenv|secure_getenv|setenv|putenv|environ|system|popen)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
BLANKED = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'", re.DOTALL)


def blank(text):
    """The text without comments, strings and characters; every line keeps its number."""
    return BLANKED.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def quoted_problem(module, header):
    owner = header.split("/")[0]
    if "/" not in header or owner not in MODULES:
        return "is not written from the root of the tree"
    if owner != module and owner not in MODULES[module]:
        return f"reverses the law: {module} may include {sorted(MODULES[module])}"
    return None


def library_problem(path, module, header):
    for prefix, places in LIBRARIES.items():
        if header.startswith(prefix) and not places & {module, path} and module not in ("tests", "bench"):
            return f"belongs in {sorted(places)}"
    return None


def problems_of(root, path):
    module = path.split("/")[0]
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    without = blank(text)
    for match in INCLUDE.finditer(text):
        line = text[:match.start(1 if match[1] else 2)].count("\n") + 1
        if "include" not in without.split("\n")[line - 1]:
            continue  # inside a comment
        problem = quoted_problem(module, match[1]) if match[1] else library_problem(path, module, match[2])
        if problem:
            yield f"{path}:{line}: {match[1] or match[2]} {problem}"
    if module in ("cli", "tests", "bench"):
        return
    for match in LOUD.finditer(INCLUDE.sub("", without)):
        line = without[:match.start()].count("\n") + 1
        yield f"{path}:{line}: {match[1]}: only cli/ speaks, exits or reads the environment"


def files_of(root):
    for module in MODULES:
        for parent, _, names in os.walk(os.path.join(root, module)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(parent, name), root)


def problems(root):
    return [problem for path in files_of(root) for problem in problems_of(root, path)]


# A file, and the words with which the law must object to it; None: it is in order.
TRIALS = [
    ("base/a.c", '#include "tensor/graph.h"', "reverses the law"),
    ("tensor/a.h", '#include "progressive/net.h"', "reverses the law"),
    ("policy/a.c", "\n\n#include <mujoco/mujoco.h>", "policy/a.c:3: mujoco/mujoco.h belongs in"),
    ("policy/b.c", "  #  include <zmq.h>", "belongs in"),
    ("policy/c.c", '#include "sim/task.h"', "reverses the law"),
    ("sim/a.c", '#include "bridge/link.h"', "reverses the law"),
    ("sim/b.c", '#include "proto/robot.pb-c.h"', "reverses the law"),
    ("bridge/a.c", '#include "sim/twin.h"', "reverses the law"),
    ("bridge/b.c", "#include <EGL/egl.h>", "belongs in"),
    ("policy/d.c", "#include <mpi.h>", "belongs in ['mpi']"),
    ("policy/e.c", '#include "mpi/ranks.h"', "reverses the law"),
    ("mpi/a.c", '#include "policy/peers.h"\n#include <mpi.h>', None),
    ("sim/c.c", '#include "cli/cli.h"', "reverses the law"),
    ("sim/d.c", '#include "task.h"', "from the root of the tree"),
    ("sim/sub/e.c", "#include <protobuf-c/protobuf-c.h>", "belongs in"),
    ("base/b.c", 'void f(void) {\n    printf("x");\n}', "base/b.c:2: printf"),
    ("base/c.c", 'void f(void) { fprintf(stderr, "x"); }', "stderr"),
    ("base/d.c", "void f(void) { exit(1); }", "exit"),
    ("base/e.c", "/* x */ void f(void) { /* y */ abort(); }", "abort"),
    ("base/f.c", 'const char *f(void) { return getenv("X"); }', "getenv"),
    ("base/g.c", '// exit(1);\n/* #include "sim/task.h"\n#include "sim/task.h"\n */\n'
                 'char c = \'"\'; const char *s = "abort();"; FILE *f; // "', None),
    ("base/h.c", "void f(plant *p) { p->system(p); p->abort = 0; assert(p); }", None),
    ("sim/g.c", '#include "policy/env.h"\n#include <mujoco/mujoco.h>\n#include <stdlib.h>', None),
    ("cli/bench_gemm.c", "#include <cblas.h>", None),
    ("cli/b.c", "#include <cblas.h>", "belongs in"),
    ("cli/a.c", '#include "sim/twin.h"\n#include "bridge/plant.h"\nvoid f(void) { exit(0); }', None),
]


def try_the_law():
    with tempfile.TemporaryDirectory() as root:
        for path, text, _ in TRIALS:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text + "\n")
        found = problems(root)
        for path, text, words in TRIALS:
            mine = [problem for problem in found if problem.startswith(path + ":")]
            if words is None:
                assert not mine, f"the law objects to what is in order: {mine}"
            else:
                assert len(mine) == 1 and words in mine[0], f"{text}: {mine}"


def main():
    try_the_law()
    count = sum(1 for _ in files_of(SOURCE))
    assert count > 100, f"only {count} files found below {SOURCE}"
    found = problems(SOURCE)
    print("\n".join(found) or f"{count} files obey the law")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
