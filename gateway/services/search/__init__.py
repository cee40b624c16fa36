"""Search (PS3.18 §10.6): queries to C-FINDs, their answers to results. ``service.py`` joins the parts."""
