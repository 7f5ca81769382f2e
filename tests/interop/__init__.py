"""Real clients against a real running service: nothing here calls the product's code but through its front doors."""
