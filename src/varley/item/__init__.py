"""Items and attribute values, in the plain DynamoDB-JSON form that one decode gives. Pure."""
