"""Engines of a ring's node: where its entries lie. One file each; what they have in common is `engine.Engine`."""
