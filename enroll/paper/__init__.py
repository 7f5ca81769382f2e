"""What the office gives to people on paper: tagged PDFs of one page (A4), in the house's own fonts."""
