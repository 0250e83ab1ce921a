"""Arms of servos: the program drives emulated ones (tests/bridge/plants/servo_bus.py, proven there with
the makers' own clients) as it would drive physical ones.

Usage: test_servos.py BUILD_FOLDER
"""
import math
import os
import re
import sys

import numpy as np
from program import (FAILED, REACH, SAFETY, SO101, SOURCE, Robot, content, finish, logged,
                     logged_messages, main, run, run_json, said, start, train, wait_for)

sys.path.insert(0, os.path.join(SOURCE, "tests", "bridge", "plants"))
from servo_bus import Emulator  # noqa: E402

JOINTS = ("pan", "lift", "elbow", "wrist_pitch", "wrist_roll", "wrist_tilt")  # of the reach arm
HOME = (0.0, 0.35, 1.25, 0.75, 0.0, 0.0)  # of the reach task, rad
SO101_JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
SO101_HOME = (0.0, -0.5, 0.3, 1.0, 0.0)
IDS = range(1, 7)
# Of a make: torque enable, goal, position, temperature as address and bytes.
ATTEMPTS = 3
REGISTERS = {"feetech": ((40, 1), (42, 2), (56, 2), (63, 1)),
             "dynamixel": ((64, 1), (116, 4), (132, 4), (146, 1))}


def write_arm():
    """The reach arm as one would have it on servos: nothing tracks its tool."""
    with open("arm.yaml", "w", encoding="utf-8") as file:
        file.write(f"base: {REACH}\nname: servo_reach\ntracked: [target]\n")
    with open("calibration.yaml", "w", encoding="utf-8") as file:
        file.write("joints:\n")
        for servo, joint in zip(IDS, JOINTS):
            file.write(f"  {joint}: {{id: {servo}, zero: 2048, direction: 1, range: [100, 4000]}}\n")
        file.write("rate: 25\n")


def emulator(make, home=HOME):
    bus = Emulator(make, *IDS)
    for servo, position in zip(IDS, home):
        bus.tell("set", servo, *REGISTERS[make][2], round(2048 + position * 4096 / math.tau))
    return bus


def options():
    return "--arm", "arm.yaml", "--calibration", "calibration.yaml"


def robot(bus, make, bind="ipc://arm"):
    return Robot(bind, *options(), task=f"{make}:{bus.port}")


def torques(bus, make):
    return [bus.get(servo, *REGISTERS[make][0]) for servo in IDS]


def controls(make):
    write_arm()
    policy = train("run", task="arm.yaml")
    with emulator(make) as bus:
        before = [bus.get(servo, *REGISTERS[make][2]) for servo in IDS]
        with robot(bus, make) as arm:
            assert torques(bus, make) == [1] * 6
            report = run_json("control", "control", policy, "--robot", arm.endpoint, "--seconds", 3,
                              "--log", "log.mcap")
            moved = [bus.get(servo, *REGISTERS[make][2]) for servo in IDS]
            run("replay", "log.mcap", "--robot", arm.endpoint)
        assert torques(bus, make) == [0] * 6
        assert bus.tell("line") == "True True True"
    assert report["stopped_by"] == "time" and report["ticks"] > 10, report
    assert arm.report["commands_applied"] > 10 and arm.report["commands_refused"] == 0, arm.report
    assert max(abs(a - b) for a, b in zip(before, moved)) > 20, (before, moved)
    assert logged_messages("log.mcap")["/policy/step"] == report["ticks"]
    run_json("verify", "replay", "log.mcap", "--verify", policy)


def test_feetech_arm_follows_a_policy():
    controls("feetech")


def test_dynamixel_arm_follows_a_policy():
    controls("dynamixel")


def controlled_so101(policy, log, *limits):
    """The shipped task and calibration, 3 s on the bus; what servos 1 to 6 read before and after. Servo 6,
    the gripper, is no joint of the task."""
    shipped = content(os.path.join(SOURCE, "scenes", "calibrations", "so101.yaml")).decode()
    with open("calibration.yaml", "w", encoding="utf-8") as file:
        file.write(re.sub("^rate: .*", "rate: 20", shipped, flags=re.MULTILINE))  # for a busy machine
    with emulator("feetech", SO101_HOME) as bus:
        begun = [bus.get(servo, *REGISTERS["feetech"][2]) for servo in IDS]
        with Robot("ipc://arm", "--arm", SO101, "--calibration", "calibration.yaml", "--log", "of_robot_" + log,
                   *limits, task=f"feetech:{bus.port}") as arm:
            assert torques(bus, "feetech") == [1] * 5 + [0]
            report = run_json("control", "control", policy, "--robot", arm.endpoint, "--seconds", 3,
                              "--log", log)
        assert torques(bus, "feetech") == [0] * 6
        ended = [bus.get(servo, *REGISTERS["feetech"][2]) for servo in IDS]
    assert report["stopped_by"] == "time" and report["ticks"] > 10, report
    assert arm.report["commands_refused"] == 0, arm.report
    return begun, ended


def fastest(log):
    """The highest speed of a joint that the arm was told, rad/s: its servo has a period of 50 ms here."""
    targets = np.array([tick.target for tick in logged(log, "/robot/servo")])
    return np.abs(np.diff(targets, axis=0)).max() / 0.05


