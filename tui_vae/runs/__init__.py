"""The meeting point of app and trainer: run directory, event log, protocol. Imports neither torch nor textual."""
