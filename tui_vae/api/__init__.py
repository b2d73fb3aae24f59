"""The Python side: a run as an object, and training as a function. `tui_vae` itself offers what is public here."""
