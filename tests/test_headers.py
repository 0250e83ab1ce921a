"""Every header compiles alone, and twice, with the flags of its module; its guard is CN_<PATH>_H.

Usage: test_headers.py BUILD_FOLDER
"""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULES = ("base", "tensor", "progressive", "policy", "sim", "proto", "bridge", "mpi", "cli", "tests", "bench")


def compilers(build):
    """The compiler and its flags for every folder that has a .c file, warnings included."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    found = {}
    for command in commands:
        words = shlex.split(command["command"])
        flags = [word for word in words[1:words.index("-o")] if not word.startswith("-O")]
        found.setdefault(os.path.relpath(os.path.dirname(command["file"]), SOURCE),
                         [words[0], *flags, "-Werror"])
    return found


def compiler_of(header, known):
    """That of the header's folder, or else of the nearest folder above or below."""
    folder = os.path.dirname(header)
    while folder:
        for other in sorted(known):
            if other == folder or other.startswith(folder + "/"):
                return known[other]
        folder = os.path.dirname(folder)
    return known["base"]


def compile_alone(header, command):
    """What the compiler says of a file that includes nothing but the header, twice."""
    text = f'#include "{header}"\n#include "{header}"\ntypedef int cn_not_empty;\n'
    # A header of tests defines helpers that not every test needs.
    result = subprocess.run([*command, "-Wno-unused-function", f"-I{SOURCE}", "-fsyntax-only", "-x",
                             "c", "-"], input=text, text=True, capture_output=True, check=False)
    return result.stderr if result.returncode else ""


def guard_problem(header, text):
    wanted = "CN_" + re.sub(r"[/.-]", "_", header).upper()
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split("\n")
    code = [line for line in code if line.strip()]
    if code[:2] == [f"#ifndef {wanted}", f"#define {wanted}"] and code[-1].startswith("#endif"):
        return ""
    return f"its guard is not {wanted}, around everything"


def problem_of(header, known):
    with open(os.path.join(SOURCE, header), encoding="utf-8") as file:
        problem = guard_problem(header, file.read())
    return problem or compile_alone(header, compiler_of(header, known))


def try_the_checks(known):
    good = "/* x */\n#ifndef CN_SIM_A_B_H\n#define CN_SIM_A_B_H\nint f(void);\n#endif\n"
    assert guard_problem("sim/a-b.h", good) == ""
    assert guard_problem("sim/c.h", good) != ""
    assert guard_problem("sim/a-b.h", "int g(void);\n" + good) != ""
    assert guard_problem("sim/a-b.h", good + "int g(void);\n") != ""
    assert "no-such.h" in compile_alone("base/no-such.h", known["base"])
    assert compile_alone("stdio.h", known["base"]) == ""


def main():
    known = compilers(sys.argv[1])
    try_the_checks(known)
    headers = sorted(os.path.relpath(os.path.join(parent, name), SOURCE)
                     for module in MODULES for parent, _, names in os.walk(os.path.join(SOURCE, module))
                     for name in names if name.endswith(".h"))
    assert len(headers) > 50, headers
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = list(pool.map(lambda header: problem_of(header, known), headers))
    failures = [f"{header}: {problem}" for header, problem in zip(headers, problems) if problem]
    print("\n".join(failures) or f"{len(headers)} headers compile alone")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
