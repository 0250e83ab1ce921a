#!/usr/bin/env python3
"""The whole path on scenes/reach.yaml, as a user would walk it: train, meet a robot that is not like
the model, adapt over the wire, control in real time, log, replay. Every number of the table at the end
was measured in this run, by the program itself (--json).

Usage: bench/demo.py [FOLDER]      (default: runs/demo; replaced when it exists)
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(ROOT, "build", "release", "colonnade")
TASK = os.path.join(ROOT, "scenes", "reach.yaml")
GAP = os.path.join(ROOT, "scenes", "gaps", "miscalibrated.yaml")
SECONDS = 10  # of live control


def show(path):
    return os.path.relpath(path)


def run(title, *arguments):
    """Runs the program, lets its output through, returns its JSON."""
    print(f"\n== {title}\n$ colonnade {' '.join(show(a) if a.startswith('/') else a for a in arguments)}")
    sys.stdout.flush()
    process = subprocess.Popen([PROGRAM, *arguments, "--json"], stdout=subprocess.PIPE, text=True)
    last = ""
    for line in process.stdout:
        if last and not last.startswith("{"):
            print("  " + last, flush=True)
        last = line.rstrip("\n")
    process.wait()
    if not last.startswith("{"):
        print("  " + last)
        sys.exit(f"demo: 'colonnade {arguments[0]}' failed with status {process.returncode}")
    return json.loads(last), process.returncode


class Robot:
    """A twin in a process of its own, which alone knows its gap."""

    def __init__(self, endpoint, *options):
        self.endpoint = endpoint
        print(f"\n$ colonnade robot {show(TASK)} --gap {show(GAP)} --bind {endpoint} {' '.join(options)} &")
        self.process = subprocess.Popen(
            [PROGRAM, "robot", TASK, "--gap", GAP, "--bind", endpoint, *options],
            stdout=subprocess.PIPE, text=True)
        print("  " + self.process.stdout.readline().rstrip("\n"))

    def __enter__(self):
        return self.endpoint

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        for line in self.process.stdout:
            print("  robot: " + line.rstrip("\n"))
        self.process.wait()


def percent(fraction):
    return f"{100.0 * fraction:.0f} %"


def main():
    started = time.monotonic()
    folder = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "runs", "demo"))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    sockets = tempfile.mkdtemp(prefix="colonnade-")
    log, video = os.path.join(folder, "episode.mcap"), os.path.join(folder, "episode.mp4")

    train, _ = run("Train in simulation", "train", TASK, "--out", os.path.join(folder, "simulation"))
    old = os.path.abspath(train["policy"])
    with Robot(f"ipc://{sockets}/lockstep", "--lockstep") as robot:
        adapt, _ = run("Meet the robot, grow a column, adapt it over the wire", "adapt", old, "--robot",
                       robot, "--out", os.path.join(folder, "robot"))
    new = os.path.abspath(adapt["policy"])
    kept, _ = run("Is the old policy still what it was? Column 0, action by action", "eval", new,
                  "--column", "0", "--against", old)
    run("What the policy is now", "inspect", new)
    with Robot(f"ipc://{sockets}/live") as robot:
        control, _ = run("Control the robot in real time", "control", new, "--robot", robot,
                         "--seconds", str(SECONDS), "--log", log)
    verify, _ = run("Compute every logged action again", "replay", log, "--verify", new)
    strayed, _ = run("Play the commands to the simulated arm", "replay", log, "--sim", TASK)
    run("Film it", "replay", log, "--video", video)
    shutil.rmtree(sockets, ignore_errors=True)

    latency = control["latency_us"]
    identical = kept["actions_different"] == 0
    rows = [
        ("success in simulation", f"{percent(train['success_rate'])} of 100 held-out episodes"),
        ("on the robot, zero-shot", f"{percent(adapt['success_before'])} of 100 episodes"),
        ("on the robot, adapted", f"{percent(adapt['success_after'])} after {adapt['steps']:,} robot steps"),
        ("the old policy, afterwards", f"{percent(kept['success_rate'])}, outputs bit-identical: "
         f"{'yes' if identical else 'NO'} ({kept['actions_compared']:,} actions compared)"),
        ("live control", f"{control['ticks']} ticks, {control['deadline_misses']} deadline misses, "
         f"{control['successes']} of {control['goals']} goals"),
        ("frame to command", f"p50 {latency['p50']:.0f} us, p99 {latency['p99']:.0f} us, "
         f"max {latency['max']:.0f} us"),
        ("replay", f"{verify['mismatches']} mismatches in {verify['actions_checked']} actions; "
         f"the simulated arm strays by {strayed['joint_rmse_rad']:.3f} rad"),
        ("policy", show(new)),
        ("log", f"{show(log)}   (open it in Foxglove)"),
        ("TensorBoard", f"tensorboard --logdir {show(folder)}"),
        ("video", show(video)),
        ("time", f"{time.monotonic() - started:.0f} s"),
    ]
    print("\n" + "-" * 88)
    for name, value in rows:
        print(f"{name:<28} {value}")
    print("-" * 88)
    expected = {
        "success in simulation >= 95 %": train["success_rate"] >= 0.95,
        "zero-shot <= 70 %": adapt["success_before"] <= 0.70,
        "adapted >= 90 % within 60,000 steps":
            adapt["success_after"] >= 0.90 and adapt["steps"] <= 60_000,
        "old policy bit-identical": identical,
        "replay without mismatches": verify["mismatches"] == 0,
    }
    missed = [what for what, held in expected.items() if not held]
    if missed:
        sys.exit("demo: expected and not met: " + "; ".join(missed))


if __name__ == "__main__":
    main()
