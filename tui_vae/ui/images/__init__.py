"""Images as half blocks, and the widgets that show them."""
