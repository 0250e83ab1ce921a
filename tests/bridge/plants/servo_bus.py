"""An emulated bus of servos behind a pseudo-terminal: Feetech STS3215 or Dynamixel XL330.

It answers as the servos do, moves them to their goals, and can be told to fail. test_servo_bus.py
proves it with the makers' own clients; then it stands in for an arm.

Usage: servo_bus.py feetech|dynamixel ID...
Prints the path of the port, then obeys lines on standard input, and answers each with one line:
  get ID ADDRESS BYTES            what a register holds
  set ID ADDRESS BYTES VALUE      put something there
  fail KIND ID [TIMES]            the next answers of a servo: half, checksum, missing or silent
                                  (missing: those after it on the bus stay silent as well)
  fails ID                        how a servo fails now
  error ID BITS                   the error that its status packets report
  heal                            no failures any more
  asked ID                        how often it was read, since the beginning
  line                            how the client has set the port
  unplug                          the port goes
"""
import math
import os
import select
import subprocess
import sys
import termios
import time
import tty

PING, READ, WRITE, SYNC_READ, SYNC_WRITE, ALL = 1, 2, 3, 0x82, 0x83, 0xFE
STEPS_A_SECOND = 2000.0  # how fast a servo turns at most
PULL = 20.0              # 1/s: how fast for each step that its goal is away
PATIENCE_S = 60


