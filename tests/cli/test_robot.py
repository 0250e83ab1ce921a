"""A robot and its controller as two processes: adapting, live control, logs and replay.

Usage: test_robot.py BUILD_FOLDER
"""
import shutil
import signal
import subprocess
import time

import numpy as np
from program import (FAILED, GAP, JACO, REACH, Robot, contents, finish, first_lines, logged_messages,
                     main, run, run_json, said, scaled, start, trained)
from safetensors import safe_open

PERIOD_S = 0.05                     # of reach
ADAPT_STEPS = scaled(4096, 1024)    # whole rollouts of 1024
EPISODES = scaled(10, 4)            # of 50 steps each
CONTROL_S = 3.0
PERIODS = round(CONTROL_S / PERIOD_S)
FILM_S = 0.6                        # pictures are drawn by the processor


def tensors(path):
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def column_of(path, number):
    """The bytes of a column's tensors: of actor, critic and normaliser."""
    parts = [f"{part}/{number}/" for part in ("actor", "critic", "normalizer")]
    found = {name: value.tobytes() for name, value in tensors(path).items()
             if name.startswith(tuple(parts))}
    assert all(any(name.startswith(part) for name in found) for part in parts), list(found)
    return found


def control(policy, robot, log, seconds=CONTROL_S):
    return run_json("control", "control", policy, "--robot", robot.endpoint, "--seconds", seconds,
                    "--log", log)


def flip_a_bit(source, target, tensor):
    """A copy of a policy in which one bit of one weight is another."""
    with open(source, "rb") as file:
        data = bytearray(file.read())
    weights = tensors(source)[tensor].tobytes()
    assert data.count(weights) == 1
    data[data.index(weights) + 2] ^= 0x40  # a bit of the first weight's mantissa
    with open(target, "wb") as file:
        file.write(data)


def adapts_over(bind):
    old = trained()
    with Robot(bind, "--lockstep", "--gap", GAP) as robot:
        assert "lockstep" in robot.greeting, robot.greeting
        result = run_json("adapt", "adapt", old, "--robot", robot.endpoint, "--out", "new", "--steps",
                          ADAPT_STEPS, "--episodes", EPISODES)
        new = result["policy"]
        again = run_json("eval", "eval", new, "--robot", robot.endpoint, "--episodes", EPISODES,
                         "--seed", 900000000001)
    assert (result["columns"], result["steps"]) == (2, ADAPT_STEPS), result
    assert again["success_rate"] == result["success_after"]  # the same episodes, a new connection
    assert robot.report["frames"] > ADAPT_STEPS and robot.report["commands_refused"] == 0
    return old, new


def test_adapting_over_ipc_leaves_the_first_column_as_it_was():
    old, new = adapts_over("ipc://arm")
    assert column_of(old, 0) == column_of(new, 0)
    frozen, grown = run_json("inspect", "inspect", new)["columns"]
    assert frozen["frozen"] and frozen["trainable_parameters"] == 0
    assert not grown["frozen"] and grown["steps"] == ADAPT_STEPS and grown["lateral"] == "linear"
    same = run_json("eval", "eval", new, "--column", 0, "--against", old, "--task", REACH,
                    "--episodes", EPISODES)
    assert (same["actions_compared"], same["actions_different"]) == (EPISODES * 50, 0), same
    other = run_json("eval", "eval", new, "--against", old, "--task", REACH, "--episodes", EPISODES)
    assert other["actions_different"] > 0, other


def test_a_gapless_twin_over_the_wire_is_the_simulation_to_the_bit():
    policy = trained()
    common = ["--steps", ADAPT_STEPS, "--episodes", EPISODES]
    with Robot("ipc://arm", "--lockstep") as robot:
        there = run_json("adapt", "adapt", policy, "--robot", robot.endpoint, "--out", "there", *common)
    here = run_json("adapt", "adapt", policy, "--task", REACH, "--out", "here", *common)
    for name in ("success_before", "success_after", "return_after"):
        assert there[name] == here[name], (there, here)
    with open("there/last.safetensors", "rb") as one, open("here/last.safetensors", "rb") as two:
        assert one.read() == two.read()


def test_adapting_over_tcp():
    adapts_over("tcp://127.0.0.1:*")


def test_a_damaged_frozen_column_is_refused():
    old = trained()
    run("adapt", old, "--task", REACH, "--out", "new", "--steps", 1024, "--episodes", 1)
    weight = next(name for name in tensors(old) if tensors(old)[name].size > 1000)
    flip_a_bit("new/last.safetensors", "bad.safetensors", weight)
    out, error = finish(start("eval", "bad.safetensors", "--episodes", 1), FAILED)
    said(error, "bad.safetensors", "column 0", "checksum")
    assert out == ""


