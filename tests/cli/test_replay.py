"""Watching a log: lines, a view with keys on a terminal, and a robot that is paused.

Usage: test_replay.py BUILD_FOLDER
"""
import re
import signal
import subprocess
import termios
import time

import numpy as np
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
from program import (DONE, FAILED, JACO, SO101, USAGE, Robot, contents, finish, first_lines, last_json,
                     logged_messages, main, recorded, run, run_json, said, start)
from terminal import Terminal

TOPICS = ("/robot/sensors", "/robot/commands", "/policy/step", "/events")  # that are shown
SECONDS = 3.0
DIGITS = 1e-4  # lines have four behind the point

def decoded(path):
    """(topic, seconds since the first message, message) as PyPI's readers find them, in log time."""
    with open(path, "rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        found = [(channel.topic, message.log_time, content)
                 for _, channel, message, content in reader.iter_decoded_messages(topics=TOPICS)]
    return [(topic, (at - found[0][1]) * 1e-9, content) for topic, at, content in found]


def lines_of(out):
    """(seconds, topic, words) of every line."""
    return [(float(words[0]), words[1], words[2:]) for words in map(str.split, out.splitlines())]


def numbers_after(words, name):
    at = words.index(name) + 1
    found = []
    while at < len(words):
        try:
            found.append(float(words[at]))
        except ValueError:
            break
        at += 1
    return found


def near(one, other):
    return len(one) == len(other) and all(abs(a - b) < DIGITS for a, b in zip(one, other))


def check_line(line, topic, seconds, message):
    at, name, words = line
    assert name == topic and abs(at - seconds) < 2e-3, (line, seconds)
    if topic == "/robot/sensors":
        assert int(words[words.index("frame") + 1]) == message.sequence
        assert near(numbers_after(words, "position"), message.position), (line, message)
        for vector in message.vectors:
            assert near(numbers_after(words, vector.name), vector.value), (line, message)
    elif topic == "/robot/commands":
        assert int(words[words.index("command") + 1]) == message.sequence
        assert near(numbers_after(words, "position"), message.target), (line, message)
    elif topic == "/policy/step":
        assert near(numbers_after(words, "reward"), [message.reward]), (line, message)
        assert words[words.index("success") + 1] == ("yes" if message.success else "no")
    else:
        assert " ".join(words) == f"{message.kind}: {message.text}"


def test_lines_are_what_the_log_holds():
    log = recorded(SECONDS)
    messages = decoded(log)
    lines = lines_of(run("replay", log, "--rate", 100))
    assert len(lines) == len(messages) > 100
    for topic in TOPICS:
        mine = [line for line in lines if line[1] == topic]
        theirs = [message for message in messages if message[0] == topic]
        assert len(mine) == len(theirs) > 0, topic
        for line, message in zip(mine, theirs):
            check_line(line, *message)
    assert [line[0] for line in lines] == sorted(line[0] for line in lines)


def test_topics_and_intervals():
    log = recorded(SECONDS)
    count = logged_messages(log)
    some = run("replay", log, "--rate", 100, "--topics", "/events,/policy/step", "--json")
    assert {line[1] for line in lines_of(some[:some.index("{")])} == {"/events", "/policy/step"}
    report = last_json(some, "watch")
    assert report["messages"] == count["/events"] + count["/policy/step"] and report["rounds"] == 1
    part = run_json("watch", "replay", log, "--rate", 100, "--start", 1, "--duration", 0.5, "--topics",
                    "/robot/sensors")
    within = sum(topic == "/robot/sensors" and 1 <= seconds < 1.5 for topic, seconds, _ in decoded(log))
    assert abs(part["messages"] - within) <= 1 and 0.3 < part["seconds"] <= 0.5, (part, within)
    _, error = finish(start("replay", log, "--topics", "/events,/camera"), FAILED)
    said(error, "'/camera'", "/robot/sensors", "/events")
    _, error = finish(start("replay", log, "--start", 100), FAILED)
    said(error, log, "nothing from 100 s on")
    _, error = finish(start("replay", log, "--topics", "/events", "--start", 1, "--duration", 0.5), FAILED)
    said(error, log, "no message")


