"""The training step: how loss, gradients and update are computed. README.md says which way is chosen when."""
