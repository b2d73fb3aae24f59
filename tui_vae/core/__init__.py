"""The science: datasets, models, objectives, metrics. Knows no process and no screen."""
