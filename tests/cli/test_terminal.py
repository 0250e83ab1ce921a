"""What training looks like on a terminal: a table that is redrawn in place and leaves nothing behind,
at any width, and a way to go on that can be copied.

Usage: test_terminal.py BUILD_FOLDER
"""
import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time

from program import DONE, PATIENCE_S, PROGRAM, REACH, begin, checkpointed, environment, main, run, trained

SETTINGS = ["--set", "envs=16", "--set", "rollout_steps=32", "--set", "checkpoint_every=1000",
            "--set", "evaluate_every=2000", "--set", "evaluate_episodes=4"]


class Screen:
    """A terminal of endless height that knows what the program uses of one, and that wraps its lines
    anew when it becomes narrower."""

    def __init__(self):
        self.rows, self.row, self.column = [""], 0, 0

    def put(self, character):
        line = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = line[:self.column] + character + line[self.column + 1:]
        self.column += 1

    def feed(self, text):
        for number, order, character in re.findall(r"\x1b\[(\d*)([A-Z])|([^\x1b])", text):
            if order == "A":
                self.row -= int(number)
                assert self.row >= 0, "above the first line"
            elif order in ("K", "J"):
                self.rows[self.row] = self.rows[self.row][:self.column]
                if order == "J":
                    del self.rows[self.row + 1:]
            elif character == "\n":
                self.row += 1
                if self.row == len(self.rows):
                    self.rows.append("")
            elif character == "\r":
                self.column = 0
            else:
                assert not order, f"an order that not every terminal knows: {order}"
                self.put(character)

    def wrap(self, columns):
        rows = []
        for row in self.rows:
            rows += [row[i:i + columns] for i in range(0, max(len(row), 1), columns)]
        assert self.row == len(self.rows) - 1  # the cursor rests below the table
        self.rows, self.row = rows, len(rows) - 1


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, *arguments, columns=80):
        self.master, slave = pty.openpty()
        self.set_size(columns)
        self.process = begin(
            [PROGRAM, *map(str, arguments)], env={**environment(), "TERM": "xterm"}, stdin=slave,
            stdout=slave, stderr=slave,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.screen, self.text, self.fed = Screen(), "", 0

    def set_size(self, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def resize(self, columns):
        """Between two pieces of output, as far as the program can tell."""
        self.process.send_signal(signal.SIGSTOP)
        while select.select([self.master], [], [], 0.5)[0]:
            self.text += os.read(self.master, 65536).decode()
        self.set_size(columns)
        self.show()
        self.screen.wrap(columns)
        self.process.send_signal(signal.SIGCONT)

    def read(self, until=None):
        """Reads until the program ends, or until a new text has the words."""
        deadline, seen = time.monotonic() + PATIENCE_S, len(self.text)
        while until is None or until not in self.text[seen:]:
            assert time.monotonic() < deadline, self.text
            if not select.select([self.master], [], [], 1.0)[0]:
                continue
            try:
                self.text += os.read(self.master, 65536).decode()
            except OSError:  # the program has closed its side
                break

    def show(self):
        self.screen.feed(self.text[self.fed:])
        self.fed = len(self.text)
        return [row.rstrip() for row in self.screen.rows]

    def end(self):
        self.read()
        os.close(self.master)
        return self.process.wait(PATIENCE_S)


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
    os.write(terminal.master, b"\x03")
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
