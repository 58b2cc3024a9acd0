"""From prompts on a plane to objects: frames, stored embeddings, prediction."""
