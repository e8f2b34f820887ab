"""A whole group of replicas, or a whole ring, in one process: real cores, and a world that does what a seed says."""
