"""What keeps a cluster whole: replaces lost replicas, empties nodes, evens out load. See driver.py."""