def test_control_logs_what_replay_can_use():
    policy = trained()
    with Robot("ipc://arm", "--gap", GAP) as robot:
        report = control(policy, robot, "log.mcap")
        control(policy, robot, "short.mcap", seconds=FILM_S)
    assert report["stopped_by"] == "time", report
    # A command a period and one as it begins; where the clock's end falls between two frames is
    # chance, and so is how many periods a busy machine misses.
    assert 0 < report["ticks"] <= PERIODS + 2 + report["goals"], report
    assert report["ticks"] + report["deadline_misses"] >= PERIODS - 1, report
    assert 0 < report["latency_us"]["p50"] <= report["latency_us"]["max"], report
    clock = report["clock"]  # the same for both processes, as is found within what is known
    assert clock["jumps"] == 0 and 0 < clock["round_trips"] <= report["ticks"], report
    assert abs(clock["offset_us"]) <= clock["uncertainty_us"], report
    assert 0 < report["latency_to_robot_us"]["p50"] <= report["latency_to_robot_us"]["max"], report
    assert 0 < report["latency_from_robot_us"]["p50"], report
    assert 1000 < report["servo_period_us"]["p50"] <= report["servo_period_us"]["max"], report
    assert report["log_dropped"] == 0 and report["goals"] >= 1
    counts = logged_messages("log.mcap")
    assert counts["/policy/step"] == counts["/robot/commands"] == report["ticks"], counts
    assert counts["/robot/sensors"] > report["ticks"], counts
    inspected = run_json("inspect", "inspect", "log.mcap")
    assert inspected["kind"] == "log" and not inspected["truncated"]
    assert inspected["actions"] == report["ticks"] and inspected["messages"] == sum(counts.values())

    verifies(policy, report["ticks"])
    simulates()
    plays_to_a_robot()
    films(logged_messages("short.mcap")["/robot/sensors"])


def verifies(policy, ticks):
    good = run_json("verify", "replay", "log.mcap", "--verify", policy)
    assert (good["actions_checked"], good["mismatches"], good["max_abs_error"]) == (ticks, 0, 0), good
    weights = tensors(policy)
    name = next(n for n in weights if weights[n].size > 1000)
    flip_a_bit(policy, "bad.safetensors", name)
    bad = run_json("verify", "replay", "log.mcap", "--verify", "bad.safetensors", code=FAILED)
    assert bad["mismatches"] > 0 and bad["max_abs_error"] > 0, bad


def simulates():
    result = run_json("sim", "replay", "log.mcap", "--sim", REACH)
    # The gap's encoders are off by up to 0.05 rad; the arm itself strays by more than 1 rad.
    assert 0 < result["joint_rmse_rad"] < 0.2, result
    out, error = finish(start("replay", "log.mcap", "--sim", JACO), FAILED)
    said(error, "'reach_arm'", "'jaco'")
    assert out == ""


def plays_to_a_robot():
    with Robot("ipc://fresh") as robot:
        result = run_json("play", "replay", "log.mcap", "--robot", robot.endpoint)
    assert 0 < result["joint_rmse_rad"] < 0.2, result
    assert robot.report["commands_applied"] >= result["commands"] > 0


def films(frames):
    result = run_json("video", "replay", "short.mcap", "--video", "film.mp4")
    probe = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_entries",
                            "stream=width,height,nb_read_frames", "-of", "csv=p=0", "film.mp4"],
                           check=True, capture_output=True, text=True)
    assert probe.stdout.strip() == f"960,720,{frames}", probe.stdout
    assert result["frames"] == frames and abs(result["seconds"] - frames * PERIOD_S) < 1e-6
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", "film.mp4", "-vf", "scale=96:72", "-f",
                          "rawvideo", "-pix_fmt", "gray", "-"], check=True, capture_output=True)
    pictures = np.frombuffer(raw.stdout, np.uint8).reshape(-1, 72, 96).astype(float)
    assert pictures.mean() > 20 and pictures.std() > 10, "black, or empty"
    assert np.abs(pictures[-1] - pictures[0]).max() > 20, "nothing moves"


def test_a_controller_for_lockstep_is_told_so():
    policy = trained()
    with Robot("ipc://arm", "--lockstep") as robot:
        before = contents(".")
        process = start("control", policy, "--robot", robot.endpoint, "--seconds", 1, "--log",
                        "log.mcap")
        out, error = finish(process, FAILED)
    said(error, "lockstep")
    assert out == "" and not set(contents(".")) - set(before), "a log of nothing"


def test_a_robot_with_another_arm_is_refused():
    policy = trained()
    with Robot("ipc://arm", task=JACO) as robot:
        out, error = finish(start("control", policy, "--robot", robot.endpoint), FAILED)
    said(error, "jaco")
    assert out == ""


def test_a_second_controller_is_refused():
    policy = trained()
    with Robot("ipc://arm") as robot:
        first = start("control", policy, "--robot", robot.endpoint, "--seconds", 3600)
        first_lines(first, "ticks")
        out, error = finish(start("control", policy, "--robot", robot.endpoint), FAILED)
        said(error, "lease")
        first.send_signal(signal.SIGINT)
        finish(first)


def test_an_endpoint_in_use_is_refused():
    with Robot("ipc://arm"):
        out, error = finish(start("robot", REACH, "--bind", "ipc://arm"), FAILED)
    said(error, "ipc://arm")
    assert out == ""


def test_evaluation_on_a_robot_that_follows_the_clock():
    policy = trained()
    with Robot("ipc://arm") as robot:
        began = time.monotonic()
        result = run_json("eval", "eval", policy, "--robot", robot.endpoint, "--episodes", 1)
        # the first period is cut by the reset, and a busy machine cuts others
        assert time.monotonic() - began > 0.7 * 50 * PERIOD_S
    assert (result["episodes"], result["length_mean"]) == (1, 50), result


if __name__ == "__main__":
    assert shutil.which("ffmpeg") and shutil.which("ffprobe"), "ffmpeg is missing: run ./dev setup"
    main(globals())
