"""A simulated card: the JPKI application with its two keys and PINs, for whole counter flows in tests and training.

The file of such a card is the chip itself, opened: whoever may read it has the keys. It is never for a real holder.
"""
