"""Bulk operations: what is known of each, and what runs them. What one does is in api/bulk_put.py."""
