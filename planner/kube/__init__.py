"""What Kubernetes calls things: quantities, labels and names, for exporters and importers alike."""
