"""What is left of a log whose writer was killed, that was cut off, or that was damaged.

Usage: test_logs.py BUILD_FOLDER
"""
import io
import os
import random
import time

import PIL.Image
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from mcap.reader import make_reader
from program import (FAILED, REACH, USAGE, Robot, finish, first_lines, last_json, logged_messages, main, run, run_json,
                     said, scaled, start, trained)

CONTROL_S = 3.0
CUTS = scaled(40, 8)


def messages(path):
    """Every message of a whole log, as PyPI's reader finds it with all checksums verified."""
    with open(path, "rb") as file:
        return [(channel.topic, message.sequence, message.log_time, message.publish_time, message.data)
                for _, channel, message in make_reader(file, validate_crcs=True).iter_messages()]


def log_of(policy, seconds, name):
    with Robot("ipc://arm") as robot:
        run("control", policy, "--robot", robot.endpoint, "--seconds", seconds, "--log", name)
    with open(name, "rb") as file:
        return file.read()


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


def chunks(path):
    """(first byte, bytes with head, indexes not included) of every chunk, in file order."""
    with open(path, "rb") as file:
        found = make_reader(file).get_summary().chunk_indexes
    return sorted((c.chunk_start_offset, c.chunk_length) for c in found)


def says(text, *words):
    for word in words:
        assert word in text, f"'{word}' is not in:\n{text}"


def test_a_whole_log_lost_nothing():
    log_of(trained(), CONTROL_S, "log.mcap")
    whole = run_json("inspect", "inspect", "log.mcap")
    assert not whole["truncated"] and whole["complete"], whole
    assert (whole["damage"], whole["bytes_lost"]) == ([], 0)
    assert whole["bytes"] == os.path.getsize("log.mcap")
    assert whole["chunks"] == len(chunks("log.mcap"))
    assert "/robot/commands" not in whole["missing"] and "/policy/step" not in whole["missing"]
    run("inspect", "log.mcap", "--recover", "copy.mcap")
    assert messages("copy.mcap") == messages("log.mcap")


def test_killed_controllers_leave_what_was_written():
    policy = trained()
    for seconds in (0.1, 0.7, 1.6, 2.3):
        with Robot("ipc://arm") as robot:
            process = start("control", policy, "--robot", robot.endpoint, "--seconds", 3600, "--log",
                            "log.mcap")
            first_lines(process, "ticks")
            time.sleep(seconds)
            process.kill()
            process.communicate()
        left = run_json("inspect", "inspect", "log.mcap", "--recover", "copy.mcap")
        assert left["truncated"] and not left["complete"] and left["damages"] == 0, left
        assert left["actions"] > 0 and "/policy/step" not in left["missing"], left
        found = messages("copy.mcap")
        assert len(found) == left["messages"]
        commands = [sequence for topic, sequence, *_ in found if topic == "/robot/commands"]
        assert commands == list(range(1, len(commands) + 1)), commands
        run("replay", "copy.mcap", "--verify", policy)


def test_a_log_cut_off_anywhere_keeps_its_whole_chunks():
    data = log_of(trained(), CONTROL_S, "log.mcap")
    ends = [start + length for start, length in chunks("log.mcap")]
    written = messages("log.mcap")
    at = random.Random(1)
    cuts = {at.randrange(ends[0], len(data)) for _ in range(CUTS)} | {ends[1], ends[1] - 1, len(data) - 1}
    for cut in sorted(cuts):
        write("cut.mcap", data[:cut])
        left = run_json("inspect", "inspect", "cut.mcap", "--recover", "copy.mcap")
        assert left["truncated"] and left["damages"] == 0, (cut, left)
        assert left["chunks"] == sum(end <= cut for end in ends), (cut, left)
        assert 0 <= left["bytes_lost"] <= cut, (cut, left)
        kept = messages("copy.mcap")
        assert kept == written[:len(kept)] and len(kept) == left["messages"], cut
        assert not left["complete"] or kept == written, cut


