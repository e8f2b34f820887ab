"""Streams of tables: their shards, reading them, and what is done to them in the background.

The records themselves are made with each write (table/stream_record.py) and are rows of the partitions; here is what
makes them the shards that clients see.

    streams.py           every stream there is, by table and label; what changes of tables do to them
    partition_stream.py  one stream in one partition: its shards, its records, what is trimmed of it
    shard.py             names of shards, and sequence numbers
    iterator.py          places in a shard, as clients carry them about
    upkeep.py            in the background: records that are too old go, shards that are old end, streams end
"""
