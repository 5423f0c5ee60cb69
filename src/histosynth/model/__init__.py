"""The diffusion networks of a bundle: base, autoencoder, structure encoder, adapters, files."""
