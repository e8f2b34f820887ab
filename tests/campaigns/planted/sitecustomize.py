"""Python imports this in each node that a game day starts: a defect put in on purpose.

    GAME_DAY_PLANT=no-lease         a leader answers without looking at its lease, and leads until it hears of another
"""

import os
import sys

if "serve" in sys.orig_argv:
    from varley.node.member import HostedMember
    from varley.paxos.leader import Leader

    if os.environ.get("GAME_DAY_PLANT") == "no-lease":
        HostedMember.may_answer = lambda self, ballot: True
        Leader.has_lost_quorum = lambda self, now: False
