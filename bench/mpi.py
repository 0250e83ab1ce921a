#!/usr/bin/env python3
"""What training on several ranks costs: two ranks of one thread against one process of two threads, in
turn; the sum over ranks through shared memory and through TCP between two network namespaces; and from
these a model of many ranks. Prints the tables of docs/performance.md, which explains them.

Usage: ./dev bench mpi [TASK] [--turns N]
"""
import argparse
import math
import os
import shutil
import statistics
import sys
import tempfile

import colonnade
import results

sys.path.insert(0, os.path.join(results.ROOT, "tests", "cli"))
from network import Network, NoNetwork  # noqa: E402

MPIRUN = shutil.which("mpirun.openmpi") or shutil.which("mpirun")
ROUNDS = 15
RANGE_TO_SIGMA = 3.47  # mean range of 15 normal samples, in standard deviations
ENVS, ROLLOUT_STEPS, MINIBATCHES, EPOCHS = 32, 64, 8, 10  # of one rank
SUMS = MINIBATCHES * EPOCHS  # an iteration
RANKS = (2, 8, 64, 1024)

# Two hidden layers of so many units: about the parameters of actor and critic.
FLOATS = {64: 10240, 256: 153600}

# Networks of the field, assumed and not measured: seconds a message, bytes a second.
ASSUMED = {"10 Gbit Ethernet": (30e-6, 1.1e9), "200 Gbit InfiniBand": (2e-6, 20e9)}


def measure(arguments, launcher=()):
    return colonnade.run("bench", "ranks", *arguments, "--rounds", ROUNDS, launcher=launcher)


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


def straggling(ranks, sigma):
    """By how much of an iteration the slowest of many ranks is late: their expected maximum, if normal."""
    return sigma * math.sqrt(2 * math.log(ranks))


def model(base, floats, networks):
    """The share of R times one rank's rate that remains: every rank keeps its rows, and waits in each
    iteration for the slowest, and in each minibatch for the sum."""
    alone = ENVS * ROLLOUT_STEPS / base["steps_per_second"]
    table = {}
    for name, (alpha, rate) in networks.items():
        table[name] = {}
        for ranks in RANKS:
            waiting = alone * straggling(ranks, base["sigma"])
            each = exchange(ranks, floats, alpha, rate)
            summing = SUMS * each
            table[name][str(ranks)] = {"exchange_us": 1e6 * each,
                                       "efficiency_without_stragglers": alone / (alone + summing),
                                       "efficiency": alone / (alone + summing + waiting)}
    return table


def two_ranks(taken, units):
    """Two ranks of one thread by one process of two threads, turn by turn."""
    ratios = [b["steps_per_second"]["median"] / a["steps_per_second"]["median"] for a, b in
              zip(taken[f"two threads, {units} units"], taken[f"two ranks, {units} units"], strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def settings(envs, threads):
    chosen = {"envs": envs, "rollout_steps": ROLLOUT_STEPS, "minibatches": MINIBATCHES, "epochs": EPOCHS}
    return "--threads", str(threads), *(word for key, value in chosen.items()
                                        for word in ("--set", f"{key}={value}"))


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
    both, one = settings(2 * ENVS, 2), settings(ENVS, 1)
    sides = {}
    for units in FLOATS:
        wide = ("--set", f"hidden=[{units}, {units}]")
        sides |= {f"two threads, {units} units": ((o.task, *both, *wide), ()),
                  f"two ranks, {units} units": ((o.task, *one, *wide), local),
                  f"one rank, {units} units": ((o.task, *one, *wide), ())}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Network(folder) as network:
                # Each namespace would bind its rank to its first core, which is the same one.
                sides["two ranks, TCP"] = ((o.task, *one), [
                    *network.prefix, *local[:-2], "--bind-to", "none", *network.options, "-n", "2"])
                taken = turns(o.turns, sides)
        except NoNetwork as reason:
            print(f"without TCP: {reason}")
            taken = turns(o.turns, sides)
    report(o, taken, load)


def report(o, taken, load):
    found = {name: side(runs) for name, runs in taken.items()}
    added = {name: sums(runs) for name, runs in taken.items() if runs[0]["sums"]}
    networks = {}
    for name, network in (("shared memory", "two ranks, 64 units"), ("TCP, one machine", "two ranks, TCP")):
        if network in added:
            t = added[network]
            # Of the rounds that were disturbed least. As exchange() has it for two ranks: two messages,
            # and the block's bytes once.
            slope = (t["614400"]["low"] - t["1"]["low"]) * 1e-6 / (4 * 614400)
            networks[name] = (t["1"]["low"] * 1e-6 / 2, 1.0 / slope)
    modelled = {units: model(found[f"one rank, {units} units"], floats, {**networks, **ASSUMED})
                for units, floats in FLOATS.items()}
    data = {
        "load_average_at_the_start": load,
        "turns": o.turns,
        "efficiency_of_two_ranks": {str(units): two_ranks(taken, units) for units in FLOATS},
        "sides": found,
        "sums": added,
        "message_s_and_bytes_per_s": networks,
        "assumed": ASSUMED,
        "model": modelled,
    }
    tell(data)
    print("written to " + os.path.relpath(results.write("mpi", data, 2)))


def row(name, cells):
    print(" | ".join(["| " + name, *cells]) + " |")


def tell(data):
    """The figures of docs/performance.md."""
    print()
    for units, e in data["efficiency_of_two_ranks"].items():
        print(f"two ranks of one thread by one process of two, 2 x {units} units: {e['median']:.2f} of the steps/s "
              f"({e['low']:.2f} to {e['high']:.2f})")
    print("\nTimes of the least disturbed rounds:\n")
    lengths = data["sums"]["two ranks, 64 units"].keys()
    row("floats added by two ranks", [f"{int(n):,}" for n in lengths])
    row("---", ["---"] * len(lengths))
    for name, side_name in (("through shared memory, us", "two ranks, 64 units"),
                            ("through TCP between namespaces, us", "two ranks, TCP")):
        if side_name in data["sums"]:
            times = [data["sums"][side_name][n]["low"] for n in lengths]
            row(name, [f"{us:,.0f}" if us >= 10 else f"{us:.1f}" for us in times])
    print("\nThe model: c / (c + m sum + s c sqrt(2 ln R)), sum = 2 log2 R a + B (log2 R / 2 + (R - 1) / R) / b, "
          f"m = {SUMS}")
    for name, (alpha, rate) in {**data["message_s_and_bytes_per_s"], **data["assumed"]}.items():
        print(f"  {name}: a = {1e6 * alpha:.3g} us, b = {rate / 1e9:.3g} GB/s" +
              (", assumed" if name in data["assumed"] else ""))
    for units, floats in FLOATS.items():
        base = data["sides"][f"one rank, {units} units"]
        late = [f"{100 * straggling(ranks, base['sigma']):.0f} % at {ranks:,}" for ranks in RANKS]
        print(f"  2 x {units} units: B = {4 * floats:,} bytes, c = "
              f"{ENVS * ROLLOUT_STEPS / base['steps_per_second']:.3g} s, s = {base['sigma']:.3f}, which makes an "
              f"iteration longer by {', '.join(late)} ranks")
    print("\nStragglers left out:\n")
    row("a sum, us, and the share kept", [f"{ranks:,} ranks" for ranks in RANKS])
    row("---", ["---"] * len(RANKS))
    for units, table in data["model"].items():
        for name in data["assumed"]:
            row(f"2 x {units} units, {name}",
                [f"{share['exchange_us']:,.0f}, {share['efficiency_without_stragglers']:.2f}"
                 for share in table[name].values()])


if __name__ == "__main__":
    main()
