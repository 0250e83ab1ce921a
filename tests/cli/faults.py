"""Faults between a robot and its controller, each between real processes, and what came of them. A fault is
a function of FAULTS: it makes the trouble, asserts what must hold, and returns a Row for the table of
docs/safety.md. Shared by tests/cli/test_faults.py and bench/faults.py.

What the arm did is read from the robot's own log: everything that its plant was told, period by period.
"""
import collections
import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import numpy as np
import zmq
from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader
from mcap_protobuf.decoder import DecoderFactory
from network import ADDRESSES, CABLE, Network, NoNetwork, ip, space
from program import (FAILED, INSTRUMENTED, SAFETY, Robot, finish, first_lines, last_json, run, said,
                     scaled, start, train, wait_for)
from wire import POSITION, VELOCITY, Client, Proxy, curve

Row = collections.namedtuple("Row", "fault limits arm said log")
HEADINGS = ("fault", "of the limits used: velocity, acceleration, jerk, %", "what the arm did", "what was said",
            "what the log lost")

FLOOD_S = scaled(3.0, 1.0)
MOVING_S = scaled(1.0, 0.6)       # of control before a fault, and after it
BAD_WEATHER_S = scaled(3.0, 1.5)  # of messages lost, late, twice or in another order
FREEZE_S = 0.3
CUT_S = 1.0
DISK_S = 5.0         # of logging to a disk of 64 KiB
PERIOD_S = 0.05      # of scenes/reach.yaml
FLUSH_S = 1.0        # how much a killed program's log may lack
LATE_TICKS = 2       # servo periods in which a command may still be followed that has run out
STILL_S = 0.5        # after which a stopped arm must be at rest
# Velocity, acceleration and jerk are differences of positions that are known to 1e-15 rad.
TOLERANCE = {1: 1e-9, 2: 1e-6, 3: 1e-3}

HOLDING = 2  # ServerMode

FAULTS = []


def fault(function):
    FAULTS.append(function)
    return function


class Unavailable(Exception):
    """This machine cannot make such a fault; says why."""


# ---- What the arm did ----

def messages(path):
    """What PyPI's linear reader finds, as (topic, log time in s, message), up to where the file is whole."""
    with open(path, "rb") as file:
        reader = NonSeekingReader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        with contextlib.suppress(McapError, EOFError):
            for _, channel, message, decoded in reader.iter_decoded_messages(log_time_order=False):
                yield channel.topic, message.log_time * 1e-9, decoded


_arm = []


def arm():
    """The joints of the robot, with their limits, and the rate of its servo, as it tells them."""
    if not _arm:
        with Robot("ipc://asked") as r, Client(r.endpoint) as client:
            _arm.append((client.info.joints, client.info.servo_rate_hz))
    return _arm[0]


