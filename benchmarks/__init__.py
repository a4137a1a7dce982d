"""What ringlab measures itself with, side by side with others. One package per chapter."""
