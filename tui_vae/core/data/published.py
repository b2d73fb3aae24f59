"""The datasets as published: classes, shapes, and the MD5 sums that identify their files."""

import math
from dataclasses import dataclass

from tui_vae.errors import UserError


class DatasetError(UserError):
    """A dataset is not where it was said to be, is damaged, or could not be downloaded."""


@dataclass(frozen=True)
class PublishedFile:
    """One idx file as published, which identifies copies of it. Sizes are in bytes."""

    name: str  # without .gz
    shape: tuple[int, ...]
    md5: str
    gz_size: int
    gz_md5: str
    repacked_md5: str  # of Debian's .gz, which has lost the name and time in its header

    @property
    def size(self) -> int:
        """Length of the uncompressed file: magic number, dimensions, one byte an element."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset as its authors published it."""

    name: str
    title: str  # also the name of torchvision's class, and of the directory in its layout
    classes: tuple[str, ...]
    mirror: str
    files: dict[str, PublishedFile]  # by the names that `datasets.Dataset` gives the arrays


DATASETS: dict[str, DatasetInfo] = {
    "fashion-mnist": DatasetInfo(
        name="fashion-mnist",
        title="FashionMNIST",
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        mirror="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files={
            "train_images": PublishedFile(
                name="train-images-idx3-ubyte",
                shape=(60_000, 28, 28),
                md5="f4a8712d7a061bf5bd6d2ca38dc4d50a",
                gz_size=26_421_880,
                gz_md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                repacked_md5="cf8536b0aa1a6ac5fa3f23001093305c",
            ),
            "train_labels": PublishedFile(
                name="train-labels-idx1-ubyte",
                shape=(60_000,),
                md5="9018921c3c673c538a1fc5bad174d6f9",
                gz_size=29_515,
                gz_md5="25c81989df183df01b3e8a0aad5dffbe",
                repacked_md5="10bea18fdb374794d4bb42e356e600c9",
            ),
            "test_images": PublishedFile(
                name="t10k-images-idx3-ubyte",
                shape=(10_000, 28, 28),
                md5="8181f5470baa50b63fa0f6fddb340f0a",
                gz_size=4_422_102,
                gz_md5="bef4ecab320f06d8554ea6380940ec79",
                repacked_md5="f78720b4224f21cce2f2ccf2d7a94c9a",
            ),
            "test_labels": PublishedFile(
                name="t10k-labels-idx1-ubyte",
                shape=(10_000,),
                md5="15d484375f8d13e6eb1aabb0c3f46965",
                gz_size=5_148,
                gz_md5="bb300cfdad3c16e7a12a480ee83cd310",
                repacked_md5="0d30e22e447f3c33dab9ed536400ac01",
            ),
        },
    )
}


def get_info(dataset: str) -> DatasetInfo:
    """The dataset of this name.

    Raises:
        DatasetError: there is none.
    """
    try:
        return DATASETS[dataset]
    except KeyError:
        raise DatasetError(f"there is no dataset {dataset!r}", f"known datasets: {', '.join(DATASETS)}") from None