class Account:
    """The robot's log: frames, accepted commands, periods of the servo, changes of mode."""

    def __init__(self, path):
        self.joints, rate = arm()
        self.dt = 1 / rate
        self.frames, self.commands, self.ticks, self.events = {}, {}, [], []
        for topic, _, message in messages(path):
            if topic == "/robot/sensors":
                self.frames[message.sequence] = message
            elif topic == "/robot/commands":
                self.commands[message.sequence] = message
            elif topic == "/robot/servo":
                self.ticks.append(message)
            elif topic == "/events":
                self.events.append(message.text)
        assert len(self.ticks) > MOVING_S * rate / 2, len(self.ticks)
        self.target = self.path()
        self.time = np.array([tick.robot_time_ns for tick in self.ticks]) * 1e-9
        self.server = self.frames[max(self.frames)].server

    def path(self):
        """Where the plant was told to be, [ticks, joints]; a velocity is one for a period."""
        told = np.array([tick.target for tick in self.ticks])
        for i, tick in enumerate(self.ticks):
            if tick.target_mode == VELOCITY:
                told[i] = told[i - 1] + told[i] * self.dt
        return told

    def check_limits(self):
        """The largest share of each limit that the plant was told to use: none is above 1."""
        resets = np.array([self.frames[tick.frame].resets if tick.frame in self.frames else 0
                           for tick in self.ticks])
        low, high = (np.array([getattr(j, name) for j in self.joints])
                     for name in ("position_low", "position_high"))
        assert (self.target >= low - TOLERANCE[1]).all() and (self.target <= high + TOLERANCE[1]).all()
        shares, moved = {}, self.target
        for order, name in ((1, "velocity_limit"), (2, "acceleration_limit"), (3, "jerk_limit")):
            moved = np.diff(moved, axis=0) / self.dt
            limit = np.array([getattr(j, name) for j in self.joints])
            # A reset puts a twin elsewhere: differences across one are no motion.
            same = resets[order:] == resets[:-order]
            largest = np.abs(moved[same]).max(axis=0)
            assert (largest <= limit + TOLERANCE[order]).all(), (name, largest, limit)
            shares[name] = float((largest / limit).max())
        assert shares["velocity_limit"] > 0.05, shares  # it did move
        return shares

    def stops(self):
        """Every time that a followed command ran out: seconds by which the servo followed it for longer than it
        was valid, and how long the arm then took to rest."""
        following = np.array([tick.command for tick in self.ticks])
        found = []
        for i in np.flatnonzero((following[1:] == 0) & (following[:-1] > 0)) + 1:
            command = self.commands[following[i - 1]]
            ends = (self.frames[command.answers_frame].published_ns + command.valid_for_ns) * 1e-9 \
                if command.answers_frame in self.frames else None
            moving = np.flatnonzero((np.diff(self.target[i - 1:], axis=0) != 0).any(axis=1))
            again = np.flatnonzero(following[i:] > 0)
            until = again[0] if len(again) else len(self.ticks) - i
            moving = moving[moving < until]
            found.append({
                "late_ticks": 0 if ends is None else int((self.time[:i] >= ends).sum()),
                "ran_out": self.ticks[i].mode == HOLDING,  # else the controller gave the lease back
                "rest_s": float((moving[-1] + 1 if len(moving) else 0) * self.dt)})
        return found


def robot(*options, bind="ipc://arm", under=()):
    """A robot with a log of its own."""
    return Robot(bind, "--log", "robot.mcap", *options, under=under)


_restless = []  # a temporary folder


def restless():
    """A policy that has learned next to nothing, in steps so large that its actions are extreme: the arm swings
    as fast as it may."""
    if not _restless:
        _restless.append(tempfile.TemporaryDirectory(prefix="cn"))
        train(os.path.join(_restless[0].name, "run"), "--set", "learning_rate=0.1")
    return os.path.join(_restless[0].name, "run", "last.safetensors")


def controller(endpoint, *options, seconds=3600, **process):
    """A controller that has taken the lease and moves the arm."""
    c = start("control", restless(), "--robot", endpoint, "--seconds", seconds, "--log", "control.mcap", "--json",
              *options, **process)
    first_lines(c, "ticks")
    return c


def limits_words(account):
    """How much of each limit was used, at most; asserts that all were kept."""
    return ", ".join(f"{100 * share:.0f}" for share in account.check_limits().values())


def arm_words(account, stop=True):
    """How much of the limits was used, and what the arm did, in words; asserts that limits were kept and that it
    stopped in time."""
    log_words("robot.mcap")
    stops = account.stops()
    assert all(s["late_ticks"] <= LATE_TICKS and s["rest_s"] <= STILL_S for s in stops), stops
    stops = [s for s in stops if s["ran_out"]]
    assert stops or not stop, "it never stopped"
    if not stops:
        return limits_words(account), "moved on all the time"
    late, longest = max(s["late_ticks"] for s in stops), max(s["rest_s"] for s in stops)
    times = "once" if len(stops) == 1 else f"{len(stops)} times"
    return limits_words(account), (f"braked {times}, at most {late} servo periods after the command ran out, at rest "
                                   f"within {1000 * longest:.0f} ms")


