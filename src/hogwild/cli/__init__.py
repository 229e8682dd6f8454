"""The command line: one module for each command, which imports nothing slow until it runs."""
