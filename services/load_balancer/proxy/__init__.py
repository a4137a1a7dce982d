"""The data plane: clients on one side, replicas on the other, and nothing slow in between."""
