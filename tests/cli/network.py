"""Two machines in one: two network namespaces joined by a virtual cable, with an MPI rank in each. Shared
by tests and benchmarks."""
import contextlib
import os
import shutil
import signal
import stat
import subprocess

ADDRESSES = ("10.77.0.1", "10.77.0.2")
CABLE = "cn-cable"


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def space(address):
    return f"cn{os.getpid()}-{address}"


class NoNetwork(Exception):
    """Namespaces cannot be had here; says why."""


class Network:
    """A with block that has the namespaces: mpirun with `options`, started by the command `prefix`."""

    def __init__(self, folder):
        if os.geteuid() != 0 or not shutil.which("ip"):
            raise NoNetwork("network namespaces need root and ip")
        self.agent = os.path.join(folder, "agent")

    def __enter__(self):
        try:
            self.connect()
        except subprocess.CalledProcessError as error:
            self.__exit__()
            raise NoNetwork(f"no network namespaces: {error.stderr.strip()}") from error
        with open(self.agent, "w", encoding="utf-8") as file:  # what ssh is otherwise
            file.write("#!/bin/sh\nhost=$1\nshift\n"
                       f'exec ip netns exec "cn{os.getpid()}-$host" sh -c "$*"\n')
        os.chmod(self.agent, stat.S_IRWXU)
        return self

    @staticmethod
    def connect():
        for address in ADDRESSES:
            ip("netns", "add", space(address))
        ip("-n", space(ADDRESSES[0]), "link", "add", CABLE, "type", "veth", "peer", "name", CABLE,
           "netns", space(ADDRESSES[1]))
        for address in ADDRESSES:
            ip("-n", space(address), "addr", "add", address + "/24", "dev", CABLE)
            for device in (CABLE, "lo"):
                ip("-n", space(address), "link", "set", device, "up")

    def __exit__(self, *_):
        """Nothing that runs there outlives its machine: a rank behind a cut cable would wait on."""
        for address in ADDRESSES:
            pids = subprocess.run(["ip", "netns", "pids", space(address)], capture_output=True,
                                  text=True, check=False).stdout
            for pid in map(int, pids.split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", space(address)], capture_output=True, check=False)

    @property
    def prefix(self):
        """mpirun itself runs on the first machine."""
        return ("ip", "netns", "exec", space(ADDRESSES[0]))

    @property
    def options(self):
        """One rank on each machine, which reach each other over TCP alone."""
        return ("--host", ",".join(f"{address}:1" for address in ADDRESSES), "--mca",
                "plm_rsh_agent", self.agent, "--mca", "btl", "tcp,self", "--mca",
                "btl_tcp_if_include", CABLE, "--mca", "oob_tcp_if_include", CABLE)

    def sent(self):
        """Bytes that the first machine has sent over the cable."""
        with_numbers = ip("-n", space(ADDRESSES[0]), "-s", "link", "show", CABLE).splitlines()
        (line,) = [i for i, text in enumerate(with_numbers) if "TX:" in text]
        return int(with_numbers[line + 1].split()[0])
