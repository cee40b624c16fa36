"""Instances and frames into a transfer syntax that the archive does not deliver (PS3.18 §8.7.3, §8.7.8.2)."""
