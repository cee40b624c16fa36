"""What an archive holds under a path: asked for once by all who want it, remembered, validated."""
