"""The MIX group: servers that learn apart and mix their models by rounds, with versions."""
