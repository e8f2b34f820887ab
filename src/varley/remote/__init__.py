"""Partitions that are on other nodes: who leads them, how they are asked, and what this node answers for its own.

    memds_node         group -> members, leader: this node's MemDS, on its links
    journey            one question on its way to the node that can answer it, over failures and elections
    relay              a request through a node that reaches the one that this node does not
    peers              the questions that nodes ask one another, and the answers of this one
    hosted             the partitions whose replicas are on this node
    routed_partition   a partition, wherever it is: what the routes of a cluster have in place of node.Partition
    places             what a Router has in place of a Node; who is told that this node leads
    remote_rows        rows of a partition elsewhere, a page at a time
    sums               items and bytes of partitions elsewhere

What becomes of whole requests is in gateway/. docs/life_of_a_put.md walks through one.
"""
