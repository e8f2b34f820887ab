"""What makes one process a node of a cluster. cluster_server.py puts it together.

    knowledge     the metadata as this node has it, and what is kept of it here
    founders      which nodes get the replicas of a new table
    hosting       the replicas that metadata says are here: begun, gone on with, removed
    remembering   what a node that starts without etcd goes by
    publishing    who belongs to the groups that are led here, into the metadata
    tables        the tables that other nodes make, change and delete: followed here
    agreement     a change of tables is answered when all nodes know of it
    neighbours    where the other nodes are
    everywhere    what an operator tells one node and all nodes do
    status        how nodes and groups are, asked of all nodes
    local_etcd    an etcd of our own, for a cluster on one machine
"""