def log_words(path, whole=True):
    """What a log lost, by `colonnade inspect` and by PyPI's reader."""
    about = last_json(run("inspect", path, "--json"), "inspect")
    assert about["truncated"] != whole and not about["damages"], about
    assert "/robot/servo" not in about["missing"], about  # what was logged is without gaps
    assert sum(1 for _ in messages(path)) > 0
    return "nothing lost" if whole else "cut off; what is there is whole"


def lost_words(account):
    """How much of the motion a killed controller's log lacks, by the robot's."""
    log_words("control.mcap", whole=False)
    logged = [m.sequence for topic, _, m in messages("control.mcap") if topic == "/robot/commands"]
    missing = sorted(set(account.commands) - set(logged))
    assert logged == list(range(1, logged[-1] + 1)) and missing[:1] in ([], [logged[-1] + 1]), missing
    seconds = len(missing) * PERIOD_S
    assert seconds <= FLUSH_S + scaled(0.5, 2), seconds
    return f"the last {seconds:.2f} s of the controller's, what was not on the disk yet"


# ---- Processes that die or freeze ----

@fault
def controller_killed():
    with robot() as r:
        c = controller(r.endpoint)
        time.sleep(MOVING_S)
        c.kill()
        c.communicate()
        wait_for(lambda: takes_over(r), "the lease of a dead controller")
    account = Account("robot.mcap")
    assert r.report["watchdog_stops"] >= 1 and r.report["leases_lapsed"] == 1, r.report
    log_words("robot.mcap")
    return Row("the controller is killed (`kill -9`) in mid-motion", *arm_words(account),
               f"robot: {r.report['leases_lapsed']} lease lost by silence, named with its holder; the next controller "
               "gets it", lost_words(account))


def takes_over(r):
    with Client(r.endpoint) as client:
        return not client.ask(acquire={"holder": "the next one", "time_to_live_ns": 10**8}).error


@fault
def robot_killed():
    with robot() as r:
        c = controller(r.endpoint)
        time.sleep(MOVING_S)
        r.kill()
        out, error = finish(c, SAFETY)
    said(error, "fell silent")
    report = last_json(out, "control")
    account = Account("robot.mcap")
    frames = [m.sequence for topic, _, m in messages("control.mcap") if topic == "/robot/sensors"]
    lost_s = (max(frames) - max(account.frames)) * PERIOD_S
    assert lost_s <= FLUSH_S + scaled(0.5, 2), lost_s
    log_words("robot.mcap", whole=False)
    return Row("the robot's server is killed", limits_words(account), "nothing more was told to it; what an arm does whose server is gone "
               "is its own: a Dynamixel's bus watchdog stops it, an STS3215 holds its last goal (docs/hardware.md)",
               f"controller, exit status 3: \"the robot at ... fell silent\", `stopped_by` \"{report['stopped_by']}\"",
               f"controller's: {log_words('control.mcap')}; robot's: the last {lost_s:.2f} s")


@fault
def controller_frozen():
    with robot() as r:
        c = controller(r.endpoint, seconds=3 * MOVING_S + FREEZE_S)
        time.sleep(MOVING_S)
        c.send_signal(signal.SIGSTOP)
        time.sleep(FREEZE_S)
        c.send_signal(signal.SIGCONT)
        out, _ = finish(c)
    report = last_json(out, "control")
    assert report["stopped_by"] == "time" and report["deadline_misses"] >= 2, report
    limits, words = arm_words(Account("robot.mcap"))
    return Row(f"the controller freezes for {1000 * FREEZE_S:.0f} ms (`SIGSTOP`)", limits, words + "; moved on with "
               "the next command", f"controller: {report['deadline_misses']} deadline misses; robot: "
               f"{r.report['watchdog_stops']} watchdog stops", log_words("control.mcap"))


