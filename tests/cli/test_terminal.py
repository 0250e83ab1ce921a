"""What training looks like on a terminal: a table that is redrawn in place and leaves nothing behind,
at any width, and a way to go on that can be copied.

Usage: test_terminal.py BUILD_FOLDER
"""
import shlex
import signal
import subprocess

from program import DONE, PROGRAM, REACH, checkpointed, environment, main, run, trained
from terminal import Terminal

SETTINGS = ["--set", "envs=16", "--set", "rollout_steps=32", "--set", "checkpoint_every=1000",
            "--set", "evaluate_every=2000", "--set", "evaluate_episodes=4"]


def count(rows, word):
    return sum(row.startswith(word) for row in rows)


def test_one_table_and_what_came_of_it():
    for columns in (60, 80, 120):
        terminal = Terminal("train", REACH, "--out", f"run{columns}", "--steps", 6000, *SETTINGS,
                            columns=columns)
        assert terminal.end() == DONE, terminal.text
        rows = terminal.show()
        assert terminal.text.count("training") > 3, "it was not redrawn"
        for word in ("[###", "training", "evaluation", "best", "learning", "threads", "next"):
            assert count(rows, word) == 1, (word, rows)
        assert max(len(row) for row in rows if row.startswith(("[#", "threads"))) < columns
        assert "100 %" in rows[0] and any("all steps done" in row for row in rows), rows
        learning = " ".join(rows)
        for word in ("kl ", "clip fraction ", "entropy ", "learning rate ", "value error "):
            assert word in learning, (word, rows)


def test_a_terminal_that_changes_its_width():
    terminal = Terminal("train", REACH, "--out", "run", "--steps", 10**9, *SETTINGS, columns=80)
    terminal.read("threads")
    for columns in (120, 50, 100, 80):
        terminal.resize(columns)
        terminal.read("threads")
        terminal.read("threads")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == DONE
    assert count(terminal.show(), "threads") == 1, terminal.show()


def test_ctrl_c_leaves_a_way_to_go_on():
    folder = "a run's folder"
    terminal = Terminal("train", REACH, "--out", folder, "--steps", 6000, "--threads", 2, *SETTINGS)
    while not checkpointed(folder):
        terminal.read("threads")
    terminal.press("\x03")
    assert terminal.end() == DONE, terminal.text
    rows = terminal.show()
    assert count(rows, "threads") == 1 and not any("^C" in row for row in rows), rows
    (at,) = [i for i, row in enumerate(rows) if row.startswith("Go on from step ")]
    command = shlex.split("".join(rows[at + 1:]))
    assert command[0] == PROGRAM and "--resume" in command and folder in command, command
    ended = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    assert "all steps done" in ended.stdout, ended.stdout


def test_adapting_shows_the_same_table():
    policy = trained()
    terminal = Terminal("adapt", policy, "--task", REACH, "--out", "new", "--steps", 2048,
                        "--episodes", 2, "--set", "evaluate_every=1024")
    assert terminal.end() == DONE, terminal.text
    rows = terminal.show()
    for word in ("before:", "training", "threads", "success before"):
        assert count(rows, word) == 1, (word, rows)


def test_a_terminal_that_cannot_move_its_cursor_gets_lines():
    assert "\x1b" not in run("train", REACH, "--out", "run", "--steps", 2000, *SETTINGS)
    command = f"TERM=dumb {shlex.quote(PROGRAM)} train {REACH} --out dumb --steps 2000 " + \
        " ".join(SETTINGS)
    ended = subprocess.run(["script", "-qec", command, "/dev/null"], env=environment(), text=True,
                           stdout=subprocess.PIPE, check=True)
    assert "\x1b" not in ended.stdout and "all steps done" in ended.stdout, ended.stdout


if __name__ == "__main__":
    main(globals())
