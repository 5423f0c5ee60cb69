"""Training tasks: autoencoder, base and adapters, detector, artefact classifier, encoder."""
