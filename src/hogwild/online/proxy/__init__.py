"""A proxy: clients talk to it as to one server, and it talks to the active servers of their group."""
