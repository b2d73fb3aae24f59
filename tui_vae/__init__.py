"""Train a variational autoencoder on a headless server: watch it, steer it and look inside it from a terminal."""

__version__ = "0.2.0.dev0"