def test_time_passes_as_it_did():
    log = recorded(SECONDS)
    began = time.monotonic()
    run("replay", log, "--duration", 1, "--rate", 0.5)
    assert time.monotonic() - began > 1.8  # of 2 s; the last message comes before the end


def test_a_loop_ends_when_told():
    log = recorded(SECONDS)
    process = start("replay", log, "--loop", "--rate", 100, "--topics", "/events", "--json")
    firsts = 0
    for line in process.stdout:
        firsts += line.split()[0] == "0.000"
        if firsts == 3:
            break
    process.send_signal(signal.SIGINT)
    out, _ = finish(process, DONE)
    assert last_json(out, "watch")["rounds"] >= 3


def test_a_pause_needs_a_key():
    _, error = finish(start("replay", recorded(SECONDS), "--paused"), FAILED)
    said(error, "--paused", "terminal")


def test_keys_on_a_terminal():
    log = recorded(SECONDS)
    frames = [message for topic, _, message in decoded(log) if topic == "/robot/sensors"]
    terminal = Terminal("replay", log, "--paused")
    mode = termios.tcgetattr(terminal.master)[3] & (termios.ICANON | termios.ECHO)
    terminal.read("paused")
    assert any(row.startswith("space pause") for row in terminal.show())
    assert termios.tcgetattr(terminal.master)[3] & (termios.ICANON | termios.ECHO) == 0
    for number, key in enumerate(("\x1b[C", "s", "\x1bOC")):
        terminal.press(key)
        terminal.read("end\x1b[K")
        rows = terminal.show()
        assert "paused" in rows[1], rows
        shown = [float(row.split()[1]) for row in rows if row.split()[-1:] == ["rad"]]
        assert near(shown, frames[number].position), (rows, frames[number])
        (decision,) = [row for row in rows if row.startswith("decision")]
        assert int(decision.split()[1]) == number and decision.endswith(" us"), decision
    terminal.press("\x1b[A")
    terminal.read("x2")
    terminal.press("\x1b[B\x1b[B")
    terminal.read("x0.5")
    terminal.press(" ")
    terminal.read("playing")
    terminal.press("?q")  # a key without a meaning
    assert terminal.process.wait(60) == DONE
    terminal.read()
    rows = terminal.show()
    assert "ended" in rows[1] and not any("space" in row for row in rows), rows
    assert mode and mode == termios.tcgetattr(terminal.master)[3] & (termios.ICANON | termios.ECHO)


def test_a_view_fits_its_terminal():
    terminal = Terminal("replay", recorded(SECONDS), "--rate", 5, columns=40)
    assert terminal.end() == DONE, terminal.text
    rows = terminal.show()
    assert terminal.text.count("joint ") > 3, "it was not redrawn"
    assert sum(row.startswith("joint ") for row in rows) == 1 and max(map(len, rows)) < 40, rows


def test_a_robot_is_paused_with_a_key():
    log = recorded(SECONDS)
    with Robot("ipc://arm") as robot:
        terminal = Terminal("replay", log, "--robot", robot.endpoint, "--paused")
        terminal.read("paused")
        terminal.press(" ")
        while not re.search(r"0\.[1-9]\d s  playing", terminal.text):
            terminal.read("playing")
        terminal.press(" ")
        terminal.read("paused")
        terminal.press(" ")
        terminal.read("playing")
        assert terminal.end() == DONE, terminal.text
    (last,) = [row for row in terminal.show() if "commands played" in row]
    assert robot.report["commands_applied"] >= int(last.split()[0]) > 0, last


def test_a_loop_on_a_robot_ends_when_told():
    log = recorded(SECONDS)
    with Robot("ipc://arm", "--lockstep") as robot:
        process = start("replay", log, "--robot", robot.endpoint, "--duration", 0.5, "--loop", "--json")
        first_lines(process, "round 3: ")
        process.send_signal(signal.SIGINT)
        out, _ = finish(process, DONE)
    report = last_json(out, "play")
    assert report["rounds"] >= 3 and report["commands"] > 0, report
    assert robot.report["commands_applied"] >= 3 * report["commands"], robot.report


