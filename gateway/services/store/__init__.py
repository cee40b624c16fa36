"""Store (PS3.18 §10.5): the parts of a request to C-STOREs, and what became of them."""
