"""What works around a framework, a file each.

Each file says which framework and version it was written for, what goes wrong without it, and how to see whether it
is still needed.
"""
