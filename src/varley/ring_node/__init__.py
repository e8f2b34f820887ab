"""What drives the ring: disks, sockets and timers around the pure cores of `varley.ring`.

    service      one node as its HTTP port, its command line and its clients see it: the types, and nothing else
    settings     what a ring must agree on, and what one node chooses
"""
