"""Every fault of faults.py: what must hold when processes die or freeze, messages are lost, late or many,
clocks jump, disks are full. Usage: test_faults.py BUILD_FOLDER [FAULT ...]
"""
import functools
import sys

from faults import FAULTS, Unavailable
from program import main


def test_of(fault):
    @functools.wraps(fault)
    def test():
        try:
            print("  " + "\n  ".join(fault()), flush=True)
        except Unavailable as why:
            print(f"  not here: {why}", flush=True)
    return test


sys.argv[2:] = ["test_" + name for name in sys.argv[2:]]
main({"test_" + fault.__name__: test_of(fault) for fault in FAULTS})
