"""What is on disk: one log for a node, one tree for each of its replicas. Blocks; called from the disk threads only.

    opening.py                                    a data folder is opened: the others, in order
    data_folder.py, inventory.py                  what the folder is, and what it must have
    log_format.py, log_writer.py, log_reader.py   the log
    tree.py, overlay.py, lmdb_engine.py           a tree: what is in memory over what is on disk
    checkpoint.py, recovery.py                    from memory to disk; from disk to memory
    check.py                                      walks all of it and lists every broken rule
    memory_log.py, memory_engine.py               the same interfaces, without a disk
    refusing_log.py                               of a folder that cannot be written

docs/formats.md draws every byte.
"""
