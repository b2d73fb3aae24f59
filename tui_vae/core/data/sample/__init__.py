"""The bundled sample of FashionMNIST: 5,000 training and 1,000 test images, for machines without a network."""
