"""The Latent pane."""
