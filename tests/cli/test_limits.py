"""What a limits file makes of a robot: another process moves slower than its model could, and its tool
stays out of a box, whatever a policy wants. Usage: test_limits.py BUILD_FOLDER
"""
import numpy as np
from program import FAILED, REACH, Robot, finish, logged, main, run_json, said, start, trained

SPEED = 0.1
LIMITS = f"""
speed: {SPEED}
joints:
  pan: {{velocity: 0.5}}
"""
DISTANCE = 0.03  # m, of the box: more than the arm's servo overshoots a command
FAR = 2          # m: beyond the arm's reach
MODEL_SPEED = np.array([2.4, 2.4, 2.4, 3.0, 3.0, 3.0])  # of scenes/reach.yaml, rad/s
CONTROL_S = 4


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def frames(policy, limits):
    """The sensor frames of a run at these limits, and the robot's report of it."""
    with Robot("ipc://arm", "--limits", limits) as robot:
        run_json("control", "control", policy, "--robot", robot.endpoint, "--seconds", CONTROL_S, "--log",
                 "log.mcap")
    return logged("log.mcap", "/robot/sensors"), robot.report


def tool_path(policy, limits):
    """Where the tool was, [frames, 3], m; and how often it was stopped before a box, by the robot's frames and
    by its report."""
    seen, report = frames(policy, limits)
    assert not any(f.server.kept_from for f in seen) or seen[-1].server.keep_out_stops > 0
    stops = seen[-1].server.keep_out_stops, report["keep_out_stops"]
    return np.array([next(v.value for v in f.vectors if v.name == "tool") for f in seen]), stops


def test_a_limited_robot_is_slow():
    seen, _ = frames(trained(), write("limits.yaml", LIMITS))
    position = np.array([f.position for f in seen])
    seconds = np.array([f.robot_time_ns for f in seen]) * 1e-9
    apart = np.diff(seconds) > 0  # the answer to a reset may be of the same moment as a frame
    speed = np.abs(np.diff(position, axis=0)[apart]) / np.diff(seconds)[apart, None]
    limit = SPEED * MODEL_SPEED
    limit[0] = 0.5
    assert len(seen) > CONTROL_S * 10
    assert (speed.max(axis=0) > 0.2 * limit).any(), speed.max(axis=0)  # it did move
    # The arm's servo lags behind a command and catches up: a share of the limit.
    assert (speed.max(axis=0) < 1.3 * limit).all(), (speed.max(axis=0), limit)


def test_a_tool_keeps_out_of_its_box():
    """The box begins half-way of where the policy takes the tool without it."""
    policy = trained()
    free, stops = tool_path(policy, write("free.yaml", "speed: 1\n"))
    assert stops == (0, 0)
    gone = free - free[0]
    _, axis = np.unravel_index(np.abs(gone).argmax(), gone.shape)
    furthest = gone[np.abs(gone[:, axis]).argmax(), axis]
    assert abs(furthest) > 4 * DISTANCE, furthest
    low, high = [-FAR] * 3, [FAR] * 3
    side = float(free[0, axis] + furthest / 2)
    (low if furthest > 0 else high)[axis] = side
    kept, stops = tool_path(policy, write("box.yaml", "keep_out:\n"
                                   f"  - {{point: tool, low: {low}, high: {high}, distance: {DISTANCE}}}\n"))
    room = (side - kept[:, axis]) * np.sign(furthest)  # m, before the box
    assert room.min() > 0, room.min()
    assert 0 < stops[0] <= stops[1], stops
    assert room.min() < 2 * DISTANCE, room.min()  # and it came near


def test_a_wrong_limits_file_is_one_line():
    for text, words in (("speed: 7\n", ("wrong.yaml:1", "found 7")),
                        ("joints:\n  pan: {velocity: 9}\n", ("wrong.yaml:2", "pan", "9", "2.4")),
                        ("keep_out:\n- {point: claw, low: [0, 0, 0], high: [1, 1, 1]}\n",
                         ("wrong.yaml:2", "claw", "tool"))):
        _, error = finish(start("robot", REACH, "--bind", "ipc://arm", "--limits",
                                write("wrong.yaml", text)), FAILED)
        said(error, *words)


main(globals())
