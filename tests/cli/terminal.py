"""A terminal for tests: what a program shows on one, and the keys that it gets.

What uses it: test_terminal.py, test_replay.py.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from program import PATIENCE_S, PROGRAM, begin, environment


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

    def press(self, keys):
        os.write(self.master, keys.encode())

    def show(self):
        self.screen.feed(self.text[self.fed:])
        self.fed = len(self.text)
        return [row.rstrip() for row in self.screen.rows]

    def end(self):
        self.read()
        os.close(self.master)
        return self.process.wait(PATIENCE_S)