# Of cli/plot.c: where the panels are, and the colour of events. What was measured is the only blue.
LEFT, RIGHT_EDGE, TOP, PANEL, GAP, WIDTH = 190, 1570, 132, 112, 12, 1600
HAPPENED, NEAR = (204, 121, 167), 40  # of 255: edges are smooth


def pixels(path):
    """The picture as ffmpeg decodes it."""
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                         check=True, stdout=subprocess.PIPE)
    return np.frombuffer(raw.stdout, np.uint8).reshape(-1, WIDTH, 3)


def test_a_plot_shows_what_was_measured():
    log = recorded(SECONDS)
    report = run_json("plot", "replay", log, "--plot", "plot.png")
    messages = decoded(log)
    frames = [(at, message.position) for topic, at, message in messages if topic == "/robot/sensors"]
    ends = [at for topic, at, message in messages if topic == "/events" and message.kind == "end"]
    joints = len(frames[0][1])
    assert report["panels"] == joints + 2 and report["plot"] == "plot.png"
    assert abs(report["seconds"] - (frames[-1][0] - frames[0][0])) < 1e-3
    picture = pixels("plot.png").astype(int)
    blue = picture[:, :, 2] - picture[:, :, 0] > 60
    assert blue.shape[0] > TOP + report["panels"] * (PANEL + GAP)
    columns = np.arange(LEFT + 4, RIGHT_EDGE - 4)
    at = frames[0][0] + (columns - LEFT) / (RIGHT_EDGE - LEFT) * report["seconds"]
    for joint in range(joints):
        top = TOP + joint * (PANEL + GAP)
        panel = blue[top + 2:top + PANEL - 2, columns]
        assert panel.any(axis=0).mean() > 0.9, "the curve is interrupted"
        seen = panel.any(axis=0)
        drawn = (panel * np.arange(panel.shape[0])[:, None]).sum(axis=0)[seen] / panel.sum(axis=0)[seen]
        logged = np.interp(at, [s for s, _ in frames], [position[joint] for _, position in frames])[seen]
        assert np.corrcoef(-drawn, logged)[0, 1] > 0.99, joint
    x = LEFT + round((ends[0] - frames[0][0]) / report["seconds"] * (RIGHT_EDGE - LEFT))
    marked = (abs(picture[TOP:, x - 3:x + 4] - HAPPENED).max(axis=2) < NEAR).any(axis=1)
    assert marked.sum() > joints * PANEL / 2, "the end is not marked"


def test_a_plot_that_cannot_be_made_leaves_nothing():
    log = recorded(SECONDS)
    before = contents(".")
    out, error = finish(start("replay", log, "--plot", "no/folder/plot.png"), FAILED)
    said(error, "no/folder/plot.png")
    _, error = finish(start("replay", log, "--plot", "plot.png", "--start", 100), FAILED)
    said(error, log, "nothing from 100 s on")
    _, error = finish(start("replay", log, "--plot", "plot.jpg"), USAGE)
    said(error, "--plot plot.jpg", ".png", lines=2)
    _, error = finish(start("replay", log, "--plot", "plot.png", "--task", JACO), FAILED)
    said(error, log, JACO)
    assert out == "" and contents(".") == before


def test_a_film_that_cannot_be_made_leaves_what_was_there():
    log = recorded(SECONDS)
    with open("film.mp4", "w", encoding="utf-8") as file:
        file.write("another film")
    before = contents(".")
    for options, words in ((("film.mp4", "--task", SO101), "5 and 1"), (("film.gif",), "film.gif: a film is .mp4"),
                           (("no/folder/film.mp4",), "no/folder/film.mp4: cannot write")):
        out, error = finish(start("replay", log, "--video", *options), FAILED)
        said(error, words)
        assert out == "" and contents(".") == before, out


if __name__ == "__main__":
    main(globals())
