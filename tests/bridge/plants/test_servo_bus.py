"""The emulated servos, held against what the makers' own clients expect: feetech-servo-sdk and
dynamixel-sdk of PyPI.

Usage: test_servo_bus.py BUILD_FOLDER
"""
import time

import dynamixel_sdk as dxl
import scservo_sdk as sts
from servo_bus import PATIENCE_S, Emulator

# The clients wait 34 ms and a little for an answer, which a busy machine may take once.
ATTEMPTS = 20


def patient(call, good):
    """Repeats a transaction until its result is good. Where an answer comes too late, Feetech's client reads
    past the end of what it has."""
    result = None
    for _ in range(ATTEMPTS):
        try:
            result = call()
        except IndexError as late:
            result = late
            continue
        if good(result):
            return result
    raise AssertionError(f"{ATTEMPTS} times: {result}")


def sync_read(group, ids, address, size):
    patient(group.txRxPacket, lambda result: result == 0)
    return [group.getData(i, address, size) for i in ids]


def reaches(read, wanted):
    deadline = time.monotonic() + PATIENCE_S
    while read() != wanted:
        assert time.monotonic() < deadline, (read(), wanted)


def test_feetech():
    ids = [1, 2, 3]
    with Emulator("feetech", *ids) as bus:
        port, client = sts.PortHandler(bus.port), sts.PacketHandler(0)
        assert port.openPort() and port.setBaudRate(1000000)
        for i in ids:
            model, _, error = patient(lambda i=i: client.ping(port, i), lambda r: r[1] == 0)
            assert (model, error) == (777, 0)
        assert client.ping(port, 9)[1] == sts.COMM_RX_TIMEOUT
        for i in ids:
            patient(lambda i=i: client.write1ByteTxRx(port, i, 40, 1), lambda r: r == (0, 0))
        group = sts.GroupSyncWrite(port, client, 42, 2)
        goals = {1: 2100, 2: 1000, 3: 2048}
        for i, goal in goals.items():
            assert group.addParam(i, [goal & 0xFF, goal >> 8])
        assert group.txPacket() == 0
        read = sts.GroupSyncRead(port, client, 56, 8)
        for i in ids:
            assert read.addParam(i)
        reaches(lambda: sync_read(read, ids, 56, 2), list(goals.values()))
        assert sync_read(read, ids, 63, 1) == [30, 30, 30]
        position = patient(lambda: client.read2ByteTxRx(port, 2, 56), lambda r: r[1] == 0)
        assert position == (1000, 0, 0)
        bus.tell("fail", "checksum", 2)
        patient(lambda: client.read2ByteTxRx(port, 2, 56), lambda r: r[1] == sts.COMM_RX_CORRUPT)
        bus.tell("fail", "half", 2)
        patient(lambda: client.read2ByteTxRx(port, 2, 56), lambda r: r[1] == sts.COMM_RX_CORRUPT)
        bus.tell("heal")
        bus.tell("error", 2, 4)
        assert patient(lambda: client.read2ByteTxRx(port, 2, 56), lambda r: r[1] == 0)[2] == 4
        port.closePort()


def test_dynamixel():
    ids = [1, 2, 3]
    with Emulator("dynamixel", *ids) as bus:
        port, client = dxl.PortHandler(bus.port), dxl.PacketHandler(2.0)
        assert port.openPort() and port.setBaudRate(1000000)
        for i in ids:
            model, _, error = patient(lambda i=i: client.ping(port, i), lambda r: r[1] == 0)
            assert (model, error) == (1200, 0)
            patient(lambda i=i: client.write1ByteTxRx(port, i, 64, 1), lambda r: r == (0, 0))
        assert client.ping(port, 9)[1] == dxl.COMM_RX_TIMEOUT
        group = dxl.GroupSyncWrite(port, client, 116, 4)
        goals = {1: 2100, 2: 1000, 3: 2048}
        for i, goal in goals.items():
            assert group.addParam(i, goal.to_bytes(4, "little"))
        assert group.txPacket() == 0
        read = dxl.GroupSyncRead(port, client, 126, 21)
        for i in ids:
            assert read.addParam(i)
        reaches(lambda: sync_read(read, ids, 132, 4), list(goals.values()))
        assert sync_read(read, ids, 146, 1) == [30, 30, 30]
        # FF FF FD in a value is stuffed on its way there and back.
        stuffed = 0x12FDFFFF
        patient(lambda: client.write4ByteTxRx(port, 3, 168, stuffed), lambda r: r == (0, 0))
        assert bus.get(3, 168, 4) == stuffed
        assert patient(lambda: client.read4ByteTxRx(port, 3, 168), lambda r: r[1] == 0)[0] == stuffed
        # The bus watchdog: 1 x 20 ms, then goals are refused until it is cleared.
        patient(lambda: client.write1ByteTxRx(port, 1, 98, 1), lambda r: r[0] == 0)
        time.sleep(0.1)
        assert patient(lambda: client.read1ByteTxRx(port, 1, 98), lambda r: r[1] == 0)[0] == 255
        assert patient(lambda: client.write4ByteTxRx(port, 1, 116, 3000), lambda r: r[0] == 0)[1] == 4
        patient(lambda: client.write1ByteTxRx(port, 1, 98, 0), lambda r: r[0] == 0)
        assert patient(lambda: client.write4ByteTxRx(port, 1, 116, 3000), lambda r: r[0] == 0)[1] == 0
        bus.tell("fail", "checksum", 2)
        patient(lambda: client.read4ByteTxRx(port, 2, 132), lambda r: r[1] == dxl.COMM_RX_CORRUPT)
        bus.tell("fail", "half", 2)
        assert client.read4ByteTxRx(port, 2, 132)[1] in (dxl.COMM_RX_CORRUPT, dxl.COMM_RX_TIMEOUT)
        port.closePort()


if __name__ == "__main__":
    test_feetech()
    test_dynamixel()
