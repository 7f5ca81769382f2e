"""The lists, and those who publish and read them."""
