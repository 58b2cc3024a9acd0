"""What every dock needs: its frame, keys, lists of layers and models."""
