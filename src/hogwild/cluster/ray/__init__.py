"""The protocol on Ray: actors for workers and shards, the coordinator in the driver. Nothing else imports Ray."""
