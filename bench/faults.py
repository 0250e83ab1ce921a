#!/usr/bin/env python3
"""./dev bench faults: makes every fault of tests/cli/faults.py happen and writes what came of them into
docs/safety.md."""
import importlib
import os
import re
import sys
import tempfile
import time

import results

ROOT = results.ROOT
PAGE = os.path.join(ROOT, "docs", "safety.md")
BEGIN, END = "<!-- faults: written by ./dev bench faults -->\n", "<!-- faults: end -->\n"


def load():
    """The faults, on the release build, and the module that starts programs."""
    sys.argv = [sys.argv[0], os.path.join(ROOT, "build", "release")]
    sys.path.insert(0, os.path.join(ROOT, "tests", "cli"))
    return importlib.import_module("faults"), importlib.import_module("program")


def happen(faults, program):
    """(fault, row) of each; the row is None where this machine cannot make it."""
    for fault in faults.FAULTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="cn") as folder:
            os.chdir(folder)
            try:
                row = fault()
                print(f"{fault.__name__} ({time.monotonic() - began:.0f} s)\n  " + "\n  ".join(row), flush=True)
            except faults.Unavailable as why:
                row = None
                print(f"{fault.__name__}: not here: {why}", flush=True)
            finally:
                program.end_all()
                os.chdir(ROOT)
        yield fault, row


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    faults, program = load()
    rows = [row for _, row in happen(faults, program)]
    if None in rows:
        sys.exit("bench: faults are missing; docs/safety.md stays as it is")
    table = ["| " + " | ".join(faults.HEADINGS) + " |", "|---" * len(faults.HEADINGS) + "|"]
    table += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    text = "\n".join(table)
    page, count = re.subn(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: BEGIN + text + "\n" + END, page,
                          flags=re.DOTALL)
    assert count == 1, "docs/safety.md has lost the marks between which the table goes"
    with open(PAGE + ".part", "w", encoding="utf-8") as file:
        file.write(page)
    os.replace(PAGE + ".part", PAGE)
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
