"""How nodes talk to one another: one connection for each pair of them, for one-way messages and for requests."""
