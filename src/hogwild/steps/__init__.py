"""One compiled step for each model: what one row does to the parameters."""
