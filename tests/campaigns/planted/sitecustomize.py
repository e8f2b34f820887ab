"""Python imports this in each node that a game day starts: a defect put in on purpose, and clocks that drift.

    GAME_DAY_PLANT=no-lease         a leader answers without looking at its lease, and leads until it hears of another
    GAME_DAY_DRIFT=9                of each three nodes the clocks of the first run 9 permille too fast, and of the
                                    second as much too slow: all of its clocks, from when the process starts
    GAME_DAY_SLOW=FOLDER            while FOLDER has a file named as the node, each write of its log takes the seconds
                                    that the file says, or until it is gone
"""

import os
import sys
import time
from pathlib import Path


def drift(permille: int) -> None:
    """Before anybody has taken a function out of the module `time`."""

    def drifting(clock, per_second):
        """A clock that gives whole nanoseconds (per_second = 1) or seconds."""
        began = clock()
        if per_second == 1:
            return lambda: began + (clock() - began) * (1000 + permille) // 1000
        return lambda: began + (clock() - began) * (1 + permille / 1000)

    boot_ns = time.clock_gettime_ns
    drifted_boot = drifting(lambda: boot_ns(time.CLOCK_BOOTTIME), 1)
    time.clock_gettime_ns = lambda clock: drifted_boot() if clock == time.CLOCK_BOOTTIME else boot_ns(clock)
    time.time_ns, time.monotonic_ns = drifting(time.time_ns, 1), drifting(time.monotonic_ns, 1)
    time.time, time.monotonic = drifting(time.time, 0), drifting(time.monotonic, 0)


def slow_down(path):
    from varley.storage.disk import RealDisk

    write = RealDisk.write_synced

    def write_slowly(self, file, offset, parts):
        begun = time.perf_counter()
        try:
            while time.perf_counter() - begun < float(path.read_text()):
                time.sleep(0.02)
        except (FileNotFoundError, ValueError):     # it is over, or not written yet
            pass
        write(self, file, offset, parts)

    RealDisk.write_synced = write_slowly


if "serve" in sys.orig_argv and "--name" in sys.orig_argv:
    name = sys.orig_argv[sys.orig_argv.index("--name") + 1]
    if os.environ.get("GAME_DAY_DRIFT"):
        drift(int(os.environ["GAME_DAY_DRIFT"]) * (0, 1, -1)[int(name.removeprefix("n")) % 3])
    if os.environ.get("GAME_DAY_SLOW"):
        slow_down(Path(os.environ["GAME_DAY_SLOW"], name))

if "serve" in sys.orig_argv:
    from varley.node.member import HostedMember
    from varley.paxos.leader import Leader

    if os.environ.get("GAME_DAY_PLANT") == "no-lease":
        HostedMember.may_answer = lambda self, ballot: True
        Leader.has_quorum_until = property(lambda self: 2**62)
