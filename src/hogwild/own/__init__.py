"""The door for researchers: `minimize` and where its rows come from."""
