"""What hands a run's figures to other people's trackers: a process beside the trainer, which never waits for it.

It reads the event log as every watcher does, so that it can neither slow nor end a training.
"""
