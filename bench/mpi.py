#!/usr/bin/env python3
"""What training on several ranks costs: two ranks of one thread against one process of two threads, in
turn; the sum over ranks through shared memory and through TCP between two network namespaces; and from
these a model of many ranks. docs/performance.md explains it.

Usage: ./dev bench mpi [TASK] [--turns N]
"""
import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import results

sys.path.insert(0, os.path.join(results.ROOT, "tests", "cli"))
from network import Network, NoNetwork  # noqa: E402

PROGRAM = os.path.join(results.ROOT, "build", "release", "colonnade")
MPIRUN = shutil.which("mpirun.openmpi") or shutil.which("mpirun")
ROUNDS = 15
RANGE_TO_SIGMA = 3.47  # mean range of 15 normal samples, in standard deviations
WIDE = ("--set", "hidden=[256, 256]")

# Networks of the field, assumed and not measured: seconds a message, bytes a second.
ASSUMED = {"10 Gbit Ethernet": (30e-6, 1.1e9), "200 Gbit InfiniBand": (2e-6, 20e9)}


def measure(arguments, launcher=()):
    command = [*launcher, PROGRAM, "bench", "ranks", *arguments, "--json", "--rounds", str(ROUNDS)]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    if out.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed: {out.stderr}")
    return json.loads(out.stdout.splitlines()[-1])


def turns(number, sides):
    """Every side once a turn; medians over the turns of what each gave."""
    taken = {name: [] for name in sides}
    for turn in range(number):
        for name, (arguments, launcher) in sides.items():
            taken[name].append(measure(arguments, launcher))
            print(f"turn {turn + 1} of {number}, {name}: "
                  f"{taken[name][-1]['steps_per_second']['median']:.0f} steps/s", flush=True)
    return taken


def middle(runs, *path):
    def value(run):
        for key in path:
            run = run[key]
        return run
    return statistics.median(map(value, runs))


def sums(runs):
    """Medians over the turns, us by length, with the lowest and the highest."""
    return {str(s["floats"]): {"us": middle(runs, "sums", i, "us", "median"),
                               "low": min(run["sums"][i]["us"]["low"] for run in runs),
                               "high": max(run["sums"][i]["us"]["high"] for run in runs)}
            for i, s in enumerate(runs[0]["sums"])}


def side(runs):
    rates = [run["steps_per_second"] for run in runs]
    return {
        "steps_per_second": middle(runs, "steps_per_second", "median"),
        "update_us": middle(runs, "update_us", "median"),
        "exchange_us": middle(runs, "exchange_us", "median"),
        "sigma": statistics.median((r["high"] - r["low"]) / RANGE_TO_SIGMA / r["median"]
                                   for r in rates),
    }


def exchange(ranks, floats, alpha, rate):
    """Seconds of one ordered sum: an all-to-all and an all-gather, log2(R) messages each. Short blocks are
    passed on (Bruck 1997), so that half of them move in each of the all-to-all's steps."""
    steps = math.ceil(math.log2(ranks))
    return 2 * steps * alpha + 4 * floats * (steps / 2 + (ranks - 1) / ranks) / rate


def model(base, floats, minibatches, rows, networks):
    """The share of R times one rank's rate that remains: every rank keeps its rows, and waits in each
    iteration for the slowest, and in each minibatch for the sum."""
    alone = rows / base["steps_per_second"]
    table = {}
    for name, (alpha, rate) in networks.items():
        table[name] = {}
        for ranks in (2, 8, 64, 1024):
            waiting = alone * base["sigma"] * math.sqrt(2 * math.log(ranks))
            summing = minibatches * exchange(ranks, floats, alpha, rate)
            table[name][str(ranks)] = {"exchange_us": 1e6 * summing / minibatches,
                                       "efficiency_without_stragglers": alone / (alone + summing),
                                       "efficiency": alone / (alone + summing + waiting)}
    return table


def main():
    options = argparse.ArgumentParser(prog="./dev bench mpi")
    options.add_argument("task", nargs="?", default="scenes/reach.yaml")
    options.add_argument("--turns", type=int, default=3)
    o = options.parse_args()
    if not MPIRUN:
        sys.exit("bench: there is no mpirun")
    os.chdir(results.ROOT)
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    local = [MPIRUN, *root, "-n", "2"]
    whole, half = (o.task, "--set", "envs=64"), (o.task, "--threads", "1", "--set", "envs=32")
    sides = {
        "one process, two threads": ((*whole, "--threads", "2"), ()),
        "two ranks, shared memory": (half, local),
        "one process, one thread, half the rows": (half, ()),
        "two ranks, 256 units": ((*half, *WIDE), local),
        "one process, two threads, 256 units": ((*whole, *WIDE, "--threads", "2"), ()),
    }
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Network(folder) as network:
                # Each namespace would bind its rank to its first core, which is the same one.
                sides["two ranks, TCP"] = (half, [*network.prefix, *local[:-2], "--bind-to", "none",
                                                  *network.options, "-n", "2"])
                taken = turns(o.turns, sides)
        except NoNetwork as reason:
            print(f"without TCP: {reason}")
            taken = turns(o.turns, sides)
    report(o, taken, load)


def report(o, taken, load):
    found = {name: side(runs) for name, runs in taken.items()}
    added = {name: sums(runs) for name, runs in taken.items() if runs[0]["sums"]}
    networks = {}
    for name, network in (("shared memory", "two ranks, shared memory"), ("TCP, one machine", "two ranks, TCP")):
        if network in added:
            t = added[network]
            # Of the rounds that were disturbed least. As exchange() has it for two ranks: two messages,
            # and the block's bytes once.
            slope = (t["614400"]["low"] - t["1"]["low"]) * 1e-6 / (4 * 614400)
            networks[name] = (t["1"]["low"] * 1e-6 / 2, 1.0 / slope)
    ratios = [b["steps_per_second"]["median"] / a["steps_per_second"]["median"] for a, b in
              zip(taken["one process, two threads"], taken["two ranks, shared memory"])]
    wide = [b["steps_per_second"]["median"] / a["steps_per_second"]["median"] for a, b in
            zip(taken["one process, two threads, 256 units"], taken["two ranks, 256 units"])]
    base = found["one process, one thread, half the rows"]
    data = {
        "load_average_at_the_start": load,
        "turns": o.turns,
        "efficiency_of_two_ranks": {"median": statistics.median(ratios), "low": min(ratios),
                                    "high": max(ratios)},
        "efficiency_of_two_ranks_256": {"median": statistics.median(wide), "low": min(wide),
                                        "high": max(wide)},
        "sides": found,
        "sums": added,
        "message_s_and_bytes_per_s": networks,
        "assumed": ASSUMED,
        "model_64_units": model(base, 10240, 80, 32 * 64, {**networks, **ASSUMED}),
    }
    print(json.dumps(data, indent=2))
    print("written to " + os.path.relpath(results.write("mpi", data, 2)))


if __name__ == "__main__":
    main()
