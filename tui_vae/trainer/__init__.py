"""The background process: training loop, checkpoints, answering requests. Knows no screen."""