class Emulator:
    """This program as a process beside a test, for the length of a with block."""

    def __init__(self, make, *ids):
        self.process = subprocess.Popen([sys.executable, __file__, make, *map(str, ids)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_S) == 0

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def get(self, servo, address, size):
        return int(self.tell("get", servo, address, size))


def number(data):
    return int.from_bytes(data, "little")


def spoil(packet):
    """The same with a wrong checksum."""
    return packet[:-1] + bytes([packet[-1] ^ 1])


class Feetech:
    """The STS protocol, and the registers of an STS3215 that matter here."""
    torque, goal, position, velocity, speed_unit = (40, 1), (42, 2), (56, 2), (58, 2), 1.0
    address_bytes = 1

    def registers(self):
        held = bytearray(256)
        held[3:5] = (777).to_bytes(2, "little")
        held[62], held[63] = 120, 30  # 12 V, 30 degrees Celsius
        return held

    def signed(self, value, size):
        sign = 1 << 8 * size - 1
        return min(abs(value), sign - 1) | (sign if value < 0 else 0)

    def packet(self, servo, error, params):
        body = bytes([servo, len(params) + 2, error, *params])
        return b"\xff\xff" + body + bytes([~sum(body) & 0xFF])

    def take(self, data):
        """Takes one request off the front: id, instruction, parameters; None: there is none yet."""
        while len(data) >= 6:
            whole = data[3] + 4
            if data[:2] != b"\xff\xff" or data[3] < 2:
                del data[0]
                continue
            if len(data) < whole:
                return None
            packet = bytes(data[:whole])
            del data[:whole]
            if ~sum(packet[2:-1]) & 0xFF == packet[-1]:
                return packet[2], packet[4], packet[5:-1]
        return None


class Dynamixel:
    """Protocol 2.0, and the registers of an XL330-M288 that matter here."""
    torque, goal, position, velocity = (64, 1), (116, 4), (132, 4), (128, 4)
    watchdog = 98
    speed_unit = 0.229 / 60 * 4096
    address_bytes = 2

    def registers(self):
        held = bytearray(256)
        held[0:2] = (1200).to_bytes(2, "little")
        held[11] = 3                             # position control
        held[38:40] = (1750).to_bytes(2, "little")  # current limit, mA
        held[146] = 30
        return held

    def signed(self, value, size):
        return value & (1 << 8 * size) - 1

    def crc(self, data):
        crc = 0
        for byte in data:
            crc ^= byte << 8
            for _ in range(8):
                crc = (crc << 1 ^ 0x8005 if crc & 0x8000 else crc << 1) & 0xFFFF
        return crc.to_bytes(2, "little")

    def packet(self, servo, error, params):
        body = bytes([0x55, error, *params]).replace(b"\xff\xff\xfd", b"\xff\xff\xfd\xfd")
        head = b"\xff\xff\xfd\x00" + bytes([servo]) + (len(body) + 2).to_bytes(2, "little")
        return head + body + self.crc(head + body)

    def take(self, data):
        while len(data) >= 10:
            whole = number(data[5:7]) + 7
            if data[:4] != b"\xff\xff\xfd\x00" or not 10 <= whole <= 1024:
                del data[0]
                continue
            if len(data) < whole:
                return None
            packet = bytes(data[:whole])
            del data[:whole]
            if self.crc(packet[:-2]) == packet[-2:]:
                body = packet[7:-2].replace(b"\xff\xff\xfd\xfd", b"\xff\xff\xfd")
                return packet[4], body[0], body[1:]
        return None


class Servo:
    """One servo: its registers, where it is, and how it fails."""

    def __init__(self, make, number_of_it):
        self.make, self.id = make, number_of_it
        self.held = make.registers()
        self.steps, self.speed, self.error = 2048.0, 0.0, 0
        self.fails, self.times, self.asked = None, 0, 0
        self.moved = self.heard = time.monotonic()
        self.put(make.goal, 2048)

    def get(self, register):
        return number(self.held[register[0]:register[0] + register[1]])

    def put(self, register, value):
        self.held[register[0]:register[0] + register[1]] = value.to_bytes(register[1], "little")

    def move(self):
        """Brings the servo to where it is now."""
        now = time.monotonic()
        seconds, self.moved = now - self.moved, now
        away = self.get(self.make.goal) - self.steps if self.get(self.make.torque) else 0.0
        fastest = STEPS_A_SECOND * seconds
        self.steps += max(-fastest, min(fastest, away * (1 - math.exp(-PULL * seconds))))
        self.speed = max(-STEPS_A_SECOND, min(STEPS_A_SECOND, PULL * away))
        self.put(self.make.position, self.make.signed(round(self.steps), self.make.position[1]))
        self.put(self.make.velocity, self.make.signed(round(self.speed / self.make.speed_unit),
                                                      self.make.velocity[1]))

    def watch(self):
        """The watchdog of a Dynamixel, which any packet on the bus keeps quiet."""
        limit = self.held[self.make.watchdog] if isinstance(self.make, Dynamixel) else 0
        if 0 < limit < 128 and time.monotonic() - self.heard > 0.02 * limit:
            self.held[self.make.watchdog] = 255
            self.put(self.make.goal, round(self.steps))

    def write(self, address, values):
        """@return the error of it"""
        bitten = isinstance(self.make, Dynamixel) and self.held[self.make.watchdog] == 255
        if bitten and address <= self.make.goal[0] < address + len(values):
            return 4
        self.held[address:address + len(values)] = values
        return 0

    def answer(self, error, params):
        """The bytes that it sends; None: none, and whoever waits for it stays silent as well."""
        packet = self.make.packet(self.id, error or self.error, params)
        kind = self.fails
        if kind:
            self.times -= 1
            if self.times == 0:
                self.fails = None
        return {None: packet, "half": packet[:len(packet) // 2], "silent": b"", "missing": None,
                "checksum": spoil(packet)}[kind]


class Bus:
    """Servos on one pair of wires."""

    def __init__(self, make, ids):
        self.make = make
        self.servos = {i: Servo(make, i) for i in ids}
        self.data = bytearray()

    def feed(self, data):
        """Takes bytes; gives those that come back."""
        self.data += data
        out = b""
        while request := self.make.take(self.data):
            for servo in self.servos.values():
                servo.watch()
                servo.heard = time.monotonic()
                servo.move()
            out += self.serve(*request)
        return out

    def serve(self, servo, instruction, params):
        wide = self.make.address_bytes
        first, rest = number(params[:wide]), params[wide:]
        count, tail = number(rest[:wide]), rest[wide:]
        if instruction == SYNC_WRITE:
            for i in range(0, len(tail), 1 + count):
                if tail[i] in self.servos:
                    self.servos[tail[i]].write(first, tail[i + 1:i + 1 + count])
            return b""
        if instruction == SYNC_READ:
            out = b""
            for i in tail:
                said = self.read(i, first, count)
                if said is None:
                    break
                out += said
            return out
        if servo not in self.servos:
            return b""
        if instruction == PING:
            model = self.servos[servo].held[0:2] + b"\x30" if wide == 2 else b""
            return self.servos[servo].answer(0, model) or b""
        if instruction == READ:
            return self.read(servo, first, count) or b""
        if instruction == WRITE:
            return self.servos[servo].answer(self.servos[servo].write(first, rest), b"") or b""
        return b""

    def read(self, servo, address, count):
        if servo not in self.servos:
            return None
        self.servos[servo].asked += 1
        return self.servos[servo].answer(0, self.servos[servo].held[address:address + count])


def describe_line(port):
    line = termios.tcgetattr(port)
    raw = not line[3] & (termios.ICANON | termios.ECHO | termios.ISIG) and not line[1] & termios.OPOST
    eight = line[2] & termios.CSIZE == termios.CS8 and not line[2] & (termios.PARENB | termios.CSTOPB)
    return f"{line[4] == line[5] == termios.B1000000} {raw} {bool(eight)}"


def obey(bus, ports, words):
    if words[0] == "heal":
        for servo in bus.servos.values():
            servo.fails, servo.error = None, 0
    elif words[0] == "line":
        return describe_line(ports[1])
    elif words[0] == "unplug":
        while ports:
            os.close(ports.pop())
    elif words[0] == "fail":
        servo = bus.servos[int(words[2])]
        servo.fails, servo.times = words[1], int(words[3]) if len(words) > 3 else -1
    else:
        servo, values = bus.servos[int(words[1])], [int(word) for word in words[2:]]
        servo.watch()
        servo.move()
        if words[0] == "get":
            return str(servo.get(values))
        if words[0] == "asked":
            return str(servo.asked)
        if words[0] == "fails":
            return str(servo.fails)
        if words[0] == "error":
            servo.error = values[0]
        elif tuple(values[:2]) == bus.make.position:
            servo.steps = float(values[2])
        elif words[0] == "set":
            servo.put(values[:2], values[2])
        else:
            raise ValueError(words[0])
    return "ok"


def main():
    make = {"feetech": Feetech, "dynamixel": Dynamixel}[sys.argv[1]]()
    bus = Bus(make, [int(word) for word in sys.argv[2:]])
    ports = list(os.openpty())  # ours, and the client's, held open so that a client may come and go
    tty.setraw(ports[1])
    print(os.ttyname(ports[1]), flush=True)
    orders = b""
    while True:
        ready = select.select([0, *ports[:1]], [], [])[0]
        if ports and ports[0] in ready:
            out = bus.feed(os.read(ports[0], 4096))
            if out:
                os.write(ports[0], out)
        if 0 in ready:
            more = os.read(0, 4096)
            if not more:
                return
            *lines, orders = (orders + more).split(b"\n")
            for line in lines:
                print(obey(bus, ports, line.decode().split()), flush=True)


if __name__ == "__main__":
    main()
