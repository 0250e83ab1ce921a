#!/usr/bin/env python3
"""Time to 90 % success on a task, here and with Stable-Baselines3: the same physics, network, PPO settings
and evaluations, in turn, seed by seed.

The Python side (bench/task_peer.py) is first held against ours: the same starts and the same actions must give
the same observations and rewards.

Usage: ./dev bench peers [--task FILE] [--seeds K] [--success P] [--steps N]
"""
import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile

import numpy as np

import results
import task_peer

BUILD = os.path.join(results.ROOT, "build", "release")
EVALUATE_EVERY = 32768  # steps; 8 rollouts of the default size
EVALUATE_EPISODES = 100
TOLERANCE = 1e-5  # observations are float32


def wilson_low(successes, trials):
    """Lower end of the 95 % interval: what `stop_success` asks to lie above a bound."""
    z = 1.959963984540054
    p = successes / trials
    middle, half = p + z * z / (2 * trials), z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials ** 2))
    return (middle - half) / (1 + z * z / trials)


def compare_episode(path, seed):
    """Plays one episode on both sides; returns the largest differences."""
    task = task_peer.Task(path)
    actions = np.random.default_rng(seed).uniform(-1.2, 1.2, (task.step_limit, len(task.home)))
    actions = actions.astype(np.float32)
    text = " ".join(repr(float(a)) for a in actions.ravel())
    done = subprocess.run([os.path.join(BUILD, "tests", "play"), path, str(seed)], input=text, text=True,
                          capture_output=True, check=True)
    start, *ours = [json.loads(line) for line in done.stdout.splitlines()]
    offset = 0
    for name, center, scale in task.terms:
        if name == "point":
            point = np.array(start["observation"][offset:offset + 3]) / scale + center
        offset += len(center)
    envs = task_peer.Envs(task, 1, 1, 0)
    envs.place(0, np.array(start["qpos"])[task.qpos], point)
    differences = [np.max(np.abs(envs.observe()[0] - start["observation"]))]
    rewards = []
    for action, step in zip(actions, ours, strict=True):
        reward, truncated, _ = envs.step(action[None])
        differences.append(np.max(np.abs(envs.observe()[0] - step["observation"])))
        rewards.append(abs(reward[0] - step["reward"]))
        assert truncated[0] == step["truncated"]
    return float(max(differences)), float(max(rewards))


def check_same_task(path):
    worst = np.max([compare_episode(path, seed) for seed in (1, 2, 3)], axis=0)
    if max(worst) > TOLERANCE:
        sys.exit(f"peers: the two sides are different tasks: observations differ by {worst[0]:.2g}, rewards by "
                 f"{worst[1]:.2g}, at most {TOLERANCE} is rounding")
    print(f"the same task: three episodes agree within {worst[0]:.1e} (observations) and {worst[1]:.1e} (rewards)")
    return {"observation": worst[0], "reward": worst[1]}


def run(title, command):
    """Returns the JSON of the last line, and with it what the whole process cost the processors, but for a
    trial of its settings."""
    print(title, flush=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"peers: {command} ended with status {done.returncode}")
    result = json.loads(done.stdout.splitlines()[-1])
    result["cpu_seconds"] = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime -
                             result.get("trial_cpu_seconds", 0.0))
    print(f"  {result['seconds']:8.1f} s ({result['cpu_seconds']:.1f} s of the processors), {result['steps']} steps, "
          f"{result['steps_per_second']:.0f} steps/s", flush=True)
    return result


def ours(path, seed, options, folder):
    success = math.ceil(options.success * EVALUATE_EPISODES)
    settings = {"evaluate_every": EVALUATE_EVERY, "evaluate_episodes": EVALUATE_EPISODES,
                "stop_success": wilson_low(success, EVALUATE_EPISODES) - 1e-9}
    command = [os.path.join(BUILD, "colonnade"), "train", path, "--out", folder, "--seed", str(seed), "--json"]
    if options.steps:
        command += ["--steps", str(options.steps)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    result = run(f"seed {seed}, colonnade", command)
    keys = ("steps", "seconds", "steps_per_second", "cpu_seconds")
    return {key: result[key] for key in keys} | {"reached": result["why"] == "success reached"}


def theirs(path, seed, options, folder):
    script = os.path.join(results.ROOT, "bench", "sb3_peer.py")
    return run(f"seed {seed}, Stable-Baselines3",
               [sys.executable, script, path, os.path.join(folder, "config.yaml"), str(seed),
                str(options.success), str(os.cpu_count())])


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default=os.path.join(results.ROOT, "scenes", "reach.yaml"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--success", type=float, default=0.9)
    parser.add_argument("--steps", type=int, help="at most (default: the task's)")
    return parser.parse_args()


def main():
    options = parse()
    path = os.path.abspath(options.task)
    same = check_same_task(path)
    runs = []
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as parent:
            folder = os.path.join(parent, "run")
            runs.append({"seed": seed, "colonnade": ours(path, seed, options, folder),
                         "stable_baselines3": theirs(path, seed, options, folder)})
    both = [r for r in runs if r["colonnade"]["reached"] and r["stable_baselines3"]["reached"]]
    ratio = lambda r, key: r["stable_baselines3"][key] / r["colonnade"][key]
    median = lambda values: statistics.median(values) if values else None
    data = {"task": os.path.relpath(path, results.ROOT), "success": options.success, "largest_difference": same,
            "time_ratio": median([ratio(r, "seconds") for r in both]),
            "rate_ratio": median([1 / ratio(r, "steps_per_second") for r in runs]),
            "cpu_per_step_ratio": median([ratio(r, "cpu_seconds") / ratio(r, "steps") for r in runs]), "runs": runs}
    where = results.write("peers", data, threads=os.cpu_count())
    reached = f"to {100 * options.success:.0f} % success on {len(both)} of {len(runs)} seeds"
    times = f"{data['time_ratio']:.2f} times our time" if both else "a time that cannot be compared"
    print(f"Stable-Baselines3 takes {times}, {reached}; we step {data['rate_ratio']:.2f} times as fast, "
          f"on 1/{data['cpu_per_step_ratio']:.2f} of the processors' time a step")
    print("written to " + os.path.relpath(where))


if __name__ == "__main__":
    main()
