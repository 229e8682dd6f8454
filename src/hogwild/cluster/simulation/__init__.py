"""The cluster's machines in virtual time: one process, any number of nodes, the same run for the same seed."""
