#!/usr/bin/env python3
"""What adapting brings: a policy of scenes/reach.yaml meets an arm unlike its model (gaps/miscalibrated.yaml)
and learns there for some thousand steps, by every method, on several seeds. Success is that of 100 episodes
which no method has seen or chosen by. The demonstrations of the last method are two minutes of another
policy that has adapted, logged live.

Usage: ./dev bench adapt [--seeds K] [--steps N] [--methods NAME...]
"""
import argparse
import os
import shutil
import signal
import statistics
import subprocess

import colonnade
import results

TASK = os.path.join(results.ROOT, "scenes", "reach.yaml")
GAP = os.path.join(results.ROOT, "scenes", "gaps", "miscalibrated.yaml")
RUNS = os.path.join(results.ROOT, "runs", "bench", "adapt")
DEMOS = os.path.join(RUNS, "demos.mcap")
DEMO_SECONDS = 130
COMMON = ("--set", "evaluate_every=2048", "--set", "evaluate_episodes=50")
METHODS = {
    "ppo": ("--set", "lateral=adapter"),
    "ppo, linear laterals": ("--set", "lateral=linear"),
    "ppo, finetune": ("--method", "finetune"),
    "ppo, scratch": ("--method", "scratch"),
    "sac": ("--algorithm", "sac"),
    "sac, demonstrations": ("--algorithm", "sac", "--demos", DEMOS),
}


def adapt(policy, name, seed, steps):
    out = os.path.join(RUNS, "run")
    shutil.rmtree(out, ignore_errors=True)
    return colonnade.run("adapt", policy, "--task", TASK, "--gap", GAP, "--out", out, "--seed", seed, "--steps", steps,
               *COMMON, *METHODS[name])


def record_demos(policy):
    """Two minutes of a policy that has adapted with another seed."""
    expert = adapt(policy, "ppo, linear laterals", 1000, 59904)
    endpoint = f"ipc://{RUNS}/arm"
    robot = subprocess.Popen([colonnade.PROGRAM, "robot", TASK, "--gap", GAP, "--bind", endpoint], stdout=subprocess.PIPE,
                             text=True)
    robot.stdout.readline()
    control = colonnade.run("control", expert["policy"], "--robot", endpoint, "--seconds", DEMO_SECONDS, "--log", DEMOS)
    robot.send_signal(signal.SIGTERM)
    robot.communicate()
    return {"success_of_the_teacher": expert["success_after"], "goals": control["goals"],
            "successes": control["successes"], "seconds": DEMO_SECONDS}


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench adapt", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20480, help="robot steps (default 20480)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    return parser.parse_args()


def main():
    options = parse()
    shutil.rmtree(RUNS, ignore_errors=True)
    os.makedirs(RUNS)
    policy = colonnade.run("train", TASK, "--out", os.path.join(RUNS, "simulation"))["policy"]
    demos = record_demos(policy) if "sac, demonstrations" in options.methods else None
    methods = {}
    for name in options.methods:
        outcomes = [adapt(policy, name, seed, options.steps) for seed in range(1, options.seeds + 1)]
        after = [o["success_after"] for o in outcomes]
        methods[name] = {"success_before": [o["success_before"] for o in outcomes], "success_after": after,
                         "mean": statistics.fmean(after), "return_after": [o["return_after"] for o in outcomes],
                         "seconds": [round(o["seconds"], 1) for o in outcomes]}
        print(f"{name:<22} {100 * statistics.fmean(after):5.1f} %   " + ", ".join(f"{100 * a:.0f}" for a in after),
              flush=True)
    data = {"task": "scenes/reach.yaml", "gap": "scenes/gaps/miscalibrated.yaml", "steps": options.steps,
            "demonstrations": demos, "methods": methods}
    print("written to " + os.path.relpath(results.write("adapt", data, threads=os.cpu_count())))


if __name__ == "__main__":
    main()
