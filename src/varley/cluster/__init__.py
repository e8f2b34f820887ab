"""What starts and holds together a cluster on one machine."""
