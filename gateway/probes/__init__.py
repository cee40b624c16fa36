"""Probing an archive step by step and saying in words what it can do; what ``dicomweb-gateway check`` runs."""
