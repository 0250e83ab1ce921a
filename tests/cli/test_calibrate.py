"""Calibration by hand: somebody moves the limp emulated arm (tests/bridge/plants/servo_bus.py) while the
program asks, and the file that comes out is that arm's.

Usage: test_calibrate.py BUILD_FOLDER
"""
import os
import re
import signal
import sys

from program import FAILED, REACH, SO101, SOURCE, USAGE, Robot, finish, last_json, main, said, start, wait_for

sys.path.insert(0, os.path.join(SOURCE, "tests", "bridge", "plants"))
from servo_bus import Emulator  # noqa: E402

# The arm as it was built: servo, steps at 0 rad, direction, ends in steps.
ARM = {"shoulder_pan": (1, 2100, 1, 850, 3300), "shoulder_lift": (2, 1990, -1, 900, 3100),
       "elbow_flex": (3, 2048, 1, 960, 3130), "wrist_flex": (4, 2200, -1, 1100, 3250),
       "wrist_roll": (9, 2000, 1, 300, 3900)}
SPARE = 20  # steps that the program stays off the ends
IDS = ",".join(str(servo) for servo, *_ in ARM.values())
TORQUE, POSITION = (40, 1), (56, 2)


class Hand:
    """Somebody at the arm and at the keyboard."""

    def __init__(self, bus, *options):
        self.bus = bus
        self.program = start("calibrate", f"feetech:{bus.port}", "--arm", SO101, "--out", "arm.yaml",
                             *(options or ("--ids", IDS)), stdin=-1)

    def hears(self, *words):
        line = self.program.stdout.readline()
        for word in words:
            assert word in line, (word, line, self.program.poll())

    def moves(self, servo, steps):
        """Moves a joint there by way of the middle; the program has seen both."""
        for place in (2048, steps):
            self.bus.tell("set", servo, *POSITION, place)
            asked = int(self.bus.tell("asked", servo))
            wait_for(lambda: self.ended() or int(self.bus.tell("asked", servo)) > asked, "a reading")
            assert not self.ended(), self.program.communicate()

    def ended(self):
        return self.program.poll() is not None

    def fails(self, *words):
        """The program ends by itself, nothing written."""
        wait_for(self.ended, "the end")  # which finish would bring about: it closes the input
        said(finish(self.program, FAILED)[1], *words)
        assert not os.listdir("."), os.listdir(".")

    def enters(self):
        self.program.stdin.write("\n")
        self.program.stdin.flush()


def emulator():
    return Emulator("feetech", *(servo for servo, *_ in ARM.values()))


def test_an_arm_is_calibrated_by_hand():
    with emulator() as bus:
        for servo, *_ in ARM.values():
            bus.tell("set", servo, *TORQUE, 1)
        hand = Hand(bus, "--ids", IDS, "--json")
        hand.hears("it goes limp", "Enter")
        assert bus.get(1, *TORQUE) == 1
        hand.enters()
        hand.hears("1 of 3", "both of its ends")
        assert [bus.get(servo, *TORQUE) for servo, *_ in ARM.values()] == [0] * 5
        for servo, _, _, low, high in list(ARM.values())[:-1]:
            hand.moves(servo, low)
            hand.moves(servo, high)
        hand.enters()
        hand.hears("'wrist_roll' has moved by 0 steps only")
        servo, _, _, low, high = ARM["wrist_roll"]
        hand.moves(servo, low)
        hand.moves(servo, high)
        hand.enters()
        hand.hears("2 of 3", "0 rad")
        for servo, zero, *_ in ARM.values():
            hand.moves(servo, zero)
        hand.enters()
        hand.hears("3 of 3")
        for name, (servo, zero, direction, *_) in ARM.items():
            hand.hears(f"Turn '{name}'")
            if name == "elbow_flex":  # the hand trembles only: asked again
                hand.moves(servo, zero - 10)
                hand.enters()
                hand.hears(f"Turn '{name}'")
            hand.moves(servo, bus.get(servo, *POSITION) + 150 * direction)
            hand.enters()
        out, error = finish(hand.program)
        assert error == "" and last_json(out, "calibrate")["joints"] == 5, (out, error)
        with open("arm.yaml", encoding="utf-8") as file:
            found = re.findall(r"(\w+): {id: (\d+), zero: (\d+), direction: (-?1), range: \[(\d+), (\d+)\]}",
                               file.read())
        assert found == [(name, *map(str, (servo, zero, direction, low + SPARE, high - SPARE)))
                         for name, (servo, zero, direction, low, high) in ARM.items()], found
        with Robot("ipc://arm", "--arm", SO101, "--calibration", "arm.yaml", task=f"feetech:{bus.port}"):
            assert bus.get(9, *TORQUE) == 1


def test_whoever_gives_up_leaves_no_file():
    with emulator() as bus:
        hand = Hand(bus)
        hand.hears("it goes limp")
        hand.program.send_signal(signal.SIGINT)
        hand.fails("stopped: nothing was written")
        hand = Hand(bus)
        hand.hears("it goes limp")
        said(finish(hand.program, FAILED)[1], "the input has ended")  # finish closes it
        assert not os.listdir("."), os.listdir(".")


def test_a_joint_that_goes_over_the_end_of_a_turn_is_told():
    with emulator() as bus:
        hand = Hand(bus)
        hand.hears("it goes limp")
        hand.enters()
        hand.hears("1 of 3")
        hand.moves(3, 3500)
        bus.tell("set", 3, *POSITION, 100)
        hand.fails("joint 'elbow_flex' went over the end", "3500 to 100", "servo 3")


def test_what_cannot_begin_says_why():
    with emulator() as bus:
        def fails(words, *options, code=FAILED, lines=1, servos=f"feetech:{bus.port}"):
            said(finish(start("calibrate", servos, *options, stdin=-1), code)[1], *words, lines=lines)

        task = ("--arm", SO101, "--out", "arm.yaml")
        fails(["feetech:PORT"], *task, code=USAGE, lines=2, servos=REACH)
        fails(["--out is missing"], "--arm", SO101, code=USAGE, lines=2)
        fails(["--arm is missing"], "--out", "arm.yaml", code=USAGE, lines=2)
        fails(["there is no port"], *task, servos="feetech:/dev/ttyNowhere")
        fails(["servo 5 does not answer"], *task)  # it has the number 9
        fails(["--ids 1,2", "5 numbers"], *task, "--ids", "1,2")
        fails(["--ids", "servo 2", "'shoulder_lift'", "'wrist_flex'"], *task, "--ids", "1,2,3,2,9")
        fails(["no.yaml"], "--arm", "no.yaml", "--out", "arm.yaml")
        fails(["no/folder/arm.yaml: cannot write"], "--arm", SO101, "--out", "no/folder/arm.yaml")
        fails(["'feetech:' is not feetech:PORT"], *task, code=USAGE, lines=2, servos="feetech:")
        assert not os.listdir("."), os.listdir(".")
        with open("arm.yaml", "w", encoding="utf-8") as file:
            file.write("# mine\n")
        fails(["arm.yaml is there already"], *task)


if __name__ == "__main__":
    main(globals())
