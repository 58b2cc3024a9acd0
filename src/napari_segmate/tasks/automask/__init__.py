"""Label every object of a plane or a stack."""
