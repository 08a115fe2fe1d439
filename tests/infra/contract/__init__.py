"""The contract with AWS: what the program asks for, checked against the schemas that AWS publishes.

`cloudformation` translates the program's resources, `lint` checks them, `test_contract` runs both for every stack.
"""
