#!/usr/bin/env python3
"""./dev fuzz [SECONDS [NAME]]: runs every fuzz target, or one, for some seconds and says what came out.

A target starts from its corpus in the repository and from what earlier runs found worth keeping, in
build/fuzz/corpus/NAME. An input that breaks it lands in build/fuzz/finds. Ends with status 1 if there is one.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join("build", "fuzz")
PROGRAMS = os.path.join(BUILD, "tests", "fuzz")
FINDS = os.path.join(BUILD, "finds")
HANG_S = 25  # for one input
MEMORY_MB = 2048  # of the process, and in one allocation

# What libFuzzer prints of its progress, and at the end.
STATE = re.compile(r"^#\d+\s.* cov: (\d+) .*corp: (\d+)/")
STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)")
FIND = re.compile(r"Test unit written to (\S+)")


def targets():
    return sorted(name[len("fuzz_"):] for name in os.listdir(PROGRAMS) if name.startswith("fuzz_"))


def environment(folder):
    """Sanitizers end at the first error; the files that targets write are in memory where that can be."""
    return {**os.environ, "TMPDIR": folder, "ASAN_OPTIONS": "detect_leaks=1:allow_addr2line=1",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
            "LSAN_OPTIONS": f"suppressions={os.path.join(ROOT, 'tests', 'lsan.supp')}"}


def show(text):
    """A line that the next one replaces; nothing where nobody looks."""
    if sys.stdout.isatty():
        print("\r\033[K" + text, end="", flush=True)


def fuzz(name, seconds, folder):
    """Runs one target; returns its edges, inputs, executions a second, finds, and what it said."""
    corpus = os.path.join(BUILD, "corpus", name)
    os.makedirs(corpus, exist_ok=True)
    command = [os.path.join(PROGRAMS, "fuzz_" + name), f"-max_total_time={seconds}", f"-timeout={HANG_S}",
               f"-rss_limit_mb={MEMORY_MB}", "-print_final_stats=1", f"-artifact_prefix={FINDS}/{name}-",
               corpus, os.path.join("tests", "fuzz", "corpus", name)]
    edges = inputs = "0"
    statistics, finds, said, began = {}, [], [], time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment(folder), text=True,
                          errors="replace") as process:
        for line in process.stderr:
            if match := STATE.match(line):
                edges, inputs = match.groups()
                show(f"{name:14} {time.monotonic() - began:4.0f} of {seconds} s, {edges} edges, {inputs} inputs")
            elif match := STATISTIC.match(line):
                statistics[match[1]] = int(match[2])
            else:
                said.append(line.rstrip())
            if match := FIND.search(line):
                finds.append(match[1])
    show("")
    broken = process.returncode != 0
    return {"edges": int(edges), "inputs": int(inputs), "executions": statistics.get("number_of_executed_units", 0),
            "rate": statistics.get("average_exec_per_sec", 0), "broken": broken, "finds": finds, "said": said}


def reason(said):
    """The lines from the first that names what is wrong."""
    for i, line in enumerate(said):
        if re.search(r"does not hold|runtime error|ERROR: ", line):
            return said[i:i + 15]
    return said[-15:]


def report(name, result):
    verdict = "FOUND" if result["broken"] else "nothing found"
    print(f"{name:14} {result['executions']:12,} {result['rate']:12,} {result['edges']:9,} {result['inputs']:9,}"
          f"   {verdict}", flush=True)
    if not result["broken"]:
        return
    for line in reason(result["said"]):
        print("    " + line)
    for path in result["finds"]:
        print(f"    again: {PROGRAMS}/fuzz_{name} {path}", flush=True)


def main():
    os.chdir(ROOT)
    seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
    names = sys.argv[2:] or targets()
    if not seconds.isdigit() or int(seconds) < 1 or len(names) > 1 and sys.argv[2:]:
        sys.exit("usage: ./dev fuzz [SECONDS [NAME]], SECONDS at least 1")
    if unknown := set(names) - set(targets()):
        sys.exit(f"fuzz: there is no target '{unknown.pop()}'; there are: {', '.join(targets())}")
    os.makedirs(FINDS, exist_ok=True)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="cn-fuzz-", dir=memory)
    print(f"{'target':14} {'executions':>12} {'a second':>12} {'edges':>9} {'inputs':>9}")
    broken = 0
    try:
        for name in names:
            result = fuzz(name, int(seconds), folder)
            report(name, result)
            broken += result["broken"]
    finally:
        shutil.rmtree(folder)
    sys.exit(f"fuzz: {broken} of {len(names)} targets broken; the inputs are in {FINDS}" if broken else 0)


if __name__ == "__main__":
    main()