def test_an_so101_goes_the_whole_path():
    with open("hasty.yaml", "w", encoding="utf-8") as file:  # its policy wants to move, untrained as it is
        file.write(f"base: {SO101}\nname: hasty\ncontrol:\n  mode: joint_position_delta\n"
                   f"  joints: [{', '.join(SO101_JOINTS)}]\n  period: 0.05\n  scale: 1.0\n")
    policy = train("run", task="hasty.yaml")
    begun, ended = controlled_so101(policy, "log.mcap")
    assert max(abs(a - b) for a, b in zip(begun, ended)) > 20 and begun[5] == ended[5], ended
    run_json("verify", "replay", "log.mcap", "--verify", policy)
    strayed = run_json("sim", "replay", "log.mcap", "--sim", SO101)["joint_rmse_rad"]
    # The emulated servos follow sooner than the twin's, and end where the calibration says: 0.14 rad.
    assert strayed < 0.3, strayed

    controlled_so101(policy, "slow.mcap", "--limits",
                     os.path.join(SOURCE, "scenes", "limits", "so101_first_motion.yaml"))
    free, slow = fastest("of_robot_log.mcap"), fastest("of_robot_slow.mcap")
    assert 0.05 < slow < 0.15 + 1e-9 and free > 0.3, (slow, free)


def test_points_that_nobody_measures_are_named():
    write_arm()
    with emulator("feetech") as bus:
        with Robot("ipc://arm", "--arm", REACH, "--calibration", "calibration.yaml",
                   task=f"feetech:{bus.port}") as arm:
            assert "'tool' is not measured here" in arm.process.stdout.readline()
            policy = train("run")
            _, error = finish(start("control", policy, "--robot", arm.endpoint), FAILED)
            said(error, "the task has 2 tracked points, the robot 'reach_arm' has 1")


def ends(*case, **torque):
    """The robot ends by itself, with a sentence, and the arm is limp as far as the bus answers. On a busy
    machine any fault can end in an answer that comes too late: then once more."""
    for attempt in range(ATTEMPTS):
        try:
            return ends_once(*case, **torque)
        except AssertionError as failure:
            if attempt == ATTEMPTS - 1 or "does not answer" not in str(failure):
                raise
    return None


def ends_once(make, orders, code, *words, torque=None):
    write_arm()
    with emulator(make) as bus:
        with robot(bus, make) as arm:
            for order in orders:
                assert bus.tell(*order) == "ok"
            _, error = finish(arm.process, code)
            said(error, *words)
        if torque is not None:
            assert torques(bus, make) == torque


def test_half_answers_end_the_robot():
    for make in REGISTERS:
        ends(make, [("fail", "half", 6)], FAILED, "times in a row", "servo 6 sends half an answer",
             torque=[0] * 6)


def test_wrong_checksums_end_the_robot():
    for make in REGISTERS:
        ends(make, [("fail", "checksum", 3)], FAILED, "times in a row", "joint 'elbow'",
             "servo 3 sends answers with a wrong checksum", torque=[0] * 6)


def test_a_missing_servo_ends_the_robot():
    for make in REGISTERS:
        ends(make, [("fail", "missing", 3)], FAILED, "times in a row", "joint 'elbow'",
             "servo 3 does not answer", torque=[0] * 6)


def test_an_unplugged_adapter_ends_the_robot():
    for make in REGISTERS:
        ends(make, [("unplug",)], FAILED, "is gone: is the adapter still plugged in?")


def test_a_hot_servo_ends_the_robot():
    for make in REGISTERS:
        ends(make, [("set", 2, *REGISTERS[make][3], 90)], SAFETY, "joint 'lift'",
             "servo 2 has 90 degrees Celsius", torque=[0] * 6)


def test_faults_that_pass_are_survived():
    for make in REGISTERS:
        write_arm()
        with emulator(make) as bus, robot(bus, make) as arm:
            for kind in ("half", "checksum", "missing"):
                assert bus.tell("fail", kind, 3, 3) == "ok"
                wait_for(lambda: bus.tell("fails", 3) == "None", "the fault to pass")
        assert arm.report["frames"] > 0


def test_a_killed_server_leaves_a_dynamixel_stopped_by_its_watchdog():
    write_arm()
    with emulator("dynamixel") as bus:
        with robot(bus, "dynamixel") as arm:
            assert bus.get(1, 98, 1) == 20
            arm.kill()
            wait_for(lambda: [bus.get(servo, 98, 1) for servo in IDS] == [255] * 6, "the watchdogs")
        with robot(bus, "dynamixel", "ipc://again"):  # which clears them
            assert bus.get(1, 98, 1) == 20
        assert torques(bus, "dynamixel") == [0] * 6


def test_what_cannot_begin_says_why():
    write_arm()
    with emulator("feetech") as bus:
        def fails(words, *arguments, port=bus.port, code=FAILED):
            _, error = finish(start("robot", f"feetech:{port}", "--bind", "ipc://arm",
                                    *(arguments or options())), code)
            said(error, *words)

        fails(["there is no port /dev/ttyNowhere"], port="/dev/ttyNowhere")
        fails(["no.yaml"], "--arm", "arm.yaml", "--calibration", "no.yaml")
        with open("calibration.yaml", encoding="utf-8") as file:
            text = file.read()
        with open("bad.yaml", "w", encoding="utf-8") as file:
            file.write(text.replace("elbow:", "elbw:"))
        fails(["bad.yaml:4: ", "'elbw'", "known here: "], "--arm", "arm.yaml", "--calibration",
              "bad.yaml")
        with robot(bus, "feetech", "ipc://other"):
            fails([f"{bus.port} is in use by another program"])
        bus.tell("fail", "missing", 4)
        fails(["joint 'wrist_pitch': servo 4 does not answer"])


if __name__ == "__main__":
    main(globals())
