"""The parts of one server, put together: what server.py starts and stops.

    tasks.py         coroutines that run beside everything else
    tables.py        from what the catalog describes to open partitions that are routed to
    background.py    what works without being asked: indexes, transactions, expiry, streams, bulk operations
    ports.py         the front door and the admin port
"""
