"""What a table is: its definition, its keys, its partitions, and how all that is shown to clients. Pure."""
