#!/usr/bin/env python3
"""Our motions take as long as those of Ruckig, an independent planner of time-optimal jerk-limited motion,
from any state that the limits allow to rest at any target."""
import os
import random
import subprocess
import sys

from ruckig import InputParameter, Result, Ruckig, Trajectory

MOTIONS = 20000
TOLERANCE = 1e-9  # of the duration: both are roots of polynomials in double precision


def draw(rng):
    """Limits, state and target; None: no motion within the limits passes such a state."""
    limits = [10 ** rng.uniform(-1, 1), 10 ** rng.uniform(-1, 2), 10 ** rng.uniform(0, 4)]
    velocity, acceleration = rng.uniform(-limits[0], limits[0]), rng.uniform(-limits[1], limits[1])
    if abs(velocity + acceleration * abs(acceleration) / (2 * limits[2])) > limits[0]:
        return None
    return [*limits, rng.uniform(-3, 3), velocity, acceleration, rng.uniform(-3, 3)]


def peer_duration(planner, motion):
    i = InputParameter(1)
    (i.max_velocity, i.max_acceleration, i.max_jerk, i.current_position, i.current_velocity,
     i.current_acceleration, i.target_position) = ([x] for x in motion)
    trajectory = Trajectory(1)
    assert planner.calculate(i, trajectory) in (Result.Working, Result.Finished), motion
    return trajectory.duration


def main():
    rng, planner = random.Random(1), Ruckig(1)
    motions = [m for m in (draw(rng) for _ in range(2 * MOTIONS)) if m][:MOTIONS]
    assert len(motions) == MOTIONS
    lines = "\n".join(" ".join(map(repr, m)) for m in motions)
    ours = subprocess.run([os.path.join(sys.argv[1], "tests", "motions")], input=lines, text=True, check=True,
                          stdout=subprocess.PIPE).stdout.split()
    assert len(ours) == MOTIONS, len(ours)
    worst = 0
    for motion, duration in zip(motions, map(float, ours)):
        theirs = peer_duration(planner, motion)
        difference = abs(duration - theirs) / theirs
        assert difference < TOLERANCE, f"{motion}: {duration} s, Ruckig's {theirs} s"
        worst = max(worst, difference)
    print(f"{MOTIONS} motions, durations equal to {worst:.1e}")


main()
