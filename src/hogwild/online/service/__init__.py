"""A learner behind calls: one writer, MessagePack-RPC, limits. Nothing here imports NumPy before the learner loads."""
