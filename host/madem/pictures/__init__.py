"""Results as pictures, in one style."""
