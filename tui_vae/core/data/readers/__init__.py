"""One file for each format of images: what is in it, and its images as arrays or as a stream."""
