"""What happens when a robot or a controller is interrupted, frozen or killed.

Usage: test_interruptions.py BUILD_FOLDER
"""
import signal
import time

from program import (DONE, FAILED, REACH, SAFETY, Robot, finish, first_lines, last_json,
                     logged_messages, main, run, run_json, said, start, trained, wait_for)

QUIT_S = 20.0  # what Ctrl-C may take, on a busy machine


def takes_over(policy, robot):
    """Whether a new controller gets the lease: it is refused as long as the old one's lasts."""
    process = start("control", policy, "--robot", robot.endpoint, "--seconds", 0.2)
    _, error = process.communicate()
    assert process.returncode == DONE or "lease" in error, error
    return process.returncode == DONE


def has_actions(log):
    """Whether what is on the disk so far can be read, and has actions."""
    process = start("inspect", log, "--json")
    out, _ = process.communicate()
    return process.returncode == DONE and last_json(out, "inspect")["actions"] > 0


def test_ctrl_c_stops_control_in_order():
    policy = trained()
    with Robot("ipc://arm") as robot:
        process = start("control", policy, "--robot", robot.endpoint, "--seconds", 3600, "--log",
                        "log.mcap", "--json")
        first_lines(process, "ticks")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, error = finish(process)
        assert time.monotonic() - began < QUIT_S
        assert error == ""
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
        wait_for(lambda: has_actions("log.mcap"), "a log that was synced")
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
        out, error = finish(process, SAFETY)
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
        out, error = finish(process, SAFETY)
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
        _, error = finish(process, FAILED)
    said(error, robot.endpoint)


def test_a_robot_comes_back_at_the_same_endpoint():
    policy = trained()
    with Robot("ipc://arm") as robot:
        robot.kill()  # leaves its sockets behind
    with Robot("ipc://arm") as robot:
        assert takes_over(policy, robot)


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
            assert time.monotonic() - began < QUIT_S and error == ""
            last_json(out, "robot")


if __name__ == "__main__":
    main(globals())
