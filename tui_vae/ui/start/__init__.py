"""What the start screen shows beside and above its list."""
