"""Images as half blocks, and the widgets that hold them."""
