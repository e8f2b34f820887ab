"""DynamoDB's expression language: text in, something that evaluates out. Pure: no I/O, no clock.

    tokens         text -> tokens, and the words of a syntax error
    tree           the nodes that parsing makes
    names          #name and :value placeholders, and AWS's order of checks over a whole request
    operands       what is wrong with an expression before any item was seen
    condition      ConditionExpression, FilterExpression (and the grammar of KeyConditionExpression)
    update         UpdateExpression
    projection     ProjectionExpression
    key_condition  KeyConditionExpression: from a condition to a range of keys
    legacy         the parameters of 2011 (Expected, AttributeUpdates, KeyConditions, ...) as the same trees
    partiql        PartiQL statements, as the same trees too; the parts of that language are in partiql_*.py

Every `parse` is cached by its exact text and names (cache.py), so a repeated request parses nothing.
"""
