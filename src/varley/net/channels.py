"""Who is meant on the other side: small numbers that never change their meaning.

Channels carry one-way messages, services answer requests. The two are numbered apart. A number that a node does not
know is ignored on a channel (the message may be lost by contract), and refused by a service (so it was surely not
acted on): a newer node may be asked for more than an older one offers.
"""

from __future__ import annotations

from typing import Final

# Channels. 2 was used once: it told who leads which group.
PAXOS: Final = 1          # messages of replica groups
RING: Final = 3           # membership, comparisons and probes of the ring
MEMDS: Final = 4          # what MemDS nodes tell and ask one another (router/memds.py)
BEATS: Final = 5          # of leaders of replica groups at rest: of many groups in one message
GRANTS: Final = 6         # the answers to those

# Services
FORWARD: Final = 1        # a whole API request, sent on to the node that leads the partition
ROWS: Final = 2           # a page of stored rows
DELIVER: Final = 3        # changes for a partition of a global index
SNAPSHOT: Final = 4       # a piece of a replica's tree
SEEN: Final = 10          # whether a node knows of a change of tables
STATUS: Final = 11        # how the groups of a node are
HAND_OVER: Final = 12     # let another member of a group lead
PARTICIPANT: Final = 5    # prepare, commit and cancel of a transaction
RING_CALL: Final = 6      # fetch and store of the ring, and requests that another node coordinates
ADMIN: Final = 7          # what keeps the cluster whole: autoadmin/messages.py
EVERYWHERE: Final = 14    # what an operator tells all nodes (cluster/everywhere.py)
RELAY: Final = 13         # a request to a node that the sender cannot reach (remote/relay.py)
