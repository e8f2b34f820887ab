"""Bulk operations: what is known of each, what runs them, and in a cluster who. What one does is in api/bulk_put.py."""
