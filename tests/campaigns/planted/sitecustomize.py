"""Python imports this in each node that a game day starts: a defect put in on purpose, and clocks that drift.

    GAME_DAY_PLANT=no-lease         a leader answers without looking at its lease, and leads until it hears of another
    GAME_DAY_DRIFT=9                of each three nodes the clocks of the first run 9 permille too fast, and of the
                                    second as much too slow: all of its clocks, from when the process starts
"""

import os
import sys
import time


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


if "serve" in sys.orig_argv and os.environ.get("GAME_DAY_DRIFT"):
    number = int(sys.orig_argv[sys.orig_argv.index("--name") + 1].removeprefix("n"))
    drift(int(os.environ["GAME_DAY_DRIFT"]) * (0, 1, -1)[number % 3])

if "serve" in sys.orig_argv:
    from varley.node.member import HostedMember
    from varley.paxos.leader import Leader

    if os.environ.get("GAME_DAY_PLANT") == "no-lease":
        HostedMember.may_answer = lambda self, ballot: True
        Leader.has_lost_quorum = lambda self, now: False
