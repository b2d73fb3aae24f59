"""The networks: fully connected, convolutional, and a class of the user's own."""
