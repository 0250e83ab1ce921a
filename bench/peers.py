#!/usr/bin/env python3
"""Time to 90 % success on a task, here and with Stable-Baselines3: the same physics, network, PPO settings
and evaluations, in turn, seed by seed.

Two kinds of peer: `usual`, as Stable-Baselines3's users have it, an ordinary gymnasium.Env in DummyVecEnv or
SubprocVecEnv, whichever is faster; and `batched`, all environments in NumPy and on MuJoCo's thread pool. Both
(bench/task_peer.py) are first held against ours: the same starts and the same actions must give the same
observations and rewards.

Usage: ./dev bench peers [--task FILE] [--kinds KIND...] [--seeds K] [--success P] [--steps N] [--limit SECONDS]
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
from colonnade import BUILD, PROGRAM

KINDS = ("batched", "usual")
EVALUATE_EVERY = 32768  # steps; 8 rollouts of the default size
EVALUATE_EPISODES = 100
TOLERANCE = 1e-5  # observations are float32


def wilson_low(successes, trials):
    """Lower end of the 95 % interval: what `stop_success` asks to lie above a bound."""
    z = 1.959963984540054
    p = successes / trials
    middle, half = p + z * z / (2 * trials), z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials ** 2))
    return (middle - half) / (1 + z * z / trials)


def play_batched(task, qpos, point, actions):
    """Of each step, the first being the start: observation, reward, and whether the episode was truncated."""
    envs = task_peer.Envs(task, 1, 1, 0)
    envs.place(0, qpos, point)
    yield envs.observe()[0], 0.0, False
    for action in actions:
        reward, truncated, _ = envs.step(action[None])
        yield envs.observe()[0], reward[0], truncated[0]


def play_usual(task, qpos, point, actions):
    env = task_peer.TaskEnv(task)
    yield env.place(qpos, point), 0.0, False
    for action in actions:
        observation, reward, _, truncated, _ = env.step(action)
        yield observation, reward, truncated


def compare_episode(path, seed, kind):
    """Plays one episode on both sides; returns the largest differences."""
    task = task_peer.Task(path)
    actions = np.random.default_rng(seed).uniform(-1.2, 1.2, (task.step_limit, len(task.home)))
    actions = actions.astype(np.float32)
    text = " ".join(repr(float(a)) for a in actions.ravel())
    done = subprocess.run([os.path.join(BUILD, "tests", "play"), path, str(seed)], input=text, text=True,
                          capture_output=True, check=True)
    ours = [{"reward": 0.0, "truncated": False} | json.loads(line) for line in done.stdout.splitlines()]
    offset = 0
    for name, center, scale in task.terms:
        if name == "point":
            point = np.array(ours[0]["observation"][offset:offset + 3]) / scale + center
        offset += len(center)
    play = {"batched": play_batched, "usual": play_usual}[kind]
    observations, rewards = [], []
    for (observation, reward, truncated), step in zip(
            play(task, np.array(ours[0]["qpos"])[task.qpos], point, actions), ours, strict=True):
        observations.append(np.max(np.abs(observation - step["observation"])))
        rewards.append(abs(reward - step["reward"]))
        assert truncated == step["truncated"]
    return float(max(observations)), float(max(rewards))


def check_same_task(path, kind):
    worst = np.max([compare_episode(path, seed, kind) for seed in (1, 2, 3)], axis=0)
    if max(worst) > TOLERANCE:
        sys.exit(f"peers: ours and the {kind} one are different tasks: observations differ by {worst[0]:.2g}, "
                 f"rewards by {worst[1]:.2g}, at most {TOLERANCE} is rounding")
    print(f"{kind}, the same task: three episodes agree within {worst[0]:.1e} (observations) and {worst[1]:.1e} "
          "(rewards)")
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
          f"{result['steps_per_second']:.0f} steps/s" +
          (f", cut off at a success of {100 * result['success']:.0f} %" if result.get("cut_off") else ""),
          flush=True)
    return result


def ours(path, seed, options, folder):
    success = math.ceil(options.success * EVALUATE_EPISODES)
    settings = {"evaluate_every": EVALUATE_EVERY, "evaluate_episodes": EVALUATE_EPISODES,
                "stop_success": wilson_low(success, EVALUATE_EPISODES) - 1e-9}
    command = [PROGRAM, "train", path, "--out", folder, "--seed", str(seed), "--json"]
    if options.steps:
        command += ["--steps", str(options.steps)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    result = run(f"seed {seed}, colonnade", command)
    keys = ("steps", "seconds", "steps_per_second", "cpu_seconds")
    return {key: result[key] for key in keys} | {"reached": result["why"] == "success reached"}


def theirs(path, seed, kind, options, folder):
    script = os.path.join(results.ROOT, "bench", "sb3_peer.py")
    settings = {"kind": kind, "seed": seed, "success": options.success, "threads": os.cpu_count(),
                "limit": options.limit}
    command = [sys.executable, script, path, os.path.join(folder, "config.yaml")]
    for key, value in settings.items():
        command += [f"--{key}", str(value)]
    return run(f"seed {seed}, Stable-Baselines3, {kind}", command)


def compare(runs, kind):
    """Medians over the seeds of their times by ours; where a run was cut off, a bound."""
    ratios = lambda key, of: [r[kind][key] / r["colonnade"][key] for r in of]
    median = lambda values: statistics.median(values) if values else None
    reached = [r for r in runs if r["colonnade"]["reached"] and r[kind]["reached"]]
    cut_off = [r for r in runs if r["colonnade"]["reached"] and r[kind]["cut_off"]]
    cpu = [r[kind]["cpu_seconds"] / r[kind]["steps"] / (r["colonnade"]["cpu_seconds"] / r["colonnade"]["steps"])
           for r in runs]
    return {"reached": len(reached), "cut_off": len(cut_off),
            "vectors": sorted({r[kind]["vector"] for r in runs}),
            "time_ratio": median(ratios("seconds", reached)),
            "time_ratio_above": min(ratios("seconds", cut_off), default=None),
            "rate_ratio": median([1 / ratio for ratio in ratios("steps_per_second", runs)]),
            "cpu_per_step_ratio": median(cpu)}


def sentence(kind, c, options):
    seeds = f"of {options.seeds} seeds"
    times = []
    if c["reached"]:
        times.append(f"takes {c['time_ratio']:.2f} times our time to {100 * options.success:.0f} % success on "
                     f"{c['reached']} {seeds}")
    if c["cut_off"]:
        times.append(f"was cut off on {c['cut_off']} {seeds}: more than {c['time_ratio_above']:.2f} times our time")
    return (f"Stable-Baselines3, {kind} ({', '.join(c['vectors'])}), "
            f"{' and '.join(times) or 'takes a time that cannot be compared'}; we step {c['rate_ratio']:.2f} "
            f"times as fast, on 1/{c['cpu_per_step_ratio']:.2f} of the processors' time a step")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default=os.path.join(results.ROOT, "scenes", "reach.yaml"))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--success", type=float, default=0.9)
    parser.add_argument("--steps", type=int, help="at most (default: the task's)")
    parser.add_argument("--limit", type=float, default=1200, help="seconds after which a peer is cut off")
    return parser.parse_args()


def main():
    options = parse()
    path = os.path.abspath(options.task)
    same = {kind: check_same_task(path, kind) for kind in options.kinds}
    runs = []
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as parent:
            folder = os.path.join(parent, "run")
            runs.append({"seed": seed, "colonnade": ours(path, seed, options, folder)} |
                        {kind: theirs(path, seed, kind, options, folder) for kind in options.kinds})
    compared = {kind: compare(runs, kind) for kind in options.kinds}
    data = {"task": os.path.relpath(path, results.ROOT), "success": options.success, "limit_s": options.limit,
            "largest_difference": same, "kinds": compared, "runs": runs}
    where = results.write("peers", data, threads=os.cpu_count())
    for kind in options.kinds:
        print(sentence(kind, compared[kind], options))
    print("written to " + os.path.relpath(where))


if __name__ == "__main__":
    main()
