"""`tui-vae sweep`: a run for every combination of the given values, side by side."""
