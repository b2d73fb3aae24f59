"""What a trained model is measured by: figures, bounds, distances, probes, samples."""
