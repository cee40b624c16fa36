"""Requests of one series that share one operation."""