def test_what_is_said_of_a_cut_log():
    data = log_of(trained(), CONTROL_S, "log.mcap")
    (first, size), (second, length), end = *chunks("log.mcap")[:2], len(data)
    write("cut.mcap", data[:first + size // 2])
    says(run("inspect", "cut.mcap"), "cut.mcap, cut off: 0 messages",
         f"kept    {first} of {first + size // 2} bytes: 0 whole chunks, no message")
    write("cut.mcap", data[:second + length // 2])
    says(run("inspect", "cut.mcap"), "cut.mcap, cut off: ",
         f"kept    {second} of {second + length // 2} bytes: 1 whole chunk, ",
         f"lost    the last {length // 2} bytes, an unfinished chunk")
    write("cut.mcap", data[:second])
    says(run("inspect", "cut.mcap"), "lost    what was not written yet")
    write("cut.mcap", data[:end - 1])
    says(run("inspect", "cut.mcap"), "lost    nothing but the index")
    says(run("inspect", "log.mcap"), "log.mcap, whole")


def test_the_rest_of_a_damaged_log():
    policy = trained()
    data = bytearray(log_of(policy, CONTROL_S, "log.mcap"))
    written = messages("log.mcap")
    start_of, length = chunks("log.mcap")[2]
    data[start_of + length - 10] ^= 0x10
    write("bad.mcap", data)
    out, error = finish(start("inspect", "bad.mcap", "--json"), FAILED)
    says(out, "bad.mcap, damaged", f"the chunk at byte {start_of}")
    said(error, f"bad.mcap: the chunk at byte {start_of}", "inspect bad.mcap --recover")
    said(finish(start("replay", "bad.mcap"), FAILED)[1], "inspect bad.mcap --recover")
    report = last_json(out, "inspect")
    (damage,) = report["damage"]
    assert (damage["byte"], damage["bytes"]) == (start_of, length), damage
    assert 0 <= damage["from_s"] <= damage["to_s"] <= report["last_s"], damage
    run("inspect", "bad.mcap", "--recover", "copy.mcap")
    kept = messages("copy.mcap")
    first = min(i for i, message in enumerate(written) if message not in kept)
    lost = len(written) - len(kept)
    assert lost > 0 and kept == written[:first] + written[first + lost:]
    steps = sum(message[0] == "/policy/step" for message in written[first:first + lost])
    assert report["missing"]["/policy/step"] == steps, report
    run("replay", "copy.mcap", "--verify", policy)


def test_recovery_is_for_logs_and_spares_them():
    policy = trained()
    data = log_of(policy, CONTROL_S, "log.mcap")
    out, error = finish(start("inspect", "log.mcap", "--recover", "log.mcap"), FAILED)
    said(error, "log.mcap: a copy needs another name")
    with open("log.mcap", "rb") as file:
        assert file.read() == data
    out, error = finish(start("inspect", policy, "--recover", "copy.mcap"), FAILED)
    said(error, "--recover is for logs")
    assert out == "" and not os.path.exists("copy.mcap")
    assert logged_messages("log.mcap")


def test_pictures_of_a_camera_are_in_the_log():
    """Foxglove's class and Pillow find pictures that change with the arm; with them the rest is as ever."""
    policy = trained()
    with Robot("ipc://arm", "--camera", "view", "--log", "robot.mcap") as robot:
        run("control", policy, "--robot", robot.endpoint, "--seconds", CONTROL_S, "--log", "log.mcap")
    pictures = []
    for topic, _, log_time, _, data in messages("log.mcap"):
        if topic == "/camera/view":
            picture = CompressedImage.FromString(data)
            assert picture.format == "png" and picture.timestamp.ToNanoseconds() == log_time
            image = PIL.Image.open(io.BytesIO(picture.data))
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 64))
            pictures.append(image.tobytes())
    frames = logged_messages("log.mcap")["/robot/sensors"]
    assert 1 < len(pictures) <= frames, (len(pictures), frames)
    assert all(len(set(picture)) > 8 for picture in pictures)  # none is blank
    assert len(set(pictures)) > 1
    assert run_json("inspect", "inspect", "log.mcap")["frames"] == frames
    says(run("inspect", "log.mcap"), f"{len(pictures)} on /camera/view")
    run("replay", "log.mcap", "--verify", policy)
    ticks = logged_messages("robot.mcap")["/robot/servo"]
    says(run("inspect", "robot.mcap"), "its own log", f"{ticks} on /robot/servo", "on /camera/view")


def test_cameras_that_cannot_be():
    for options, code, words in (
            (["--camera", "nose"], FAILED, "camera 'nose' is not in the model; it has: view"),
            (["--camera", "view", "--lockstep"], USAGE, "--camera is for real time")):
        out, error = finish(start("robot", REACH, "--bind", "ipc://arm", *options), code)
        said(error, words, lines=2 if code == USAGE else 1)
        assert out == "" and not os.path.exists("arm")


if __name__ == "__main__":
    main(globals())
