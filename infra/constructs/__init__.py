"""One construct per capability, in the order in which a change walks through them."""
