"""The Textual app: panes, widgets, styles. Never imports torch."""
