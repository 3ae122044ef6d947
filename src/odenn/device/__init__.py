"""What hardware there is, what is wrong with it, and which device is worth its while."""
