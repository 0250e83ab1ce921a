"""Where measurements are kept: bench/results/<cpu>/<name>.json, one file a benchmark and machine, with
the commit, the threads and the date beside the numbers, so that no figure stands without its origin.

    results.write("returns", {"tasks": ...}, threads=2)
"""
import datetime
import json
import os
import platform
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cpu():
    """The processor's own name, as the kernel tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            for line in f:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit():
    """The commit that is checked out; "+changes" behind it when other files than results differ."""
    def git(*arguments):
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True,
                              check=True).stdout.strip()
    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+changes" if git("status", "--porcelain", "--untracked-files=no", "--", ":!bench/results") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def path(name):
    """Of a result on this machine; the folder is the processor's name in small letters and dashes."""
    folder = re.sub(r"[^a-z0-9]+", "-", cpu().lower()).strip("-")
    return os.path.join(ROOT, "bench", "results", folder, name + ".json")


def write(name, data, threads):
    """Writes data with its origin in front, whole or not at all; returns the path."""
    to = path(name)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    origin = {"cpu": cpu(), "cores": os.cpu_count(), "threads": threads, "commit": commit(),
              "date": datetime.date.today().isoformat()}
    if os.environ.get("OPENBLAS_CORETYPE"):  # kernels other than those that OpenBLAS would choose
        origin["openblas_coretype"] = os.environ["OPENBLAS_CORETYPE"]
    with open(to + ".part", "w", encoding="utf-8") as f:
        json.dump({**origin, **data}, f, indent=2)
        f.write("\n")
    os.replace(to + ".part", to)
    return to
