"""What outlives a server: model files, the log of its updates, and files of the original."""
