"""The program that is measured, as the benchmarks start it."""
import json
import os
import subprocess
import sys

import results

BUILD = os.path.join(results.ROOT, "build", "release")
PROGRAM = os.path.join(BUILD, "colonnade")


def run(*arguments, launcher=()):
    """Runs the program to its end, silently; returns the JSON of its last line."""
    command = [*launcher, PROGRAM, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: '{' '.join(command)}' ended with status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
