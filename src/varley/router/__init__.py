"""From a table's name and a row's key to the partition that owns the row."""
