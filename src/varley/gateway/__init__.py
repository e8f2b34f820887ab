"""What a cluster does with whole requests: any node takes any request, and the right one answers it.

    gateway    requests of clients of this node, and those that other nodes pass on
    asked      one request: run here, run again when the lease is in doubt, or passed on
    parts      requests that are taken apart: each part travels as the single request it stands for

A server on one machine has none of this between its front door and api.operations.
"""
