"""Optimisers for the weights of a network."""
