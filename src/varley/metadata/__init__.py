"""What the server must remember beside the data: tables, their partitions, and the ids given out."""
