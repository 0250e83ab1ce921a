"""A robot and its controller as two processes: adapting, live control, logs, replay, and what happens
when one of them is interrupted or dies.

Usage: test_robot.py BUILD_FOLDER
"""
import os
import shutil
import signal
import subprocess
import time

import numpy as np
from mcap.reader import make_reader
from program import (DONE, FAILED, GAP, JACO, REACH, SAFETY, Robot, contents, finish, last_json, main,
                     run, run_json, said, scaled, start, trained, wait_for)
from safetensors import safe_open

PERIOD_S = 0.05                     # of reach
ADAPT_STEPS = scaled(4096, 1024)    # whole rollouts of 1024
EPISODES = scaled(10, 4)            # of 50 steps each
CONTROL_S = 3.0
TICKS = range(52, 62)               # in CONTROL_S: 60, less what a busy machine loses
FILM_S = 0.6                        # pictures are drawn by the processor
QUIT_S = 2.0                        # what Ctrl-C may take


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


def first_lines(process, word):
    """Reads standard output until a line has the word: the process is in its loop then."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"'{word}' never came: {lines} {process.stderr.read()}")


def logged_messages(path):
    """How many messages PyPI's reader finds, by topic. It fails if the log is not whole."""
    counts = {}
    with open(path, "rb") as file:
        for _, channel, _ in make_reader(file, validate_crcs=True).iter_messages():
            counts[channel.topic] = counts.get(channel.topic, 0) + 1
    return counts


def control(policy, robot, log, seconds=CONTROL_S, code=DONE):
    return run_json("control", "control", policy, "--robot", robot.endpoint, "--seconds", seconds,
                    "--log", log, code=code)


def takes_over(policy, robot):
    """Whether a new controller gets the lease: it is refused as long as the old one's lasts."""
    process = start("control", policy, "--robot", robot.endpoint, "--seconds", 0.2)
    _, error = process.communicate()
    assert process.returncode == DONE or "lease" in error, error
    return process.returncode == DONE


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
                         "--seed", 1)
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
    assert report["stopped_by"] == "time" and report["ticks"] in TICKS, report
    assert 0 < report["latency_us"]["p50"] <= report["latency_us"]["max"], report
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


def test_ctrl_c_stops_control_in_order():
    policy = trained()
    with Robot("ipc://arm") as robot:
        process = start("control", policy, "--robot", robot.endpoint, "--seconds", 3600, "--log",
                        "log.mcap", "--json")
        lines = first_lines(process, "ticks")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, error = finish(process)
        assert time.monotonic() - began < scaled(QUIT_S, 5 * QUIT_S)
        assert error == "" and lines
        report = last_json(out, "control")
    assert report["stopped_by"] == "interrupted" and report["ticks"] > 0, report
    assert logged_messages("log.mcap")["/policy/step"] == report["ticks"]
    run("replay", "log.mcap", "--verify", policy)


def test_a_robot_outlives_its_controller():
    policy = trained()
    with Robot("ipc://arm") as robot:
        process = start("control", policy, "--robot", robot.endpoint, "--seconds", 3600, "--log",
                        "log.mcap")
        first_lines(process, "ticks")
        time.sleep(1.5)  # the log is synced once a second
        process.kill()
        process.communicate()
        assert robot.process.poll() is None
        wait_for(lambda: takes_over(policy, robot), "the lease of a dead controller")
    assert robot.report["watchdog_stops"] >= 1, robot.report
    cut = run_json("inspect", "inspect", "log.mcap")
    assert cut["truncated"] and cut["actions"] > 0, cut
    run("replay", "log.mcap", "--verify", policy)


