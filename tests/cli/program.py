"""What the tests of the program share: running it, reading what it says, and robots beside it.

A test file calls main(globals()): every function whose name begins with test_ runs, in order, and the
first argument of the command line is the build folder. Under a sanitizer the program is slow: scaled()
makes runs shorter then, and nothing else changes.
"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
from safetensors import safe_open

BUILD = os.path.abspath(sys.argv[1])
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(BUILD, "colonnade")
REACH = os.path.join(SOURCE, "scenes", "reach.yaml")
GAP = os.path.join(SOURCE, "scenes", "gaps", "mild.yaml")
JACO = os.path.join(SOURCE, "scenes", "jaco_reach.yaml")
SO101 = os.path.join(SOURCE, "scenes", "so101.yaml")

with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as cache:
    INSTRUMENTED = any(line.startswith("CN_SANITIZE") and line.split("=", 1)[1].strip()
                       for line in cache)

DONE, FAILED, USAGE, SAFETY = 0, 1, 2, 3
PATIENCE_S = 240  # nothing takes this long, even on a busy machine; what hangs fails its test

# The keys that --json promises.
DURATIONS = {"p50", "p99", "p999", "max"}
KEYS = {
    "train": {"steps", "seconds", "steps_per_second", "success_rate", "return_mean", "policy"},
    "eval": {"episodes", "success_rate", "return_mean", "return_std", "length_mean"},
    "adapt": {"steps", "seconds", "success_before", "success_after", "policy", "columns",
              "trainable_parameters"},
    "robot": {"frames", "commands_applied", "commands_refused", "deadline_misses",
              "watchdog_stops"},
    "control": {"ticks", "deadline_misses", "stale_frames", "latency_us", "stopped_by"},
    "verify": {"messages", "actions_checked", "mismatches", "max_abs_error"},
    "sim": {"joint_rmse_rad"},
    "plot": {"panels", "seconds", "plot"},
    "video": {"frames", "seconds", "video"},
    "watch": {"messages", "seconds", "rounds"},
    "play": {"commands", "deadline_misses", "joint_rmse_rad"},
    "export": {"demos", "samples", "file"},
    "inspect": {"kind"},
    "calibrate": {"calibration", "joints"},
}


def scaled(number, instrumented):
    """A size of a run: `number`, or the smaller one where the program is instrumented."""
    return instrumented if INSTRUMENTED else number


def environment():
    """Sanitizer settings: every finding is fatal, and nothing but findings is printed."""
    leaks = f"suppressions={os.path.join(SOURCE, 'tests', 'lsan.supp')}:print_suppressions=0"
    return {**os.environ, "LSAN_OPTIONS": leaks, "UBSAN_OPTIONS": "halt_on_error=1"}


_started = []  # by the test that runs


def begin(command, **options):
    """A process that leads a session of its own: none of it outlives the test."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    _started.append(process)
    return process


def end_all():
    """Kills what the test has left: all of a session, as mpirun gives each rank a group of its own."""
    leaders = {process.pid for process in _started}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if os.getsid(pid) in leaders:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it has ended
    for process in _started:
        process.wait()
    _started.clear()


