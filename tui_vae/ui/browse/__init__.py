"""The Browse pane."""
