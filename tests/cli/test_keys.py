"""Keys between two processes: who is allowed controls the robot, whoever is not is told why and changes
nothing for the one who is.

Usage: test_keys.py BUILD_FOLDER
"""
import os
import random
import socket
import stat
import time

from program import (FAILED, REACH, USAGE, Robot, finish, first_lines, main, run, run_json, said, start,
                     trained)


def keys():
    """robot and friend know each other; stranger is known to nobody."""
    for name in ("robot", "friend", "stranger"):
        run("keygen", name)
    os.mkdir("allowed")
    os.rename("friend.pub", "allowed/friend.pub")
    return ("--key", "robot.key", "--allow", "allowed")


FRIEND = ("--key", "friend.key", "--robot-key", "robot.pub")
STRANGER = ("--key", "stranger.key", "--robot-key", "robot.pub")


def scan(endpoint, seconds):
    """Connects, again and again, and says what no robot understands; returns how often."""
    host, port = endpoint[len("tcp://"):].rsplit(":", 1)
    noise, count, end = random.Random(1), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.create_connection((host, int(port))) as scanner:
            scanner.sendall(noise.choice((noise.randbytes(300), b"GET / HTTP/1.1\r\n\r\n", b"\xff")))
        count += 1
        time.sleep(0.02)
    return count


def test_a_stranger_is_told_and_changes_nothing():
    policy = trained()
    with Robot("tcp://0.0.0.0:*", *keys()) as robot:
        friend = start("control", policy, "--robot", robot.endpoint, "--seconds", 4, *FRIEND, "--json")
        first_lines(friend, "ticks")
        asking = lambda *who: finish(start("control", policy, "--robot", robot.endpoint, *who), FAILED)[1]
        said(asking(*STRANGER), robot.endpoint, "does not know our key", "--allow")
        said(asking(), robot.endpoint, "give --key and --robot-key")
        assert scan(robot.endpoint, 1.0) > 10
        out, error = finish(friend)
        assert '"stopped_by":"time"' in out and error == "", (out, error)
    assert robot.report["connections_refused"] >= 2, robot.report
    assert robot.report["commands_refused"] == 0, robot.report


def test_learning_over_an_encrypted_wire():
    policy = trained()
    with Robot("tcp://127.0.0.1:*", "--lockstep", *keys()) as robot:
        result = run_json("eval", "eval", policy, "--robot", robot.endpoint, "--episodes", 2, *FRIEND)
        assert result["episodes"] == 2
    assert robot.report["connections_refused"] == 0, robot.report


def test_an_address_that_others_reach_needs_a_key():
    _, error = finish(start("robot", REACH, "--bind", "tcp://0.0.0.0:*"), FAILED)
    said(error, "other machines reach tcp://0.0.0.0:*", "keygen")
    with Robot("tcp://0.0.0.0:*", "--open"):
        pass


def test_key_files():
    assert "a/new/folder/one.key" in run("keygen", "a/new/folder/one") and os.path.exists("a/new/folder/one.pub")
    out = run("keygen", "one")
    assert "one.key" in out and "one.pub" in out
    assert stat.S_IMODE(os.stat("one.key").st_mode) == 0o600
    before = open("one.key", encoding="utf-8").read()
    said(finish(start("keygen", "one"), FAILED)[1], "one.key exists")
    assert open("one.key", encoding="utf-8").read() == before
    robot = ("robot", REACH, "--bind", "ipc://arm")
    said(finish(start(*robot, "--key", "one.key", "--allow", "nobody.pub"), FAILED)[1], "nobody.pub")
    said(finish(start(*robot, "--key", "one.pub", "--allow", "one.pub"), FAILED)[1], "one.pub:2: key 'secret'")
    os.chmod("one.key", 0o644)
    said(finish(start(*robot, "--key", "one.key", "--allow", "one.pub"), FAILED)[1], "one.key", "chmod 600")
    said(finish(start(*robot, "--key", "one.key"), USAGE)[1], "--allow go together", lines=2)


if __name__ == "__main__":
    main(globals())