@fault
def robot_frozen():
    with robot() as r:
        c = controller(r.endpoint, seconds=3 * MOVING_S + FREEZE_S)
        time.sleep(MOVING_S)
        r.process.send_signal(signal.SIGSTOP)
        time.sleep(FREEZE_S)
        r.process.send_signal(signal.SIGCONT)
        out, _ = finish(c)
    report, account = last_json(out, "control"), Account("robot.mcap")
    gap = float(np.diff(account.time).max())
    assert gap >= 0.9 * FREEZE_S, gap
    step = np.abs(np.diff(account.target, axis=0)[np.diff(account.time).argmax()]).max()
    assert report["stopped_by"] == "time" and r.report["deadline_misses"] >= 1, (report, r.report)
    return Row(f"the robot's server freezes for {1000 * FREEZE_S:.0f} ms", limits_words(account), "went on from its own last "
               f"command ({1000 * step:.1f} mrad in the first period), nothing is caught up with",
               f"robot: {r.report['deadline_misses']} servo periods late; controller: {report['stale_frames']} "
               "periods without a frame", log_words("control.mcap"))


# ---- Messages ----

FRIEND = ("--key", "friend.key", "--robot-key", "robot.pub")
KEYS = ("--key", "robot.key", "--allow", "friend.pub")


def make_keys(*names):
    for name in names:
        run("keygen", name)


def refusal_words(report):
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in report["refusals"].items()) or "nothing"


def bad_weather(words, **faults):
    """Control through a proxy that does this to messages of both ways."""
    with robot() as r, Proxy(r.endpoint, "ipc://between") as proxy:
        c = controller(proxy.endpoint)
        time.sleep(MOVING_S)
        proxy.faults.update(faults)
        time.sleep(BAD_WEATHER_S)
        proxy.faults.update(drop=0, duplicate=0, reorder=0, delay=(0, 0))
        time.sleep(MOVING_S)
        ended = c.poll()
        c.send_signal(signal.SIGINT)
        out, error = c.communicate()
    report = last_json(out, "control")
    assert ended is None or ended == SAFETY, (ended, error)
    about = f"controller: {report['deadline_misses']} deadline misses of {report['ticks']}"
    if ended == SAFETY:
        about += f", then exit status 3: {error.split('colonnade: ')[-1].strip()}"
    about += f"; robot: {refusal_words(r.report)} refused"
    return Row(words, *arm_words(Account("robot.mcap"), stop=False), about, log_words("control.mcap")), r, report, proxy


@fault
def lost_1():
    return bad_weather("1 % of messages are lost, each way", drop=0.01)[0]


@fault
def lost_10():
    return bad_weather("10 % are lost", drop=0.1)[0]


@fault
def lost_50():
    row, r, _, proxy = bad_weather("50 % are lost", drop=0.5)
    assert proxy.counts["dropped"] > 5, proxy.counts
    assert r.report["watchdog_stops"] >= 1, r.report
    return row


@fault
def late():
    return bad_weather("all are 5 to 40 ms late", delay=(0.005, 0.04))[0]


@fault
def too_late():
    row, r, *_ = bad_weather("all are 150 to 250 ms late", delay=(0.15, 0.25))
    assert r.report["refusals"].get("stale", 0) > 0, r.report
    return row


@fault
def duplicated():
    row, r, report, proxy = bad_weather("50 % come twice", duplicate=0.5)
    assert proxy.counts["duplicated"] > 5 and r.report["refusals"].get("duplicate", 0) > 0, r.report
    assert report["stopped_by"] == "interrupted", report
    return row


@fault
def reordered():
    row, r, report, proxy = bad_weather("50 % come after the next one", reorder=0.5)
    assert proxy.counts["reordered"] > 5 and report["stopped_by"] == "interrupted", (proxy.counts, report)
    return row


@contextlib.contextmanager
def network():
    try:
        with Network(os.getcwd()) as machines:
            yield machines
    except NoNetwork as why:
        raise Unavailable(str(why)) from why