def start(*arguments, under=(), **options):
    """The program as a process of its own, its two outputs as pipes; `under` is a command before it
    that becomes it."""
    return begin([*under, PROGRAM, *map(str, arguments)], env=environment(), text=True,
                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def finish(process, code=DONE):
    """Waits for the end. Checks the exit status; returns standard output and standard error."""
    try:
        out, error = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, error = process.communicate()
        raise AssertionError(f"{process.args} still ran after {PATIENCE_S} s:\n{out}{error}")
    assert process.returncode == code, \
        f"{process.args}: exit status {process.returncode}, not {code}:\n{out}{error}"
    return out, error


def run(*arguments, code=DONE):
    """Runs the program to its end; returns standard output. A success says nothing on the other."""
    out, error = finish(start(*arguments), code)
    assert code != DONE or error == "", error
    return out


def last_json(out, kind):
    """The object on the last line of an output, with all keys of the contract."""
    result = json.loads(out.splitlines()[-1])
    missing = KEYS[kind] - set(result)
    assert not missing, f"{kind} --json lacks {missing}: {result}"
    return result


def run_json(kind, *arguments, code=DONE):
    return last_json(run(*arguments, "--json", code=code), kind)


def said(error, *words, lines=1):
    """An error is one line that names the program; of wrong usage a second line gives the usage."""
    text = error.splitlines()
    assert len(text) == lines and text[0].startswith("colonnade: "), error
    assert lines == 1 or text[1].startswith("Usage: colonnade "), error
    for word in words:
        assert word in text[0], f"'{word}' is not in: {text[0]}"


def contents(folder):
    """Every path below a folder, with the checksum of what it holds."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.join(parent, name)] = "folder"
        for path in (os.path.join(parent, name) for name in files):
            found[path] = "socket"
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    found[path] = hashlib.sha256(file.read()).hexdigest()
    return found


def content(path):
    with open(path, "rb") as file:
        return file.read()


def train(out, *options, steps=4096, task=REACH):
    """A policy that has learned next to nothing, in a second; returns its path."""
    run("train", task, "--out", out, "--steps", steps, "--threads", 2, *options)
    return os.path.join(out, "last.safetensors")


def checkpointed(out):
    """Whether a run has written a checkpoint beyond that of its beginning."""
    try:
        with safe_open(os.path.join(out, "checkpoint.safetensors"), framework="numpy") as file:
            return file.get_tensor("trainer/counts")[0][0] > 0  # its steps
    except (FileNotFoundError, OSError):
        return False


_trained = []  # the run that trained() copies; a temporary folder


def trained(out="run"):
    """The same as train(out) with default options, learned only once a test file."""
    if not _trained:
        _trained.append(tempfile.TemporaryDirectory(prefix="cn"))
        train(os.path.join(_trained[0].name, "run"))
    shutil.copytree(os.path.join(_trained[0].name, "run"), out)
    return os.path.join(out, "last.safetensors")


class Robot:
    """A process `colonnade robot`, served until the end of a with block, and stopped in order unless
    it was killed before. `endpoint` is where it can be reached."""

    def __init__(self, bind, *options, task=REACH, under=()):
        self.process = start("robot", task, "--bind", bind, "--json", *options, under=under)
        self.greeting = self.process.stdout.readline()
        if "state " not in self.greeting:
            finish(self.process)  # says why
        self.endpoint = self.greeting.split("state ")[1].split(",")[0].replace("0.0.0.0", "127.0.0.1")
        self.report = None

    def __enter__(self):
        return self

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def __exit__(self, failure, *_):
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        if failure:
            self.process.communicate()
            return
        out, error = finish(self.process)
        assert error == "", error
        self.report = last_json(out, "robot")


def wait_for(condition, what):
    """Polls until condition() holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what}"
        time.sleep(0.02)


def first_lines(process, word):
    """Reads standard output until a line has the word: the process is in its loop then."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"'{word}' never came: {lines} {process.stderr.read()}")


_recorded = []  # the log that recorded() copies; a temporary folder


def recorded(seconds, out="log.mcap"):
    """A log of control on reach, of so many seconds; recorded only once a test file."""
    if not _recorded:
        _recorded.append(tempfile.TemporaryDirectory(prefix="cn"))
        with Robot("ipc://record") as robot:
            run("control", trained("recording"), "--robot", robot.endpoint, "--seconds", seconds, "--log",
                os.path.join(_recorded[0].name, "log.mcap"))
    shutil.copy(os.path.join(_recorded[0].name, "log.mcap"), out)
    return out


def logged(path, topic):
    """The messages of a topic as PyPI's readers decode them, in log time."""
    with open(path, "rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        return [message for *_, message in reader.iter_decoded_messages(topics=[topic])]


def logged_messages(path):
    """How many messages PyPI's reader finds, by topic. It fails if the log is not whole."""
    counts = {}
    with open(path, "rb") as file:
        for _, channel, _ in make_reader(file, validate_crcs=True).iter_messages():
            counts[channel.topic] = counts.get(channel.topic, 0) + 1
    return counts


def main(names):
    """Runs every test in a fresh working folder; the exit status says whether all passed."""
    wanted = sys.argv[2:]  # names, to run some tests alone
    tests = [(n, f) for n, f in names.items()
             if n.startswith("test_") and callable(f) and (not wanted or n in wanted)]
    failures = 0
    for name, test in tests:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="cn") as folder:
            os.chdir(folder)
            try:
                test()
                verdict = "ok"
            except Exception:  # a test that fails must not hide the others
                traceback.print_exc(file=sys.stdout)
                verdict = "FAILED"
                failures += 1
            finally:
                end_all()
                os.chdir(SOURCE)
        print(f"{name}: {verdict}, {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(0 if tests and failures == 0 else 1)
