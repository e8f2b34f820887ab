"""Python imports this in each node that a game day starts: how reads are made sure of, and a defect put in on purpose.

    GAME_DAY_READS=read-index       no answer goes out on the strength of a lease: a quorum is asked for each
    GAME_DAY_PLANT=no-lease         a leader answers without looking at its lease, and leads until it hears of another
"""

import os
import sys

if "serve" in sys.orig_argv:
    from varley.node.member import HostedMember
    from varley.paxos.leader import Leader

    if os.environ.get("GAME_DAY_READS") == "read-index":
        HostedMember.may_answer = lambda self, ballot: False
    if os.environ.get("GAME_DAY_PLANT") == "no-lease":
        HostedMember.may_answer = lambda self, ballot: True
        Leader.has_quorum_until = property(lambda self: 2**62)
