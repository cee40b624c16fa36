"""Pictures: pixel data described, decoded, encoded and rendered. Synchronous and pure; runs in worker processes.

No sockets and no tasks here, but for ``workers``, which runs the rest off the event loop. What is decoded comes from
anywhere: everything is measured before it is believed, and fails with ``gateway.errors.ImagingFailed`` alone.
"""
