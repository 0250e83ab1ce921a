#!/usr/bin/env python3
"""./dev bench [NAME [OPTIONS]]: runs benchmarks and writes what came out to bench/results/<cpu>/NAME.json.

Without a name: those that take minutes (train, net, gemm, column, link). The others have scripts of their own,
bench/NAME.py, and say with --help what they can. docs/performance.md explains how to read the results.
"""
import json
import os
import shlex
import subprocess
import sys

import results
from colonnade import PROGRAM

BENCH = os.path.dirname(os.path.abspath(__file__))
TESTS_PYTHON = os.path.join(results.ROOT, ".deps", "venv", "bin", "python3")
BENCH_PYTHON = os.path.join(results.ROOT, ".deps", "bench-venv", "bin", "python3")


def measure(*arguments):
    """Runs `colonnade bench ARGUMENTS`, lets its words through, returns its JSON."""
    command = [PROGRAM, "bench", *arguments]
    print("$ colonnade bench " + " ".join(arguments), flush=True)
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as process:
        last = ""
        for line in process.stdout:
            if last:
                print("  " + last, flush=True)
            last = line.rstrip("\n")
    if process.returncode != 0:
        sys.exit(f"bench: '{' '.join(command)}' ended with status {process.returncode}")
    return json.loads(last)


def train(*options):
    tasks = ("reach", "jaco_reach")
    measured = {task: measure("train", os.path.join("scenes", task + ".yaml"), *options) for task in tasks}
    return measured, measured[tasks[0]]["threads"]


def net(*options):
    peer = shlex.join((BENCH_PYTHON, os.path.join(BENCH, "net_peer.py")))
    return measure("net", "--peer", peer, *options), 1


def gemm(*options):
    return measure("gemm", *options), 1


def column(*options):
    return {f"width_{width}": measure("column", "--width", str(width), *options) for width in (64, 256)}, 1


def link(*options):
    # The log is judged at a rate that control may have: faster than the disk it only loses messages.
    return {"one_after_the_other": measure("link", "--seconds", "1", *options),
            "rate_1000_hz": measure("link", "--rate", "1000", "--seconds", "4", *options)}, 1


PROGRAMS = {"train": train, "net": net, "gemm": gemm, "column": column, "link": link}


def scripts():
    """Benchmarks that are scripts of their own: they write their results themselves."""
    others = {"run.py", "results.py", "colonnade.py", "demo.py"}
    return sorted(name[:-3] for name in os.listdir(BENCH)
                  if name.endswith(".py") and name not in others and not name.endswith("_peer.py"))


def main():
    os.chdir(results.ROOT)
    name, options = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else (None, [])
    if name in scripts():
        python = BENCH_PYTHON if name == "peers" else TESTS_PYTHON
        os.execv(python, [python, os.path.join(BENCH, name + ".py"), *options])
    if name is not None and name not in PROGRAMS:
        sys.exit(f"bench: there is no benchmark '{name}'; there are: {', '.join([*PROGRAMS, *scripts()])}")
    for each in [name] if name else PROGRAMS:
        data, threads = PROGRAMS[each](*options)
        print("written to " + os.path.relpath(results.write(each, data, threads)), flush=True)


if __name__ == "__main__":
    main()
