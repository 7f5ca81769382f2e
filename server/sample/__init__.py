"""Samples: fictitious holders and their cards' keys, as many as a trial or a bench asks for. Never for real use."""
