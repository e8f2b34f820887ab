"""One file for each operation of DynamoDB's API, named as the operation: its request, its checks, what it does.

operations.py is the table of all of them. What several share has files named for what it is: constraints (the rules of
the service's model), requests (shapes, and what is said of bodies that do not fit), expressions, capacity, …
"""
