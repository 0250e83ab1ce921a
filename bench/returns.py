#!/usr/bin/env python3
"""Learning held against published returns: trains Gymnasium's tasks on several seeds and prints, beside
what others published, mean and standard deviation over the seeds of two returns, both raw and undiscounted:
  training    of the last 100 training episodes, with sampled actions, as CleanRL reports it
  evaluation  of 100 held-out episodes with deterministic actions, by the best policy of the run

Runs are kept in runs/bench/returns/. One that is finished is not repeated while program, task and
steps are the same.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading

import results
from colonnade import PROGRAM

BENCH = os.path.dirname(os.path.abspath(__file__))
RUNS = os.path.join(results.ROOT, "runs", "bench", "returns")
TASKS = ("reacher", "inverted_pendulum", "half_cheetah", "pusher")

children = set()  # trainings under way
children_lock = threading.Lock()


def task_file(task):
    return os.path.join(results.ROOT, "scenes", "gymnasium", task + ".yaml")


def digest(*paths):
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as f:
            total.update(hashlib.sha256(f.read()).digest())
    return total.hexdigest()


def finished(path, key):
    """The outcome of an earlier run of the same program on the same task; None: there is none."""
    try:
        with open(path, encoding="utf-8") as f:
            outcome = json.load(f)
    except (OSError, ValueError):
        return None
    return outcome if outcome["key"] == key else None


def execute(command):
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        with children_lock:
            children.add(child)
        output = child.communicate()[0]
        with children_lock:
            children.remove(child)
    if child.returncode != 0:
        raise RuntimeError(f"'{' '.join(command)}' ended with status {child.returncode}:\n{output[-1000:]}")
    return json.loads(output.rstrip("\n").rsplit("\n", 1)[-1])


def train(task, algorithm, steps, seed):
    """One run, or what is left of it; returns (outcome, whether it had been finished before)."""
    folder = os.path.join(RUNS, f"{algorithm}-{steps}", task, f"seed-{seed}")
    path = os.path.join(folder, "outcome.json")
    key = digest(PROGRAM, task_file(task))
    outcome = finished(path, key)
    if outcome:
        return outcome, True
    shutil.rmtree(folder, ignore_errors=True)
    command = [PROGRAM, "train", task_file(task), "--out", folder, "--steps", str(steps), "--seed", str(seed),
               "--threads", "1", "--json"]
    if algorithm != "ppo":
        command += ["--algorithm", algorithm]
    said = execute(command)
    if said["stopped"]:
        raise RuntimeError(f"{task}, seed {seed}: interrupted")
    outcome = {"key": key, "commit": results.commit(), "seed": seed, "training": said["training_return"],
               "evaluation": said["return_mean"], "seconds": round(said["seconds"], 1)}
    with open(path, "w", encoding="utf-8") as f:
        json.dump(outcome, f)
    return outcome, False


def number(value):
    """A run that ended no episode has no training return."""
    return f"{value:.2f}" if value is not None else "-"


def summary(outcomes, name):
    """Of the seeds; null where one has none."""
    values = [o[name] for o in outcomes]
    if None in values:
        return {"mean": None, "std": None, "seeds": values}
    return {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else 0.0,
            "seeds": values}


def spread(mean, std):
    return f"{mean:.2f} +- {std:.2f}" if std is not None else number(mean)


def print_table(measured, published, algorithm, steps):
    print(f"\n{algorithm}, {steps} steps: mean +- standard deviation over seeds")
    print(f"{'task':<20}{'training':>22}{'evaluation':>22}   published (source, steps)")
    for task, m in measured.items():
        ours = [spread(m[name]["mean"], m[name]["std"]) for name in ("training", "evaluation")]
        theirs = [f"{spread(p['mean'], p['std'])} ({p['source']}, {p['steps'] / 1e6:g}M)"
                  for p in published[task] if p["algorithm"] == algorithm] or ["-"]
        for i, line in enumerate(theirs):
            left = f"{task:<20}{ours[0]:>22}{ours[1]:>22}" if i == 0 else " " * 64
            print(f"{left}   {line}")


def read_options():
    parser = argparse.ArgumentParser(prog="./dev bench returns", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000000, help="of a run (default 1000000)")
    parser.add_argument("--seeds", type=int, default=5, help="runs a task, seeds 1 to K (default 5)")
    parser.add_argument("--algorithm", choices=("ppo", "sac"), default="ppo")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(),
                        help="runs side by side, one thread each (default: one a core)")
    return parser.parse_args()


def train_all(options):
    """outcomes[task][seed - 1] of the whole grid."""
    grid = [(task, seed) for task in options.tasks for seed in range(1, options.seeds + 1)]
    outcomes = {task: [None] * options.seeds for task in options.tasks}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        waiting = {pool.submit(train, task, options.algorithm, options.steps, seed): (task, seed)
                   for task, seed in grid}
        try:
            for n, done in enumerate(concurrent.futures.as_completed(waiting), 1):
                task, seed = waiting[done]
                outcome, before = done.result()
                outcomes[task][seed - 1] = outcome
                print(f"[{n}/{len(grid)}] {task}, seed {seed}: training {number(outcome['training'])}, "
                      f"evaluation {outcome['evaluation']:.2f}, {outcome['seconds']:.0f} s"
                      f"{' (before)' if before else ''}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            with children_lock:
                for child in children:
                    child.terminate()
            raise
    return outcomes


def main():
    options = read_options()
    try:
        outcomes = train_all(options)
    except KeyboardInterrupt:
        sys.exit("returns: interrupted; finished runs are kept")
    except RuntimeError as error:
        sys.exit(f"returns: {error}")
    measured = {task: {"training": summary(outcomes[task], "training"),
                       "evaluation": summary(outcomes[task], "evaluation"),
                       "seconds": [o["seconds"] for o in outcomes[task]],
                       "commits": sorted({o["commit"] for o in outcomes[task]})} for task in options.tasks}
    with open(os.path.join(BENCH, "published.json"), encoding="utf-8") as f:
        published = json.load(f)["returns"]
    print_table(measured, published, options.algorithm, options.steps)
    path = results.write(f"returns-{options.algorithm}-{options.steps}",
                         {"algorithm": options.algorithm, "steps": options.steps, "jobs": options.jobs,
                          "tasks": measured}, threads=1)
    print("written to " + os.path.relpath(path))


if __name__ == "__main__":
    main()
