"""Files of every format as other programs write them, and what `load` makes of each: the rows of a document's table."""

from tests.support.formats import of_idx, of_numpy, of_pictures, of_shapes, of_tables
from tests.support.formats.rows import ROWS

__all__ = ["ROWS", "of_idx", "of_numpy", "of_pictures", "of_shapes", "of_tables"]
