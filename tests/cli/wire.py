"""The wire, spoken by another implementation: protobuf's own Python and pyzmq. A client that can say
anything, and a proxy that loses, delays, repeats and reorders what passes between a robot and its
controller."""
import heapq
import itertools
import math
import random
import subprocess
import tempfile
import threading
import time

import zmq
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from program import PATIENCE_S, SOURCE


def _messages():
    """The classes of proto/robot.proto, by name."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["protoc", f"-I{SOURCE}/proto", "--include_imports",
                        f"--descriptor_set_out={file.name}", "robot.proto"], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    names = [message.name for one in files.file for message in one.message_type]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"colonnade.v1.{name}"))
            for name in names}


_CLASSES = _messages()
State, Request, Reply = (_CLASSES[name] for name in ("State", "Request", "Reply"))
POSITION, VELOCITY = 1, 2
PROTOCOL_VERSION = 2
HELD_S = 0.1  # how long the proxy waits for a message that could overtake


def request_endpoint(endpoint, info):
    """Where requests go to, of a robot whose state is at `endpoint`."""
    if endpoint.startswith("tcp"):
        return endpoint.rsplit(":", 1)[0] + ":" + info.request_endpoint.rsplit(":", 1)[1]
    return info.request_endpoint


def curve(name, server):
    """A client's keys as pyzmq takes them: NAME.key, and the robot's .pub file."""
    def read(path, key):
        with open(path, encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip().strip("'").encode() for line in file
                        if line.startswith(key))
    return {"curve_publickey": read(f"{name}.key", "public"), "curve_secretkey": read(f"{name}.key", "secret"),
            "curve_serverkey": read(f"{server}.pub", "public")}


class Client:
    """A controller of our own making."""

    def __init__(self, endpoint, keys=None):
        self.context = zmq.Context()
        self.context.linger = 0
        self.state, self.requests = self.context.socket(zmq.SUB), self.context.socket(zmq.DEALER)
        for socket in (self.state, self.requests):
            socket.rcvtimeo = PATIENCE_S * 1000
            for option, value in (keys or {}).items():
                setattr(socket, option, value)
        self.state.subscribe(b"\x0a")
        self.state.connect(endpoint)
        self.info = State.FromString(self.state.recv()).info
        self.requests.connect(request_endpoint(endpoint, self.info))
        self.lease, self.count, self.sequence = 0, 0, 0

    def request(self, **body):
        self.count += 1
        return Request(id=self.count, lease=self.lease, protocol_version=PROTOCOL_VERSION, **body)

    def send(self, **body):
        self.requests.send(self.request(**body).SerializeToString())

    def ask(self, **body):
        """The reply, also where it is a refusal."""
        self.send(**body)
        while True:
            reply = Reply.FromString(self.requests.recv())
            if reply.id == self.count:
                return reply

    def acquire(self, seconds):
        reply = self.ask(acquire={"holder": "a client in Python", "time_to_live_ns": int(seconds * 1e9)})
        assert not reply.error, reply.error
        self.lease = reply.lease

    def move(self, seconds, target=None):
        """Answers every frame with a command: the first joint swings, or its target is `target`."""
        self.state.subscribe(b"\x12")
        while self.state.poll(0):
            self.state.recv()  # of before
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = self.state.recv()
            if message[:1] != b"\x12":
                continue
            frame = State.FromString(message).frame
            self.sequence += 1
            swing = 0.5 * math.sin(2 * frame.robot_time_ns * 1e-9)
            self.send(command={"sequence": self.sequence, "answers_frame": frame.sequence,
                               "valid_for_ns": 125_000_000, "mode": VELOCITY,
                               "target": [swing if target is None else target] + [0] * (len(self.info.joints) - 1)})

    def close(self):
        self.context.destroy()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Proxy:
    """Stands between a robot and one controller. `faults` says what happens to messages, each way, and may
    be changed at any time: drop, duplicate, reorder (shares of them), delay (seconds, from and to), and
    clock (seconds by which the robot's clock is another)."""

    def __init__(self, robot, endpoint, seed=1, **faults):
        self.faults = {"drop": 0, "duplicate": 0, "reorder": 0, "delay": (0, 0), "clock": 0, **faults}
        self.endpoint, self.counts = endpoint, {"passed": 0, "dropped": 0, "duplicated": 0, "reordered": 0}
        self._rng, self._order = random.Random(seed), itertools.count()
        self._later, self._held = [], {}  # messages that wait for their time, or for the next one
        self._context = zmq.Context()
        self._context.linger = 0
        self._up = self._socket(zmq.SUB, robot)
        self._up.subscribe(b"")
        info = State.FromString(self._wait_info()).info
        self._out = self._context.socket(zmq.XPUB)
        self._out.bind(endpoint)
        self._in = self._context.socket(zmq.ROUTER)
        self._in.bind(endpoint + ".request")
        self._robot = self._socket(zmq.DEALER, request_endpoint(robot, info))
        self._identity, self._running = None, True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _socket(self, kind, endpoint):
        socket = self._context.socket(kind)
        socket.connect(endpoint)
        return socket

    def _wait_info(self):
        self._up.rcvtimeo = PATIENCE_S * 1000
        while True:
            message = self._up.recv()
            if message[:1] == b"\x0a":
                return message

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._running = False
        self._thread.join()
        self._context.destroy()

    # ---- What passes ----

    def _translate(self, message):
        """The state that the controller is told: requests come to us, and the clock may be another."""
        state, clock = State.FromString(message), int(self.faults["clock"] * 1e9)
        if state.HasField("info"):
            state.info.request_endpoint = self.endpoint + ".request"
        elif clock:
            for field in ("robot_time_ns", "published_ns", "taken_ns"):
                setattr(state.frame, field, getattr(state.frame, field) + clock)
        return state.SerializeToString()

    def _pass(self, way, send, message):
        """Sends it now, later, twice, after the next one, or never."""
        f, draw = self.faults, self._rng.random
        if draw() < f["drop"]:
            self.counts["dropped"] += 1
            return
        self.counts["passed"] += 1
        copies = 1 + (draw() < f["duplicate"])
        self.counts["duplicated"] += copies - 1
        if way not in self._held and draw() < f["reorder"]:
            self.counts["reordered"] += 1
            self._held[way] = (time.monotonic() + HELD_S, send, message)
            return
        for _ in range(copies):
            due = time.monotonic() + self._rng.uniform(*f["delay"])
            heapq.heappush(self._later, (due, next(self._order), send, message))
        if way in self._held:
            heapq.heappush(self._later, (due, next(self._order), *self._held.pop(way)[1:]))

    def _send_due(self):
        for way in [w for w, (due, *_) in self._held.items() if due <= time.monotonic()]:
            _, send, message = self._held.pop(way)  # there is no next one
            send(message)
        while self._later and self._later[0][0] <= time.monotonic():
            _, _, send, message = heapq.heappop(self._later)
            send(message)

    def _answer(self, message):
        if self._identity:
            self._in.send_multipart([self._identity, message])

    def _run(self):
        poller = zmq.Poller()
        for socket in (self._up, self._out, self._in, self._robot):
            poller.register(socket, zmq.POLLIN)
        while self._running:
            due = self._later[0][0] - time.monotonic() if self._later else 0.02
            ready = dict(poller.poll(max(0, min(0.02, due)) * 1000))
            if self._out in ready:
                self._out.recv()  # a subscription: the robot's infos come by themselves
            if self._up in ready:
                self._pass("state", self._out.send, self._translate(self._up.recv()))
            if self._in in ready:
                self._identity, message = self._in.recv_multipart()
                self._pass("requests", self._robot.send, message)
            if self._robot in ready:
                self._pass("replies", self._answer, self._robot.recv())
            self._send_due()
