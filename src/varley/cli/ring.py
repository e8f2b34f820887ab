"""`varley ring`: the always-writable key-value store of the 2007 paper, beside DynamoDB.

    serve                       one node                                            ring_serve.py
    up, start                   a whole ring on this machine, and one node of it     ring_up.py
    status, join, leave         what the ring is, and who is in it                   ring_members.py
    get, put, delete            keys                                                 ring_keys.py
"""

from __future__ import annotations

from typing import Final

from varley.cli.lazy_commands import LazyCommands

HELP: Final = """A key-value store that takes a write whenever any node of the key can be reached.

\b
Start here:
  varley ring up                          five nodes on this machine, data in ./varley-ring
  varley ring put carts 7 milk            in another terminal
  varley ring get carts 7
  varley ring status

\b
What is read may be several values: two clients put at the same time, or a node was away. They are shown
with a context. Put the value that takes the place of all of them with that context:
  varley ring put carts 7 'milk, bread' --context AAAA…

A real ring is one `varley ring serve` on each machine.
"""

# Command -> (module in this folder, what it does)
_COMMANDS: Final = {
    "up": ("ring_up", "Start a ring of several nodes on this machine."),
    "start": ("ring_up", "Bring a node of that ring back."),
    "serve": ("ring_serve", "Start one node."),
    "status": ("ring_members", "Show members, who owns how much, and what is waiting."),
    "join": ("ring_members", "Let a node join, or change its zone or capacity."),
    "leave": ("ring_members", "Take a member out for good."),
    "get": ("ring_keys", "Show what is under a key."),
    "put": ("ring_keys", "Put a value."),
    "delete": ("ring_keys", "Delete what a context has seen."),
}


ring = LazyCommands("ring", lazy=_COMMANDS, help=HELP, context_settings={"max_content_width": 110})
