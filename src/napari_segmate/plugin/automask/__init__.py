"""The Automask dock: proposals for every object, tuned and accepted."""
