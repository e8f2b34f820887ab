"""Vector indexes: searching them. What they are is in table/vector_index.py."""
