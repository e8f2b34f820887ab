"""A whole group in one process: real cores, and a network, disks and clocks that do what a seed says."""
