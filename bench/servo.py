#!/usr/bin/env python3
"""A servo of 1 kHz under live control: its periods and its misses, beside a bare loop that sleeps until the
same kind of times in the same run. What the bare loop misses as well, the machine misses; a miss is the
robot's own where the work of a tick took longer than a period, or a request held up the next (`overruns`).

Usage: ./dev bench servo [--seconds S]
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile

import colonnade
import results

HZ = 1000
SCENES = os.path.join(results.ROOT, "scenes")

# reach.yaml in physics steps of 1 ms, of which a control period has an odd number: so the servo, which
# takes whole steps near 2 ms that divide it, takes one.
TASK = f"""\
base: {SCENES}/reach.yaml
name: reach_1khz
model: {{file: {SCENES}/reach_arm.xml, options: {{timestep: 0.001}}}}
control:
  mode: joint_position_delta
  period: 0.025 # s
  scale: [0.06, 0.06, 0.06, 0.075, 0.075, 0.075] # rad a step
  velocity_limit: [2.4, 2.4, 2.4, 3.0, 3.0, 3.0] # rad/s
"""


def begin(*arguments):
    return subprocess.Popen([colonnade.PROGRAM, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)


def finish(process, what):
    out, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"servo: {what} ended with status {process.returncode}")
    return json.loads(out.splitlines()[-1])


def measure(folder, seconds):
    task = os.path.join(folder, "reach_1khz.yaml")
    with open(task, "w", encoding="utf-8") as file:
        file.write(TASK)
    policy = colonnade.run("train", task, "--out", os.path.join(folder, "run"), "--steps", 4096)["policy"]
    endpoint = f"ipc://{folder}/arm"
    robot = begin("robot", task, "--bind", endpoint)
    greeting = [robot.stdout.readline()]
    while "state " not in greeting[-1]:
        if not greeting[-1]:
            sys.exit("servo: the robot did not start")
        greeting.append(robot.stdout.readline())
    load = os.getloadavg()[0]
    bare = begin("bench", "clock", "--rate", HZ, "--seconds", seconds)
    control = begin("control", policy, "--robot", endpoint, "--seconds", seconds)
    measured = {"control": finish(control, "control"), "bare": finish(bare, "the bare loop")}
    robot.send_signal(signal.SIGINT)
    return {"seconds": seconds, "servo_hz": HZ, "load_average_at_the_start": load,
            "robot": finish(robot, "the robot"), **measured}


def tell(data):
    rows = (("servo, period", data["robot"]["servo_period_us"], data["robot"]["deadline_misses"]),
            ("servo, work", data["robot"]["servo_work_us"], data["robot"]["overruns"]),
            ("bare loop, period", data["bare"]["period_us"], data["bare"]["misses"]))
    print(f"{data['seconds']:g} s at {HZ} Hz, microseconds to 3 %:")
    print(f"  {'':<20}{'p50':>10}{'p99':>10}{'p99.9':>10}{'max':>10}{'misses':>10}")
    for name, us, misses in rows:
        print(f"  {name:<20}" + "".join(f"{us[q]:>10.0f}" for q in ("p50", "p99", "p999", "max")) + f"{misses:>10}")
    print(f"  controller: {data['control']['ticks']} commands, {data['control']['deadline_misses']} deadline misses, "
          f"frame to command p99 {data['control']['latency_us']['p99']:.0f} us")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="how long (default 600)")
    with tempfile.TemporaryDirectory(prefix="colonnade-") as folder:
        data = measure(folder, parser.parse_args().seconds)
    tell(data)
    print("written to " + os.path.relpath(results.write("servo", data, 1)))


if __name__ == "__main__":
    main()
