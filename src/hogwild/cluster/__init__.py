"""Beyond one machine: parameter server, delta exchange, and the same protocol in simulation."""