@fault
def link_cut():
    """A cable between two machines that are network namespaces."""
    endpoint = f"tcp://{ADDRESSES[1]}:5555"
    make_keys("robot", "friend")
    with network() as machines:
        with robot(*KEYS, bind=endpoint, under=("ip", "netns", "exec", space(ADDRESSES[1]))) as r:
            c = controller(endpoint, *FRIEND, under=machines.prefix)
            time.sleep(MOVING_S)
            ip("-n", space(ADDRESSES[0]), "link", "set", CABLE, "down")
            time.sleep(CUT_S)
            ip("-n", space(ADDRESSES[0]), "link", "set", CABLE, "up")
            time.sleep(3 * MOVING_S)
            ended = c.poll()
            c.send_signal(signal.SIGINT)
            out, error = c.communicate()
    report = last_json(out, "control")
    assert ended in (None, SAFETY) and r.report["watchdog_stops"] >= 1, (ended, error, r.report)
    end = "went on by itself" if ended is None else "exit status 3: " + error.strip().split("colonnade: ")[-1]
    return Row(f"the cable is cut for {CUT_S:.0f} s (tcp, two network namespaces)", *arm_words(Account("robot.mcap")),
               f"controller: {report['deadline_misses']} deadline misses, {end}; robot: "
               f"{refusal_words(r.report)} refused", log_words("control.mcap"))


# ---- Clocks ----

@fault
def robot_clock_jumps():
    with robot() as r, Proxy(r.endpoint, "ipc://between") as proxy:
        c = controller(proxy.endpoint, seconds=3 * MOVING_S + 2)
        time.sleep(MOVING_S + 1)
        proxy.faults["clock"] = 5.0
        out, _ = finish(c)
    report = last_json(out, "control")
    assert report["stopped_by"] == "time" and report["clock"]["jumps"] >= 1, report
    return Row("the robot's clock jumps by 5 s, as the controller sees it", *arm_words(Account("robot.mcap"), stop=False),
               f"controller: the robot's clock jumped {report['clock']['jumps']} time; the estimate begins anew",
               log_words("control.mcap"))


@fault
def wall_clock_jumps():
    """The clock of the day, of controller and robot alike: nothing of ours is timed by it."""
    library = shutil.which("faketime") and next(iter(sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))), None)
    if INSTRUMENTED or not library:
        raise Unavailable("a clock that jumps needs libfaketime, and a program without sanitizers")
    with open("clock", "w", encoding="utf-8") as file:
        file.write("+0\n")
    false = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": os.path.abspath("clock"), "FAKETIME_NO_CACHE": "1",
             "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    under = ("env", *(f"{name}={value}" for name, value in false.items()))
    with robot(under=under) as r:
        c = controller(r.endpoint, seconds=3 * MOVING_S, under=under)
        time.sleep(MOVING_S)
        with open("clock", "w", encoding="utf-8") as file:
            file.write("-3600\n")
        out, _ = finish(c)
    report = last_json(out, "control")
    times = [at for topic, at, _ in messages("control.mcap") if topic == "/policy/step"]
    assert min(np.diff(times)) < -3000, "the clock did not jump"
    assert report["stopped_by"] == "time" and report["clock"]["jumps"] == 0, report
    return Row("the wall clock jumps back by an hour, on both sides", *arm_words(Account("robot.mcap"), stop=False),
               f"controller: {report['deadline_misses']} deadline misses; nothing is timed by that clock but the times "
               "in the log, which jump", log_words("control.mcap"))


# ---- Disks ----

@contextlib.contextmanager
def small_disk(kibibytes):
    os.mkdir("small")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", "small"],
                                           capture_output=True, check=False).returncode != 0:
        raise Unavailable("a small disk needs root and tmpfs")
    try:
        yield "small"
    finally:
        subprocess.run(["umount", "-l", "small"], check=True)


@fault
def disk_full():
    with small_disk(64) as folder, robot() as r:
        c = start("control", restless(), "--robot", r.endpoint, "--seconds", DISK_S, "--log",
                  f"{folder}/control.mcap", "--json")
        out, error = finish(c, FAILED)
        said(error, "control.mcap", "No space left")
        kept = sum(1 for _ in messages(f"{folder}/control.mcap"))
    ticks = len(Account("robot.mcap").commands)
    assert ticks > 0.7 * DISK_S / PERIOD_S, (ticks, out)
    assert kept > 0
    return Row("the disk of the controller's log is full", *arm_words(Account("robot.mcap"), stop=False),
               "controller, exit status 1 at the end: \"control.mcap: ... No space left on device\"; the motion is "
               "not disturbed", "what was written before is whole")


