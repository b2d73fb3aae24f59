"""The images: where a dataset's files are found, verified, downloaded and read."""