def test_control_notices_that_the_robot_died():
    policy = trained()
    with Robot("ipc://arm") as robot:
        process = start("control", policy, "--robot", robot.endpoint, "--seconds", 3600, "--log",
                        "log.mcap", "--json")
        first_lines(process, "ticks")
        robot.kill()
        out, error = finish(process, SAFETY, patience_s=20)
    said(error, f"the robot at {robot.endpoint} fell silent")
    report = last_json(out, "control")
    assert report["stopped_by"] == "robot lost" and report["stale_frames"] > 0, report
    assert logged_messages("log.mcap")["/policy/step"] == report["ticks"]


def test_control_notices_that_it_was_replaced():
    """A controller that was frozen wakes up, and another one has the lease."""
    policy = trained()
    with Robot("ipc://arm") as robot:
        process = start("control", policy, "--robot", robot.endpoint, "--seconds", 3600, "--json")
        first_lines(process, "ticks")
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: takes_over(policy, robot), "the lease of a frozen controller")
        process.send_signal(signal.SIGCONT)
        out, error = finish(process, SAFETY, patience_s=20)
    said(error, f"the robot at {robot.endpoint} holds")
    assert last_json(out, "control")["stopped_by"] == "safety"


def test_adapting_notices_that_the_robot_died():
    policy = trained()
    with Robot("ipc://arm", "--lockstep") as robot:
        process = start("adapt", policy, "--robot", robot.endpoint, "--out", "new", "--steps", 10**9,
                        "--episodes", 1)
        first_lines(process, "before:")
        time.sleep(0.5)
        robot.kill()
        _, error = finish(process, FAILED, patience_s=60)
    said(error, robot.endpoint)


def test_evaluation_on_a_robot_that_follows_the_clock():
    policy = trained()
    with Robot("ipc://arm") as robot:
        began = time.monotonic()
        result = run_json("eval", "eval", policy, "--robot", robot.endpoint, "--episodes", 1)
        assert time.monotonic() - began > 50 * PERIOD_S
    assert (result["episodes"], result["length_mean"]) == (1, 50), result


def test_a_robot_comes_back_at_the_same_endpoint():
    policy = trained()
    with Robot("ipc://arm") as robot:
        robot.kill()  # leaves its sockets behind
    with Robot("ipc://arm") as robot:
        assert control(policy, robot, "log.mcap", seconds=0.5)["stopped_by"] == "time"


def test_ctrl_c_ends_training_with_what_was_learned():
    process = start("train", REACH, "--out", "run", "--steps", 10**9, "--json")
    first_lines(process, "steps")
    process.send_signal(signal.SIGINT)
    out, error = finish(process)
    report = last_json(out, "train")
    assert error == "" and report["stopped"] and report["success_rate"] is None, report
    assert report["steps"] % 4096 == 0 and 0 < report["steps"] < 10**9
    (column,) = run_json("inspect", "inspect", report["policy"])["columns"]
    assert column["steps"] == report["steps"]
    assert run_json("eval", "eval", report["policy"], "--episodes", 2)["episodes"] == 2


def test_ctrl_c_ends_adapting_with_what_was_learned():
    policy = trained()
    process = start("adapt", policy, "--task", REACH, "--out", "new", "--steps", 10**9, "--episodes",
                    1, "--json")
    first_lines(process, "steps")
    process.send_signal(signal.SIGINT)
    out, error = finish(process)
    report = last_json(out, "adapt")
    assert error == "" and report["stopped"] and report["success_after"] is None, report
    assert len(run_json("inspect", "inspect", report["policy"])["columns"]) == 2


def test_a_robot_stops_at_ctrl_c():
    for options in ((), ("--lockstep",)):
        with Robot("ipc://arm", *options) as robot:
            began = time.monotonic()
            robot.process.send_signal(signal.SIGINT)
            out, error = finish(robot.process)
            assert time.monotonic() - began < scaled(QUIT_S, 5 * QUIT_S) and error == ""
            last_json(out, "robot")


if __name__ == "__main__":
    assert shutil.which("ffmpeg") and shutil.which("ffprobe"), "ffmpeg is missing: run ./dev setup"
    main(globals())