# ---- Controllers ----

@fault
def not_a_number():
    with robot() as r, Client(r.endpoint) as client:
        client.acquire(5)
        client.move(MOVING_S)
        for target in (float("nan"), float("inf"), -float("inf")):
            client.move(0.3, target)
        time.sleep(STILL_S)
        client.move(MOVING_S)
    report = r.report
    assert report["refusals"].get("not_finite", 0) >= 10, report
    assert "target is" in report["last_refusal"], report
    return Row("a controller sends NaN and infinities", *arm_words(Account("robot.mcap")), "robot: "
               f"{refusal_words(report)} refused, joint and value named (\"{report['last_refusal']}\"); the next good "
               "command is followed", log_words("robot.mcap"))


@fault
def two_controllers():
    with robot() as r:
        c = controller(r.endpoint, seconds=3 * MOVING_S)
        _, error = finish(start("control", restless(), "--robot", r.endpoint, "--seconds", 1), FAILED)
        said(error, "holds the lease")
        with Client(r.endpoint) as client:  # and one that does not ask
            client.lease = 12345
            client.move(MOVING_S)
        out, _ = finish(c)
    report = last_json(out, "control")
    assert report["stopped_by"] == "time" and r.report["refusals"].get("foreign_lease", 0) > 0, (report, r.report)
    return Row("a second controller asks for the lease, a third commands without", *arm_words(Account("robot.mcap"),
               stop=False), f"second, exit status 1: \"'HOST:PID' holds the lease, for 1.9 s more\"; robot: "
               f"{refusal_words(r.report)} refused; the first notices nothing", log_words("control.mcap"))


# ---- Floods ----

def flooded(words, flood):
    """Control over encrypted tcp while flood(robot) runs, which returns what it did, in words."""
    make_keys("robot", "friend")
    with robot(*KEYS, bind="tcp://127.0.0.1:*") as r:
        c = controller(r.endpoint, *FRIEND, seconds=3 * MOVING_S + FLOOD_S)
        time.sleep(MOVING_S)
        done = flood(r)
        out, _ = finish(c)
    report = last_json(out, "control")
    assert report["stopped_by"] == "time", report
    words = f"{words}: {done}"
    return Row(words, *arm_words(Account("robot.mcap"), stop=False),
               f"controller: {report['deadline_misses']} deadline misses of {report['ticks']}; robot: "
               f"{refusal_words(r.report)} refused, {r.report['connections_refused']} connections refused, "
               f"{r.report['deadline_misses']} servo periods late", log_words("control.mcap")), r.report


@fault
def flood_of_the_allowed():
    def flood(r):
        with Client(r.endpoint, curve("friend", "robot")) as client:
            client.lease = 12345
            message = client.request(command={"sequence": 1, "valid_for_ns": 10**8, "mode": POSITION,
                                              "target": [0] * 6}).SerializeToString()
            sent, offered, began = 0, 0, time.monotonic()
            while time.monotonic() < began + FLOOD_S:
                for _ in range(100):
                    offered += 1
                    with contextlib.suppress(zmq.Again):
                        client.requests.send(message, zmq.NOBLOCK)
                        sent += 1
            seconds = time.monotonic() - began
        return f"{offered / seconds:,.0f} offered a second, of which {sent / seconds:,.0f} found room"
    row, report = flooded("a flood of commands from a client with a key and no lease", flood)
    assert report["refusals"].get("foreign_lease", 0) > 1000, report
    return row


@fault
def flood_of_strangers():
    def flood(r):
        host, port = r.endpoint[len("tcp://"):].rsplit(":", 1)
        noise, sent, connections = b"\xff" * 100 * 100, 0, 0
        began = time.monotonic()
        while time.monotonic() < began + FLOOD_S:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1) as s:
                connections += 1
                for _ in range(10):
                    s.sendall(noise)
                    sent += 100
        seconds = time.monotonic() - began
        return f"{sent / seconds:,.0f} pieces of 100 bytes a second, over {connections / seconds:,.0f} connections a second"
    return flooded("a flood of garbage from a machine without a key", flood)[0]
