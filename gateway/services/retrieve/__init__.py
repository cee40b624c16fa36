"""Retrieve (PS3.18 §10.4): from a path to the instances, metadata, frames or bulk data behind it."""
